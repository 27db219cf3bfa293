// waybill.ops.v1.WebhookInboxAdmin over gRPC.
#pragma once

#include "edge/rpc/server.h"
#include "runtime/executor.h"
#include "storage/webhook_inbox.h"

namespace waybill::order {

// Before the server starts. All outlive it; `workers` block on the store.
void AddWebhookInboxAdmin(rpc::Server& server, storage::WebhookInboxView& inbox, Executor& workers);

}  // namespace waybill::order
