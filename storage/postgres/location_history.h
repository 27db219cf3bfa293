// History in Postgres, read. Partitions that a query cannot touch are left out when it is planned; the others are all
// locked, with their indexes. So a query that has to look far goes from a few dozen of them to the next, however long
// history is kept.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/location_log.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresLocationHistory final : public LocationHistory {
 public:
  explicit PostgresLocationHistory(Pool& pool) : pool_(pool) {}

  absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Latest(
      const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<std::vector<domain::DriverPosition>> Track(const TrackQuery& query) override;
  absl::StatusOr<NewestPart> Newest(const NewestQuery& query) override;
  absl::Status Ping() override;
  absl::StatusOr<absl::Time> Now();  // by the server's clock

 private:
  struct Window {
    absl::Time from;  // inclusive
    absl::Time to;    // exclusive
  };

  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params = {});
  // All of time, cut so that each window holds few partitions, the newest ones least. Newest first.
  absl::StatusOr<std::vector<Window>> Windows();

  Pool& pool_;
  std::mutex mutex_;
  std::vector<Window> windows_;
  std::chrono::steady_clock::time_point windows_until_;  // then they are looked up again
};

}  // namespace waybill::storage
