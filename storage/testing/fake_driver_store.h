// The driver store over the same in-memory book of orders that the memory journals claim drivers in.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "storage/driver_store.h"
#include "storage/testing/fake_audit_log.h"
#include "storage/testing/memory_order_book.h"

namespace waybill::storage::testing {

class FakeDriverStore final : public DriverStore {
 public:
  FakeAuditLog audit;

  explicit FakeDriverStore(MemoryOrderBook& book) : book_(book) {}

  // Every call answers this until it is OK again.
  void set_error(absl::Status error);

  absl::StatusOr<std::vector<DriverStanding>> Standings(const std::vector<std::string>& driver_ids) override;
  absl::StatusOr<std::vector<Uuid>> OrdersOf(const std::string& driver_id) override;
  absl::Status SetCapacities(const std::vector<domain::DriverSlot>& capacities, const domain::Deed& deed) override;
  absl::Status SetDuty(const std::string& driver_id, bool on_duty, const domain::Deed& deed) override;

 private:
  std::vector<Uuid> HeldBy(const std::string& driver_id) const;

  MemoryOrderBook& book_;  // its mutex guards everything below as well
  absl::Status error_;
  std::map<std::string, int> off_duty_;  // and their capacity when they are on duty again
};

}  // namespace waybill::storage::testing
