// What is asked and said of drivers, without gRPC.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "domain/driver.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "storage/driver_store.h"
#include "storage/fleet.h"

namespace waybill::order {

// A driver to be put on the map.
struct PlacedDriver {
  domain::DriverPosition position;  // recorded_at is filled in
  std::optional<int> capacity;      // nothing: stays as it is
};

class FleetApi {
 public:
  struct Driver {
    std::string driver_id;
    std::optional<domain::DriverPosition> position;  // fresh
    storage::DriverStanding standing;
    std::vector<Uuid> orders;  // held, the oldest first
  };
  struct Page {
    std::vector<Driver> drivers;  // without their orders
    uint64_t cursor = 0;          // of the next one; 0: this was the last
  };
  using Done = absl::AnyInvocable<void(absl::StatusOr<Driver>)>;

  // All outlive this; no callback is in flight when it is destroyed. Every `done` is called exactly once, on a worker;
  // QUEUE_FULL, at once, when too many calls wait. STORE_UNAVAILABLE.
  FleetApi(storage::Fleet& fleet, storage::DriverStore& store, Executor& workers, Executor& list_workers,
           const Clock& clock)
      : fleet_(fleet), store_(store), workers_(workers), list_workers_(list_workers), clock_(clock) {}

  // What `by` does is in the audit: capacities and duty in the commit that sets them, positions before they are put.

  // Of a driver that is there several times the last counts. On error capacities may be set without the positions.
  void Put(std::vector<PlacedDriver> drivers, absl::Duration ttl, domain::Actor by,
           absl::AnyInvocable<void(absl::Status)> done);
  void Get(std::string driver_id, Done done);
  // About `count` drivers from `cursor` on (see Fleet::Scan); 0 starts.
  void List(uint64_t cursor, int count, absl::AnyInvocable<void(absl::StatusOr<Page>)> done);
  // These answer what the books say then, without a position.
  void SetCapacity(std::string driver_id, int capacity, domain::Actor by, Done done);
  void SetDuty(std::string driver_id, bool on_duty, domain::Actor by, Done done);

 private:
  absl::Status PutNow(std::vector<PlacedDriver> drivers, absl::Duration ttl, const domain::Actor& by);
  absl::StatusOr<Page> ListNow(uint64_t cursor, int count);
  absl::StatusOr<Driver> InTheBooks(const std::string& driver_id);

  storage::Fleet& fleet_;
  storage::DriverStore& store_;
  Executor& workers_;
  Executor& list_workers_;
  const Clock& clock_;
};

}  // namespace waybill::order
