// When to try again.
#pragma once

#include "absl/time/time.h"
#include "runtime/random.h"

namespace waybill::saga {

struct RetryPolicy {
  // The budget of a step, of which both have to be spent before it is turned back. Undoing has none.
  int attempts_max = 5;
  absl::Duration retry_for = absl::Seconds(30);  // since its first attempt in this process
  absl::Duration attempt_timeout = absl::Seconds(2);
  absl::Duration backoff_initial = absl::Milliseconds(100);
  absl::Duration backoff_max = absl::Seconds(5);
  // Undo attempts after which a person should look.
  int attention_after = 8;
  absl::Duration undo_backoff_max = absl::Seconds(30);
};

// The pause before attempt `next_attempt` (2, 3, ...): exponential backoff with full jitter, uniform in
// [0, min(max, initial * 2^(next_attempt - 2))]. Source: AWS Architecture Blog, "Exponential Backoff And Jitter"
// (2015).
absl::Duration Backoff(absl::Duration initial, absl::Duration max, int next_attempt, Random& random);

}  // namespace waybill::saga
