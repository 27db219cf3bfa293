// What happens to a call that a fake participant gets.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace waybill::order::testing {

enum class Fate {
  kAnswered,
  kDeclined,           // charges, with reason CARD_DECLINED, and captures, with RISK; refunds are answered
  kDeclinedRetryable,  // charges, with reason LIMIT_REACHED, and captures, with RISK; refunds are answered
  kPending,            // charges only: to be decided later; others are answered
  kUnavailable,        // UNAVAILABLE at once, nothing executed
  kNotSent,            // the same, and it is certain: NOT_SENT
  kLostBefore,         // DEADLINE_EXCEEDED, nothing executed
  kLostAfter,          // executed, then DEADLINE_EXCEEDED
  kRefused,            // declined, against the contract, without a look at the books; calls that cannot be: answered
  kSlow,               // DEADLINE_EXCEEDED, executed only when it Lands; until then calls with its key get ABORTED
};

bool Executes(Fate fate);  // at once
bool Answers(Fate fate);   // with what was done

// What a caller gets instead of an answer from `who`.
absl::Status NoAnswer(std::string_view who, Fate fate);
absl::Status StillExecuting();  // an earlier call with this key is

}  // namespace waybill::order::testing
