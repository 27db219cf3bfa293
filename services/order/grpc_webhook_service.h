// waybill.webhook.v1.WebhookService over WebhookApi.
#pragma once

#include "edge/rpc/server.h"
#include "runtime/executor.h"
#include "services/order/webhook_api.h"

namespace waybill::order {

// Calls block on the store, so they run on `workers`. All outlive the server.
void AddWebhookService(rpc::Server& server, WebhookApi& webhooks, Executor& workers);

}  // namespace waybill::order
