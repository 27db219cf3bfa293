// The one place where errors cross between Waybill (absl::Status with an ErrorDetail) and the wire (grpc::Status with
// google.rpc.Status details in "grpc-status-details-bin", which stock clients decode).
#pragma once

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace waybill::rpc {

inline constexpr char kErrorDomain[] = "waybill";

// The detail becomes ErrorInfo (domain "waybill"), BadRequest, QuotaFailure and RetryInfo, each only when it says
// something. Message and violations are cut so that all of it fits a client's 8 KiB of metadata.
grpc::Status ToGrpcStatus(const absl::Status& status);

// The reverse, for clients. Details of other domains and types are dropped.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace waybill::rpc
