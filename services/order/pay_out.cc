#include "services/order/pay_out.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "services/order/assess_risk.h"
#include "services/order/gateway_answers.h"

namespace waybill::order {
namespace {

using domain::Payout;
using saga::Outcome;

constexpr size_t kPayoutRefusalBytesMax = 128;

void DecidePayout(Payout& payout, Payout::State state, absl::Time now) {
  payout.state = state;
  payout.decided_at = now;
  payout.effects.decided = true;
}

Outcome TakePay(absl::StatusOr<PayResult> result, bool undoing, bool in_doubt, const Clock& clock, Payout& payout) {
  if (!result.ok()) {
    Outcome unknown = NotKnown(kPayoutUnknown, result.status());
    unknown.not_made = GetErrorDetail(result.status()).reason == kCallNotSent;
    return unknown;
  }
  if (const auto* paid = result->paid()) {
    std::string detail;
    payout.reference = TakeReference(paid->reference, detail);
    DecidePayout(payout, Payout::State::kPaid, clock.Now());
    return Outcome::Succeeded(std::move(detail));
  }
  if (const auto* pending = result->pending()) {
    absl::Time until = pending->until;
    if (until != absl::InfiniteFuture()) until = std::min(until, clock.Now() + kPendingMax);
    return Outcome::Later(pending->token, until);
  }
  std::string refusal = CleanText(result->refused()->reason, kPayoutRefusalBytesMax);
  if (refusal.empty()) refusal = std::string(kPayoutRefused);
  // After doubt it is asked for once more, by what undoes the step: the gateway's word is final for its key then.
  if (in_doubt && !undoing) return Outcome::Rejected(std::move(refusal));
  payout.refusal = refusal;
  DecidePayout(payout, Payout::State::kRefused, clock.Now());
  if (undoing) return Outcome::Succeeded(fmt::format("refused: {}", refusal));
  return Outcome::Rejected(std::move(refusal));
}

saga::Action<Payout> Pay(PayoutGateway& gateway, const Clock& clock, bool undoing) {
  auto call = [&gateway, &clock, undoing](const saga::Attempt& attempt, Payout& payout, saga::OutcomeCallback done) {
    if (payout.state != Payout::State::kOpen) {  // refused from the start: nothing is held, and nobody asked
      const bool refused = payout.state == Payout::State::kRefused;
      done(refused && !undoing ? Outcome::Rejected(payout.refusal) : Outcome::Succeeded());
      return;
    }
    WAYBILL_FAILPOINT("pay_out.before_send");
    const ParticipantCall to{attempt.Key(), "", attempt.deadline, attempt.traceparent, attempt.tracestate};
    gateway.Pay(to, payout,
                [&payout, &clock, undoing, in_doubt = attempt.in_doubt,
                 done = std::move(done)](absl::StatusOr<PayResult> result) mutable {
                  WAYBILL_FAILPOINT("pay_out.after_receive");
                  done(TakePay(std::move(result), undoing, in_doubt, clock, payout));
                });
  };
  return {.call = call, .signalled = AskAgain<Payout>};
}

saga::DefinitionBuilder<Payout> PaidBy(saga::DefinitionBuilder<Payout> saga, PayoutGateway& gateway, const Clock& clock,
                                       const saga::RetryPolicy& retry) {
  return saga.Step(std::string(kPayOut))
      .Does(Pay(gateway, clock, /*undoing=*/false))
      .UndoneBy(Pay(gateway, clock, /*undoing=*/true))
      .Retried(retry);
}

}  // namespace

saga::Definition PayOut(PayoutGateway& gateway, const Clock& clock, const saga::RetryPolicy& retry) {
  return PaidBy(saga::Define<Payout>(), gateway, clock, retry).Done();
}

saga::Definition AssessedPayOut(RiskAssessor& risk, PayoutGateway& gateway, const Clock& clock, bool begins,
                                const saga::RetryPolicy& retry) {
  saga::DefinitionBuilder<Payout> saga = saga::Define<Payout>().Version(kAssessedPayoutVersion);
  if (!begins) saga.NotBegunYet();
  saga.Step(std::string(kAssessRisk)).Does(risk.AssessPayout()).UndoneBy(risk.UndoPayout()).Retried(retry);
  return PaidBy(std::move(saga), gateway, clock, retry).Done();
}

}  // namespace waybill::order
