#include "edge/connect/protocol.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "absl/strings/escaping.h"
#include "edge/rpc/call.h"
#include "fmt/format.h"
#include "google/protobuf/descriptor.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "nlohmann/json.hpp"

namespace waybill::connect {
namespace {

using nlohmann::ordered_json;

struct Code {
  std::string_view name;
  unsigned http;
};
// By gRPC's number.
constexpr std::array<Code, 17> kCodes = {{{"ok", 200},
                                          {"canceled", 499},
                                          {"unknown", 500},
                                          {"invalid_argument", 400},
                                          {"deadline_exceeded", 504},
                                          {"not_found", 404},
                                          {"already_exists", 409},
                                          {"permission_denied", 403},
                                          {"resource_exhausted", 429},
                                          {"failed_precondition", 400},
                                          {"aborted", 409},
                                          {"out_of_range", 400},
                                          {"unimplemented", 501},
                                          {"internal", 500},
                                          {"unavailable", 503},
                                          {"data_loss", 500},
                                          {"unauthenticated", 401}}};

const Code& CodeOf(grpc::StatusCode code) {
  const auto number = static_cast<size_t>(code);
  return kCodes[number < kCodes.size() ? number : static_cast<size_t>(grpc::StatusCode::UNKNOWN)];
}

// Bytes that are no UTF-8 would throw.
std::string Dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string Unpadded(std::string_view bytes) {
  std::string text = absl::Base64Escape({bytes.data(), bytes.size()});
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

google::rpc::Status WireOf(const grpc::Status& status) {
  google::rpc::Status wire;
  if (!wire.ParseFromString(status.error_details())) wire.Clear();
  return wire;
}

ordered_json Error(const grpc::Status& status, const Json& json) {
  ordered_json error = {{"code", CodeOf(status.error_code()).name}};
  if (!status.error_message().empty()) error["message"] = status.error_message();
  const google::rpc::Status wire = WireOf(status);
  for (const google::protobuf::Any& detail : wire.details()) {
    const std::string type = detail.type_url().substr(detail.type_url().rfind('/') + 1);
    ordered_json shown = {{"type", type}, {"value", Unpadded(detail.value())}};
    const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(type);
    if (descriptor != nullptr) {
      if (auto text = json.FromBytes(*descriptor, detail.value()); text.ok()) {
        shown["debug"] = ordered_json::parse(*text, nullptr, false);
      }
    }
    error["details"].push_back(std::move(shown));
  }
  return error;
}

// Fields that mean something to our handlers. Which certificate a client has shown is told by the server alone.
bool IsForHandlers(std::string_view name) {
  constexpr std::array<std::string_view, 5> kKnown = {"authorization", "baggage", "idempotency-key", "traceparent",
                                                      "tracestate"};
  if (std::find(kKnown.begin(), kKnown.end(), name) != kKnown.end()) return true;
  return name.substr(0, 8) == "waybill-" && name != rpc::kCertificateNameKey;
}

}  // namespace

std::string_view CodeName(grpc::StatusCode code) { return CodeOf(code).name; }
unsigned HttpStatus(grpc::StatusCode code) { return CodeOf(code).http; }

std::string ErrorJson(const grpc::Status& status, const Json& json) { return Dump(Error(status, json)); }

absl::Duration RetryAfter(const grpc::Status& status) {
  const google::rpc::Status wire = WireOf(status);
  for (const google::protobuf::Any& detail : wire.details()) {
    google::rpc::RetryInfo retry;
    if (detail.UnpackTo(&retry)) {
      return absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return absl::ZeroDuration();
}

std::string Envelope(uint8_t flags, std::string_view message) {
  std::string envelope(5, '\0');
  envelope[0] = static_cast<char>(flags);
  for (int i = 0; i < 4; ++i) envelope[static_cast<size_t>(1 + i)] = static_cast<char>(message.size() >> (24 - 8 * i));
  return envelope.append(message);
}

absl::StatusOr<Enveloped> OnlyEnvelope(std::string_view body) {
  if (body.size() < 5) return absl::InvalidArgumentError("the body has no whole envelope");
  Enveloped found;
  found.flags = static_cast<uint8_t>(body[0]);
  uint32_t length = 0;
  for (size_t i = 1; i < 5; ++i) length = length << 8 | static_cast<uint8_t>(body[i]);
  if ((found.flags & ~kCompressed) != 0) {
    return absl::InvalidArgumentError(
        fmt::format("the envelope has flags {:#04x}, which a request has not", found.flags));
  }
  if (length != body.size() - 5) {
    return absl::InvalidArgumentError(
        fmt::format("the envelope is of {} bytes, and {} follow; a request has one", length, body.size() - 5));
  }
  found.message = body.substr(5);
  return found;
}

std::string EndJson(const grpc::Status& status, const Metadata& metadata, const Json& json) {
  ordered_json end = ordered_json::object();
  if (!status.ok()) end["error"] = Error(status, json);
  for (const auto& [name, value] : metadata) end["metadata"][name].push_back(value);
  return Dump(end);
}

absl::StatusOr<absl::Duration> Timeout(std::string_view text) {
  if (text.empty()) return absl::InfiniteDuration();
  int64_t milliseconds = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || text.size() > 10) {
      return absl::InvalidArgumentError("connect-timeout-ms is not one to ten digits");
    }
    milliseconds = milliseconds * 10 + (c - '0');
  }
  return absl::Milliseconds(milliseconds);
}

absl::StatusOr<Metadata> MetadataOf(const http::Request& request) {
  Metadata metadata;
  for (const auto& [name, value] : request.fields) {
    if (!IsForHandlers(name)) continue;
    const bool name_fits = std::all_of(name.begin(), name.end(), [](unsigned char c) {
      return std::islower(c) || std::isdigit(c) || c == '-' || c == '_' || c == '.';
    });
    const bool value_fits =
        std::all_of(value.begin(), value.end(), [](unsigned char c) { return c >= ' ' && c <= '~'; });
    if (!name_fits || !value_fits) {
      return absl::InvalidArgumentError(
          fmt::format("the field {} is not printable ASCII", name_fits ? name : "waybill-…"));
    }
    metadata.emplace_back(name, value);
  }
  return metadata;
}

bool Accepts(std::string_view accept_encoding, std::string_view name) {
  while (!accept_encoding.empty()) {
    std::string_view one = accept_encoding.substr(0, accept_encoding.find(','));
    accept_encoding.remove_prefix(std::min(accept_encoding.size(), one.size() + 1));
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
    const std::string_view coding = one.substr(0, one.find_first_of("; "));
    const size_t weight = one.find("q=0");
    const bool refused =
        weight != std::string_view::npos && one.find_first_not_of("0.", weight + 2) == std::string_view::npos;
    if (coding == name) return !refused;
  }
  return false;
}

}  // namespace waybill::connect
