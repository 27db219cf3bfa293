#include "bench/location_ceiling.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <queue>
#include <thread>
#include <utility>

#include "absl/time/civil_time.h"
#include "absl/time/clock.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/params.h"
#include "storage/redis/connection.h"

namespace waybill::bench {
namespace {

using storage::ArrayParam;
using storage::Connection;
using storage::Param;

constexpr char kInsert[] = "insert";
constexpr char kInsertSql[] = R"sql(
INSERT INTO driver_locations (recorded_at, received_at, lat, long, accuracy_m, heading_deg, speed_mps, driver_id)
SELECT * FROM unnest($1::timestamptz[], $2::timestamptz[], $3::double precision[], $4::double precision[], $5::real[],
                     $6::real[], $7::real[], $8::text[]))sql";

constexpr size_t kBatchesAhead = 4;  // of Redis, by Postgres
constexpr char kEventsKept[] = "100000";
constexpr absl::Duration kFresh = absl::Seconds(60);

struct Driver {
  std::string id;
  std::string key;  // of its hash
  double latitude = 0, longitude = 0;
  std::string latitude_text, longitude_text;
};

std::vector<Driver> MakeDrivers(int count) {
  std::vector<Driver> drivers;
  for (int number = 0; number < count; ++number) {
    Driver& driver = drivers.emplace_back();
    driver.id = fmt::format("ceiling-{:07}", number);
    driver.key = "driver:" + driver.id;
    const int row = number % 1'000, column = number / 1'000;
    driver.latitude = 52.3 + row * 0.0005;
    driver.longitude = 13.1 + column * 0.0005;
    driver.latitude_text = fmt::format("{}", driver.latitude);
    driver.longitude_text = fmt::format("{}", driver.longitude);
  }
  return drivers;
}

// Batch n holds `points` points of every driver, at microseconds n * points … from the epoch.
struct Numbering {
  int64_t points;
  absl::Time epoch;
  int64_t First(int64_t batch) const { return batch * points; }
  absl::Time At(int64_t micros) const { return epoch + absl::Microseconds(micros); }
};

// The arrays of one batch, filled again and again, in the order of the primary key.
struct Columns {
  ArrayParam recorded{storage::kOidTimestamptz};
  ArrayParam received{storage::kOidTimestamptz};
  ArrayParam latitude{storage::kOidFloat8};
  ArrayParam longitude{storage::kOidFloat8};
  ArrayParam accuracy{storage::kOidFloat4};
  ArrayParam heading{storage::kOidFloat4};
  ArrayParam speed{storage::kOidFloat4};
  ArrayParam driver_id{storage::kOidText};

  void Fill(const std::vector<Driver>& drivers, const Numbering& numbering, int64_t batch) {
    for (ArrayParam* column : {&recorded, &received, &latitude, &longitude, &accuracy, &heading, &speed, &driver_id}) {
      column->Clear();
    }
    for (const Driver& driver : drivers) {
      for (int64_t i = 0; i < numbering.points; ++i) {
        const absl::Time at = numbering.At(numbering.First(batch) + i);
        recorded.AddTime(at);
        received.AddTime(at);
        latitude.AddDouble(driver.latitude);
        longitude.AddDouble(driver.longitude);
        accuracy.AddDouble(5.0);
        heading.AddDouble(0.0);
        speed.AddDouble(10.0);
        driver_id.AddText(driver.id);
      }
    }
  }
};

// Every point as an event; the newest of each driver into the hot view.
void FillPipeline(const std::vector<Driver>& drivers, const Numbering& numbering, int64_t batch,
                  storage::RedisPipeline& pipeline) {
  pipeline.Clear();
  const int64_t first = numbering.First(batch);
  for (int64_t i = 0; i < numbering.points; ++i) {
    const fmt::format_int at(absl::ToUnixMicros(numbering.At(first + i)));
    const std::string_view timestamp(at.data(), at.size());
    for (const Driver& driver : drivers) {
      pipeline.Add({"XADD",      "location_events",
                    "MAXLEN",    "~",
                    kEventsKept, "*",
                    "driver_id", driver.id,
                    "lat",       driver.latitude_text,
                    "long",      driver.longitude_text,
                    "timestamp", timestamp,
                    "accuracy",  "5",
                    "heading",   "0",
                    "speed",     "10"});
    }
  }
  const absl::Time newest = numbering.At(first + numbering.points - 1);
  const fmt::format_int at(absl::ToUnixMicros(newest));
  const fmt::format_int expiry(absl::ToUnixMillis(newest + kFresh));
  const std::string_view timestamp(at.data(), at.size());
  for (const Driver& driver : drivers) {
    pipeline.Add({"HSET", driver.key, "driver_id", driver.id, "lat", driver.latitude_text, "long",
                  driver.longitude_text, "timestamp", timestamp, "accuracy", "5", "heading", "0", "speed", "10"});
    pipeline.Add({"PEXPIREAT", driver.key, std::string_view(expiry.data(), expiry.size())});
    pipeline.Add({"GEOADD", "drivers:geo", driver.longitude_text, driver.latitude_text, driver.id});
  }
}

// Batches that are in Postgres and go to Redis next.
class Handover {
 public:
  // Waits while Redis is too far behind.
  void Put(int64_t batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return batches_.size() < kBatchesAhead || closed_; });
    batches_.push(batch);
    changed_.notify_all();
  }
  // False: there is none, and there will be none.
  bool Take(int64_t& batch) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !batches_.empty() || closed_; });
    if (batches_.empty()) return false;
    batch = batches_.front();
    batches_.pop();
    changed_.notify_all();
    return true;
  }
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::queue<int64_t> batches_;  // guarded by mutex_
  bool closed_ = false;          // guarded by mutex_
};

absl::StatusOr<std::unique_ptr<Connection>> OpenPreparedLocations(const std::string& url) {
  storage::ConnectionOptions options;
  options.application_name = "waybill-bench ceiling";
  options.settings = {{"work_mem", "32MB"}, {"jit", "off"}};
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connection::Open(url, options);
  if (!connection.ok()) return connection.status();
  if (const absl::Status prepared = (*connection)->Prepare(kInsert, kInsertSql); !prepared.ok()) return prepared;
  return connection;
}

absl::Status RunPipeline(storage::RedisConnection& redis, const storage::RedisPipeline& pipeline) {
  const absl::StatusOr<storage::RedisReplies> replies = redis.Run(pipeline);
  if (!replies.ok()) return replies.status();
  for (size_t i = 0; i < replies->size(); ++i) {
    if ((*replies)[i].IsError()) return storage::RedisErrorStatus((*replies)[i].Text());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LocationCeilingResult> MeasureLocationCeiling(const LocationCeilingOptions& options) {
  const std::vector<Driver> drivers = MakeDrivers(options.drivers);
  const Numbering numbering{std::max(1, options.batch / options.drivers), options.epoch};
  const int64_t points_a_batch = numbering.points * options.drivers;

  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    absl::StatusOr<std::unique_ptr<Connection>> connection = OpenPreparedLocations(options.database_url);
    if (!connection.ok()) return connection.status();
    connections.push_back(*std::move(connection));
  }
  const absl::CivilDay today = storage::PartitionDay(options.epoch);
  for (const absl::CivilDay day : {today, today + 1}) {
    if (const absl::Status made = storage::MakePartition(*connections[0], day); !made.ok()) return made;
  }
  const absl::StatusOr<storage::RedisUrl> url = storage::RedisUrl::Parse(options.redis_url);
  if (!url.ok()) return url.status();
  storage::RedisConnection redis(*url, {});

  std::atomic<int64_t> next{0};
  std::atomic<int64_t> done{0};  // points that are in both
  std::atomic<bool> stop{false};
  Handover handover;
  std::vector<absl::Status> outcomes(connections.size());
  std::vector<std::thread> writers;
  for (size_t i = 0; i < connections.size(); ++i) {
    writers.emplace_back([&, i] {
      Columns columns;
      while (!stop) {
        const int64_t batch = next.fetch_add(1);
        columns.Fill(drivers, numbering, batch);
        const Param params[] = {columns.recorded, columns.received, columns.latitude, columns.longitude,
                                columns.accuracy, columns.heading,  columns.speed,    columns.driver_id};
        outcomes[i] = connections[i]->ExecutePrepared(kInsert, params).status();
        if (!outcomes[i].ok()) break;
        handover.Put(batch);
      }
    });
  }
  absl::Status redis_outcome;
  std::thread redis_writer([&] {
    storage::RedisPipeline pipeline;
    for (int64_t batch = 0; handover.Take(batch);) {
      FillPipeline(drivers, numbering, batch, pipeline);
      redis_outcome = RunPipeline(redis, pipeline);
      if (!redis_outcome.ok()) {
        stop = true;
        handover.Close();  // or the writers would wait for ever
        break;
      }
      done += points_a_batch;
    }
  });
  absl::SleepFor(options.warm_up);
  const int64_t done_before = done;
  const absl::Time start = absl::Now();
  absl::SleepFor(options.duration);
  const int64_t done_in_window = done - done_before;
  const absl::Duration window = absl::Now() - start;
  stop = true;
  for (std::thread& writer : writers) writer.join();
  handover.Close();
  redis_writer.join();
  outcomes.push_back(redis_outcome);
  for (const absl::Status& status : outcomes) {
    if (!status.ok()) return status;
  }

  // Neither store may have been asked for anything yet.
  if (done == 0) return absl::DeadlineExceededError("no point was in both stores before the time was over");

  LocationCeilingResult result;
  result.points_per_second = static_cast<double>(done_in_window) / absl::ToDoubleSeconds(window);
  result.points = done;
  const int64_t each = result.points / options.drivers;
  for (const Driver& driver : drivers) {
    result.drivers.push_back({driver.id, each, each * (each - 1) / 2, absl::ToUnixMicros(options.epoch) + each - 1,
                              driver.latitude, driver.longitude});
  }
  return result;
}

}  // namespace waybill::bench
