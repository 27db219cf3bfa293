#include "runtime/status.h"

#include <charconv>
#include <iterator>

#include "absl/strings/cord.h"
#include "fmt/format.h"

namespace waybill {
namespace {

constexpr char kPayloadUrl[] = "waybill/error-detail";

// Length-prefixed strings: "<length>:<bytes>". The payload never leaves the process.
void Put(std::string& out, std::string_view text) {
  fmt::format_to(std::back_inserter(out), "{}:{}", text.size(), text);
}

int64_t ToNumber(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string Take(std::string_view& in) {
  size_t colon = in.find(':');
  if (colon == std::string_view::npos) return "";
  size_t length = static_cast<size_t>(ToNumber(in.substr(0, colon)));
  std::string text(in.substr(colon + 1, length));
  in.remove_prefix(colon + 1 + text.size());
  return text;
}

void PutPairs(std::string& out, const std::vector<std::pair<std::string, std::string>>& pairs) {
  Put(out, std::to_string(pairs.size()));
  for (const auto& [key, value] : pairs) {
    Put(out, key);
    Put(out, value);
  }
}

std::vector<std::pair<std::string, std::string>> TakePairs(std::string_view& in) {
  int64_t count = ToNumber(Take(in));
  std::vector<std::pair<std::string, std::string>> pairs;
  for (int64_t i = 0; i < count; ++i) {
    std::string key = Take(in);
    pairs.emplace_back(std::move(key), Take(in));
  }
  return pairs;
}

}  // namespace

absl::Status MakeError(absl::StatusCode code, std::string_view message, const ErrorDetail& detail) {
  std::string payload;
  Put(payload, detail.reason);
  PutPairs(payload, detail.metadata);
  PutPairs(payload, detail.violations);
  PutPairs(payload, detail.quotas);
  Put(payload, std::to_string(absl::ToInt64Nanoseconds(detail.retry_after)));
  absl::Status status(code, std::string(message));
  status.SetPayload(kPayloadUrl, absl::Cord(payload));
  return status;
}

ErrorDetail GetErrorDetail(const absl::Status& status) {
  ErrorDetail detail;
  auto payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return detail;
  std::string bytes(*payload);
  std::string_view in = bytes;
  detail.reason = Take(in);
  detail.metadata = TakePairs(in);
  detail.violations = TakePairs(in);
  detail.quotas = TakePairs(in);
  detail.retry_after = absl::Nanoseconds(ToNumber(Take(in)));
  return detail;
}

}  // namespace waybill
