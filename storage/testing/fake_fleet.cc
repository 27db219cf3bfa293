#include "storage/testing/fake_fleet.h"

#include <algorithm>
#include <utility>

#include "storage/geo.h"

namespace waybill::storage::testing {

void FakeFleet::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

void FakeFleet::Clear() {
  std::lock_guard lock(mutex_);
  drivers_.clear();
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
  std::vector<NearbyDriver> found;
  for (const auto& [driver_id, entry] : drivers_) {
    double distance_m = DistanceM(query.point, entry.position.point);
    if (Fresh(entry) && distance_m <= query.radius_m) found.push_back({driver_id, distance_m});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.distance_m < b.distance_m; });
  if (found.size() > static_cast<size_t>(query.limit)) found.resize(static_cast<size_t>(query.limit));
  return found;
}

absl::StatusOr<FleetPage> FakeFleet::Scan(uint64_t cursor, int count) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  FleetPage page;
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

absl::Status FakeFleet::Put(const std::vector<DriverPosition>& positions, absl::Duration ttl) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  for (const DriverPosition& position : positions) {
    absl::Status status = CheckPosition(position);
    if (!status.ok()) return status;
  }
  for (const DriverPosition& position : positions) {
    auto it = drivers_.find(position.driver_id);
    if (it != drivers_.end() && Fresh(it->second) && it->second.position.recorded_at > position.recorded_at) continue;
    drivers_[position.driver_id] = {position, clock_.Now() + ttl};
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DriverPosition>> FakeFleet::List(size_t limit) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<DriverPosition> positions;
  for (const auto& [driver_id, entry] : drivers_) {
    if (positions.size() >= limit) break;
    if (Fresh(entry)) positions.push_back(entry.position);
  }
  return positions;
}

absl::Status FakeFleet::Ping() {
  std::lock_guard lock(mutex_);
  return error_;
}

}  // namespace waybill::storage::testing
