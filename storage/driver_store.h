// What the books say of drivers, beside the orders that they hold: how many those may be at a time, and whether there
// may be any. Where drivers are the fleet knows (storage/fleet.h).
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/deed.h"
#include "domain/driver.h"
#include "runtime/ids.h"

namespace waybill::storage {

// Nobody has to make a driver known: one of whom nothing was said is on duty, for one order at a time.
struct DriverStanding {
  int capacity = 1;  // active orders it may hold at a time while it is on duty
  bool on_duty = true;
  int orders_held = 0;  // active ones

  friend bool operator==(const DriverStanding&, const DriverStanding&) = default;
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer. What was set holds for every
// process from then on: a claim that comes later, or at the same time and is second, is lost.
class DriverStore {
 public:
  virtual ~DriverStore() = default;

  // Of any drivers, known or not; in the order in which they are asked for, repeated ones included.
  virtual absl::StatusOr<std::vector<DriverStanding>> Standings(const std::vector<std::string>& driver_ids) = 0;
  // The active orders it holds, by id: the oldest first.
  virtual absl::StatusOr<std::vector<Uuid>> OrdersOf(const std::string& driver_id) = 0;

  // What changes drivers takes a deed, which is in the audit exactly when something has changed.

  // {driver_id, capacity}, each driver once; all of them, or none. BAD_REQUEST when one is not within 1 and
  // kDriverCapacityMax. Active orders beyond a lowered capacity stay; no new one comes until there are fewer. Of a
  // driver who is off duty: what holds when he is on duty again.
  virtual absl::Status SetCapacities(const std::vector<domain::DriverSlot>& capacities, const domain::Deed& deed) = 0;
  // Off duty, a driver is given no order; those it holds stay its. Repeating it is harmless.
  virtual absl::Status SetDuty(const std::string& driver_id, bool on_duty, const domain::Deed& deed) = 0;
};

}  // namespace waybill::storage
