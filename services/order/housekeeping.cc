#include "services/order/housekeeping.h"

#include <algorithm>
#include <utility>

namespace waybill::order {

Housekeeping::Housekeeping(OrderRunner& runner, storage::OrderStore& store, OrderMetrics& metrics,
                           std::function<absl::Status()> reconcile, const Clock& clock, const Logger& log,
                           HousekeepingOptions options)
    : runner_(runner), clock_(clock), log_(log), options_(options) {
  // The book first: recovery picks drivers.
  if (reconcile) chores_.push_back({options_.reconcile, std::move(reconcile), "comparing the drivers' book"});
  chores_.push_back(
      {std::min(options_.lease / 10, absl::Seconds(1)), [this] { return runner_.RenewLeases(); }, "renewing leases"});
  auto count = [&store, &metrics] {
    absl::StatusOr<storage::UnfinishedStats> stats = store.Unfinished();
    if (stats.ok()) metrics.SetUnfinished(*stats);
    return stats.status();
  };
  chores_.push_back({options_.count, count, "counting unfinished orders"});
  thread_ = std::thread([this] { Run(); });
}

void Housekeeping::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Housekeeping::Run() {
  absl::Duration pause = absl::ZeroDuration();
  absl::Time recover_due = absl::InfinitePast();
  while (true) {
    for (Chore& chore : chores_) RunIfDue(chore);
    if (clock_.Now() >= recover_due) recover_due = clock_.Now() + Recover();
    absl::Time next = recover_due;
    for (const Chore& chore : chores_) next = std::min(next, chore.due);
    pause = std::max(next - clock_.Now(), absl::ZeroDuration());
    std::unique_lock lock(mutex_);
    if (stopped_.wait_for(lock, absl::ToChronoNanoseconds(pause), [this] { return stopping_; })) return;
  }
}

void Housekeeping::RunIfDue(Chore& chore) {
  if (clock_.Now() < chore.due) return;
  absl::Status status = chore.run();
  chore.due = clock_.Now() + chore.every;
  // Once when it begins to fail and once when it is over, not at every try.
  if (!status.ok() && !chore.failing) {
    log_.Warn("housekeeping fails", {{"what", chore.what}, {"error", std::string(status.message())}});
  } else if (status.ok() && chore.failing) {
    log_.Info("housekeeping works again", {{"what", chore.what}});
  }
  chore.failing = !status.ok();
}

absl::Duration Housekeeping::Recover() {
  constexpr absl::Duration kRoomPause = absl::Milliseconds(10);  // for recovered orders to come to rest
  absl::StatusOr<size_t> claimed = runner_.RecoverExpired(own_, options_.recovery_in_flight);
  if (!claimed.ok()) {
    if (!recovery_failing_) log_.Warn("recovery fails", {{"error", std::string(claimed.status().message())}});
    recovery_failing_ = true;
    return options_.look;
  }
  recovery_failing_ = false;
  if (*claimed > 0) {
    log_.Info("orders recovered", {{"count", *claimed}, {"own", own_}});
    return kRoomPause;
  }
  if (runner_.live() >= options_.recovery_in_flight) return kRoomPause;  // there was no room to claim more
  own_ = false;
  return options_.look;
}

}  // namespace waybill::order
