// What a participant's call is to gRPC.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "edge/rpc/client.h"
#include "runtime/status.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

inline rpc::CallOptions OptionsOf(const ParticipantCall& call) {
  rpc::CallOptions options;
  options.deadline = call.deadline;
  if (!call.traceparent.empty()) options.metadata.emplace_back("traceparent", std::string(call.traceparent));
  if (!call.tracestate.empty()) options.metadata.emplace_back("tracestate", std::string(call.tracestate));
  return options;
}

// That a call was not sent is our own client's word alone, whatever a gateway says.
inline absl::Status Unheard(const absl::Status& status) {
  if (rpc::WasNotSent(status))
    return MakeError(status.code(), std::string(status.message()), {.reason = std::string(kCallNotSent)});
  if (GetErrorDetail(status).reason == kCallNotSent) return absl::Status(status.code(), status.message());
  return status;
}

}  // namespace waybill::order
