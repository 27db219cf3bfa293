// What answers of payment and payout gateways have alike.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "saga/outcome.h"

namespace waybill::order {

// What is still pending after so long is asked for, whatever the gateway said: never asked, it would be forgotten.
inline constexpr absl::Duration kPendingMax = absl::Hours(24 * 30);

// Nobody knows what became of the call: `reason`, and what is known.
saga::Outcome NotKnown(std::string_view reason, const absl::Status& status);

// The gateway's own name for what it did; `detail` says so if it cannot be kept as it was given.
std::string TakeReference(std::string reference, std::string& detail);

// Of a step that waits for its gateway. Whoever signals says that the gateway has decided; what it decided, and under
// which reference, the gateway says.
template <typename Payload>
std::optional<saga::Outcome> AskAgain(const saga::Outcome&, Payload&) {
  return std::nullopt;
}

}  // namespace waybill::order
