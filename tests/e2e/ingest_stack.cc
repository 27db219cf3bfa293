#include "tests/e2e/ingest_stack.h"

#include <cstdlib>
#include <filesystem>

#include "storage/redis/redis_hot_view.h"

namespace waybill::testing {

std::unique_ptr<location::v1::LocationService::Stub> IngestReplica::Locations() const {
  return location::v1::LocationService::NewStub(Channel());
}

IngestStack::IngestStack(IngestStackOptions options) : options_(std::move(options)) {
  database_url_ = options_.database_url;
  redis_url_ = options_.redis_url;
  if (database_url_.empty()) {
    database_ =
        options_.postgres ? std::make_unique<TestDatabase>(options_.postgres->Url()) : std::make_unique<TestDatabase>();
    database_url_ = database_->url();
  }
  if (!redis_url_.empty()) {
    // Another stack's.
  } else if (options_.redis) {
    redis_url_ = options_.redis->Url();
  } else {
    test_redis_ = std::make_unique<TestRedis>();
    redis_url_ = test_redis_->url();
  }
  sql_ = std::make_unique<Sql>(database_url_);
}

IngestReplica& IngestStack::AddReplica(const std::string& name, const std::vector<std::string>& more_args) {
  const std::string directory = directory_.path().string() + "/" + name;
  std::filesystem::create_directory(directory);
  std::vector<std::string> args = {"--database-url", database_url_, "--redis-url", redis_url_, "--migrate"};
  args.insert(args.end(), options_.args.begin(), options_.args.end());
  args.insert(args.end(), more_args.begin(), more_args.end());
  bool says_fresh = false;
  for (const std::string& arg : args) says_fresh = says_fresh || arg == "--fresh-for";
  if (!says_fresh) args.insert(args.end(), {"--fresh-for", "15m"});
  replicas_.push_back(std::make_unique<IngestReplica>(WAYBILL_INGEST_BINARY, args, directory));
  return *replicas_.back();
}

int64_t IngestStack::StoredCount() { return std::atoll(sql().Value("SELECT count(*) FROM driver_locations").c_str()); }

std::map<PointKey, domain::GeoPoint> IngestStack::Stored() {
  std::map<PointKey, domain::GeoPoint> stored;
  for (const auto& row : sql().Rows("SELECT driver_id, (extract(epoch FROM recorded_at) * 1000000)::bigint, lat, long "
                                    "FROM driver_locations")) {
    stored[{row[0], std::atoll(row[1].c_str())}] = {std::atof(row[2].c_str()), std::atof(row[3].c_str())};
  }
  return stored;
}

std::map<std::string, int64_t> IngestStack::HotTimes(const std::vector<std::string>& driver_ids) const {
  std::map<std::string, int64_t> times;
  auto url = storage::RedisUrl::Parse(redis_url_);
  if (!url.ok()) return times;
  storage::RedisHotView view(*url, {});
  auto found = view.Get(driver_ids);
  if (!found.ok()) return times;
  for (const auto& position : *found) {
    if (position) times[position->driver_id] = absl::ToUnixMicros(position->recorded_at);
  }
  return times;
}

location::v1::Point PointOf(const std::string& driver_id, domain::GeoPoint where, absl::Time recorded_at) {
  location::v1::Point point;
  point.set_driver_id(driver_id);
  point.set_latitude(where.latitude);
  point.set_longitude(where.longitude);
  SetTime(recorded_at, *point.mutable_recorded_at());
  return point;
}

PointKey KeyOf(const location::v1::Point& point) {
  return {point.driver_id(), point.recorded_at().seconds() * 1'000'000 + point.recorded_at().nanos() / 1'000};
}

void SetTime(absl::Time time, google::protobuf::Timestamp& out) {
  const int64_t seconds = absl::ToUnixSeconds(time);
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(time - absl::FromUnixSeconds(seconds))));
}

}  // namespace waybill::testing
