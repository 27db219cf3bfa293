// Two clocks, passed in so that tests and simulations own both. The wall clock says what time it is, for what is stored
// or shown; it may be set back or forward at any moment. The steady clock says how much time has passed, for everything
// that waits. Their moments are different types, so that nothing can wait for a time of day.
#pragma once

#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace waybill {

// A moment of the steady clock. Comparable only within one process, and means nothing outside it.
class SteadyTime {
 public:
  constexpr SteadyTime() = default;  // some moment before the process began
  static constexpr SteadyTime InfinitePast() { return SteadyTime(-absl::InfiniteDuration()); }
  static constexpr SteadyTime InfiniteFuture() { return SteadyTime(absl::InfiniteDuration()); }
  static SteadyTime FromChrono(std::chrono::steady_clock::time_point time) {
    return SteadyTime(absl::FromChrono(time.time_since_epoch()));
  }

  SteadyTime& operator+=(absl::Duration by) {
    since_origin_ += by;
    return *this;
  }
  friend SteadyTime operator+(SteadyTime time, absl::Duration by) { return time += by; }
  friend SteadyTime operator-(SteadyTime time, absl::Duration by) { return time += -by; }
  friend absl::Duration operator-(SteadyTime to, SteadyTime from) { return to.since_origin_ - from.since_origin_; }
  friend constexpr bool operator==(SteadyTime a, SteadyTime b) { return a.since_origin_ == b.since_origin_; }
  friend constexpr bool operator!=(SteadyTime a, SteadyTime b) { return !(a == b); }
  friend constexpr bool operator<(SteadyTime a, SteadyTime b) { return a.since_origin_ < b.since_origin_; }
  friend constexpr bool operator>(SteadyTime a, SteadyTime b) { return b < a; }
  friend constexpr bool operator<=(SteadyTime a, SteadyTime b) { return !(b < a); }
  friend constexpr bool operator>=(SteadyTime a, SteadyTime b) { return !(a < b); }

 private:
  explicit constexpr SteadyTime(absl::Duration since_origin) : since_origin_(since_origin) {}

  absl::Duration since_origin_;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;  // the wall's
  virtual SteadyTime Steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  // To the microsecond, as stores keep it: what is answered at once is what is read later.
  absl::Time Now() const override { return absl::FromUnixMicros(absl::GetCurrentTimeNanos() / 1'000); }
  SteadyTime Steady() const override { return SteadyTime::FromChrono(std::chrono::steady_clock::now()); }
};

}  // namespace waybill
