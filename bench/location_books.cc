#include "bench/location_books.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>
#include <unordered_map>

#include "absl/strings/numbers.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "storage/redis/connection.h"

namespace waybill::bench {
namespace {

// The load's drivers go north all the time, so the newest point is the northernmost.
constexpr char kByDriver[] = R"sql(
SELECT driver_id, count(*), (extract(epoch FROM sum(recorded_at - $1)) * 1000000)::bigint, max(recorded_at), max(lat),
       max(long)
FROM driver_locations GROUP BY driver_id)sql";

constexpr double kSamePlace = 1e-9;  // degrees

bool SamePlace(double latitude, double longitude, const DriverTally& driver) {
  return std::abs(latitude - driver.latitude) <= kSamePlace && std::abs(longitude - driver.longitude) <= kSamePlace;
}

double ToDouble(std::string_view text) {
  double value = 0;
  return absl::SimpleAtod(std::string(text), &value) ? value : std::nan("");
}

// Collects what is wrong.
struct Sentences {
  std::vector<std::string> wrong;
  void Tell(int64_t count, std::string_view what) {
    if (count != 0) wrong.push_back(fmt::format("{} {}", count, what));
  }
};

absl::StatusOr<storage::RedisReplies> RunAll(const std::string& redis_url, const storage::RedisPipeline& pipeline) {
  const absl::StatusOr<storage::RedisUrl> url = storage::RedisUrl::Parse(redis_url);
  if (!url.ok()) return url.status();
  storage::RedisConnection redis(*url, {});
  return redis.Run(pipeline);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckHistory(const std::string& database_url,
                                                      const std::vector<DriverTally>& drivers, absl::Time epoch) {
  storage::ConnectionOptions options;
  options.application_name = "waybill-bench books";
  options.statement_timeout = absl::Seconds(300);
  auto connection = storage::Connection::Open(database_url, options);
  if (!connection.ok()) return connection.status();
  const storage::Param from[] = {storage::Param::Time(epoch)};
  auto rows = (*connection)->Execute(kByDriver, from);
  if (!rows.ok()) return rows.status();

  std::unordered_map<std::string, const DriverTally*> unseen;
  for (const DriverTally& driver : drivers) {
    if (driver.points > 0) unseen[driver.driver_id] = &driver;
  }
  int64_t missing = 0, too_many = 0, unknown = 0, other_times = 0, other_newest = 0;
  for (int row = 0; row < rows->size(); ++row) {
    const auto found = unseen.find(std::string(rows->Text(row, 0)));
    if (found == unseen.end()) {
      unknown += rows->Int(row, 1);
      continue;
    }
    const DriverTally& driver = *found->second;
    unseen.erase(found);
    const int64_t points = rows->Int(row, 1);
    missing += std::max<int64_t>(0, driver.points - points);
    too_many += std::max<int64_t>(0, points - driver.points);
    if (points != driver.points) continue;
    other_times += rows->Int(row, 2) != driver.time_sum;
    other_newest += absl::ToUnixMicros(rows->Time(row, 3)) != driver.newest ||
                    !SamePlace(rows->Double(row, 4), rows->Double(row, 5), driver);
  }
  for (const auto& [id, driver] : unseen) missing += driver->points;
  Sentences sentences;
  sentences.Tell(missing, "acked points are not in the history");
  sentences.Tell(too_many, "points too many are in the history");
  sentences.Tell(unknown, "points of drivers that nobody sent are in the history");
  sentences.Tell(other_times, "drivers have points at other times than they were sent with");
  sentences.Tell(other_newest, "drivers' newest points are not as they were sent");
  return sentences.wrong;
}

absl::StatusOr<std::vector<std::string>> CheckHotView(const std::string& redis_url,
                                                      const std::vector<DriverTally>& drivers, size_t sample) {
  const size_t step = std::max<size_t>(1, (drivers.size() + sample - 1) / sample);
  storage::RedisPipeline pipeline;
  for (size_t i = 0; i < drivers.size(); i += step) {
    pipeline.Add({"HMGET", "driver:" + drivers[i].driver_id, "timestamp", "lat", "long"});
    pipeline.Add({"ZSCORE", "drivers:geo", drivers[i].driver_id});
  }
  const absl::StatusOr<storage::RedisReplies> replies = RunAll(redis_url, pipeline);
  if (!replies.ok()) return replies.status();
  int64_t missing = 0, other = 0, unplaced = 0;
  for (size_t i = 0, reply = 0; i < drivers.size(); i += step, reply += 2) {
    if (drivers[i].points == 0) continue;
    const storage::RedisReply hash = (*replies)[reply];
    if (hash.IsError()) return storage::RedisErrorStatus(hash.Text());
    unplaced += (*replies)[reply + 1].IsNull();
    if (hash[0].IsNull()) {
      ++missing;
    } else {
      other += hash[0].Text() != std::to_string(drivers[i].newest) ||
               !SamePlace(ToDouble(hash[1].Text()), ToDouble(hash[2].Text()), drivers[i]);
    }
  }
  Sentences sentences;
  sentences.Tell(missing, "sampled drivers are not in the hot view");
  sentences.Tell(other, "sampled drivers have another point than their newest in the hot view");
  sentences.Tell(unplaced, "sampled drivers are not in the geo set");
  return sentences.wrong;
}

absl::StatusOr<std::vector<std::string>> CheckEvents(const std::string& redis_url, int64_t points) {
  storage::RedisPipeline pipeline;
  pipeline.Add({"XINFO", "STREAM", "location_events"});
  const absl::StatusOr<storage::RedisReplies> replies = RunAll(redis_url, pipeline);
  if (!replies.ok()) return replies.status();
  const storage::RedisReply info = (*replies)[0];
  int64_t added = 0;  // the stream does not exist: an error answer, which has no elements
  for (size_t i = 0; i + 1 < info.size(); i += 2) {
    if (info[i].Text() == "entries-added") added = info[i + 1].Integer();
  }
  Sentences sentences;
  if (added < points) sentences.Tell(points - added, "points were never told as events");
  return sentences.wrong;
}

}  // namespace waybill::bench
