#include "services/ingest/served_methods.h"

#include "edge/rpc/server.h"

namespace waybill::ingest {

std::vector<std::string> ServedMethods() { return rpc::MethodsOf({"waybill.location.v1.LocationService"}); }

}  // namespace waybill::ingest
