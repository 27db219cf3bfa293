// Both clocks and a scheduler, which move only when told to.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "runtime/clock.h"
#include "runtime/scheduler.h"

namespace waybill::testing {

class ManualTime final : public Clock, public Scheduler {
 public:
  explicit ManualTime(absl::Time start = absl::FromUnixSeconds(1'800'000'000)) : wall_at_origin_(start) {}

  absl::Time Now() const override {
    std::lock_guard lock(mutex_);
    return wall_at_origin_ + (steady_ - SteadyTime());
  }

  SteadyTime Steady() const override {
    std::lock_guard lock(mutex_);
    return steady_;
  }

  TimerId At(SteadyTime when, Callback callback) override {
    std::lock_guard lock(mutex_);
    TimerId id{when, next_++};
    pending_.emplace(id, std::move(callback));
    return id;
  }

  bool Cancel(const TimerId& id) override {
    std::lock_guard lock(mutex_);
    return pending_.erase(id) > 0;
  }

  // Time passes: moves both clocks by `by`, running what falls due in order, each at its own time.
  void Advance(absl::Duration by) {
    SteadyTime until = Steady() + by;
    while (RunNext(until)) {
    }
    std::lock_guard lock(mutex_);
    steady_ = until;
  }

  // Somebody sets the wall clock: no time passes.
  void SetWall(absl::Time now) {
    std::lock_guard lock(mutex_);
    wall_at_origin_ = now - (steady_ - SteadyTime());
  }

  // Jumps to the earliest timer and runs it; false when there is none (up to `until`).
  bool RunNext(SteadyTime until = SteadyTime::InfiniteFuture()) {
    Callback callback;
    {
      std::lock_guard lock(mutex_);
      auto it = pending_.begin();
      if (it == pending_.end() || it->first.first > until) return false;
      if (it->first.first > steady_) steady_ = it->first.first;
      callback = std::move(it->second);
      pending_.erase(it);
    }
    callback();
    return true;
  }

  size_t pending() const {
    std::lock_guard lock(mutex_);
    return pending_.size();
  }

 private:
  mutable std::mutex mutex_;
  SteadyTime steady_;
  absl::Time wall_at_origin_;  // what the wall clock shows when steady_ is SteadyTime()
  uint64_t next_ = 0;
  std::map<TimerId, Callback> pending_;
};

// The clock of another host, a database's say: time passes there as it does here, but who sets the wall clock here does
// not set it there.
class DistantClock final : public Clock {
 public:
  explicit DistantClock(const ManualTime& here) : here_(here) {}
  absl::Time Now() const override { return wall_ + (here_.Steady() - steady_); }
  SteadyTime Steady() const override { return here_.Steady(); }

 private:
  const ManualTime& here_;
  const absl::Time wall_ = here_.Now();  // what it showed at steady_
  const SteadyTime steady_ = here_.Steady();
};

}  // namespace waybill::testing
