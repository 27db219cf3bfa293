// waybill.reconciliation.v1.ReconciliationService: what gateways say against what our books say, for finance.
#pragma once

#include "edge/rpc/server.h"
#include "runtime/executor.h"
#include "storage/reconciliation.h"

namespace waybill::order {

// Before the server starts. `store` and `workers`, on which it is waited for, outlive the server; a comparison holds a
// worker for as long as it takes.
void AddReconciliationService(rpc::Server& server, storage::ReconciliationStore& store, Executor& workers);

}  // namespace waybill::order
