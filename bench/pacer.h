// When an open loop starts its calls: at a fixed rate, whatever became of the calls before.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace waybill::bench {

// Monotonic time since some fixed instant, passed in so that tests own it. Thread-safe.
class Timer {
 public:
  virtual ~Timer() = default;
  virtual absl::Duration Now() const = 0;
  virtual void SleepUntil(absl::Duration instant) = 0;
};

class SteadyTimer final : public Timer {
 public:
  absl::Duration Now() const override;
  void SleepUntil(absl::Duration instant) override;
};

class Pacer {
 public:
  // `per_second` > 0. The first call starts at `start`.
  Pacer(Timer& timer, absl::Duration start, double per_second)
      : timer_(timer), start_(start), interval_(absl::Seconds(1) / per_second) {}

  // Sleeps until the next call is due and returns the instant it was due at. That lies in the past when the caller
  // fell behind: then calls follow each other at once, and the latency counted from it shows the delay.
  absl::Duration Next() {
    const absl::Duration due = start_ + interval_ * next_++;  // multiplied, not summed up: no drift
    timer_.SleepUntil(due);
    return due;
  }

 private:
  Timer& timer_;
  absl::Duration start_;
  absl::Duration interval_;
  int64_t next_ = 0;
};

}  // namespace waybill::bench
