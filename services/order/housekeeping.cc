#include "services/order/housekeeping.h"

#include <algorithm>
#include <utility>

namespace waybill::order {

std::vector<Chore> HousekeepingChores(OrderRunner& runner, storage::OrderStore& store, OrderMetrics& metrics,
                                      Recovery& recovery, std::function<absl::Status()> reconcile,
                                      HousekeepingOptions options) {
  std::vector<Chore> chores;
  // The book first: recovery picks drivers.
  if (reconcile) chores.push_back(EveryChore(options.reconcile, "comparing the drivers' book", std::move(reconcile)));
  chores.push_back(EveryChore(std::min(options.lease / 10, absl::Seconds(1)), "renewing leases",
                              [&runner] { return runner.RenewLeases(); }));
  chores.push_back(EveryChore(options.count, "counting unfinished orders", [&store, &metrics] {
    absl::StatusOr<storage::UnfinishedStats> stats = store.Unfinished();
    if (stats.ok()) metrics.SetUnfinished(*stats);
    return stats.status();
  }));
  chores.push_back({"recovery", [&recovery] { return recovery.Run(); }, options.look});
  return chores;
}

absl::StatusOr<absl::Duration> Recovery::Run() {
  constexpr absl::Duration kRoomPause = absl::Milliseconds(10);  // for recovered orders to come to rest
  absl::StatusOr<size_t> claimed = runner_.RecoverExpired(own_, options_.recovery_in_flight);
  if (!claimed.ok()) return claimed.status();
  if (*claimed > 0) {
    log_.Info("orders recovered", {{"count", *claimed}, {"own", own_}});
    return kRoomPause;
  }
  if (runner_.live() >= options_.recovery_in_flight) return kRoomPause;  // there was no room to claim more
  own_ = false;
  return options_.look;
}

}  // namespace waybill::order
