// waybill.access.v1.AccessAdmin: keys of callers, for administrators.
#pragma once

#include "edge/access/key_admin.h"
#include "edge/rpc/server.h"
#include "runtime/executor.h"

namespace waybill::order {

// Before the server starts. `keys` and `workers`, on which the store is waited for, outlive the server.
void AddAccessAdmin(rpc::Server& server, access::KeyAdmin& keys, Executor& workers);

}  // namespace waybill::order
