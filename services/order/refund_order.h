// The saga of a partial refund: the gateway is asked until it has said what becomes of it.
//
// One step. While its budget lasts it is done; then, or when a refusal comes after doubt, the saga turns back, and what
// undoes the step asks the very same, for as long as it takes: turned back, a refund is not taken back. What is true of
// the money is the refund's own state, not the saga's.
#pragma once

#include <string_view>

#include "domain/partial_refund.h"
#include "runtime/clock.h"
#include "saga/definition.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

class PaymentRouting;

// Persisted.
inline constexpr std::string_view kRefundPart = "refund_part";

// Why a refund is refused where the gateway gives no parts of a charge back.
inline constexpr std::string_view kRefundUnsupported = "REFUND_UNSUPPORTED";
// And where it gave no reason.
inline constexpr std::string_view kRefundRefused = "REFUND_REFUSED";

// All outlive what they make. `plain` is the gateway of orders that are not routed, `routing` has the others'; null:
// there is none, and what would go to it waits for it.
saga::Definition RefundOrder(PaymentGateway* plain, PaymentRouting* routing, const Clock& clock,
                             saga::RetryPolicy retry = {});

}  // namespace waybill::order
