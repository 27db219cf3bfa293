#include "services/order/testing/fate.h"

#include <string>

#include "fmt/format.h"
#include "runtime/status.h"
#include "services/order/payment_gateway.h"

namespace waybill::order::testing {

bool Executes(Fate fate) {
  return fate != Fate::kUnavailable && fate != Fate::kNotSent && fate != Fate::kLostBefore && fate != Fate::kSlow;
}

bool Answers(Fate fate) {
  return fate == Fate::kAnswered || fate == Fate::kDeclined || fate == Fate::kDeclinedRetryable ||
         fate == Fate::kPending || fate == Fate::kRefused;
}

absl::Status NoAnswer(std::string_view who, Fate fate) {
  if (fate == Fate::kNotSent) {
    return MakeError(absl::StatusCode::kUnavailable, fmt::format("{} is not connected", who),
                     {.reason = std::string(kCallNotSent)});
  }
  if (fate == Fate::kUnavailable) return absl::UnavailableError(fmt::format("{} is down", who));
  return absl::DeadlineExceededError(fmt::format("{} did not answer", who));
}

absl::Status StillExecuting() { return absl::AbortedError("a call with this key is still executing"); }

}  // namespace waybill::order::testing
