// The saga of a payout: the amount is held on the payee's account in the ledger by the commit that begins it; then the
// payout gateway is asked until it has said what becomes of it; and the commit that takes in its word posts the hold,
// or voids it.
//
// One step, behind assess_risk where payouts are assessed. While its budget lasts it is done; then, or when a refusal
// comes after doubt, the saga turns back, and what undoes the step asks the very same, for as long as it takes: turned
// back, a payout is not taken back. What is true of the money is the payout's own state, not the saga's.
#pragma once

#include <string_view>

#include "domain/payout.h"
#include "runtime/clock.h"
#include "saga/definition.h"
#include "services/order/payout_gateway.h"

namespace waybill::order {

class RiskAssessor;

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

// The same where the rules of risk are asked first (services/order/assess_risk.h): the amount is held meanwhile, and
// free again in the commit that takes in a refusal. `begins`: new payouts begin so. All outlive it.
inline constexpr int kAssessedPayoutVersion = 2;
saga::Definition AssessedPayOut(RiskAssessor& risk, PayoutGateway& gateway, const Clock& clock, bool begins,
                                const saga::RetryPolicy& retry = {});

}  // namespace waybill::order
