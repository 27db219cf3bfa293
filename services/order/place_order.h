// The saga of an order: charge it and give it a driver, or give the money back.
#pragma once

#include "domain/order.h"
#include "runtime/clock.h"
#include "saga/definition.h"
#include "services/order/dispatch.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

// Failure reasons, besides kNoDriverAvailable and saga::kCancelledReason.
inline constexpr std::string_view kPaymentDeclined = "PAYMENT_DECLINED";  // the gateway's reason is the detail
inline constexpr std::string_view kPaymentUnknown = "PAYMENT_UNKNOWN";    // the gateway did not say, for too long
inline constexpr std::string_view kDispatchUnknown = "DISPATCH_UNKNOWN";  // the dispatcher or the fleet did not

// Step names are persisted.
inline constexpr std::string_view kChargePayment = "charge_payment";
inline constexpr std::string_view kAssignDriver = "assign_driver";

struct PlaceOrderOptions {
  saga::RetryPolicy payment;
  saga::RetryPolicy dispatch;
};

// The participants and the clock outlive the definition.
saga::Definition PlaceOrder(PaymentGateway& payments, Dispatch& dispatch, const Clock& clock,
                            const PlaceOrderOptions& options = {});

// Ends the order's hold on its driver in the next journal write, and tells a journaled dispatch. A remote one is told
// when the saga closes the step.
void GiveBackDriver(Dispatch& dispatch, const Uuid& order_id, domain::Order& order);

// The key under which the order's driver is assigned, and released.
std::string AssignmentKey(const Uuid& order_id);

}  // namespace waybill::order
