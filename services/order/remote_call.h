// What a participant's call is to gRPC.
#pragma once

#include <string>

#include "edge/rpc/client.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

inline rpc::CallOptions OptionsOf(const ParticipantCall& call) {
  rpc::CallOptions options;
  options.deadline = call.deadline;
  if (!call.traceparent.empty()) options.metadata.emplace_back("traceparent", std::string(call.traceparent));
  if (!call.tracestate.empty()) options.metadata.emplace_back("tracestate", std::string(call.tracestate));
  return options;
}

}  // namespace waybill::order
