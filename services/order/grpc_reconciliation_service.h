// waybill.reconciliation.v1.ReconciliationService: what gateways say against what our books say, for finance.
#pragma once

#include "edge/rpc/server.h"
#include "payments/router.h"
#include "runtime/executor.h"
#include "storage/payment_summary.h"
#include "storage/reconciliation.h"

namespace waybill::order {

// Before the server starts. All outlive the server. The store is waited for on `workers`, and on `comparing` while it
// compares, which may take minutes; on `summing` while it sums payments, which takes long while those of before there
// were sums are counted one by one.
//
// GATEWAY_NOT_FOUND: `router` has no gateway of the name, and nothing was ever charged or settled there. `router` null:
// there is one gateway, and settlements call it as they like; so they do where `unnamed`, since orders of before are at
// such a one.
void AddReconciliationService(rpc::Server& server, storage::ReconciliationStore& store,
                              storage::PaymentSummaryStore& sums, const payments::Router* router, bool unnamed,
                              Executor& comparing, Executor& workers, Executor& summing);

}  // namespace waybill::order
