// waybill.fleet.v1.FleetService: drivers, as gRPC has them.
#pragma once

#include "edge/rpc/server.h"
#include "services/order/fleet_api.h"

namespace waybill::order {

// Before the server starts. `api` outlives the server.
void AddFleetService(rpc::Server& server, FleetApi& api);

}  // namespace waybill::order
