// The history of locations in memory: a LocationLog and a LocationHistory over the same positions. What is appended is
// durable at once.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/location_log.h"

namespace waybill::storage::testing {

class FakeLocationStore final : public LocationLog, public LocationHistory {
 public:
  bool Append(LocationAppend& append) override;
  size_t queue_depth() const override { return 0; }
  bool stalled() const override { return false; }

  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Latest(
      const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<std::vector<domain::DriverPosition>> Track(const TrackQuery& query) override;
  absl::StatusOr<NewestPart> Newest(const NewestQuery& query) override;
  absl::Status Ping() override;

  // What reads answer from now on; OK: as usual.
  void set_error(absl::Status error);
  // The database will refuse these.
  void Refuse(const std::string& driver_id);
  size_t size() const;  // positions stored

 private:
  void Store(LocationAppend& append);

  mutable std::mutex mutex_;
  absl::Status error_;
  std::set<std::string> refused_;
  std::map<std::pair<std::string, absl::Time>, domain::DriverPosition> stored_;
};

}  // namespace waybill::storage::testing
