// History in Postgres, read. Partitions that a query cannot touch are left out when it is planned.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/location_log.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresLocationHistory final : public LocationHistory {
 public:
  explicit PostgresLocationHistory(Pool& pool) : pool_(pool) {}

  absl::StatusOr<std::vector<std::optional<DriverPosition>>> Latest(
      const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<std::vector<DriverPosition>> Track(const TrackQuery& query) override;
  absl::StatusOr<std::vector<DriverPosition>> NewestSince(absl::Time since) override;
  absl::Status Ping() override;

 private:
  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params = {});

  Pool& pool_;
};

}  // namespace waybill::storage
