#include "services/order/take_payment.h"

#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "services/order/assess_risk.h"
#include "services/order/place_order.h"
#include "services/order/routed_payment.h"

namespace waybill::order {
namespace {

using domain::Payment;

// What is done with an order's money, done with a payment's: it is one.
saga::Action<Payment> OnPayment(saga::Action<domain::Order> action) {
  saga::Action<Payment> typed;
  typed.journaled = action.journaled;
  typed.call = [call = std::move(action.call)](const saga::Attempt& attempt, Payment& payment,
                                               saga::OutcomeCallback done) { call(attempt, payment, std::move(done)); };
  if (action.signalled) {
    typed.signalled = [signalled = std::move(action.signalled)](saga::Outcome outcome, Payment& payment) {
      return signalled(std::move(outcome), payment);
    };
  }
  return typed;
}

// Calls under way when a gateway comes back would be booked late, and those of a long outage are many.
saga::Action<Payment> HeldWhileOut(PaymentRouting& payments, saga::Action<Payment> action) {
  action.call = [&payments, call = std::move(action.call)](const saga::Attempt& attempt, Payment& payment,
                                                           saga::OutcomeCallback done) {
    if (attempt.in_doubt && !payment.attempts.empty()) {
      const std::string& name = payment.attempts.back().gateway;
      const PaymentGateway* gateway = payments.Find(name);
      if (gateway != nullptr && !gateway->can_refund() && !payments.MayAskAgain(name)) {
        done(saga::Outcome::Unknown(std::string(kPaymentUnknown),
                                    fmt::format("{}: it is out, and is asked later", name)));
        return;
      }
    }
    call(attempt, payment, std::move(done));
  };
  return action;
}

saga::DefinitionBuilder<Payment> ChargedBy(saga::DefinitionBuilder<Payment> saga, PaymentRouting& payments,
                                           const Clock& clock, const saga::RetryPolicy& retry) {
  return saga.Step(std::string(domain::kChargePayment))
      .Does(HeldWhileOut(payments, OnPayment(RoutedCharge(payments, clock))))
      .UndoneBy(OnPayment(RoutedRefund(payments, clock)))
      .Retried(retry);
}

}  // namespace

saga::Definition TakePayment(PaymentRouting& payments, const Clock& clock, const saga::RetryPolicy& retry) {
  return ChargedBy(saga::Define<Payment>(), payments, clock, retry).Done();
}

saga::Definition AssessedTakePayment(RiskAssessor& risk, PaymentRouting& payments, const Clock& clock, bool begins,
                                     const saga::RetryPolicy& retry) {
  saga::DefinitionBuilder<Payment> saga = saga::Define<Payment>().Version(kAssessedPaymentVersion);
  if (!begins) saga.NotBegunYet();
  saga.Step(std::string(kAssessRisk))
      .Does(risk.AssessPayment())
      .UndoneBy(OnPayment(RiskAssessor::Undo()))
      .Retried(retry);
  return ChargedBy(std::move(saga), payments, clock, retry).Done();
}

}  // namespace waybill::order
