// The saga of an order: charge it and give it a driver, or give the money back.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/order.h"
#include "domain/payment_attempt.h"
#include "runtime/clock.h"
#include "saga/definition.h"
#include "saga/outcome.h"
#include "services/order/dispatch.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

class PaymentRouting;
class RiskAssessor;

// Failure reasons, besides kNoDriverAvailable, saga::kCancelledReason and those of the rules of risk.
inline constexpr std::string_view kPaymentDeclined = "PAYMENT_DECLINED";  // the gateway's reason is the detail
inline constexpr std::string_view kPaymentUnknown = "PAYMENT_UNKNOWN";    // the gateway did not say, for too long
inline constexpr std::string_view kPaymentExpired = "PAYMENT_EXPIRED";    // nobody paid while it could be paid
inline constexpr std::string_view kDispatchUnknown = "DISPATCH_UNKNOWN";  // the dispatcher or the fleet did not
inline constexpr std::string_view kNoGateway = "NO_PAYMENT_GATEWAY";      // none takes the order
inline constexpr std::string_view kCaptureRefused = "CAPTURE_REFUSED";    // of what was authorized nothing was taken

// Step names are persisted.
using domain::kChargePayment;
inline constexpr std::string_view kAssignDriver = "assign_driver";
inline constexpr std::string_view kCapturePayment = "capture_payment";

struct PlaceOrderOptions {
  saga::RetryPolicy payment;
  saga::RetryPolicy dispatch;
};

// The participants and the clock outlive the definition.
saga::Definition PlaceOrder(PaymentGateway& payments, Dispatch& dispatch, const Clock& clock,
                            const PlaceOrderOptions& options = {});

// The same of a routed order (services/order/routed_payment.h): another version, so that a process that knows of no
// routing leaves it alone.
inline constexpr int kRoutedVersion = 2;
saga::Definition PlaceRoutedOrder(PaymentRouting& payments, Dispatch& dispatch, const Clock& clock,
                                  const PlaceOrderOptions& options = {});

// The same where gateways may hold the money first: it is captured when the driver is the order's. `begins`: new orders
// begin so.
inline constexpr int kCapturedVersion = 3;
saga::Definition PlaceCapturedOrder(PaymentRouting& payments, Dispatch& dispatch, const Clock& clock, bool begins,
                                    const PlaceOrderOptions& options = {});

// The same three where the rules of risk are asked first (services/order/assess_risk.h): versions of their own, for
// which the same holds. `begins`: new orders begin so.
inline constexpr int kAssessedVersion = 4;
inline constexpr int kAssessedRoutedVersion = 5;
inline constexpr int kAssessedCapturedVersion = 6;
saga::Definition PlaceAssessedOrder(RiskAssessor& risk, PaymentGateway& payments, Dispatch& dispatch,
                                    const Clock& clock, bool begins, const PlaceOrderOptions& options = {});
saga::Definition PlaceAssessedRoutedOrder(RiskAssessor& risk, PaymentRouting& payments, Dispatch& dispatch,
                                          const Clock& clock, bool begins, const PlaceOrderOptions& options = {});
saga::Definition PlaceAssessedCapturedOrder(RiskAssessor& risk, PaymentRouting& payments, Dispatch& dispatch,
                                            const Clock& clock, bool begins, const PlaceOrderOptions& options = {});

// What becomes of a charge, and of a refund, by the gateway's answer; the order takes in what was said.
saga::Outcome TakeCharge(absl::StatusOr<ChargeResult> result, domain::Order& order, const Clock& clock);
saga::Outcome TakeRefund(absl::StatusOr<RefundResult> result, domain::Order& order, const Clock& clock);
// kPaymentUnknown, and what is known of it.
saga::Outcome PaymentUnknown(const absl::Status& status);

// Ends the order's hold on its driver in the next journal write, and tells a journaled dispatch. A remote one is told
// when the saga closes the step.
void GiveBackDriver(Dispatch& dispatch, const Uuid& order_id, domain::Order& order);

// The key under which the order's driver is assigned, and released.
std::string AssignmentKey(const Uuid& order_id);

}  // namespace waybill::order
