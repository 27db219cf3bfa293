// waybill.reconciliation.v1.ReconciliationService: what gateways say against what our books say, for finance.
#pragma once

#include "edge/rpc/server.h"
#include "runtime/executor.h"
#include "storage/reconciliation.h"

namespace waybill::order {

// Before the server starts. All outlive the server. The store is waited for on `workers`, and on `comparing` while it
// compares, which may take minutes.
void AddReconciliationService(rpc::Server& server, storage::ReconciliationStore& store, Executor& comparing,
                              Executor& workers);

}  // namespace waybill::order
