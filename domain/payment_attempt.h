// One attempt at charging an order: at one gateway, under a key of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "fmt/format.h"

namespace waybill::domain {

// The step that charges an order. Persisted, also as a part of idempotency keys.
inline constexpr std::string_view kChargePayment = "charge_payment";

// Money that a gateway holds for an attempt, and takes when it is captured.
struct Authorization {
  absl::Time at;
  std::optional<absl::Time> expires;  // when it can be captured no more; nullopt: the gateway did not say
};

struct PaymentAttempt {
  // Persisted by name. An attempt that is authorized is open: what becomes of its money is not decided.
  enum class State : uint8_t {
    kOpen,      // called, or about to be: nobody has said what became of it; or authorized
    kPending,   // the gateway decides later
    kClosing,   // given up: its key is being closed
    kApproved,  // the money is there
    kDeclined,
    kNotSent,   // the gateway was certainly not asked
    kClosed,    // never charged, and will not be
    kRefunded,  // charged, and all of it given back
  };

  std::string gateway;  // its name
  State state = State::kOpen;
  // Every call so far was certainly not sent. Known only to the process that made them.
  bool unsent = false;
  int64_t exploring = 0;  // the turn at a gateway that is out that it was let through by; 0: none. Never written
  // To be written; not read back.
  std::string reference = {};      // the gateway's own, of the charge
  std::string pending_token = {};  // while it is pending
  int64_t cost_ppm = 0;            // what the gateway takes of the amount, in parts per million, as it began

  bool capture_later = false;  // authorized first, and captured by a step of its own; else charged at once
  std::optional<Authorization> authorization = std::nullopt;  // once its gateway approved that
};
inline constexpr PaymentAttempt::State kPaymentAttemptStates[] = {
    PaymentAttempt::State::kOpen,     PaymentAttempt::State::kPending,  PaymentAttempt::State::kClosing,
    PaymentAttempt::State::kApproved, PaymentAttempt::State::kDeclined, PaymentAttempt::State::kNotSent,
    PaymentAttempt::State::kClosed,   PaymentAttempt::State::kRefunded};

// "open", "not_sent", ...
constexpr std::string_view Name(PaymentAttempt::State state) {
  constexpr std::string_view kNames[] = {"open",     "pending",  "closing", "approved",
                                         "declined", "not_sent", "closed",  "refunded"};
  return kNames[static_cast<size_t>(state)];
}

// The same for people: "authorized" while its money is held, and "voided" once it is not, and was never taken.
constexpr std::string_view StandingOf(const PaymentAttempt& attempt) {
  if (attempt.authorization && attempt.state == PaymentAttempt::State::kOpen) return "authorized";
  if (attempt.authorization && attempt.state == PaymentAttempt::State::kClosed) return "voided";
  return Name(attempt.state);
}

// It is known what became of it: no money can come of it any more, or none but what is there.
constexpr bool IsDecided(PaymentAttempt::State state) {
  return state != PaymentAttempt::State::kOpen && state != PaymentAttempt::State::kPending &&
         state != PaymentAttempt::State::kClosing;
}
// And nothing of it is left to give back, nor will be.
constexpr bool IsOver(PaymentAttempt::State state) {
  return IsDecided(state) && state != PaymentAttempt::State::kApproved;
}

// The idempotency key of an attempt, from 1. The first one's is that of an order that is not routed.
inline std::string PaymentKey(std::string_view order_id, size_t number) {
  std::string key = fmt::format("{}/{}", order_id, kChargePayment);
  if (number > 1) key += fmt::format("/{}", number);
  return key;
}

// 1-40 of a-z, 0-9, '_' and '-'.
inline bool IsGatewayName(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  return !name.empty() && name.size() <= 40 && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace waybill::domain
