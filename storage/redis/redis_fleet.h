// The hot view of the fleet in Redis: a hash `driver:<id>` with a TTL for each driver, and the geo sets `drivers:geo`
// and `drivers:geo:polar` (fleet_script.h).
//
// A driver is fresh while its hash lives. The geo sets have no expiry of their own: members whose hash is gone are
// removed when a read meets them. Scripts and multi-key commands assume one Redis, not a cluster.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/driver.h"
#include "runtime/batcher.h"
#include "runtime/executor.h"
#include "storage/fleet.h"
#include "storage/redis/connection.h"
#include "storage/redis/pool.h"

namespace waybill::storage {

struct RedisFleetOptions {
  RedisOptions redis;
  int nearest_writers = 1;    // connections that serve Nearest
  size_t queue_max = 10'000;  // queries waiting
  size_t batch_max = 256;     // queries a round trip
};

class RedisFleet final : public Fleet {
 public:
  // Does not connect yet: a Redis that is down answers STORE_UNAVAILABLE to each call until it is back.
  // `loops` run the searches.
  RedisFleet(const RedisUrl& url, const RedisFleetOptions& options, const Loops& loops);
  ~RedisFleet() override;

  // Answers the searches that wait; what comes still is refused with QUEUE_FULL.
  void Stop();

  void Nearest(const NearestQuery& query,
               absl::AnyInvocable<void(absl::StatusOr<std::vector<NearbyDriver>>)> done) override;
  absl::StatusOr<FleetPage> Scan(uint64_t cursor, int count) override;
  absl::Status Put(const std::vector<domain::DriverPosition>& positions, absl::Duration ttl) override;
  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) override;
  absl::Status Ping() override;

  size_t queue_depth() const;

 private:
  struct Search;
  class Searcher;

  RedisPool pool_;  // for the blocking calls
  std::vector<std::unique_ptr<Searcher>> searchers_;
  std::unique_ptr<Batcher<Search>> batcher_;
};

}  // namespace waybill::storage
