// Repeats a call that a retry may help, within a bound of tries and of time.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/random.h"

namespace waybill::cli {

struct RetryBudget {
  int retries = 5;                             // after the first try
  absl::Duration timeout = absl::Seconds(30);  // for all tries and pauses together
  absl::Duration backoff_initial = absl::Milliseconds(200);
  absl::Duration backoff_max = absl::Seconds(3);
};

// True for UNAVAILABLE, for an error that names a delay after which a retry helps, and for a saga that moved to another
// process while the call waited.
bool IsRetryable(const absl::Status& status);

class Retrier {
 public:
  struct Tools {
    const Clock& clock;
    Random& random;
    std::function<void(absl::Duration)> sleep;
    // Told before each pause; may be empty.
    std::function<void(const absl::Status& failed, absl::Duration pause)> on_retry;
  };

  Retrier(RetryBudget budget, Tools tools) : budget_(budget), tools_(std::move(tools)) {}

  absl::Duration timeout() const { return budget_.timeout; }

  // Calls `attempt` until it succeeds, a retry does not help, or the budget is spent; answers its last status. Every
  // attempt gets the same deadline. The pause is exponential backoff with full jitter, never less than what the server
  // asked for.
  absl::Status Run(const std::function<absl::Status(SteadyTime deadline)>& attempt) const;

 private:
  RetryBudget budget_;
  Tools tools_;
};

}  // namespace waybill::cli
