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

// True for UNAVAILABLE; for an error that names a delay after which a retry helps; for a saga that moved to another
// process, or an order that did not end, while the call waited; and for what a connection, or a proxy on the way, makes
// of a call that it cuts: INTERNAL, CANCELLED, UNKNOWN or RESOURCE_EXHAUSTED without a reason of Waybill's. What became
// of such a call is unknown. Every call that is repeated has a key or may be made twice.
bool IsRetryable(const absl::Status& status);

// Whether a call that failed may have been done all the same: nobody who could do it has said no.
bool MayBeDone(const absl::Status& status);

// How far one call of a stream came.
struct StreamTry {
  bool moved = false;                                // something came
  SteadyTime opened = SteadyTime::InfiniteFuture();  // when its headers came
};

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

  // Follows a stream over as many calls as it takes, until `follow`, which makes one of them, succeeds, or a retry does
  // not help, or the budget of tries is spent. A stream that moved on, or was open for 2 s before it was cut (as
  // proxies do with quiet ones), is no failed try: the next one starts with a fresh budget.
  absl::Status RunStream(const std::function<absl::Status(StreamTry& stream)>& follow) const;

 private:
  RetryBudget budget_;
  Tools tools_;
};

}  // namespace waybill::cli
