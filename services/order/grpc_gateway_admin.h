// waybill.ops.v1.GatewayAdmin: which payment gateways new orders go to, for operators.
#pragma once

#include "edge/rpc/server.h"
#include "payments/router.h"
#include "runtime/executor.h"
#include "storage/gateway_store.h"

namespace waybill::order {

// Before the server starts. All outlive it; the store is waited for on `workers`. `router` null: the service has one
// gateway, and there is none to be named.
void AddGatewayAdmin(rpc::Server& server, payments::Router* router, storage::GatewayStore& store, Executor& workers);

}  // namespace waybill::order
