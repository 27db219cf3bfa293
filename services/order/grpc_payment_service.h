// waybill.payments.v1.PaymentService: what the payment API does, as gRPC has it.
#pragma once

#include "edge/rpc/server.h"
#include "services/order/payment_api.h"

namespace waybill::order {

// Before the server starts. `api` outlives the server.
void AddPaymentService(rpc::Server& server, PaymentApi& api);

}  // namespace waybill::order
