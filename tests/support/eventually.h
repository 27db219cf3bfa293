// For what can only be observed from outside, such as a row another process is about to write: asks again and again.
// Anything inside one process has a better way (a callback, a manual clock).
#pragma once

#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace waybill::testing {

// True as soon as `condition` is, false after `timeout`.
inline bool Eventually(absl::Duration timeout, const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!condition()) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace waybill::testing
