// Ingest services running together for one test, over a database and a Redis of the test's own. And what is asked of
// the stores themselves when the test looks whether the service kept its word.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "domain/geo.h"
#include "tests/e2e/service_process.h"
#include "tests/support/postgres.h"
#include "tests/support/redis.h"
#include "tests/support/temp_directory.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::testing {

// One waybill-ingest.
class IngestReplica : public ServiceProcess {
 public:
  using ServiceProcess::ServiceProcess;
  std::unique_ptr<location::v1::LocationService::Stub> Locations() const;
};

struct IngestStackOptions {
  std::vector<std::string> args;
  // Servers of the test's own, for tests that break them; null: a database on the shared ones.
  PostgresServer* postgres = nullptr;
  RedisServer* redis = nullptr;
  // The stores of another stack, to share them with it; empty: none.
  std::string database_url, redis_url;
};

// What identifies a point: driver and microseconds since 1970.
using PointKey = std::pair<std::string, int64_t>;

class IngestStack {
 public:
  explicit IngestStack(IngestStackOptions options = {});

  // Positions stay in the hot view for a quarter of an hour, unless the options say otherwise.
  IngestReplica& AddReplica(const std::string& name, const std::vector<std::string>& more_args = {});
  IngestReplica& replica(size_t index = 0) { return *replicas_[index]; }

  Sql& sql() { return *sql_; }
  void ConnectAgain() { sql_ = std::make_unique<Sql>(database_url_); }  // after the database was away
  const std::string& redis_url() const { return redis_url_; }

  int64_t StoredCount();
  std::map<PointKey, domain::GeoPoint> Stored();
  // Microseconds since 1970 of these drivers' positions in the hot view; drivers that are not there are missing, and
  // all are while Redis is away.
  std::map<std::string, int64_t> HotTimes(const std::vector<std::string>& driver_ids) const;

 private:
  const IngestStackOptions options_;
  TempDirectory directory_;
  std::unique_ptr<TestDatabase> database_;
  std::unique_ptr<TestRedis> test_redis_;
  std::string database_url_, redis_url_;
  std::unique_ptr<Sql> sql_;
  std::vector<std::unique_ptr<IngestReplica>> replicas_;
};

location::v1::Point PointOf(const std::string& driver_id, domain::GeoPoint where, absl::Time recorded_at);
PointKey KeyOf(const location::v1::Point& point);
void SetTime(absl::Time time, google::protobuf::Timestamp& out);

}  // namespace waybill::testing
