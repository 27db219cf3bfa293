#include "domain/reasons.h"

#include <utility>

#include "fmt/format.h"

namespace waybill::domain {

absl::Status ReasonError(std::string_view reason, std::string_view message, ErrorDetail detail) {
  detail.reason = std::string(reason);
  return MakeError(FindReason(reason).code, message, detail);
}

absl::Status QueueFull(std::string_view message, absl::Duration retry_after) {
  ErrorDetail detail;
  detail.retry_after = retry_after;
  return ReasonError("QUEUE_FULL", message, std::move(detail));
}

absl::Status TooBusy() { return QueueFull("too many calls are waiting for the store", absl::Milliseconds(100)); }

absl::Status BadField(std::string field, std::string what) {
  Violations violations;
  violations.Add(std::move(field), std::move(what));
  return std::move(violations).ToStatus();
}

absl::Status Violations::ToStatus() && {
  if (found_.empty()) return absl::OkStatus();
  std::string message = fmt::format("{}: {}", found_.front().first, found_.front().second);
  if (found_.size() > 1) message += fmt::format(" (and {} more)", found_.size() - 1);
  ErrorDetail detail;
  detail.violations = std::move(found_);
  return ReasonError("BAD_REQUEST", message, std::move(detail));
}

}  // namespace waybill::domain
