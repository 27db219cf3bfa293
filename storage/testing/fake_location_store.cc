#include "storage/testing/fake_location_store.h"

namespace waybill::storage::testing {

bool FakeLocationStore::Append(LocationAppend& append) {
  {
    std::lock_guard lock(mutex_);
    Store(append);
  }
  append.done(absl::OkStatus(), append);
  return true;
}

void FakeLocationStore::Store(LocationAppend& append) {
  append.refused.clear();
  for (size_t i = 0; i < append.locations.size(); ++i) {
    const domain::DriverPosition& position = append.locations[i].position;
    if (refused_.count(position.driver_id) > 0) {
      append.refused.push_back({i, "refused"});
    } else {
      stored_.try_emplace({position.driver_id, position.recorded_at}, position);
    }
  }
}

void FakeLocationStore::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

void FakeLocationStore::Refuse(const std::string& driver_id) {
  std::lock_guard lock(mutex_);
  refused_.insert(driver_id);
}

size_t FakeLocationStore::size() const {
  std::lock_guard lock(mutex_);
  return stored_.size();
}

absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> FakeLocationStore::Latest(
    const std::vector<std::string>& driver_ids) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<std::optional<domain::DriverPosition>> latest;
  for (const std::string& driver_id : driver_ids) {
    auto after = stored_.upper_bound({driver_id, absl::InfiniteFuture()});
    if (after == stored_.begin() || (--after)->first.first != driver_id) {
      latest.emplace_back();
    } else {
      latest.emplace_back(after->second);
    }
  }
  return latest;
}

absl::StatusOr<std::vector<domain::DriverPosition>> FakeLocationStore::Track(const TrackQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<domain::DriverPosition> track;
  auto end = stored_.lower_bound({query.driver_id, query.to});
  for (auto it = stored_.lower_bound({query.driver_id, query.from}); it != end; ++it) {
    if (track.size() == static_cast<size_t>(query.limit)) break;
    track.push_back(it->second);
  }
  return track;
}

// The cursor is the driver that was looked at last.
absl::StatusOr<NewestPart> FakeLocationStore::Newest(const NewestQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  NewestPart part;
  std::string driver_id = query.cursor;
  for (int looked = 0; looked < query.limit; ++looked) {
    auto first = stored_.upper_bound({driver_id, absl::InfiniteFuture()});
    if (first == stored_.end()) return part;
    driver_id = first->first.first;
    auto after = stored_.lower_bound({driver_id, query.until});
    if (after == stored_.begin() || (--after)->first.first != driver_id) continue;
    if (after->first.second >= query.since) part.positions.push_back(after->second);
  }
  part.cursor = driver_id;
  return part;
}

absl::Status FakeLocationStore::Ping() {
  std::lock_guard lock(mutex_);
  return error_;
}

}  // namespace waybill::storage::testing
