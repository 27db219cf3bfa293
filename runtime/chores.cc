#include "runtime/chores.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace waybill {

Chore EveryChore(absl::Duration every, std::string what, std::function<absl::Status()> run) {
  auto paced = [every, run = std::move(run)]() -> absl::StatusOr<absl::Duration> {
    if (absl::Status status = run(); !status.ok()) return status;
    return every;
  };
  return {std::move(what), std::move(paced), every};
}

Chores::Chores(std::vector<Chore> chores, const Clock& clock, const Logger& log)
    : clock_(clock), log_(log.For("runtime.chores")) {
  for (Chore& chore : chores) entries_.push_back({std::move(chore)});
}

void Chores::Start(const Loops& loops) {
  loop_ = loops.Start([this](const Clock&) -> std::optional<SteadyTime> {
    if (stopping_) return std::nullopt;
    return RunDue();
  });
}

void Chores::Stop() {
  stopping_ = true;
  if (loop_) loop_->Join();
}

SteadyTime Chores::RunDue() {
  SteadyTime next = SteadyTime::InfiniteFuture();
  for (Entry& entry : entries_) {
    if (clock_.Steady() >= entry.due) {
      absl::StatusOr<absl::Duration> again = entry.chore.run();
      entry.due = clock_.Steady() + (again.ok() ? *again : entry.chore.retry);
      // Once when it begins to fail and once when it is over, not at every try.
      if (!again.ok() && !entry.failing) {
        log_.Warn("housekeeping fails", {{"what", entry.chore.what}, {"error", std::string(again.status().message())}});
      } else if (again.ok() && entry.failing) {
        log_.Info("housekeeping works again", {{"what", entry.chore.what}});
      }
      entry.failing = !again.ok();
    }
    next = std::min(next, entry.due);
  }
  return next;
}

}  // namespace waybill
