// When a delivery that failed is attempted again, and when no more.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "runtime/random.h"

namespace waybill::webhooks {

// What lies before the first attempt and between each and the next: the schedule of Standard Webhooks.
inline constexpr absl::Duration kRetryPauses[] = {
    absl::ZeroDuration(), absl::Seconds(5), absl::Minutes(5), absl::Minutes(30), absl::Hours(2),
    absl::Hours(5),       absl::Hours(10),  absl::Hours(14),  absl::Hours(20),   absl::Hours(24)};
// A receiver may ask for a longer pause, up to this.
inline constexpr absl::Duration kRetryAfterMax = absl::Hours(24);
// Each pause is longer by up to this part of it, at random, so that what failed together does not come back together.
inline constexpr double kRetryJitter = 0.2;

// Until the next attempt, after the `failed`-th has failed (from 1) and its answer has asked for `retry_after` (zero:
// it has not). Nothing: there is none.
std::optional<absl::Duration> NextPause(int failed, absl::Duration retry_after, Random& random);

}  // namespace waybill::webhooks
