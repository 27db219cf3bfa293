// The saga of a payout: the amount is held on the payee's account in the ledger by the commit that begins it; then the
// payout gateway is asked until it has said what becomes of it; and the commit that takes in its word posts the hold,
// or voids it.
//
// One step. While its budget lasts it is done; then, or when a refusal comes after doubt, the saga turns back, and what
// undoes the step asks the very same, for as long as it takes: turned back, a payout is not taken back. What is true of
// the money is the payout's own state, not the saga's.
#pragma once

#include <string_view>

#include "domain/payout.h"
#include "runtime/clock.h"
#include "saga/definition.h"
#include "services/order/payout_gateway.h"

namespace waybill::order {

// Persisted.
inline constexpr std::string_view kPayOut = "pay_out";

// Why a payout is refused where its account has not so much.
inline constexpr std::string_view kInsufficientFunds = "INSUFFICIENT_FUNDS";
// And where the gateway gave no reason.
inline constexpr std::string_view kPayoutRefused = "PAYOUT_REFUSED";
// A failure reason: the gateway did not say, for too long; it is asked on.
inline constexpr std::string_view kPayoutUnknown = "PAYOUT_UNKNOWN";

// Both outlive what they make.
saga::Definition PayOut(PayoutGateway& gateway, const Clock& clock, const saga::RetryPolicy& retry = {});

}  // namespace waybill::order
