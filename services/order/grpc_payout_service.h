// waybill.payouts.v1.PayoutService: what the payout API does, as gRPC has it.
#pragma once

#include "edge/rpc/server.h"
#include "services/order/payout_api.h"

namespace waybill::order {

// Before the server starts. `api` outlives the server.
void AddPayoutService(rpc::Server& server, PayoutApi& api);

}  // namespace waybill::order
