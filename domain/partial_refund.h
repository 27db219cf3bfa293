// A part of an order's money that goes back while the order stands: the payload of a saga of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "runtime/ids.h"

namespace waybill::domain {

struct PartialRefund {
  static constexpr std::string_view kKind = "refund_order";

  // Persisted by name.
  enum class State : uint8_t {
    kOpen,      // the gateway is asked: nobody has said what became of it
    kDone,      // the money is on its way back
    kRefused,   // the gateway gives nothing, and will not: the amount is free again
    kResolved,  // ended by a person; counts as given back
  };

  Uuid order_id;
  Uuid saga_id;            // of its saga; only where an order's are listed
  std::string refund_id;   // the client's own: 1-128 visible ASCII characters, unique per order
  std::string client;      // of the order
  std::string gateway;     // its name; empty: of an order that is not routed
  std::string charge_key;  // the idempotency key of the charge that it is a part of
  int64_t amount_minor = 0;
  std::string currency;
  std::string reason;  // the client's words
  State state = State::kOpen;
  std::string reference;  // the gateway's own, once it is done
  std::string refusal;    // machine-readable, once it is refused
  absl::Time begun_at;
  std::optional<absl::Time> decided_at;

  struct Effects {
    bool decided = false;  // set how it stands
  };
  Effects effects;
};
inline constexpr PartialRefund::State kPartialRefundStates[] = {
    PartialRefund::State::kOpen, PartialRefund::State::kDone, PartialRefund::State::kRefused,
    PartialRefund::State::kResolved};

// "open", "done", ...
constexpr std::string_view Name(PartialRefund::State state) {
  constexpr std::string_view kNames[] = {"open", "done", "refused", "resolved"};
  return kNames[static_cast<size_t>(state)];
}
// nullopt: of a newer version.
inline std::optional<PartialRefund::State> PartialRefundState(std::string_view name) {
  for (const PartialRefund::State state : kPartialRefundStates) {
    if (Name(state) == name) return state;
  }
  return std::nullopt;
}

// Of one order, refused ones included.
inline constexpr size_t kPartialRefundsMax = 100;

}  // namespace waybill::domain
