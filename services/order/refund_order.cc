#include "services/order/refund_order.h"

#include <string>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/text.h"
#include "services/order/gateway_answers.h"
#include "services/order/payment_routing.h"
#include "services/order/place_order.h"
#include "services/order/routed_payment.h"

namespace waybill::order {
namespace {

using domain::PartialRefund;
using saga::Outcome;

constexpr size_t kRefusalBytesMax = 128;

void DecideAs(PartialRefund& refund, PartialRefund::State state, absl::Time now) {
  refund.state = state;
  refund.decided_at = now;
  refund.effects.decided = true;
}

// For good: neither this call nor an earlier one has given anything back.
Outcome Refuse(PartialRefund& refund, std::string why, bool undoing, const Clock& clock, std::string said = "") {
  refund.refusal = why;
  DecideAs(refund, PartialRefund::State::kRefused, clock.Now());
  if (undoing) return Outcome::Succeeded(fmt::format("refused: {}", why));
  return Outcome::Rejected(std::move(why), std::move(said));
}

Outcome TakePart(absl::StatusOr<RefundPartResult> result, bool undoing, bool in_doubt, const Clock& clock,
                 PartialRefund& refund) {
  std::string refusal, said;
  if (!result.ok()) {
    // By a gateway that has no such method nothing is done. If others of its replicas may have it, that says nothing of
    // what an earlier call did.
    if (!absl::IsUnimplemented(result.status()) || in_doubt || undoing) return PaymentUnknown(result.status());
    refusal = std::string(kRefundUnsupported);
    said = std::string(result.status().message());
  } else if (const auto* done = result->refunded()) {
    std::string detail;
    refund.reference = TakeReference(done->reference, detail);
    DecideAs(refund, PartialRefund::State::kDone, clock.Now());
    return Outcome::Succeeded(std::move(detail));
  } else {
    refusal = CleanText(result->refused()->reason, kRefusalBytesMax);
    if (refusal.empty()) refusal = std::string(kRefundRefused);
  }
  // After doubt it is asked for once more, by what undoes the step: the gateway's word is final for its refund_id then.
  if (in_doubt && !undoing) return Outcome::Rejected(std::move(refusal), std::move(said));
  return Refuse(refund, std::move(refusal), undoing, clock, std::move(said));
}

saga::Action<PartialRefund> Ask(PaymentGateway* plain, PaymentRouting* routing, const Clock& clock, bool undoing) {
  auto call = [plain, routing, &clock, undoing](const saga::Attempt& attempt, PartialRefund& refund,
                                                saga::OutcomeCallback done) {
    PaymentGateway* gateway = plain;
    if (!refund.gateway.empty()) gateway = routing == nullptr ? nullptr : routing->Find(refund.gateway);
    if (gateway == nullptr) {
      done(Outcome::NotMade(std::string(kGatewayMissing),
                            fmt::format("this service has no gateway \"{}\", where the charge is", refund.gateway)));
      return;
    }
    if (!gateway->can_refund()) {  // nor could any call before this one have been done
      done(Refuse(refund, std::string(kRefundUnsupported), undoing, clock));
      return;
    }
    WAYBILL_FAILPOINT("refund_part.before_send");
    const ParticipantCall to{refund.charge_key, refund.order_id.ToString(), attempt.deadline, attempt.traceparent,
                             attempt.tracestate};
    gateway->RefundPart(to, {refund.refund_id, refund.amount_minor, refund.currency},
                        [&refund, &clock, undoing, in_doubt = attempt.in_doubt,
                         done = std::move(done)](absl::StatusOr<RefundPartResult> result) mutable {
                          WAYBILL_FAILPOINT("refund_part.after_receive");
                          const bool not_made = GetErrorDetail(result.status()).reason == kCallNotSent;
                          Outcome outcome = TakePart(std::move(result), undoing, in_doubt, clock, refund);
                          outcome.not_made = outcome.kind == Outcome::Kind::kUnknown && not_made;
                          done(std::move(outcome));
                        });
  };
  return {.call = call};
}

}  // namespace

saga::Definition RefundOrder(PaymentGateway* plain, PaymentRouting* routing, const Clock& clock,
                             saga::RetryPolicy retry) {
  return saga::Define<PartialRefund>()
      .Step(std::string(kRefundPart))
      .Does(Ask(plain, routing, clock, /*undoing=*/false))
      .UndoneBy(Ask(plain, routing, clock, /*undoing=*/true))
      .Retried(retry)
      .Done();
}

}  // namespace waybill::order
