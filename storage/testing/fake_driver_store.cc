#include "storage/testing/fake_driver_store.h"

#include <algorithm>
#include <mutex>
#include <utility>

namespace waybill::storage::testing {

void FakeDriverStore::set_error(absl::Status error) {
  std::lock_guard lock(book_.mutex);
  error_ = std::move(error);
}

std::vector<Uuid> FakeDriverStore::HeldBy(const std::string& driver_id) const {
  std::vector<Uuid> orders;
  for (const auto& [slot, order_id] : book_.taken_slots) {
    if (slot.first == driver_id) orders.push_back(order_id);
  }
  std::sort(orders.begin(), orders.end());
  return orders;
}

absl::StatusOr<std::vector<DriverStanding>> FakeDriverStore::Standings(const std::vector<std::string>& driver_ids) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  std::vector<DriverStanding> standings;
  for (const std::string& driver_id : driver_ids) {
    DriverStanding standing;
    if (auto off = off_duty_.find(driver_id); off != off_duty_.end()) {
      standing.on_duty = false;
      standing.capacity = off->second;
    } else if (auto on = book_.capacities.find(driver_id); on != book_.capacities.end()) {
      standing.capacity = on->second;
    }
    standing.orders_held = static_cast<int>(HeldBy(driver_id).size());
    standings.push_back(standing);
  }
  return standings;
}

absl::StatusOr<std::vector<Uuid>> FakeDriverStore::OrdersOf(const std::string& driver_id) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  return HeldBy(driver_id);
}

absl::Status FakeDriverStore::SetCapacities(const std::vector<domain::DriverSlot>& capacities,
                                            const domain::Deed& deed) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  for (const domain::DriverSlot& one : capacities) {
    if (absl::Status fits = domain::CheckCapacity(one.slot); !fits.ok()) return fits;
  }
  bool changed = false;
  for (const domain::DriverSlot& one : capacities) {
    auto off = off_duty_.find(one.driver_id);
    int& capacity = off == off_duty_.end() ? book_.capacities[one.driver_id] : off->second;
    changed = std::exchange(capacity, one.slot) != one.slot || changed;
  }
  return changed ? audit.Append(deed) : absl::OkStatus();
}

absl::Status FakeDriverStore::SetDuty(const std::string& driver_id, bool on_duty, const domain::Deed& deed) {
  std::lock_guard lock(book_.mutex);
  if (!error_.ok()) return error_;
  auto off = off_duty_.find(driver_id);
  if (on_duty == (off == off_duty_.end())) return absl::OkStatus();
  int& capacity = book_.capacities.try_emplace(driver_id, 1).first->second;
  if (on_duty) {
    capacity = off->second;
    off_duty_.erase(off);
  } else {
    off_duty_[driver_id] = std::exchange(capacity, 0);
  }
  return audit.Append(deed);
}

}  // namespace waybill::storage::testing
