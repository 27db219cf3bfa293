// The saga of a payment without an order: it is charged at one gateway, and nothing else.
#pragma once

#include "domain/payment.h"
#include "runtime/clock.h"
#include "saga/definition.h"
#include "saga/retry_policy.h"
#include "services/order/payment_routing.h"

namespace waybill::order {

class RiskAssessor;

// One step, charge_payment, as a routed order has it (services/order/routed_payment.h): it goes on to another gateway
// by the same proofs only, and what undoes it gives back what was taken, or closes the key. A payment has time: in
// doubt where no key can be closed, it is not asked for again while that gateway is out, but for one that explores it.
// Both outlive it.
saga::Definition TakePayment(PaymentRouting& payments, const Clock& clock, const saga::RetryPolicy& retry = {});

// The same where the rules of risk are asked first (services/order/assess_risk.h). `begins`: new payments begin so. All
// outlive it.
inline constexpr int kAssessedPaymentVersion = 2;
saga::Definition AssessedTakePayment(RiskAssessor& risk, PaymentRouting& payments, const Clock& clock, bool begins,
                                     const saga::RetryPolicy& retry = {});

}  // namespace waybill::order
