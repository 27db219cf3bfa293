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
  // The book first: recovery picks drivers. Then recovery: what is counted can wait.
  if (reconcile) chores.push_back(EveryChore(options.reconcile, "comparing the drivers' book", std::move(reconcile)));
  chores.push_back({"recovery", [&recovery] { return recovery.Run(); }, options.look});
  chores.push_back(EveryChore(options.count, "counting unfinished sagas", [&store, &kinds, &metrics] {
    absl::StatusOr<storage::UnfinishedStats> stats = store.Unfinished(kinds);
    if (stats.ok()) metrics.SetUnfinished(*stats);
    return stats.status();
  }));
  return chores;
}

Recovery::Recovery(saga::Runner& runner, const Logger& log, HousekeepingOptions options)
    : runner_(runner), log_(log.For("services.order")), options_(options) {
  for (const saga::Definition& definition : runner.kinds().all()) {
    if (std::find(kinds_.begin(), kinds_.end(), definition.kind) == kinds_.end()) kinds_.push_back(definition.kind);
  }
}

absl::StatusOr<absl::Duration> Recovery::Run() {
  constexpr absl::Duration kNextBatch = absl::Milliseconds(10);
  constexpr absl::Duration kForRoom = absl::Milliseconds(100);  // for recovered orders to come to rest
  absl::Status failed;
  size_t claimed_in_all = 0;
  absl::Duration pause = options_.look;
  bool all = true;
  for (const std::string& kind : kinds_) {
    const size_t in_flight = runner_.recovered_in_flight();
    const size_t free = options_.recovery_in_flight - std::min(options_.recovery_in_flight, in_flight);
    const size_t room = std::min(free, runner_.room_to_recover(kind));
    if (room == 0) {
      all = false;
      pause = std::min(pause, kForRoom);
      continue;
    }
    absl::StatusOr<size_t> claimed = runner_.RecoverExpired(own_, in_flight + room, kind);
    if (!claimed.ok()) {
      failed.Update(claimed.status());
      continue;
    }
    claimed_in_all += *claimed;
    if (*claimed < std::min(room, saga::Runner::kClaimMax)) continue;  // those were all
    all = false;
    pause = std::min(pause, room - *claimed >= saga::Runner::kClaimMax ? kNextBatch : kForRoom);
  }
  // Whose turn is first may use up what all share.
  if (!kinds_.empty()) std::rotate(kinds_.begin(), kinds_.begin() + 1, kinds_.end());
  if (claimed_in_all > 0) log_.Info("sagas taken up", {{"count", claimed_in_all}, {"own", own_.load()}});
  looked_ = true;
  if (!failed.ok()) return failed;
  if (all) own_ = false;
  return pause;
}

}  // namespace waybill::order
