// waybill.ops.v1.DeadLetterAdmin over gRPC.
#pragma once

#include "edge/rpc/server.h"
#include "runtime/executor.h"
#include "services/order/dead_letter_api.h"

namespace waybill::order {

// Before the server starts. All outlive it; `workers` block on the store.
void AddDeadLetterAdmin(rpc::Server& server, DeadLetterApi& letters, Executor& workers);

}  // namespace waybill::order
