#include "services/order/testing/fate.h"

#include "fmt/format.h"

namespace waybill::order::testing {

bool Executes(Fate fate) { return fate != Fate::kUnavailable && fate != Fate::kLostBefore && fate != Fate::kSlow; }

bool Answers(Fate fate) {
  return fate == Fate::kAnswered || fate == Fate::kDeclined || fate == Fate::kPending || fate == Fate::kRefused;
}

absl::Status NoAnswer(std::string_view who, Fate fate) {
  if (fate == Fate::kUnavailable) return absl::UnavailableError(fmt::format("{} is down", who));
  return absl::DeadlineExceededError(fmt::format("{} did not answer", who));
}

absl::Status StillExecuting() { return absl::AbortedError("a call with this key is still executing"); }

}  // namespace waybill::order::testing
