// Who takes the money. The contract is waybill/payment/v1's: for one key, money moves at most once each way, the first
// answer is repeated to every repetition, and a refund before the charge closes the key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "domain/order.h"
#include "runtime/clock.h"

namespace waybill::order {

// One call to a participant. Valid, with the order beside it, until the call's `done`.
struct ParticipantCall {
  std::string key;  // idempotency key; the same for doing and undoing
  std::string order_id;
  SteadyTime deadline;
  std::string_view traceparent;  // may be empty
};

struct ChargeResult {
  bool approved = false;
  std::string reference;       // approved: the gateway's own
  std::string decline_reason;  // declined: machine-readable
};

struct RefundResult {
  int64_t refunded_minor = 0;    // 0: the key was never charged, and is now closed
  std::string reference;         // of the refund
  std::string charge_reference;  // of the charge that was refunded
};

// Thread-safe. `done` is called exactly once, on any thread, perhaps before the call returns, and by the deadline. A
// status that is not OK is neither success nor failure: the money may have moved.
class PaymentGateway {
 public:
  virtual ~PaymentGateway() = default;
  virtual void Charge(const ParticipantCall& call, const domain::Order& order,
                      absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) = 0;
  virtual void Refund(const ParticipantCall& call, const domain::Order& order,
                      absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) = 0;
};

}  // namespace waybill::order
