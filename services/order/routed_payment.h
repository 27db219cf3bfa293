// How a routed order is charged, and its money given back.
//
// An order is tried at one gateway at a time, and at the next one only when it is proven that the one before has taken
// nothing and never will: the call was never sent; or the gateway declined, and said that another may say otherwise; or
// the attempt's key was closed by a Refund, which gave back what had been taken, if anything had. Which gateway is
// asked stands in the order (Order::attempts) and is durable before it is asked. So money to be given back can only be
// at the last one.
//
// Some gateways first hold the money (PaymentAttempt::capture_later). They are asked in the same way, to authorize in
// place of to charge, and to capture once the order has its driver.
#pragma once

#include "domain/order.h"
#include "runtime/clock.h"
#include "saga/definition.h"
#include "services/order/payment_routing.h"

namespace waybill::order {

// The reason while an order's gateway is in the gateways file no longer. It stays where it is, and needs attention.
inline constexpr std::string_view kGatewayMissing = "GATEWAY_MISSING";

// Both outlive what they make.
saga::Action<domain::Order> RoutedCharge(PaymentRouting& payments, const Clock& clock,
                                         Capturing capturing = Capturing::kAtOnce);
// Of what was authorized; nothing is to be done where the charge was made at once.
saga::Action<domain::Order> RoutedCapture(PaymentRouting& payments, const Clock& clock);
// Also voids what was authorized and not captured: the gateway settles under the attempt's key which of the two it is.
saga::Action<domain::Order> RoutedRefund(PaymentRouting& payments, const Clock& clock);

}  // namespace waybill::order
