// The Connect protocol's own words: errors, envelopes, timeouts, and what of a request's fields is for the handlers.
// What stock clients send and bear was seen with @connectrpc/connect 2.3.0 and connect-go 2.0.2.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/connect/json.h"
#include "edge/http/exchange.h"
#include "edge/http/origins.h"
#include "grpcpp/support/status.h"

namespace waybill::connect {

// "invalid_argument"; "unknown" for what is no code.
std::string_view CodeName(grpc::StatusCode code);
unsigned HttpStatus(grpc::StatusCode code);

// {"code": …, "message": …, "details": [{"type", "value", "debug"}, …]}. `debug` is the detail as JSON, for people with
// curl.
std::string ErrorJson(const grpc::Status& status, const Json& json);
// How long a retry is to wait, by the status's RetryInfo; zero: it does not say.
absl::Duration RetryAfter(const grpc::Status& status);

// One message of a stream: a byte of flags, four of length, and the message.
inline constexpr uint8_t kCompressed = 1;
inline constexpr uint8_t kEnd = 2;
std::string Envelope(uint8_t flags, std::string_view message);
struct Enveloped {
  uint8_t flags = 0;
  std::string_view message;
};
// The only one of a request's body. INVALID_ARGUMENT: it is cut short, there is another, or a flag is not known.
absl::StatusOr<Enveloped> OnlyEnvelope(std::string_view body);

using Metadata = std::vector<std::pair<std::string, std::string>>;
std::string EndJson(const grpc::Status& status, const Metadata& metadata, const Json& json);

// Of "connect-timeout-ms": infinite when empty. INVALID_ARGUMENT unless it is one to ten digits.
absl::StatusOr<absl::Duration> Timeout(std::string_view text);

// What handlers see of the fields: who calls, the trace, and all that is Waybill's. INVALID_ARGUMENT names a field
// whose value gRPC could not carry.
absl::StatusOr<Metadata> MetadataOf(const http::Request& request);

using http::ParseOrigins;

// Whether `name` is among the encodings of an Accept-Encoding.
bool Accepts(std::string_view accept_encoding, std::string_view name);

}  // namespace waybill::connect
