// A simple processor over JSON and HTTP (payments/processor/contract.h) as a payment gateway. It knows no refund and
// closes no key: a charge is asked for under the same id until it is answered, and what has to be given back is given
// back by hand.
#pragma once

#include <optional>
#include <string>

#include "edge/http/channel.h"
#include "runtime/ids.h"
#include "services/order/gateway_prober.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

// The reason of a Refund's status, once the processor is known to hold the money.
inline constexpr std::string_view kCannotRefund = "CANNOT_REFUND";

class ProcessorGateway final : public PaymentGateway {
 public:
  // All outlive it. `name` is the gateway's, for messages.
  ProcessorGateway(std::string name, http::Channel& channel, const Clock& clock)
      : name_(std::move(name)), channel_(channel), clock_(clock) {}

  // 2xx: approved, under the payment's id, at the time of this call. 422: approved if the processor shows the payment
  // with this amount, at the time that it shows. Every other answer, and none, is unknown; a call that had no
  // connection is kCallNotSent.
  void Charge(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) override;
  // Only looks. FAILED_PRECONDITION with kCannotRefund: the money is there. Otherwise it is unknown: a processor that
  // knows of no payment may still be executing a call that was given up.
  void Refund(const ParticipantCall& call, const domain::Order& order,
              absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) override;
  bool can_refund() const override { return false; }
  // GET /payments/service-health.
  void Health(absl::Duration timeout, absl::AnyInvocable<void(HealthAnswer)> done);

 private:
  absl::Duration TimeLeft(const ParticipantCall& call) const { return call.deadline - clock_.Steady(); }
  // When it was requested; nothing: the processor does not say.
  using Seen = absl::StatusOr<std::optional<absl::Time>>;
  // Asks for the payment `id`. OK: it is there, with this amount. NOT_FOUND: the processor knows none.
  void Look(const Uuid& id, int64_t amount_minor, int decimals, const ParticipantCall& call,
            absl::AnyInvocable<void(Seen)> done);

  const std::string name_;
  http::Channel& channel_;
  const Clock& clock_;
};

}  // namespace waybill::order
