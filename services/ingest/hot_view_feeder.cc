#include "services/ingest/hot_view_feeder.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "runtime/failpoint.h"

namespace waybill::ingest {

using domain::DriverPosition;
using storage::HotUpdate;
using storage::Location;
using storage::Standing;
using storage::ViewState;

HotViewFeeder::HotViewFeeder(storage::HotView& view, storage::LocationHistory& history, IngestMetrics& metrics,
                             const Clock& clock, const Logger& log, HotViewOptions options,
                             std::function<void()> on_room)
    : view_(view),
      history_(history),
      metrics_(metrics),
      clock_(clock),
      log_(log.For("services.ingest")),
      options_(options),
      on_room_(std::move(on_room)),
      floors_(options.drivers_max) {
  metrics_.HotViewStale(true);
}

void HotViewFeeder::Start(const Loops& loops) {
  std::lock_guard lock(mutex_);  // each wakes the other: no turn goes on before both are there
  rebuilder_ = loops.Start([this](const Clock& clock) { return RebuildTurn(clock); });
  feeder_ = loops.Start([this](const Clock& clock) { return FeedTurn(clock); });
}

void HotViewFeeder::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (feeder_) feeder_->Join();
  if (rebuilder_) rebuilder_->Join();
}

void HotViewFeeder::Add(std::vector<Location> durable) {
  if (durable.empty()) return;
  size_t dropped = 0;
  {
    std::lock_guard lock(mutex_);
    backlog_ += durable.size();
    waiting_.push_back({std::move(durable), clock_.Steady()});
    // While Redis is away: of what it missed only the latest is of interest. What is dropped is made good by a rebuild.
    while (away_ && backlog_ > options_.backlog_max && waiting_.size() > 1) {
      dropped += waiting_.front().locations.size();
      backlog_ -= waiting_.front().locations.size();
      waiting_.pop_front();
    }
    if (dropped > 0) {
      wanted_ = true;
      whole_ = false;
    }
  }
  if (feeder_) feeder_->Wake();
  if (dropped > 0) metrics_.MovesDropped(dropped);
}

bool HotViewFeeder::Congested() const {
  std::lock_guard lock(mutex_);
  return !away_ && backlog_ > options_.backlog_max;
}

bool HotViewFeeder::stale() const {
  std::lock_guard lock(mutex_);
  return away_ || !whole_;
}

size_t HotViewFeeder::backlog() const {
  std::lock_guard lock(mutex_);
  return backlog_;
}

std::optional<SteadyTime> HotViewFeeder::FeedTurn(const Clock& clock) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ && (waiting_.empty() || !answered_)) return std::nullopt;
    const bool work = stopping_ || !waiting_.empty() || part_ || marked_;
    if (!(answered_ && work) && clock.Steady() < look_at_) return look_at_;
  }
  answered_ = Step();
  on_room_();
  look_at_ = clock.Steady() + (answered_ ? options_.check_every : options_.retry);
  std::lock_guard lock(mutex_);
  return stopping_ || (answered_ && (!waiting_.empty() || part_ || marked_)) ? Loop::kAtOnce : look_at_;
}

bool HotViewFeeder::Step() {
  std::vector<Waiting> batch;
  std::vector<DriverPosition> part;
  bool marked = false;
  {
    std::lock_guard lock(mutex_);
    for (size_t taken = 0; !waiting_.empty() && taken < options_.update_max;) {
      taken += waiting_.front().locations.size();
      backlog_ -= waiting_.front().locations.size();
      batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    if (part_) part = *part_;  // it stays until it is published
    marked = marked_;
  }
  return Publish(std::move(batch), std::move(part), marked);
}

// Late points are history: whoever watches wants to know where drivers are, not where they were.
bool HotViewFeeder::Live(const Location& location, absl::Time now) const {
  return location.standing != Standing::kBehind && location.position.recorded_at + options_.fresh_for > now;
}

// A driver that this process has not heard of, or not for as long as a position is fresh, may be further in the view,
// by another process or by this one's earlier life.
absl::StatusOr<std::vector<const Location*>> HotViewFeeder::FindMoves(const std::vector<Waiting>& batch,
                                                                      absl::Time now) {
  const int64_t now_us = absl::ToUnixMicros(now);
  const int64_t forgotten_us = now_us - absl::ToInt64Microseconds(options_.fresh_for);
  std::vector<const Location*> moves;
  std::vector<std::string> unknown;
  auto look = [&] {
    moves.clear();
    for (const Waiting& waiting : batch) {
      for (const Location& location : waiting.locations) {
        if (!Live(location, now)) continue;
        bool known = false;
        Floor& floor = floors_.See(location.position.driver_id, known);
        if (!known || floor.seen_us < forgotten_us) unknown.push_back(location.position.driver_id);
        floor.seen_us = now_us;
        if (absl::ToUnixMicros(location.position.recorded_at) > floor.recorded_us) moves.push_back(&location);
      }
    }
  };
  look();
  if (unknown.empty()) return moves;
  constexpr size_t kAtATime = 1'000;
  for (size_t from = 0; from < unknown.size(); from += kAtATime) {
    const auto first = unknown.begin() + static_cast<std::ptrdiff_t>(from);
    const std::vector<std::string> ids(first,
                                       first + static_cast<std::ptrdiff_t>(std::min(kAtATime, unknown.size() - from)));
    auto found = view_.Get(ids);
    if (!found.ok()) {
      for (const std::string& id : unknown) floors_.Forget(id);
      return found.status();
    }
    for (size_t i = 0; i < ids.size(); ++i) {
      bool known = false;
      if ((*found)[i]) floors_.See(ids[i], known).recorded_us = absl::ToUnixMicros((*found)[i]->recorded_at);
    }
  }
  look();
  return moves;
}

HotUpdate HotViewFeeder::Merge(const std::vector<const Location*>& moves, std::vector<DriverPosition> part,
                               absl::Time now) const {
  HotUpdate update;
  absl::flat_hash_map<std::string_view, size_t> places;  // in update.newest
  update.moves.reserve(moves.size());                    // so that the views into it hold
  for (const Location* location : moves) {
    const DriverPosition& move = update.moves.emplace_back(location->position);
    const absl::Duration ttl = move.recorded_at + options_.fresh_for - now;
    auto [place, inserted] = places.try_emplace(move.driver_id, update.newest.size());
    if (inserted) {
      update.newest.push_back({move, ttl});
    } else if (update.newest[place->second].position.recorded_at < move.recorded_at) {
      update.newest[place->second] = {move, ttl};
    }
  }
  for (DriverPosition& position : part) {
    const absl::Duration ttl = position.recorded_at + options_.fresh_for - now;
    auto place = places.find(position.driver_id);
    if (ttl <= absl::ZeroDuration()) continue;
    if (place == places.end()) {
      update.newest.push_back({std::move(position), ttl});
    } else if (update.newest[place->second].position.recorded_at < position.recorded_at) {
      update.newest[place->second] = {std::move(position), ttl};
    }
  }
  return update;
}

bool HotViewFeeder::Publish(std::vector<Waiting> batch, std::vector<DriverPosition> part, bool marked) {
  const absl::Time now = clock_.Now();
  absl::StatusOr<std::vector<const Location*>> moves = FindMoves(batch, now);
  if (!moves.ok()) return Failed(moves.status(), std::move(batch));
  const bool with_part = !part.empty();
  const HotUpdate update = Merge(*moves, std::move(part), now);
  if (!batch.empty()) WAYBILL_FAILPOINT("ingest.before_publish");
  absl::StatusOr<ViewState> state = view_.Publish(update);
  if (!state.ok()) return Failed(state.status(), std::move(batch));
  if (!batch.empty()) {
    WAYBILL_FAILPOINT("ingest.after_publish");
    metrics_.Published(update.moves.size(), clock_.Steady() - batch.front().since);
  }
  {
    std::lock_guard lock(mutex_);
    away_ = false;
    switch (*state) {
      case ViewState::kWhole:
        if (marked && marked_ && !wanted_) Rebuilt();
        break;
      case ViewState::kIncomplete:
        // Lost; or being rebuilt by this process, or by another one, which may die over it.
        if (whole_ || marked || !rebuilding_) wanted_ = true;
        break;
      case ViewState::kNewConnection:
        wanted_ = true;
        break;
    }
    if (wanted_) whole_ = false;
    if (wanted_ || with_part) part_.reset();  // published, or of a rebuild that begins anew
    ShowStale();
  }
  WakeRebuild();
  return true;
}

// What was not published, or maybe was, goes back to the front: a driver's position is put twice without harm, and a
// move that is in the stream twice is better than one that is missing.
bool HotViewFeeder::Failed(const absl::Status& status, std::vector<Waiting> batch) {
  std::lock_guard lock(mutex_);
  Complain(status);
  for (const Waiting& waiting : batch) backlog_ += waiting.locations.size();
  waiting_.insert(waiting_.begin(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
  away_ = true;
  whole_ = false;
  wanted_ = true;
  part_.reset();
  ShowStale();
  return false;
}

std::optional<SteadyTime> HotViewFeeder::RebuildTurn(const Clock& clock) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return std::nullopt;
  }
  if (clock.Steady() < next_part_) return next_part_;
  switch (RebuildStep()) {
    case Rebuilding::kNone:
      return Loop::kWhenWoken;  // after each round trip of the feeder
    case Rebuilding::kWaits:
      if (feeder_) feeder_->Wake();  // for the part that was read, or the mark
      return Loop::kWhenWoken;
    case Rebuilding::kGoesOn:
      part_pause_ = options_.part_retry;
      break;
    case Rebuilding::kFailed:
      next_part_ = clock.Steady() + part_pause_;
      part_pause_ = std::min(part_pause_ * 2, options_.part_retry_max);
      return next_part_;
  }
  return Loop::kAtOnce;
}

HotViewFeeder::Rebuilding HotViewFeeder::RebuildStep() {
  bool begin = false;
  {
    std::lock_guard lock(mutex_);
    if (!wanted_ && !rebuilding_) return Rebuilding::kNone;
    if (away_ || part_ || (marked_ && !wanted_)) return Rebuilding::kWaits;
    begin = std::exchange(wanted_, false);
    rebuilding_ = true;
    marked_ = false;
  }
  if (begin) {
    // Before anything is read.
    if (absl::Status begun = view_.BeginRebuild(); !begun.ok()) return RebuildFailed(begun, /*anew=*/true);
    WAYBILL_FAILPOINT("ingest.before_rebuild");
    began_ = clock_.Steady();
    // What is committed from here on is published beside the parts. A driver's clock may be ahead.
    query_ = {clock_.Now() - options_.fresh_for, clock_.Now() + absl::Hours(24), "", options_.part_max};
    read_all_ = false;
    restored_ = 0;
  }
  if (read_all_) {
    absl::StatusOr<bool> whole = view_.MarkWhole();
    if (!whole.ok()) return RebuildFailed(whole.status(), /*anew=*/false);
    if (!*whole) {
      return RebuildFailed(absl::AbortedError("the hot view was lost while it was rebuilt"), /*anew=*/true);
    }
    std::lock_guard lock(mutex_);
    marked_ = true;
    return Rebuilding::kGoesOn;
  }
  absl::StatusOr<storage::NewestPart> part = history_.Newest(query_);
  if (!part.ok()) {
    query_.limit = std::max(query_.limit / 2, 1);
    return RebuildFailed(part.status(), /*anew=*/false);
  }
  query_.limit = std::min(query_.limit + std::max(query_.limit / 8, 1), options_.part_max);
  query_.cursor = std::move(part->cursor);
  read_all_ = query_.cursor.empty();
  restored_ += part->positions.size();
  std::lock_guard lock(mutex_);
  if (!wanted_ && !part->positions.empty()) part_ = std::move(part->positions);
  return Rebuilding::kGoesOn;
}

HotViewFeeder::Rebuilding HotViewFeeder::RebuildFailed(const absl::Status& status, bool anew) {
  std::lock_guard lock(mutex_);
  Complain(status);
  if (anew) wanted_ = true;
  return Rebuilding::kFailed;
}

// Under mutex_, as are the next two: the publisher has seen the mark of our rebuild.
void HotViewFeeder::Rebuilt() {
  rebuilding_ = marked_ = complained_ = false;
  whole_ = true;
  const absl::Duration took = clock_.Steady() - began_;
  log_.Info("hot view rebuilt from history", {{"positions", restored_}, {"seconds", absl::ToDoubleSeconds(took)}});
  metrics_.HotViewRebuilt(took);
}

// Once, until it is whole again.
void HotViewFeeder::Complain(const absl::Status& status) {
  if (std::exchange(complained_, true)) return;
  log_.Warn("the hot view is stale", {{"error", std::string(status.message())}});
}

void HotViewFeeder::ShowStale() const { metrics_.HotViewStale(away_ || !whole_); }

}  // namespace waybill::ingest
