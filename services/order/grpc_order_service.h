// waybill.order.v1.OrderService: what the order API does, as gRPC has it.
#pragma once

#include "edge/rpc/server.h"
#include "services/order/order_api.h"
#include "services/order/order_watch.h"

namespace waybill::order {

// Before the server starts. `api` and `watches` outlive the server.
void AddOrderService(rpc::Server& server, OrderApi& api, OrderWatches& watches);

}  // namespace waybill::order
