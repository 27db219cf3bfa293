#include "services/ingest/ingest.h"

#include <string>
#include <utility>

#include "domain/reasons.h"

namespace waybill::ingest {

Report Ingest::Check(std::vector<domain::DriverPosition> points, int64_t sequence, Report::Done done,
                     const domain::DriverPatterns& writes_for) {
  const absl::Time now = clock_.Now();
  metrics_.Received(points.size());
  const absl::Duration store_ahead = clocks_.store_ahead();
  LookAtTimes(points, intake_.LatestAllowed(now, store_ahead), writes_for);
  Checked checked = intake_.Check(std::move(points), sequence, now, store_ahead, writes_for);
  for (const Rejection& rejection : checked.rejected) metrics_.Rejected(rejection);
  return {std::move(checked), sequence, now, clock_.Steady(), std::move(done)};
}

// Every driver of every report: those of the future are to be weighed against all the others. What a caller says of
// drivers that are not its own weighs nothing.
void Ingest::LookAtTimes(const std::vector<domain::DriverPosition>& points, absl::Time latest,
                         const domain::DriverPatterns& writes_for) {
  std::vector<ClockCheck::Sighting> sightings;
  const std::string* last = nullptr;
  for (const domain::DriverPosition& point : points) {
    if (!writes_for.Match(point.driver_id)) continue;
    const bool in_future = point.recorded_at > latest;
    // One driver's points mostly come together.
    if (last == nullptr || *last != point.driver_id || sightings.back().in_future != in_future) {
      sightings.push_back({ClockCheck::Hash(point.driver_id), in_future});
    }
    last = &point.driver_id;
  }
  clocks_.Saw(sightings);
}

bool Ingest::Submit(Report& report) { return Take(report, waiting() > 0 ? half() : options_.queue_max); }

bool Ingest::SubmitBehind(Report& report) { return waiting() == 0 && Take(report, options_.queue_max); }

bool Ingest::SubmitInTurn(Report& report) { return Take(report, options_.queue_max); }

bool Ingest::Take(Report& report, size_t queue_max) {
  if (report.checked_.some_in_future && clocks_.fleet_ahead()) {
    ErrorDetail detail;
    detail.retry_after = absl::Seconds(30);
    report.done_(domain::ReasonError("CLOCK_SKEW", "nearly all drivers are in the future by this server's clock",
                                     std::move(detail)),
                 {});
    return true;
  }
  if (report.checked_.accepted.empty()) {
    report.done_(absl::OkStatus(), std::move(report.checked_.rejected));
    return true;
  }
  if (!Room(queue_max)) return false;
  storage::LocationAppend append;
  append.locations = std::move(report.checked_.accepted);
  // Only now: what is not appended after all, and sent again, must not stand behind itself.
  for (storage::Location& location : append.locations) {
    front_.Take(location);
    metrics_.Taken(location);
  }
  append.received_at = report.received_at_;
  append.done = [this, rejected = std::move(report.checked_.rejected), indices = std::move(report.checked_.indices),
                 sequence = report.sequence_, since = report.since_, done = std::move(report.done_)](
                    const absl::Status& status, storage::LocationAppend& appended) mutable {
    if (!status.ok()) {
      for (const storage::Location& location : appended.locations) front_.Forget(location.position.driver_id);
      done(status, {});
      return;
    }
    metrics_.Durable(clock_.Steady() - since);
    std::shared_ptr<const std::string> why;
    for (auto refused = appended.refused.rbegin(); refused != appended.refused.rend(); ++refused) {
      if (why == nullptr || *why != refused->why) why = std::make_shared<const std::string>(std::move(refused->why));
      Rejection rejection;
      rejection.sequence = sequence;
      rejection.index = indices.empty() ? static_cast<int>(refused->index) : indices[refused->index];
      rejection.reason = RejectReason::kRefusedByStore;
      rejection.detail = *why;
      rejection.owned = why;
      metrics_.Rejected(rejection);
      rejected.push_back(std::move(rejection));
      const auto place = appended.locations.begin() + static_cast<std::ptrdiff_t>(refused->index);
      front_.Forget(place->position.driver_id);  // it is not stored: the next one is not behind it
      appended.locations.erase(place);
    }
    feeder_.Add(std::move(appended.locations));
    done(absl::OkStatus(), std::move(rejected));
  };
  if (!log_.Append(append)) {
    append.done(domain::ReasonError("SHUTTING_DOWN", "the process is shutting down"), append);
  }
  return true;
}

void Ingest::AwaitRoom(const void* who, absl::AnyInvocable<void()> on_room) {
  metrics_.Paused();
  {
    std::lock_guard lock(mutex_);
    places_[who] = waiting_.insert(waiting_.end(), {who, std::move(on_room)});
  }
  // The last commit may have ended before anybody waited for it.
  WakeWaiting();
}

void Ingest::Forget(const void* who) {
  std::lock_guard lock(mutex_);
  auto place = places_.find(who);
  if (place == places_.end()) return;
  waiting_.erase(place->second);
  places_.erase(place);
}

void Ingest::WakeWaiting() {
  // In the order they came, until one more report could fill the queue; reading resumes at half, lest streams are
  // paused and resumed for every commit.
  while (Room(half())) {
    absl::AnyInvocable<void()> next;
    {
      std::lock_guard lock(mutex_);
      if (waiting_.empty()) return;
      next = std::move(waiting_.front().on_room);
      places_.erase(waiting_.front().who);
      waiting_.pop_front();
    }
    next();
  }
}

size_t Ingest::waiting() const {
  std::lock_guard lock(mutex_);
  return waiting_.size();
}

}  // namespace waybill::ingest
