// Who takes the money. The contract is waybill/payment/v1's: for one key, money moves at most once each way, the first
// answer is repeated to every repetition, a pending one until it is decided, and a refund before the charge closes the
// key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/order.h"
#include "runtime/clock.h"

namespace waybill::order {

// One call to a participant. Valid, with the order beside it, until the call's `done`.
struct ParticipantCall {
  std::string key;  // idempotency key; the same for doing and undoing
  std::string order_id;
  SteadyTime deadline;
  std::string_view traceparent;  // may be empty
  std::string_view tracestate = {};
};

// One of three. Nothing said is a decline without a reason, so that no mistake takes it for money.
struct ChargeResult {
  struct Declined {
    std::string reason;  // machine-readable
    bool retryable;      // another gateway may well say otherwise; not by itself
  };
  struct Approved {
    std::string reference;                             // the gateway's own
    std::optional<absl::Time> expires = std::nullopt;  // of an authorization, if the gateway said
    std::optional<absl::Time> at = std::nullopt;       // as the gateway's own books have it; nullopt: it did not say
  };
  // It is decided later, and then a repetition of the charge is answered so.
  struct Pending {
    std::string token;  // the gateway's own; as it came
    absl::Time until;   // when to ask again, if nobody said that it is decided; infinite: the gateway said none
    std::string checkout_url = {};                     // as it came; empty: none
    std::optional<absl::Time> expires = std::nullopt;  // when the payer can pay no more
  };

  static ChargeResult Decline(std::string reason, bool retryable = false) {
    return {Declined{std::move(reason), retryable}};
  }
  static ChargeResult Approve(std::string reference, std::optional<absl::Time> expires = std::nullopt) {
    return {Approved{std::move(reference), expires}};
  }
  static ChargeResult ApproveAt(std::string reference, std::optional<absl::Time> at) {
    return {Approved{std::move(reference), std::nullopt, at}};
  }
  static ChargeResult Postpone(std::string token, absl::Time until, std::string checkout_url = {},
                               std::optional<absl::Time> expires = std::nullopt) {
    return {Pending{std::move(token), until, std::move(checkout_url), expires}};
  }

  const Declined* declined() const { return std::get_if<Declined>(&outcome); }
  const Approved* approved() const { return std::get_if<Approved>(&outcome); }
  const Pending* pending() const { return std::get_if<Pending>(&outcome); }

  std::variant<Declined, Approved, Pending> outcome;
};

// One of two, final for its key. Nothing said is a refusal without a reason.
struct CaptureResult {
  struct Refused {       // nothing was taken, and nothing will be
    std::string reason;  // machine-readable
  };
  struct Captured {
    std::string reference;  // the gateway's own, of the charge that it is now
  };
  static CaptureResult Refuse(std::string reason) { return {Refused{std::move(reason)}}; }
  static CaptureResult Done(std::string reference) { return {Captured{std::move(reference)}}; }

  const Refused* refused() const { return std::get_if<Refused>(&outcome); }
  const Captured* captured() const { return std::get_if<Captured>(&outcome); }

  std::variant<Refused, Captured> outcome;
};

struct RefundResult {
  int64_t refunded_minor = 0;    // in all, parts included; 0: nothing was ever taken, and the key is now closed
  std::string reference;         // of the refund
  std::string charge_reference;  // of the charge that was refunded
};

// A part of a charge that is to go back, named by whoever wants that.
struct ChargePart {
  std::string refund_id;  // at most once for one of them and the charge's key
  int64_t amount_minor = 0;
  std::string currency;
};

// One of two, final for its refund_id. Nothing said is a refusal without a reason.
struct RefundPartResult {
  struct Refused {
    std::string reason;  // machine-readable
  };
  struct Refunded {
    std::string reference;  // the gateway's own
  };
  static RefundPartResult Refuse(std::string reason) { return {Refused{std::move(reason)}}; }
  static RefundPartResult Done(std::string reference) { return {Refunded{std::move(reference)}}; }

  const Refused* refused() const { return std::get_if<Refused>(&outcome); }
  const Refunded* refunded() const { return std::get_if<Refunded>(&outcome); }

  std::variant<Refused, Refunded> outcome;
};

// The reason of a status with which a gateway answers a call that was certainly not made.
inline constexpr std::string_view kCallNotSent = "NOT_SENT";

// Thread-safe. `done` is called exactly once, on any thread, perhaps before the call returns, and by the deadline. A
// status that is not OK is neither success nor failure: the money may have moved, unless its reason is kCallNotSent.
class PaymentGateway {
 public:
  virtual ~PaymentGateway() = default;
  virtual void Charge(const ParticipantCall& call, const domain::Order& order,
                      absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) = 0;
  // In place of Charge, for money that is held first, and taken by Capture, all of it. UNIMPLEMENTED, as any status,
  // proves nothing.
  virtual void Authorize(const ParticipantCall& call, const domain::Order& order,
                         absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
    (void)call, (void)order;
    done(absl::UnimplementedError("this gateway authorizes nothing"));
  }
  virtual void Capture(const ParticipantCall& call, const domain::Order& order,
                       absl::AnyInvocable<void(absl::StatusOr<CaptureResult>)> done) {
    (void)call, (void)order;
    done(absl::UnimplementedError("this gateway captures nothing"));
  }
  // Also voids what was authorized and not captured.
  virtual void Refund(const ParticipantCall& call, const domain::Order& order,
                      absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) = 0;
  // false: its Refund never succeeds, and closes no key. A charge in doubt stays there until it is answered.
  virtual bool can_refund() const { return true; }
  // Under the key of the charge. UNIMPLEMENTED: a gateway that gives no parts back, and has not done so.
  virtual void RefundPart(const ParticipantCall& call, const ChargePart& part,
                          absl::AnyInvocable<void(absl::StatusOr<RefundPartResult>)> done) {
    (void)call, (void)part;
    done(absl::UnimplementedError("this gateway gives no part of a charge back"));
  }
};

}  // namespace waybill::order
