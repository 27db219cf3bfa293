// waybill.location.v1.LocationService: what the ingest service does, as gRPC has it.
#pragma once

#include "edge/rpc/server.h"
#include "services/ingest/ingest.h"
#include "services/ingest/location_api.h"
#include "services/ingest/location_stream.h"
#include "services/ingest/location_watches.h"

namespace waybill::ingest {

// Before the server starts. All outlive the server.
void AddLocationService(rpc::Server& server, Ingest& ingest, LocationStreams& streams, LocationApi& api,
                        LocationWatches& watches);

}  // namespace waybill::ingest
