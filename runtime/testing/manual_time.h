// A clock and a scheduler that move only when told to.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "runtime/clock.h"
#include "runtime/scheduler.h"

namespace waybill::testing {

class ManualTime final : public Clock, public Scheduler {
 public:
  explicit ManualTime(absl::Time start = absl::FromUnixSeconds(1'800'000'000)) : now_(start) {}

  absl::Time Now() const override {
    std::lock_guard lock(mutex_);
    return now_;
  }

  TimerId At(absl::Time when, Callback callback) override {
    std::lock_guard lock(mutex_);
    TimerId id{when, next_++};
    pending_.emplace(id, std::move(callback));
    return id;
  }

  bool Cancel(const TimerId& id) override {
    std::lock_guard lock(mutex_);
    return pending_.erase(id) > 0;
  }

  // Moves to `now + by`, running what falls due in order, each at its own time.
  void Advance(absl::Duration by) {
    absl::Time until = Now() + by;
    while (RunNext(until)) {
    }
    std::lock_guard lock(mutex_);
    now_ = until;
  }

  // Jumps to the earliest timer and runs it; false when there is none (up to `until`).
  bool RunNext(absl::Time until = absl::InfiniteFuture()) {
    Callback callback;
    {
      std::lock_guard lock(mutex_);
      auto it = pending_.begin();
      if (it == pending_.end() || it->first.first > until) return false;
      if (it->first.first > now_) now_ = it->first.first;
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
  absl::Time now_;
  uint64_t next_ = 0;
  std::map<TimerId, Callback> pending_;
};

}  // namespace waybill::testing
