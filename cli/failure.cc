#include "cli/failure.h"

#include <utility>

#include "cli/terminal.h"
#include "cli/values.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/status.h"

namespace waybill::cli {
namespace {

// What callers of the API do by metadata is done by options here.
constexpr std::pair<std::string_view, std::string_view> kByOptions[] = {
    {"NO_IDENTITY", "Give a key by --key-file or WAYBILL_KEY, or a certificate by --tls-certificate and --tls-key."},
    {"CLIENT_MISMATCH", "Leave --client out, or use that client's key. Nothing was done."},
};

// Empty for a reason that this build's table does not have: servers may be newer, and other domains have their own.
std::string_view WhatToDo(std::string_view reason, std::string_view hint) {
  for (const auto& [name, what_to_do] : kByOptions) {
    if (name == reason) return what_to_do;
  }
  for (const domain::Reason& row : domain::kReasons) {
    if (row.name == reason) return row.what_to_do;
  }
  return hint;
}

void AddSentence(std::string& line, std::string_view sentence) {
  if (sentence.empty()) return;
  if (line.back() != '.' && line.back() != '!' && line.back() != '?') line += '.';
  line += ' ';
  line += sentence;
}

}  // namespace

absl::Status NameOptions(const absl::Status& status, OptionsOfFields options) {
  ErrorDetail detail = GetErrorDetail(status);
  std::string message(status.message());
  const auto rename = [&](std::string& field) {
    for (const auto& [name, option] : options) {
      if (field != name) continue;
      // A single violation is the message itself, see Violations::ToStatus.
      if (message.starts_with(field + ": ")) message.replace(0, field.size(), option);
      field = option;
      return;
    }
  };
  for (auto& [field, problem] : detail.violations) rename(field);
  for (auto& [key, value] : detail.metadata) {
    if (key == "field") rename(value);
  }
  return MakeError(status.code(), message, detail);
}

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
      return ExitCode::kUsage;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return ExitCode::kRefused;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
      return ExitCode::kUnavailable;
    default:
      return ExitCode::kFailed;
  }
}

std::string RenderError(const absl::Status& status, std::string_view hint) {
  ErrorDetail detail = GetErrorDetail(status);
  std::string line = absl::StatusCodeToString(status.code());
  if (!detail.reason.empty()) line += fmt::format(" ({})", Printable(detail.reason));
  std::string message(status.message());
  if (!message.empty()) line += ": " + Printable(message);
  const char* separator = ": ";
  for (const auto& [field, problem] : detail.violations) {
    std::string violation = fmt::format("{}: {}", field, problem);
    if (message.find(violation) != std::string::npos) continue;  // a single one is often the message itself
    line += separator + Printable(violation);
    separator = "; ";
  }
  if (!detail.metadata.empty()) {
    line += " [";
    for (size_t i = 0; i < detail.metadata.size(); ++i) {
      const auto& [key, value] = detail.metadata[i];
      line += fmt::format("{}{}={}", i == 0 ? "" : ", ", Printable(key), Printable(value));
    }
    line += "]";
  }
  AddSentence(line, WhatToDo(detail.reason, hint));
  if (detail.retry_after > absl::ZeroDuration()) {
    AddSentence(line, fmt::format("A retry may help after {}.", ShowDuration(detail.retry_after)));
  }
  return line;
}

std::string RenderErrorJson(const absl::Status& status, std::string_view hint) {
  ErrorDetail detail = GetErrorDetail(status);
  nlohmann::ordered_json error;
  error["code"] = absl::StatusCodeToString(status.code());
  if (!detail.reason.empty()) error["reason"] = detail.reason;
  error["message"] = std::string(status.message());
  for (const auto& [field, problem] : detail.violations)
    error["fields"].push_back({{"field", field}, {"problem", problem}});
  for (const auto& [key, value] : detail.metadata) error["metadata"][key] = value;
  std::string_view next = WhatToDo(detail.reason, hint);
  if (!next.empty()) error["what_to_do"] = std::string(next);
  if (detail.retry_after > absl::ZeroDuration())
    error["retry_after_ms"] = absl::ToInt64Milliseconds(detail.retry_after);
  return nlohmann::ordered_json{{"error", std::move(error)}}.dump(-1, ' ', false,
                                                                  nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace waybill::cli
