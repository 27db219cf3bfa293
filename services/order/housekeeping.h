// What the order service does besides serving: takes up orders that nobody drives, keeps its leases, compares books,
// and counts what is unfinished.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/chores.h"
#include "runtime/log.h"
#include "services/order/order_api.h"
#include "services/order/order_metrics.h"
#include "storage/order_store.h"

namespace waybill::order {

struct HousekeepingOptions {
  size_t recovery_in_flight = 2'000;
  absl::Duration look = absl::Milliseconds(500);  // for expired leases
  absl::Duration count = absl::Seconds(5);        // unfinished sagas
  absl::Duration reconcile = absl::Seconds(30);
};

// Recovery first takes up what this instance's earlier life left, and then looks for expired leases for ever. It leaves
// room to what begins here, and to each kind of what others left (Runner::room_to_recover).
class Recovery {
 public:
  Recovery(saga::Runner& runner, const Logger& log, HousekeepingOptions options);

  // Claims what there is room for, of each kind in its turn; how long to pause before the next look.
  absl::StatusOr<absl::Duration> Run();
  // It has looked once, and taken up what it had room for. Thread-safe.
  bool looked() const { return looked_; }
  // What this instance's earlier life left is all taken up, and has come to rest. Thread-safe.
  bool caught_up() const { return !own_ && runner_.recovered_in_flight() == 0; }

 private:
  saga::Runner& runner_;
  const Logger log_;
  const HousekeepingOptions options_;
  std::vector<std::string> kinds_;  // the next to look at comes first
  std::atomic<bool> looked_{false};
  std::atomic<bool> own_{true};  // orders of this instance's earlier life may be left
};

// Keeps the leases of what this process drives. For a thread of its own: the other chores may stand still for longer
// than a lease lasts. `runner` outlives the chore.
Chore RenewingLeases(saga::Runner& runner, absl::Duration lease);

// `kinds` is what the runner drives. `reconcile` compares the dispatch's book with the journal; null: there is none.
// All outlive the chores.
std::vector<Chore> HousekeepingChores(storage::OrderStore& store, const saga::Kinds& kinds, OrderMetrics& metrics,
                                      Recovery& recovery, std::function<absl::Status()> reconcile,
                                      HousekeepingOptions options);

}  // namespace waybill::order
