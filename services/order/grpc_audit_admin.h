// waybill.ops.v1.AuditAdmin: who did what, for operators.
#pragma once

#include "edge/rpc/server.h"
#include "runtime/executor.h"
#include "storage/audit_log.h"

namespace waybill::order {

// Before the server starts. `audit` and `workers`, on which the store is waited for, outlive the server.
void AddAuditAdmin(rpc::Server& server, storage::AuditLog& audit, Executor& workers);

}  // namespace waybill::order
