// One thread and one queue of events, in time that jumps from each to the next. Every event belongs to somebody; while
// somebody stands still between two statements, the events of all others go on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/scheduler.h"

namespace waybill::simulation {

// A life of a process, or the world around: clients, participants, what befalls the stores.
using Owner = int;
inline constexpr Owner kWorld = 0;

class EventLoop final : public Clock {
 public:
  using Callback = Scheduler::Callback;
  using TimerId = Scheduler::TimerId;

  absl::Time Now() const override { return kOrigin + (now_ - SteadyTime()); }
  SteadyTime Steady() const override { return now_; }

  TimerId At(Owner owner, SteadyTime when, Callback callback) {
    const TimerId id{std::max(when, now_), next_++};
    events_.emplace(id, Event{owner, std::move(callback)});
    return id;
  }
  TimerId After(Owner owner, absl::Duration delay, Callback callback) {
    return At(owner, now_ + delay, std::move(callback));
  }
  bool Cancel(const TimerId& id) { return events_.erase(id) > 0; }

  // The next event up to `until`, of somebody who does not stand still; false when there is none.
  bool RunNext(SteadyTime until) {
    for (auto it = events_.begin(); it != events_.end() && it->first.first <= until; ++it) {
      const Owner owner = it->second.owner;
      if (std::find(standing_.begin(), standing_.end(), owner) != standing_.end()) continue;
      now_ = std::max(now_, it->first.first);
      Callback callback = std::move(it->second.callback);
      events_.erase(it);
      if (!dead_.contains(owner)) callback();
      ++ran_;
      return true;
    }
    return false;
  }

  // Somebody stands still, and time goes by for all others.
  void StandStill(Owner owner, absl::Duration time) {
    standing_.push_back(owner);
    const SteadyTime until = now_ + time;
    while (RunNext(until)) {
    }
    now_ = std::max(now_, until);
    standing_.pop_back();
  }

  // From now on no event of this owner runs. What they hold is let go of by Bury.
  void Kill(Owner owner) { dead_.insert(owner); }
  bool lives(Owner owner) const { return !dead_.contains(owner); }
  // Not while anybody stands still.
  void Bury() {
    if (dead_.empty()) return;
    std::vector<Event> dropped;
    for (auto it = events_.begin(); it != events_.end();) {
      if (dead_.contains(it->second.owner)) {
        dropped.push_back(std::move(it->second));
        it = events_.erase(it);
      } else {
        ++it;
      }
    }
  }

  // Lets go of what all events hold, without running one. Whoever that wakes may not ask for any more.
  void Clear() { std::exchange(events_, {}).clear(); }

  size_t ran() const { return ran_; }

 private:
  struct Event {
    Owner owner;
    Callback callback;
  };

  static constexpr absl::Time kOrigin = absl::FromUnixSeconds(1'800'000'000);

  SteadyTime now_;
  uint64_t next_ = 0;
  size_t ran_ = 0;
  std::map<TimerId, Event> events_;
  std::vector<Owner> standing_;
  std::set<Owner> dead_;
};

}  // namespace waybill::simulation
