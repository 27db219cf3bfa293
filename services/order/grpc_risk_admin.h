// waybill.ops.v1.RiskAdmin.
#pragma once

#include "edge/rpc/server.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "services/order/risk_api.h"

namespace waybill::order {

// Before the server starts; all outlive it. `workers` block on the stores.
void AddRiskAdmin(rpc::Server& server, RiskApi& risk, const Clock& clock, Executor& workers);

}  // namespace waybill::order
