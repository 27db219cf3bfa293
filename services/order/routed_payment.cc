#include "services/order/routed_payment.h"

#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "services/order/gateway_answers.h"
#include "services/order/place_order.h"

namespace waybill::order {
namespace {

using domain::Order;
using domain::PaymentAttempt;
using saga::Attempt;
using saga::Outcome;

ParticipantCall CallAt(const Attempt& attempt, const Order& order) {
  const std::string id = attempt.saga_id.ToString();
  return {domain::PaymentKey(id, order.attempts.size()), id, attempt.deadline, attempt.traceparent, attempt.tracestate};
}

// "north", "north: CARD_DECLINED"
Outcome Named(const std::string& gateway, Outcome outcome) {
  outcome.detail = outcome.detail.empty() ? gateway : fmt::format("{}: {}", gateway, outcome.detail);
  return outcome;
}

Outcome Missing(const std::string& gateway) {
  return Outcome::Unknown(
      std::string(kGatewayMissing),
      fmt::format("the gateways file has no \"{}\", where this order is: it has to name it again", gateway));
}

void SetState(Order& order, PaymentAttempt::State state) {
  order.attempts.back().state = state;
  order.effects.attempt_changed = static_cast<uint8_t>(order.attempts.size());
}

// How far a charge had come when its answer came.
struct Asked {
  int number;     // of the calls of this attempt
  bool in_doubt;  // an earlier one may have had an effect
  Capturing capturing;
};

std::string ShowExpiry(const domain::Authorization& authorization) {
  return authorization.expires
             ? absl::FormatTime(" until %Y-%m-%dT%H:%M:%SZ", *authorization.expires, absl::UTCTimeZone())
             : "";
}

// The gateway holds the money: nothing is charged yet.
Outcome Hold(Order& order, const ChargeResult::Approved& approved, absl::Time now) {
  PaymentAttempt& attempt = order.attempts.back();
  std::string detail;
  attempt.reference = TakeReference(approved.reference, detail);
  attempt.authorization = domain::Authorization{now, approved.expires};
  SetState(order, PaymentAttempt::State::kOpen);
  return Outcome::Succeeded(
      fmt::format("authorized{}{}{}", ShowExpiry(*attempt.authorization), detail.empty() ? "" : "; ", detail));
}

Outcome Next(Order& order, std::string why) {
  return Outcome::Again(fmt::format("{}; next: {}", why, order.attempts.back().gateway));
}

// The attempt is given up: its key will be closed before another gateway is asked.
Outcome Close(Order& order, std::string_view why) {
  SetState(order, PaymentAttempt::State::kClosing);
  return Outcome::Again(fmt::format("{}: {}; its key is to be closed", order.attempts.back().gateway, why));
}

Outcome AfterSilence(PaymentRouting& payments, Order& order, const Asked& asked, const absl::Status& status) {
  const std::string gateway = order.attempts.back().gateway;
  Outcome unknown = Named(gateway, PaymentUnknown(status));
  if (!asked.in_doubt && GetErrorDetail(status).reason == kCallNotSent) {
    if (payments.GoOn(order, PaymentAttempt::State::kNotSent, asked.capturing)) return Next(order, unknown.detail);
    order.attempts.back().unsent = true;
    unknown.not_made = true;
    return unknown;
  }
  const bool spent = asked.number >= payments.options().asks_max || payments.IsOut(gateway);
  const bool pending = order.attempts.back().state == PaymentAttempt::State::kPending;
  const PaymentGateway* asked_one = payments.Find(gateway);
  const bool can_close = asked_one != nullptr && asked_one->can_refund();
  if (!spent || pending || !can_close || !payments.HasAnother(order)) return unknown;
  return Close(order, unknown.detail);
}

Outcome AfterCharge(PaymentRouting& payments, const Clock& clock, Order& order, const Asked& asked,
                    absl::StatusOr<ChargeResult> result) {
  if (!result.ok()) return AfterSilence(payments, order, asked, result.status());
  const std::string gateway = order.attempts.back().gateway;
  if (const auto* declined = result->declined(); declined != nullptr && declined->retryable) {
    const std::string why = fmt::format("declined, retryable: {}", declined->reason);
    if (!asked.in_doubt && payments.GoOn(order, PaymentAttempt::State::kDeclined, asked.capturing)) {
      return Next(order, fmt::format("{}: {}", gateway, why));
    }
    if (asked.in_doubt && payments.HasAnother(order)) return Close(order, why);
  }
  if (result->approved() != nullptr && order.attempts.back().capture_later) {
    return Named(gateway, Hold(order, *result->approved(), clock.Now()));
  }
  const std::string token = result->pending() != nullptr ? result->pending()->token : "";
  Outcome outcome = TakeCharge(std::move(result), order, clock);
  switch (outcome.kind) {
    case Outcome::Kind::kSucceeded:
      order.attempts.back().reference = order.charge->gateway_reference;
      SetState(order, PaymentAttempt::State::kApproved);
      break;
    case Outcome::Kind::kLater:
      if (!saga::IsToken(token) || outcome.until == absl::InfiniteFuture()) break;  // nobody can wait for it
      order.attempts.back().pending_token = token;
      SetState(order, PaymentAttempt::State::kPending);
      break;
    case Outcome::Kind::kRejected:
      // While an earlier call is in doubt its refusal proves nothing, and a Refund closes the key.
      if (!asked.in_doubt) SetState(order, PaymentAttempt::State::kDeclined);
      break;
    default:
      break;
  }
  return Named(gateway, std::move(outcome));
}

// After a Refund under the attempt's key: whether it is certain that nothing of it is left.
Outcome AfterClosing(PaymentRouting& payments, Order& order, Capturing capturing, absl::StatusOr<RefundResult> result) {
  PaymentAttempt& attempt = order.attempts.back();
  const std::string gateway = attempt.gateway;
  if (!result.ok()) return Named(gateway, PaymentUnknown(result.status()));
  if (result->refunded_minor != 0 && result->refunded_minor != order.amount_minor) {
    return Named(gateway, Outcome::Unknown("REFUND_MISMATCH", fmt::format("the gateway refunded {} of {}",
                                                                          result->refunded_minor, order.amount_minor)));
  }
  const bool refunded = result->refunded_minor > 0;
  std::string cleaned;
  if (refunded) attempt.reference = TakeReference(std::move(result->charge_reference), cleaned);
  const PaymentAttempt::State state = refunded ? PaymentAttempt::State::kRefunded : PaymentAttempt::State::kClosed;
  const std::string why =
      fmt::format("{}: {}", gateway, refunded ? "charged and given back" : "never charged; the key is closed");
  if (payments.GoOn(order, state, capturing)) return Next(order, why);
  SetState(order, state);
  return Outcome::Rejected(std::string(kPaymentUnknown), fmt::format("{}, and no other gateway is left", why));
}

Outcome AfterCapture(const Clock& clock, Order& order, absl::StatusOr<CaptureResult> result) {
  if (!result.ok()) return PaymentUnknown(result.status());
  const auto* captured = result->captured();
  if (captured == nullptr) return Outcome::Rejected(std::string(kCaptureRefused), result->refused()->reason);
  std::string detail;
  order.charge = {TakeReference(captured->reference, detail), order.amount_minor, clock.Now()};
  order.effects.charged = true;
  order.attempts.back().reference = order.charge->gateway_reference;
  SetState(order, PaymentAttempt::State::kApproved);
  return Outcome::Succeeded(std::move(detail));
}

}  // namespace

saga::Action<Order> RoutedCharge(PaymentRouting& payments, const Clock& clock, Capturing capturing) {
  auto call = [&payments, &clock, capturing](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    if (order.attempts.empty()) {
      done(Outcome::Rejected(std::string(kNoGateway),
                             fmt::format("no gateway takes {} of {} from this client, or all that do are drained",
                                         order.amount_minor, order.currency)));
      return;
    }
    const std::string name = order.attempts.back().gateway;
    PaymentGateway* gateway = payments.Find(name);
    // A person may have looked at the order for days since its gateway was chosen, and nobody was asked meanwhile.
    const bool unasked = !attempt.in_doubt && order.attempts.back().state == PaymentAttempt::State::kOpen &&
                         !order.attempts.back().authorization;
    if (unasked && (gateway == nullptr || payments.IsDrained(name)) &&
        payments.GoOn(order, PaymentAttempt::State::kNotSent, capturing)) {
      done(Next(order, fmt::format("{} takes no orders any more", name)));
      return;
    }
    if (gateway == nullptr) {
      order.attempts.back().unsent |= unasked;
      Outcome missing = Missing(name);
      missing.not_made = unasked;
      done(std::move(missing));
      return;
    }
    if (order.attempts.back().state == PaymentAttempt::State::kClosing) {
      WAYBILL_FAILPOINT("route.before_close");
      gateway->Refund(CallAt(attempt, order), order,
                      [&payments, &order, capturing, done = std::move(done)](auto result) mutable {
                        WAYBILL_FAILPOINT("route.after_close");
                        done(AfterClosing(payments, order, capturing, std::move(result)));
                      });
      return;
    }
    order.attempts.back().unsent = false;
    auto answered = [&payments, &clock, &order, asked = Asked{attempt.number, attempt.in_doubt, capturing},
                     done = std::move(done)](absl::StatusOr<ChargeResult> result) mutable {
      WAYBILL_FAILPOINT("charge.after_receive");
      done(AfterCharge(payments, clock, order, asked, std::move(result)));
    };
    WAYBILL_FAILPOINT("charge.before_send");
    if (order.attempts.back().capture_later) {
      gateway->Authorize(CallAt(attempt, order), order, std::move(answered));
    } else {
      gateway->Charge(CallAt(attempt, order), order, std::move(answered));
    }
  };
  return {.call = call, .signalled = AskAgain<Order>};
}

saga::Action<Order> RoutedCapture(PaymentRouting& payments, const Clock& clock) {
  auto call = [&payments, &clock](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    const std::string name = order.attempts.back().gateway;
    if (order.charge.has_value()) {
      done(Named(name, Outcome::Succeeded("charged at once")));
      return;
    }
    PaymentGateway* gateway = payments.Find(name);
    if (gateway == nullptr) {
      done(Missing(name));
      return;
    }
    WAYBILL_FAILPOINT("capture.before_send");
    gateway->Capture(CallAt(attempt, order), order,
                     [&clock, &order, name, done = std::move(done)](absl::StatusOr<CaptureResult> result) mutable {
                       WAYBILL_FAILPOINT("capture.after_receive");
                       done(Named(name, AfterCapture(clock, order, std::move(result))));
                     });
  };
  return {.call = call};
}

saga::Action<Order> RoutedRefund(PaymentRouting& payments, const Clock& clock) {
  auto call = [&payments, &clock](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    if (order.attempts.empty()) {
      done(Outcome::Succeeded("no gateway was asked"));
      return;
    }
    const PaymentAttempt& last = order.attempts.back();
    if (domain::IsOver(last.state)) {
      done(Named(last.gateway, Outcome::Succeeded(fmt::format("nothing to give back: {}", domain::Name(last.state)))));
      return;
    }
    if (last.unsent) {
      SetState(order, PaymentAttempt::State::kNotSent);
      done(Named(last.gateway, Outcome::Succeeded("nothing to give back: not_sent")));
      return;
    }
    PaymentGateway* gateway = payments.Find(last.gateway);
    if (gateway == nullptr) {
      done(Missing(last.gateway));
      return;
    }
    WAYBILL_FAILPOINT("refund.before_send");
    gateway->Refund(CallAt(attempt, order), order,
                    [&clock, &order, done = std::move(done)](absl::StatusOr<RefundResult> result) mutable {
                      WAYBILL_FAILPOINT("refund.after_receive");
                      const bool refunded = result.ok() && result->refunded_minor > 0;
                      Outcome outcome = TakeRefund(std::move(result), order, clock);
                      PaymentAttempt& at = order.attempts.back();
                      if (outcome.kind == Outcome::Kind::kSucceeded) {
                        if (order.charge.has_value()) at.reference = order.charge->gateway_reference;
                        SetState(order, refunded ? PaymentAttempt::State::kRefunded : PaymentAttempt::State::kClosed);
                        if (domain::StandingOf(at) == "voided")
                          outcome.detail = "voided: it was authorized, and nothing was taken";
                      }
                      done(Named(at.gateway, std::move(outcome)));
                    });
  };
  return {.call = call};
}

}  // namespace waybill::order
