#include "edge/rpc/metrics.h"

#include <cstddef>

namespace waybill::rpc {
namespace {

constexpr std::array<const char*, 17> kCodeNames = {
    "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
    "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
    "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
    "DataLoss", "Unauthenticated"};

}  // namespace

void MethodMetrics::Handled(absl::StatusCode code, absl::Duration took) const {
  auto index = static_cast<size_t>(code);
  handled_[index < handled_.size() ? index : static_cast<size_t>(absl::StatusCode::kUnknown)]->Increment();
  seconds_.Observe(absl::ToDoubleSeconds(took));
}

MethodMetrics::MethodMetrics(Metrics& metrics, const std::string& type, const std::string& service,
                             const std::string& method)
    : started_(metrics.AddCounter("grpc_server_started_total", "RPCs started on the server.",
                                  {{"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method}})),
      limited_(metrics.AddCounter("waybill_calls_limited_total", "RPCs refused because their client was over a limit.",
                                  {{"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method}})),
      seconds_(metrics.AddHistogram("grpc_server_handling_seconds",
                                    "Time from an RPC's arrival until its status was handed to gRPC.", LatencyBuckets(),
                                    {{"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method}})) {
  for (size_t code = 0; code < handled_.size(); ++code) {
    handled_[code] = &metrics.AddCounter(
        "grpc_server_handled_total", "RPCs completed on the server, by status code.",
        {{"grpc_type", type}, {"grpc_service", service}, {"grpc_method", method}, {"grpc_code", kCodeNames[code]}});
  }
}

}  // namespace waybill::rpc
