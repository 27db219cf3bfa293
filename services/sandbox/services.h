// The sandbox's three gRPC services: what goes between the wire and the Sandbox.
#pragma once

#include <functional>

#include "edge/rpc/server.h"
#include "services/sandbox/sandbox.h"

namespace waybill::sandbox {

// Before server.Start. `sandbox` outlives the server. `restart` is called once the answer to Restart is on its way.
void RegisterServices(rpc::Server& server, Sandbox& sandbox, std::function<void()> restart);

}  // namespace waybill::sandbox
