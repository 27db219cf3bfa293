#include "services/order/place_order.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "domain/driver.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "services/order/assess_risk.h"
#include "services/order/gateway_answers.h"
#include "services/order/routed_payment.h"

namespace waybill::order {
namespace {

using domain::Order;
using saga::Attempt;
using saga::Outcome;

ParticipantCall CallOf(const Attempt& attempt) {
  return {attempt.Key(), attempt.saga_id.ToString(), attempt.deadline, attempt.traceparent, attempt.tracestate};
}

// An absolute URL that a page may be sent to, and a log and a mail may hold.
bool IsCheckoutUrl(std::string_view url) {
  constexpr size_t kUrlBytesMax = 2048;
  const std::string_view host = url.starts_with("https://")  ? url.substr(8)
                                : url.starts_with("http://") ? url.substr(7)
                                                             : std::string_view();
  constexpr std::string_view kNoUrlHas = "\"<>\\^`{|}";
  return !host.empty() && url.size() <= kUrlBytesMax && host.find_first_of("/?#") != 0 &&
         std::all_of(url.begin(), url.end(),
                     [&](char c) { return c > ' ' && c <= '~' && kNoUrlHas.find(c) == std::string_view::npos; });
}

// It is not decided. When paying is over, and the gateway says pending even so, the key is closed: nobody will pay.
Outcome AwaitPayer(const ChargeResult::Pending& pending, Order& order, absl::Time now) {
  std::string detail;
  domain::PendingCharge waits{pending.token, pending.checkout_url, pending.expires};
  if (!waits.checkout_url.empty() && !IsCheckoutUrl(waits.checkout_url)) {
    waits.checkout_url.clear();
    detail = "the gateway's checkout URL was left out: it is no https or http URL, or too long";
  }
  // What it does not say again still holds.
  if (order.pending.has_value() && order.pending->token == waits.token) {
    if (waits.checkout_url.empty()) waits.checkout_url = order.pending->checkout_url;
    if (!waits.expires) waits.expires = order.pending->expires;
  }
  const absl::Time expires = waits.expires.value_or(absl::InfiniteFuture());
  if (expires <= now) {
    return Outcome::Unknown(std::string(kPaymentExpired), "the time to pay is over, and nobody has paid", true);
  }
  // Asked earlier than it says, a gateway says pending again; never asked, it would be forgotten.
  absl::Time until = pending.until;
  if (until != absl::InfiniteFuture()) until = std::min({until, expires, now + kPendingMax});
  if (!saga::IsToken(waits.token) || until == absl::InfiniteFuture()) {
    return Outcome::Later(pending.token, until);  // which is unknown then
  }
  order.pending = std::move(waits);
  order.effects.pending = true;
  return Outcome::Later(pending.token, until, std::move(detail));
}

saga::Action<Order> Charge(PaymentGateway& payments, const Clock& clock) {
  auto call = [&payments, &clock](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    WAYBILL_FAILPOINT("charge.before_send");
    payments.Charge(CallOf(attempt), order,
                    [&order, &clock, done = std::move(done)](absl::StatusOr<ChargeResult> result) mutable {
                      WAYBILL_FAILPOINT("charge.after_receive");
                      done(TakeCharge(std::move(result), order, clock));
                    });
  };
  return {.call = call, .signalled = AskAgain<Order>};
}

// All of the money, or nothing because nothing was taken; whatever else the gateway says is a matter for a person.
bool IsWholeRefund(const Order& order, const RefundResult& result) {
  return result.refunded_minor == order.amount_minor || (result.refunded_minor == 0 && !order.charge.has_value());
}

saga::Action<Order> Refund(PaymentGateway& payments, const Clock& clock) {
  auto call = [&payments, &clock](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    WAYBILL_FAILPOINT("refund.before_send");
    payments.Refund(CallOf(attempt), order,
                    [&order, &clock, done = std::move(done)](absl::StatusOr<RefundResult> result) mutable {
                      WAYBILL_FAILPOINT("refund.after_receive");
                      done(TakeRefund(std::move(result), order, clock));
                    });
  };
  return {.call = call};
}

saga::Action<Order> Assign(Dispatch& dispatch) {
  auto call = [&dispatch](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    WAYBILL_FAILPOINT("assign.before_pick");
    order.driver.reset();
    order.effects.claimed = false;
    if (!dispatch.journaled() && attempt.conflicts > 0) {
      // A dispatcher would only repeat its answer: a driver that our own books give to another order.
      done(Outcome::Unknown(std::string(kNoDriverAvailable), "the dispatcher's driver is taken", true));
      return;
    }
    dispatch.Assign(CallOf(attempt), attempt.saga_id, order, attempt.conflicts,
                    [&order, done = std::move(done)](absl::StatusOr<AssignResult> result) mutable {
                      WAYBILL_FAILPOINT("assign.after_pick");
                      if (!result.ok()) {
                        done(NotKnown(kDispatchUnknown, result.status()));
                      } else if (!result->driver.has_value()) {
                        std::string detail =
                            result->none_reason == kNoDriverAvailable ? "" : std::move(result->none_reason);
                        done(Outcome::Rejected(std::string(kNoDriverAvailable), std::move(detail)));
                      } else if (!domain::IsDriverId(result->driver->driver_id)) {
                        // No driver can be told by it; and asked again it would be the same.
                        done(Outcome::Unknown(std::string(kDispatchUnknown),
                                              "the dispatcher named a driver by what is no driver's id", true));
                      } else {
                        order.driver = std::move(result->driver);
                        order.effects.claimed = true;
                        done(Outcome::Succeeded(order.driver->driver_id));
                      }
                    });
  };
  return {.call = call, .journaled = dispatch.journaled(), .claim_lost = [](Order& order) { order.driver.reset(); }};
}

saga::Action<Order> Release(Dispatch& dispatch) {
  auto call = [&dispatch](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    WAYBILL_FAILPOINT("release.before_send");
    dispatch.Release(
        CallOf(attempt), attempt.saga_id, order, [&order, done = std::move(done)](absl::Status status) mutable {
          WAYBILL_FAILPOINT("release.after_receive");
          if (!status.ok()) {
            done(NotKnown(kDispatchUnknown, status));
            return;
          }
          order.effects.released = !order.effects.claimed;  // a claim that is not written yet never will be
          order.effects.claimed = false;
          order.driver.reset();
          done(Outcome::Succeeded());
        });
  };
  return {.call = call, .journaled = dispatch.journaled()};
}

}  // namespace

Outcome PaymentUnknown(const absl::Status& status) { return NotKnown(kPaymentUnknown, status); }

Outcome TakeCharge(absl::StatusOr<ChargeResult> result, Order& order, const Clock& clock) {
  if (!result.ok()) return PaymentUnknown(result.status());
  if (const auto* approved = result->approved()) {
    std::string detail;
    order.charge = {TakeReference(approved->reference, detail), order.amount_minor, approved->at.value_or(clock.Now())};
    order.effects.charged = true;
    return Outcome::Succeeded(std::move(detail));
  }
  if (const auto* pending = result->pending()) return AwaitPayer(*pending, order, clock.Now());
  return Outcome::Rejected(std::string(kPaymentDeclined), result->declined()->reason);
}

Outcome TakeRefund(absl::StatusOr<RefundResult> result, Order& order, const Clock& clock) {
  if (!result.ok()) return PaymentUnknown(result.status());
  if (!IsWholeRefund(order, *result)) {
    return Outcome::Unknown("REFUND_MISMATCH",
                            fmt::format("the gateway refunded {} of {}", result->refunded_minor, order.amount_minor));
  }
  if (result->refunded_minor == 0) return Outcome::Succeeded("never charged; the key is closed");
  const absl::Time now = clock.Now();
  std::string detail;
  if (!order.charge.has_value()) {  // a charge whose answer was lost
    order.charge = {TakeReference(std::move(result->charge_reference), detail), result->refunded_minor, now};
    order.effects.charged = true;
  }
  order.refund = {result->refunded_minor, now};
  order.effects.refunded = true;
  return Outcome::Succeeded(std::move(detail));
}

namespace {

// The charge and the driver, behind what is done before them.
saga::DefinitionBuilder<Order> PlaceBy(saga::DefinitionBuilder<Order> place, saga::Action<Order> charge,
                                       saga::Action<Order> refund, Dispatch& dispatch,
                                       const PlaceOrderOptions& options) {
  // clang-format off
  return place
      .Step(std::string(kChargePayment)).Does(std::move(charge)).UndoneBy(std::move(refund)).Retried(options.payment)
      .Step(std::string(kAssignDriver)).Does(Assign(dispatch)).UndoneBy(Release(dispatch)).ClosedBy(dispatch.journaled() ? saga::Action<Order>{} : Release(dispatch)).Retried(options.dispatch);
  // clang-format on
}

saga::DefinitionBuilder<Order> AtOnce(int version) { return saga::Define<Order>().Version(version); }

saga::DefinitionBuilder<Order> Assessed(int version, RiskAssessor& risk, bool begins,
                                        const PlaceOrderOptions& options) {
  saga::DefinitionBuilder<Order> place = saga::Define<Order>().Version(version);
  if (!begins) place.NotBegunYet();
  return place.Step(std::string(kAssessRisk))
      .Does(risk.Assess())
      .UndoneBy(RiskAssessor::Undo())
      .Retried(options.payment);
}

saga::DefinitionBuilder<Order> PlaceFixed(saga::DefinitionBuilder<Order> place, PaymentGateway& payments,
                                          Dispatch& dispatch, const Clock& clock, const PlaceOrderOptions& options) {
  return PlaceBy(std::move(place), Charge(payments, clock), Refund(payments, clock), dispatch, options);
}

saga::DefinitionBuilder<Order> PlaceRouted(saga::DefinitionBuilder<Order> place, PaymentRouting& payments,
                                           Dispatch& dispatch, const Clock& clock, const PlaceOrderOptions& options) {
  return PlaceBy(std::move(place), RoutedCharge(payments, clock), RoutedRefund(payments, clock), dispatch, options);
}

// What undoes the charge undoes the capture, too.
saga::DefinitionBuilder<Order> PlaceCaptured(saga::DefinitionBuilder<Order> place, PaymentRouting& payments,
                                             Dispatch& dispatch, const Clock& clock, const PlaceOrderOptions& options) {
  return PlaceBy(std::move(place), RoutedCharge(payments, clock, Capturing::kByGateway), RoutedRefund(payments, clock),
                 dispatch, options)
      .Step(std::string(kCapturePayment))
      .Does(RoutedCapture(payments, clock))
      .Retried(options.payment);
}

}  // namespace

saga::Definition PlaceOrder(PaymentGateway& payments, Dispatch& dispatch, const Clock& clock,
                            const PlaceOrderOptions& options) {
  return PlaceFixed(AtOnce(1), payments, dispatch, clock, options).Done();
}

saga::Definition PlaceRoutedOrder(PaymentRouting& payments, Dispatch& dispatch, const Clock& clock,
                                  const PlaceOrderOptions& options) {
  return PlaceRouted(AtOnce(kRoutedVersion), payments, dispatch, clock, options).Done();
}

saga::Definition PlaceCapturedOrder(PaymentRouting& payments, Dispatch& dispatch, const Clock& clock, bool begins,
                                    const PlaceOrderOptions& options) {
  saga::DefinitionBuilder<Order> place = AtOnce(kCapturedVersion);
  if (!begins) place.NotBegunYet();
  return PlaceCaptured(std::move(place), payments, dispatch, clock, options).Done();
}

saga::Definition PlaceAssessedOrder(RiskAssessor& risk, PaymentGateway& payments, Dispatch& dispatch,
                                    const Clock& clock, bool begins, const PlaceOrderOptions& options) {
  return PlaceFixed(Assessed(kAssessedVersion, risk, begins, options), payments, dispatch, clock, options).Done();
}

saga::Definition PlaceAssessedRoutedOrder(RiskAssessor& risk, PaymentRouting& payments, Dispatch& dispatch,
                                          const Clock& clock, bool begins, const PlaceOrderOptions& options) {
  return PlaceRouted(Assessed(kAssessedRoutedVersion, risk, begins, options), payments, dispatch, clock, options)
      .Done();
}

saga::Definition PlaceAssessedCapturedOrder(RiskAssessor& risk, PaymentRouting& payments, Dispatch& dispatch,
                                            const Clock& clock, bool begins, const PlaceOrderOptions& options) {
  return PlaceCaptured(Assessed(kAssessedCapturedVersion, risk, begins, options), payments, dispatch, clock, options)
      .Done();
}

void GiveBackDriver(Dispatch& dispatch, const Uuid& order_id, Order& order) {
  if (dispatch.journaled()) {
    ParticipantCall call{AssignmentKey(order_id), order_id.ToString(), SteadyTime::InfiniteFuture(), ""};
    dispatch.Release(call, order_id, order, [](const absl::Status&) {});
  }
  order.effects.released = !order.effects.claimed;  // as in Release
  order.effects.claimed = false;
  order.driver.reset();
}

std::string AssignmentKey(const Uuid& order_id) { return fmt::format("{}/{}", order_id.ToString(), kAssignDriver); }

}  // namespace waybill::order
