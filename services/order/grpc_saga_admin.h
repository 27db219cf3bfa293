// waybill.ops.v1.SagaAdmin: what operators see of sagas, and the tools to mend them.
#pragma once

#include <string>
#include <vector>

#include "edge/rpc/server.h"
#include "services/order/saga_api.h"

namespace waybill::order {

// Before the server starts. `api` outlives the server; `steps` are the definition's.
void AddSagaAdmin(rpc::Server& server, SagaApi& api, std::vector<std::string> steps);

}  // namespace waybill::order
