#include "services/order/take_payment.h"

#include <optional>
#include <string>
#include <utility>

#include "services/order/routed_payment.h"

namespace waybill::order {
namespace {

using domain::Payment;

// What is done with an order's money, done with a payment's: it is one.
saga::Action<Payment> OnPayment(saga::Action<domain::Order> action) {
  saga::Action<Payment> typed;
  typed.call = [call = std::move(action.call)](const saga::Attempt& attempt, Payment& payment,
                                               saga::OutcomeCallback done) { call(attempt, payment, std::move(done)); };
  if (action.signalled) {
    typed.signalled = [signalled = std::move(action.signalled)](saga::Outcome outcome, Payment& payment) {
      return signalled(std::move(outcome), payment);
    };
  }
  return typed;
}

}  // namespace

saga::Definition TakePayment(PaymentRouting& payments, const Clock& clock, const saga::RetryPolicy& retry) {
  return saga::Define<Payment>()
      .Step(std::string(domain::kChargePayment))
      .Does(OnPayment(RoutedCharge(payments, clock)))
      .UndoneBy(OnPayment(RoutedRefund(payments, clock)))
      .Retried(retry)
      .Done();
}

}  // namespace waybill::order
