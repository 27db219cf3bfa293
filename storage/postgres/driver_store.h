// The driver store over connections to Postgres.
#pragma once

#include <string>
#include <vector>

#include "storage/driver_store.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresDriverStore final : public DriverStore {
 public:
  // What is set is promised, so `pool` has connections that commit (WriteConnectionOptions).
  explicit PostgresDriverStore(Pool& pool) : pool_(pool) {}

  absl::StatusOr<std::vector<DriverStanding>> Standings(const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<std::vector<Uuid>> OrdersOf(const std::string& driver_id) override;
  absl::Status SetCapacities(const std::vector<domain::DriverSlot>& capacities, const domain::Deed& deed) override;
  absl::Status SetDuty(const std::string& driver_id, bool on_duty, const domain::Deed& deed) override;

 private:
  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params);

  Pool& pool_;
};

}  // namespace waybill::storage
