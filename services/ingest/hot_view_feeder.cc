#include "services/ingest/hot_view_feeder.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "runtime/failpoint.h"

namespace waybill::ingest {

using storage::DriverPosition;
using storage::HotUpdate;
using storage::Location;
using storage::Standing;

HotViewFeeder::HotViewFeeder(storage::HotView& view, storage::LocationHistory& history, IngestMetrics& metrics,
                             const Clock& clock, const Logger& log, HotViewOptions options,
                             std::function<void()> on_room)
    : view_(view),
      history_(history),
      metrics_(metrics),
      clock_(clock),
      log_(log),
      options_(options),
      on_room_(std::move(on_room)) {
  metrics_.HotViewStale(true);
}

void HotViewFeeder::Start() {
  thread_ = std::thread([this] { Run(); });
}

void HotViewFeeder::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void HotViewFeeder::Add(std::vector<Location> durable) {
  if (durable.empty()) return;
  size_t dropped = 0;
  {
    std::lock_guard lock(mutex_);
    backlog_ += durable.size();
    waiting_.push_back({std::move(durable), clock_.Steady()});
    // While Redis is away: of what it missed only the latest is of interest. What is dropped is made good by a rebuild,
    // so nothing is dropped during one, lest a busy fleet be rebuilt for ever.
    while (stale_ && !Holding() && backlog_ > options_.backlog_max && waiting_.size() > 1) {
      dropped += waiting_.front().locations.size();
      backlog_ -= waiting_.front().locations.size();
      waiting_.pop_front();
    }
    if (dropped > 0) dropped_ = true;
  }
  work_.notify_one();
  if (dropped > 0) metrics_.MovesDropped(dropped);
}

bool HotViewFeeder::Congested() const {
  std::lock_guard lock(mutex_);
  return (!stale_ || Holding()) && backlog_ > options_.backlog_max;
}

bool HotViewFeeder::stale() const {
  std::lock_guard lock(mutex_);
  return stale_;
}

size_t HotViewFeeder::backlog() const {
  std::lock_guard lock(mutex_);
  return backlog_;
}

void HotViewFeeder::Run() {
  bool answered = true;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (answered) {
        work_.wait_for(lock, absl::ToChronoNanoseconds(options_.check_every),
                       [this] { return stopping_ || !waiting_.empty() || rebuild_; });
      } else {
        const absl::Duration pause =
            std::min(options_.retry * (1 << std::min(failed_rebuilds_, 10)), options_.rebuild_retry_max);
        work_.wait_for(lock, absl::ToChronoNanoseconds(pause), [this] { return stopping_; });
      }
      if (stopping_ && (waiting_.empty() || !answered)) return;
    }
    answered = Step();
    on_room_();
  }
}

bool HotViewFeeder::Step() {
  std::vector<Waiting> batch;
  {
    // What was dropped is made good from history; what is dropped while that is read, by the next round.
    std::lock_guard lock(mutex_);
    if (std::exchange(dropped_, false)) rebuild_ = true;
  }
  // What is committed from here on stands behind what the rebuilding reads.
  if (rebuild_ && !Rebuild()) return false;
  {
    std::lock_guard lock(mutex_);
    for (size_t taken = 0; !waiting_.empty() && taken < options_.update_max;) {
      taken += waiting_.front().locations.size();
      backlog_ -= waiting_.front().locations.size();
      batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
  }
  return Publish(std::move(batch));
}

HotUpdate HotViewFeeder::Merge(std::vector<Waiting>& batch) const {
  HotUpdate update;
  const absl::Time now = clock_.Now();
  absl::flat_hash_map<std::string_view, size_t> places;  // in update.newest
  size_t size = 0;
  for (const Waiting& waiting : batch) size += waiting.locations.size();
  update.moves.reserve(size);  // so that the views into it hold
  for (Waiting& waiting : batch) {
    for (const Location& location : waiting.locations) {
      if (location.standing == Standing::kBehind) continue;
      const DriverPosition& move = update.moves.emplace_back(location.position);
      const absl::Duration ttl = move.recorded_at + options_.fresh_for - now;
      if (ttl <= absl::ZeroDuration()) continue;
      auto [place, inserted] = places.try_emplace(move.driver_id, update.newest.size());
      if (inserted) {
        update.newest.push_back({move, ttl});
      } else if (update.newest[place->second].position.recorded_at < move.recorded_at) {
        update.newest[place->second] = {move, ttl};
      }
    }
  }
  return update;
}

bool HotViewFeeder::Publish(std::vector<Waiting> batch) {
  const HotUpdate update = Merge(batch);
  if (!batch.empty()) WAYBILL_FAILPOINT("ingest.before_publish");
  absl::StatusOr<bool> whole = view_.Publish(update);
  if (!whole.ok()) return Failed(whole.status(), std::move(batch));
  if (!batch.empty()) {
    WAYBILL_FAILPOINT("ingest.after_publish");
    metrics_.Published(update.moves.size(), clock_.Steady() - batch.front().since);
  }
  if (!*whole) {
    rebuild_ = true;
    SetStale(true);
    return Rebuild();
  }
  SetStale(false);
  return true;
}

bool HotViewFeeder::Rebuild() {
  // Before anything is read: history is not to be asked again and again while Redis is away.
  if (absl::Status begun = view_.BeginRebuild(); !begun.ok()) return Failed(begun, {});
  WAYBILL_FAILPOINT("ingest.before_rebuild");
  {
    std::lock_guard lock(mutex_);
    rebuilding_ = true;
  }
  const absl::Time now = clock_.Now();
  auto newest = history_.NewestSince(now - options_.fresh_for);
  if (!newest.ok()) return Failed(newest.status(), {});
  for (size_t from = 0; from < newest->size(); from += options_.update_max) {
    HotUpdate update;
    for (size_t i = from; i < std::min(newest->size(), from + options_.update_max); ++i) {
      const absl::Duration ttl = (*newest)[i].recorded_at + options_.fresh_for - clock_.Now();
      if (ttl > absl::ZeroDuration()) update.newest.push_back({std::move((*newest)[i]), ttl});
    }
    if (auto published = view_.Publish(update); !published.ok()) return Failed(published.status(), {});
  }
  absl::StatusOr<bool> marked = view_.MarkWhole();
  if (!marked.ok()) return Failed(marked.status(), {});
  if (!*marked) return Failed(absl::AbortedError("the hot view was lost while it was rebuilt"), {});
  rebuild_ = false;
  {
    std::lock_guard lock(mutex_);
    failed_rebuilds_ = 0;
  }
  log_.Info("hot view rebuilt from history", {{"drivers", newest->size()}});
  metrics_.HotViewRebuilt();
  SetStale(false);
  return true;
}

// What was not published, or maybe was, goes back to the front: a driver's position is put twice without harm, and a
// move that is in the stream twice is better than one that is missing.
bool HotViewFeeder::Failed(const absl::Status& status, std::vector<Waiting> batch) {
  if (!complained_) log_.Warn("the hot view is stale", {{"error", std::string(status.message())}});
  complained_ = true;
  rebuild_ = true;
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(rebuilding_, false)) ++failed_rebuilds_;
    for (const Waiting& waiting : batch) backlog_ += waiting.locations.size();
    waiting_.insert(waiting_.begin(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
  }
  SetStale(true);
  return false;
}

void HotViewFeeder::SetStale(bool stale) {
  {
    std::lock_guard lock(mutex_);
    if (!stale) rebuilding_ = false;
    if (stale_ == stale) return;
    stale_ = stale;
  }
  if (!stale) complained_ = false;
  metrics_.HotViewStale(stale);
}

}  // namespace waybill::ingest
