// waybill.order.v1.OrderService: what the order API does, as gRPC has it.
#pragma once

#include "edge/rpc/server.h"
#include "services/order/order_api.h"
#include "services/order/order_watch.h"
#include "services/order/refund_api.h"

namespace waybill::order {

// Before the server starts. `api`, `refunds` and `watches` outlive the server.
void AddOrderService(rpc::Server& server, OrderApi& api, RefundApi& refunds, OrderWatches& watches);

}  // namespace waybill::order
