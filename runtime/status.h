// Errors inside Waybill are absl::Status with a machine-readable reason. The reasons of the domain, with their meaning
// and what a caller should do next, are in one table: domain/reasons.h.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace waybill {

// What travels with an error besides code and message. Becomes google.rpc.ErrorInfo, BadRequest, QuotaFailure and
// RetryInfo at the edge.
struct ErrorDetail {
  std::string reason;                                            // UPPER_SNAKE_CASE, stable
  std::vector<std::pair<std::string, std::string>> metadata;     // e.g. {"order_id", "0190…"}
  std::vector<std::pair<std::string, std::string>> violations;   // bad fields: {field, what is wrong}
  std::vector<std::pair<std::string, std::string>> quotas = {};  // used up: {"client:shop", which and how much}
  absl::Duration retry_after = absl::ZeroDuration();             // > 0: a retry helps, after this long
};

absl::Status MakeError(absl::StatusCode code, std::string_view message, const ErrorDetail& detail);

// The detail of a status made by MakeError; empty (reason "") for any other.
ErrorDetail GetErrorDetail(const absl::Status& status);

}  // namespace waybill
