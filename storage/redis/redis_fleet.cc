#include "storage/redis/redis_fleet.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <span>
#include <unordered_set>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/redis/fleet_script.h"
#include "storage/redis/probe.h"

namespace waybill::storage {
namespace {

// KEYS: the geo sets, then a hash for each driver. ARGV: the drivers' ids. Removes those whose hash has expired from
// the geo sets. It looks itself, so that a position put meanwhile is not removed.
constexpr std::string_view kSweepText = R"lua(
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    redis.call('ZREM', KEYS[1], ARGV[i - 2])
    redis.call('ZREM', KEYS[2], ARGV[i - 2])
  end
end
return #KEYS - 2
)lua";

using DriverIds = std::unordered_set<std::string>;

// Which of `drivers` have no fresh position.
absl::StatusOr<DriverIds> FindStale(RedisConnection& connection, const DriverIds& drivers) {
  DriverIds stale;
  if (drivers.empty()) return stale;
  std::vector<std::string> keys;
  std::vector<std::string_view> all = {"EXISTS"};
  RedisPipeline each;
  for (const std::string& driver : drivers) {
    keys.push_back(DriverKey(driver));
    each.Add({"EXISTS", keys.back()});
  }
  all.insert(all.end(), keys.begin(), keys.end());
  RedisPipeline pipeline;
  pipeline.Add(all);
  absl::StatusOr<RedisReplies> replies = connection.Run(pipeline);
  if (!replies.ok()) return replies.status();
  if ((*replies)[0].IsError()) return RedisErrorStatus((*replies)[0].Text());
  if ((*replies)[0].Integer() == static_cast<int64_t>(drivers.size())) return stale;
  replies = connection.Run(each);
  if (!replies.ok()) return replies.status();
  size_t next = 0;
  for (const std::string& driver : drivers) {
    RedisReply exists = (*replies)[next++];
    if (exists.IsError()) return RedisErrorStatus(exists.Text());
    if (exists.Integer() == 0) stale.insert(driver);
  }
  return stale;
}

// Removes them from the geo sets. This tidies up behind a read and is no part of it: a Redis that refuses writes for a
// while still answers who is near.
absl::Status Sweep(RedisConnection& connection, const DriverIds& stale) {
  if (stale.empty()) return absl::OkStatus();
  static const Script& script = *new Script(kSweepText);
  ScriptCall call = {std::to_string(stale.size() + 2), std::string(kGeoKey), std::string(kPolarKey)};
  for (const std::string& driver : stale) call.push_back(DriverKey(driver));
  call.insert(call.end(), stale.begin(), stale.end());
  return RunScript(connection, script, {call}).status();
}

}  // namespace

// --- Nearest

struct RedisFleet::Search {
  NearestQuery query;
  absl::AnyInvocable<void(absl::StatusOr<std::vector<NearbyDriver>>)> done;
  absl::StatusOr<std::vector<NearbyDriver>> found;
  double radius_m = 0;  // of this round, at most the query's
  int count = 0;        // candidates to ask for
  bool again = false;   // there may be more
};

// Each round asks for every query's nearest candidates in one pipeline, then checks them all in a second one. Redis
// looks at every member within the radius, however few are asked for, so the first round takes only as wide a circle as
// has lately held enough drivers; what it finds there is what it would have found in a wider one. Rounds after the
// first are for the queries that found too few: the circle grows, or, where stale drivers took the place of fresh ones
// (they are swept by then, if Redis takes writes), more are asked for.
class RedisFleet::Searcher final : public BatchWriter<Search> {
 public:
  Searcher(const RedisUrl& url, const RedisOptions& options) : connection_(url, options) {}

  // A read that fails is not repeated: whoever waits is better served by the error.
  BatchResult Write(std::span<Search> batch) override {
    std::vector<Search*> open;
    for (Search& search : batch) {
      search.found = std::vector<NearbyDriver>();
      search.radius_m = std::min(search.query.radius_m, start_radius_m_);
      search.count = search.query.limit;
      if (search.query.limit > 0) open.push_back(&search);
    }
    while (!open.empty()) {
      absl::Status status = Round(open);
      if (!status.ok()) {
        for (Search* search : open) search->found = status;
        break;
      }
      open.erase(std::remove_if(open.begin(), open.end(), [](Search* search) { return !search->again; }), open.end());
    }
    return BatchResult::kWritten;
  }

  void Complete(Search& search, const absl::Status& status) override {
    if (status.ok()) {
      search.done(std::move(search.found));
    } else {
      search.done(status);
    }
  }

  absl::Status BadDataError() override { return absl::InternalError("a search is never bad data"); }

 private:
  static constexpr int kCountMax = 1'000;     // candidates a round, as long as expired ones are swept
  static constexpr int kUnsweptMax = 65'536;  // and while they are not

  absl::Status Round(const std::vector<Search*>& open) {
    RedisPipeline pipeline;
    for (const Search* search : open) {
      const GeoCentre centre = CentreOf(search->query.point);
      pipeline.Add({"GEOSEARCH", centre.key, "FROMLONLAT", fmt::format("{}", centre.longitude),
                    fmt::format("{}", centre.latitude), "BYRADIUS", fmt::format("{}", search->radius_m), "m", "ASC",
                    "COUNT", std::to_string(search->count), "WITHDIST"});
    }
    absl::StatusOr<RedisReplies> replies = connection_.Run(pipeline);
    if (!replies.ok()) return replies.status();
    DriverIds candidates;
    for (size_t i = 0; i < open.size(); ++i) {
      RedisReply reply = (*replies)[i];
      for (size_t n = 0; n < reply.size(); ++n) candidates.emplace(reply[n][0].Text());
    }
    absl::StatusOr<DriverIds> stale = FindStale(connection_, candidates);
    if (!stale.ok()) return stale.status();
    const bool swept = SweepNow(*stale);
    for (size_t i = 0; i < open.size(); ++i) Settle(*open[i], (*replies)[i], *stale, swept);
    return absl::OkStatus();
  }

  // Not at every search while Redis refuses it.
  bool SweepNow(const DriverIds& stale) {
    constexpr std::chrono::seconds kPause{1};
    if (std::chrono::steady_clock::now() < sweep_again_) return false;
    const bool swept = Sweep(connection_, stale).ok();
    if (!swept) sweep_again_ = std::chrono::steady_clock::now() + kPause;
    return swept;
  }

  void Settle(Search& search, RedisReply reply, const DriverIds& stale, bool swept) {
    search.again = false;
    if (reply.IsError()) {
      search.found = RedisErrorStatus(reply.Text());
      return;
    }
    std::vector<NearbyDriver> fresh;
    for (size_t n = 0; n < reply.size() && fresh.size() < static_cast<size_t>(search.query.limit); ++n) {
      std::string driver_id(reply[n][0].Text());
      if (stale.count(driver_id) == 0) fresh.push_back({std::move(driver_id), ToDouble(reply[n][1].Text())});
    }
    const bool enough = fresh.size() == static_cast<size_t>(search.query.limit);
    const bool crowded = reply.size() == static_cast<size_t>(search.count);  // the circle holds more
    const bool whole = search.radius_m >= search.query.radius_m;
    search.again = !enough && (crowded || !whole);
    if (search.again && crowded) {
      // Those in the way are gone by the next round, if they could be swept.
      search.count = swept ? std::max(search.count, std::min(search.count * 4, kCountMax)) : search.count * 4;
      if (search.count > kUnsweptMax) {
        ErrorDetail detail;
        detail.retry_after = absl::Seconds(1);
        search.found = domain::ReasonError("STORE_UNAVAILABLE",
                                           "redis: too many expired drivers are in the way, and removing "
                                           "them is refused",
                                           std::move(detail));
        search.again = false;
        return;
      }
    }
    if (search.again && !crowded) search.radius_m = std::min(search.radius_m * 2, search.query.radius_m);
    if (!search.again) Learn(enough ? fresh.back().distance_m : search.query.radius_m);
    search.found = std::move(fresh);
  }

  // A moving average of the distance within which the answers lay, with room for twice as many (the square root of 2).
  void Learn(double distance_m) {
    constexpr double kWeight = 0.05;
    start_radius_m_ = std::max(start_radius_m_ + kWeight * (distance_m * 1.4 - start_radius_m_), kStartRadiusMinM);
  }

  static constexpr double kStartRadiusMinM = 50;
  double start_radius_m_ = 1'000;
  std::chrono::steady_clock::time_point sweep_again_{};
  RedisConnection connection_;
};

void RedisFleet::Nearest(const NearestQuery& query,
                         absl::AnyInvocable<void(absl::StatusOr<std::vector<NearbyDriver>>)> done) {
  if (absl::Status wrong = CheckQuery(query); !wrong.ok()) {
    done(wrong);
    return;
  }
  Search search;
  search.query = query;
  search.done = std::move(done);
  if (batcher_->Offer(search)) return;
  search.done(domain::QueueFull("too many searches for a driver are waiting", absl::Milliseconds(250)));
}

size_t RedisFleet::queue_depth() const { return batcher_->queue_depth(); }

// --- The blocking calls

RedisFleet::RedisFleet(const RedisUrl& url, const RedisFleetOptions& options, const Loops& loops)
    : pool_(url, options.redis) {
  std::vector<BatchWriter<Search>*> writers;
  for (int i = 0; i < options.nearest_writers; ++i) {
    searchers_.push_back(std::make_unique<Searcher>(url, options.redis));
    writers.push_back(searchers_.back().get());
  }
  BatcherOptions batching;
  batching.queue_max = options.queue_max;
  batching.batch_max = options.batch_max;
  batcher_ = std::make_unique<Batcher<Search>>(std::move(writers), batching, loops);
}

RedisFleet::~RedisFleet() { Stop(); }

void RedisFleet::Stop() { batcher_->Stop(); }

absl::StatusOr<FleetPage> RedisFleet::Scan(uint64_t cursor, int count) {
  RedisPool::Lease connection = pool_.Borrow();
  absl::StatusOr<RedisReplies> replies =
      connection->Run({"ZSCAN", kGeoKey, std::to_string(cursor), "COUNT", std::to_string(std::max(count, 1))});
  if (!replies.ok()) return replies.status();
  RedisReply reply = (*replies)[0];
  if (reply.IsError()) return RedisErrorStatus(reply.Text());
  FleetPage page;
  std::string_view next = reply[0].Text();
  std::from_chars(next.data(), next.data() + next.size(), page.cursor);
  DriverIds members;
  for (size_t i = 0; i + 1 < reply[1].size(); i += 2) members.emplace(reply[1][i].Text());
  absl::StatusOr<DriverIds> stale = FindStale(*connection, members);
  if (!stale.ok()) return stale.status();
  Sweep(*connection, *stale).IgnoreError();
  for (const std::string& driver_id : members) {
    if (stale->count(driver_id) == 0) page.driver_ids.push_back(driver_id);
  }
  return page;
}

absl::Status RedisFleet::Put(const std::vector<domain::DriverPosition>& positions, absl::Duration ttl) {
  std::vector<FreshPosition> fresh;
  for (const domain::DriverPosition& position : positions) {
    absl::Status status = domain::CheckPosition(position);
    if (!status.ok()) return status;
    fresh.push_back({position, ttl});
  }
  if (fresh.empty()) return absl::OkStatus();
  RedisPool::Lease connection = pool_.Borrow();
  return RunScript(*connection, PutScript(), PutCalls(fresh)).status();
}

absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> RedisFleet::Get(
    const std::vector<std::string>& driver_ids) {
  return GetPositions(*pool_.Borrow(), driver_ids);
}

absl::Status RedisFleet::Ping() { return Probe(*pool_.Borrow(), SearchProbes(), RefusedWrites::kPass); }

}  // namespace waybill::storage
