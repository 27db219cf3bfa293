#include "storage/testing/fake_fleet.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "domain/geo.h"
#include "domain/reasons.h"

namespace waybill::storage::testing {

void FakeFleet::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

void FakeFleet::Clear() {
  std::lock_guard lock(mutex_);
  drivers_.clear();
  mark_ = 0;
  whole_ = false;
  moves_.clear();
}

void FakeFleet::Nearest(const NearestQuery& query,
                        absl::AnyInvocable<void(absl::StatusOr<std::vector<NearbyDriver>>)> done) {
  absl::StatusOr<std::vector<NearbyDriver>> found = NearestNow(query);
  if (!defer_) {
    done(std::move(found));
    return;
  }
  defer_([found = std::move(found), done = std::move(done)]() mutable { done(std::move(found)); });
}

absl::StatusOr<std::vector<NearbyDriver>> FakeFleet::NearestNow(const NearestQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  if (absl::Status wrong = CheckQuery(query); !wrong.ok()) return wrong;
  std::vector<std::pair<double, const std::string*>> near;
  for (const auto& [driver_id, entry] : drivers_) {
    const double distance_m = domain::DistanceM(query.point, entry.position.point);
    if (Fresh(entry) && distance_m <= query.radius_m) near.emplace_back(distance_m, &driver_id);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  if (near.size() > static_cast<size_t>(query.limit)) near.resize(static_cast<size_t>(query.limit));
  std::vector<NearbyDriver> found;
  for (const auto& [distance_m, driver_id] : near) found.push_back({*driver_id, distance_m});
  return found;
}

absl::StatusOr<FleetPage> FakeFleet::Scan(uint64_t cursor, int count) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  FleetPage page;
  if (!drivers_.empty()) cursor %= drivers_.size();
  uint64_t at = 0;
  for (const auto& [driver_id, entry] : drivers_) {
    if (at++ < cursor) continue;
    if (Fresh(entry)) page.driver_ids.push_back(driver_id);
    if (at == cursor + static_cast<uint64_t>(count)) {
      if (at < drivers_.size()) page.cursor = at;
      break;
    }
  }
  return page;
}

absl::Status FakeFleet::Put(const std::vector<domain::DriverPosition>& positions, absl::Duration ttl) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  for (const domain::DriverPosition& position : positions) {
    absl::Status status = domain::CheckPosition(position);
    if (!status.ok()) return status;
  }
  for (const domain::DriverPosition& position : positions) PutOne(position, ttl);
  return absl::OkStatus();
}

void FakeFleet::PutOne(const domain::DriverPosition& position, absl::Duration ttl) {
  auto it = drivers_.find(position.driver_id);
  if (it != drivers_.end() && Fresh(it->second) && it->second.position.recorded_at > position.recorded_at) return;
  drivers_[position.driver_id] = {position, clock_.Now() + ttl};
}

absl::Status FakeFleet::Ping() {
  std::lock_guard lock(mutex_);
  return error_;
}

absl::StatusOr<ViewState> FakeFleet::Publish(const HotUpdate& update) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  for (const FreshPosition& fresh : update.newest) PutOne(fresh.position, fresh.ttl);
  for (const domain::DriverPosition& move : update.moves) moves_.emplace(++last_move_, move);
  return whole_ ? ViewState::kWhole : ViewState::kIncomplete;
}

absl::Status FakeFleet::BeginRebuild() { return BeginRebuild(begun_); }

absl::StatusOr<bool> FakeFleet::MarkWhole() { return MarkWhole(begun_); }

absl::Status FakeFleet::BeginRebuild(int64_t& begun) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  if (mark_ == 0) mark_ = ++marks_;
  begun = mark_;
  return absl::OkStatus();
}

absl::StatusOr<bool> FakeFleet::MarkWhole(int64_t begun) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  whole_ = whole_ || (mark_ != 0 && mark_ == begun);
  return whole_;
}

absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> FakeFleet::Get(
    const std::vector<std::string>& driver_ids) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<std::optional<domain::DriverPosition>> positions;
  for (const std::string& driver_id : driver_ids) {
    auto it = drivers_.find(driver_id);
    const bool fresh = it != drivers_.end() && Fresh(it->second);
    positions.push_back(fresh ? std::optional(it->second.position) : std::nullopt);
  }
  return positions;
}

absl::StatusOr<EventPage> FakeFleet::Follow(const std::string& after, int limit) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  uint64_t id = 0;
  auto [end, error] = std::from_chars(after.data(), after.data() + after.size(), id);
  if (error != std::errc() || end != after.data() + after.size() || after.size() > 20) {
    return domain::BadField("resume_after", "is not the id of an event");
  }
  EventPage page;
  page.gap = id != 0 && moves_.count(id) == 0;
  for (auto it = moves_.upper_bound(id); it != moves_.end() && page.events.size() < static_cast<size_t>(limit); ++it) {
    page.events.push_back({std::to_string(it->first), it->second});
  }
  page.next = page.events.empty() ? after : page.events.back().id;
  const uint64_t last = moves_.empty() ? 0 : moves_.rbegin()->first;
  if (last < id && page.events.empty()) page.next = std::to_string(last);
  return page;
}

absl::StatusOr<std::string> FakeFleet::LastEventId() {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  return std::to_string(moves_.empty() ? 0 : moves_.rbegin()->first);
}

void FakeFleet::set_last_move(uint64_t id) {
  std::lock_guard lock(mutex_);
  last_move_ = id;
}

void FakeFleet::TrimMoves(size_t count) {
  std::lock_guard lock(mutex_);
  while (moves_.size() > count) moves_.erase(moves_.begin());
}

}  // namespace waybill::storage::testing
