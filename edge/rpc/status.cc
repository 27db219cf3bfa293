#include "edge/rpc/status.h"

#include <string>
#include <string_view>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "runtime/status.h"

namespace waybill::rpc {
namespace {

constexpr size_t kMessageBytesMax = 1000;
constexpr size_t kDetailsBytesMax = 2500;

// At most `bytes_max` of `text`, never ending inside a UTF-8 sequence.
std::string Cut(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return std::string(text);
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

void SetDuration(absl::Duration from, google::protobuf::Duration& to) {
  to.set_seconds(absl::IDivDuration(from, absl::Seconds(1), &from));
  to.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(from)));
}

google::rpc::BadRequest ToBadRequest(const ErrorDetail& detail) {
  google::rpc::BadRequest bad;
  size_t bytes = 0;
  for (const auto& [field, description] : detail.violations) {
    bytes += field.size() + description.size() + 8;
    if (bytes > kDetailsBytesMax) break;
    auto& violation = *bad.add_field_violations();
    violation.set_field(field);
    violation.set_description(description);
  }
  return bad;
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  auto code = static_cast<grpc::StatusCode>(status.code());
  std::string message = Cut({status.message().data(), status.message().size()}, kMessageBytesMax);
  ErrorDetail detail = GetErrorDetail(status);
  google::rpc::Status wire;
  if (!detail.reason.empty()) {
    google::rpc::ErrorInfo info;
    info.set_reason(detail.reason);
    info.set_domain(kErrorDomain);
    for (const auto& [key, value] : detail.metadata) (*info.mutable_metadata())[key] = Cut(value, kMessageBytesMax);
    wire.add_details()->PackFrom(info);
  }
  if (!detail.violations.empty()) wire.add_details()->PackFrom(ToBadRequest(detail));
  if (!detail.quotas.empty()) {
    google::rpc::QuotaFailure quota;
    for (const auto& [subject, description] : detail.quotas) {
      auto& violation = *quota.add_violations();
      violation.set_subject(Cut(subject, kMessageBytesMax));
      violation.set_description(Cut(description, kMessageBytesMax));
    }
    wire.add_details()->PackFrom(quota);
  }
  if (detail.retry_after > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    SetDuration(detail.retry_after, *retry.mutable_retry_delay());
    wire.add_details()->PackFrom(retry);
  }
  if (wire.details_size() == 0) return grpc::Status(code, message);
  wire.set_code(static_cast<int32_t>(code));
  wire.set_message(message);
  return grpc::Status(code, message, wire.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  auto code = static_cast<absl::StatusCode>(status.error_code());
  ErrorDetail detail;
  google::rpc::Status wire;
  if (!status.error_details().empty() && wire.ParseFromString(status.error_details())) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad;
    google::rpc::QuotaFailure quota;
    google::rpc::RetryInfo retry;
    for (const google::protobuf::Any& any : wire.details()) {
      if (any.UnpackTo(&info)) {
        if (info.domain() != kErrorDomain) continue;
        detail.reason = info.reason();
        for (const auto& [key, value] : info.metadata()) detail.metadata.emplace_back(key, value);
      } else if (any.UnpackTo(&bad)) {
        for (const auto& violation : bad.field_violations()) {
          detail.violations.emplace_back(violation.field(), violation.description());
        }
      } else if (any.UnpackTo(&quota)) {
        for (const auto& violation : quota.violations()) {
          detail.quotas.emplace_back(violation.subject(), violation.description());
        }
      } else if (any.UnpackTo(&retry)) {
        detail.retry_after = ToDuration(retry.retry_delay());
      }
    }
  }
  if (detail.reason.empty() && detail.violations.empty() && detail.quotas.empty() &&
      detail.retry_after == absl::ZeroDuration()) {
    return absl::Status(code, status.error_message());
  }
  return MakeError(code, status.error_message(), detail);
}

}  // namespace waybill::rpc
