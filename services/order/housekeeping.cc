#include "services/order/housekeeping.h"

#include <algorithm>
#include <utility>

namespace waybill::order {

Chore RenewingLeases(saga::Runner& runner, absl::Duration lease) {
  return EveryChore(std::min(lease / 10, absl::Seconds(1)), "renewing leases",
                    [&runner] { return runner.RenewLeases(); });
}

std::vector<Chore> HousekeepingChores(storage::OrderStore& store, const saga::Kinds& kinds, OrderMetrics& metrics,
                                      Recovery& recovery, std::function<absl::Status()> reconcile,
                                      HousekeepingOptions options) {
  std::vector<Chore> chores;
  // The book first: recovery picks drivers.
  if (reconcile) chores.push_back(EveryChore(options.reconcile, "comparing the drivers' book", std::move(reconcile)));
  chores.push_back(EveryChore(options.count, "counting unfinished sagas", [&store, &kinds, &metrics] {
    absl::StatusOr<storage::UnfinishedStats> stats = store.Unfinished(kinds);
    if (stats.ok()) metrics.SetUnfinished(*stats);
    return stats.status();
  }));
  chores.push_back({"recovery", [&recovery] { return recovery.Run(); }, options.look});
  return chores;
}

absl::StatusOr<absl::Duration> Recovery::Run() {
  constexpr absl::Duration kNextBatch = absl::Milliseconds(10);
  constexpr absl::Duration kForRoom = absl::Milliseconds(100);  // for recovered orders to come to rest
  const size_t in_flight = runner_.recovered_in_flight();
  if (in_flight >= options_.recovery_in_flight) return kForRoom;
  const size_t room = std::min(options_.recovery_in_flight - in_flight, runner_.room());
  if (room == 0) return kForRoom;
  absl::StatusOr<size_t> claimed = runner_.RecoverExpired(own_, in_flight + room);
  if (!claimed.ok()) return claimed.status();
  if (*claimed > 0) log_.Info("sagas taken up", {{"count", *claimed}, {"own", own_.load()}});
  if (*claimed < std::min(room, saga::Runner::kClaimMax)) {  // those were all
    own_ = false;
    return options_.look;
  }
  return room - *claimed >= saga::Runner::kClaimMax ? kNextBatch : kForRoom;
}

}  // namespace waybill::order
