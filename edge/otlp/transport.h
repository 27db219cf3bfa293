// How spans get to a collector: by OTLP over gRPC or HTTP.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/tls/credentials.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace waybill::otlp {

namespace pb = opentelemetry::proto::collector::trace::v1;

struct Sent {
  absl::Status status;
  bool again = false;    // the same may succeed later
  absl::Duration after;  // ...and not before so long, if the collector has said so
  int64_t rejected = 0;  // of those that were taken otherwise
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Blocks until the collector has answered, at most for `timeout`. One thread at a time.
  virtual Sent Send(const pb::ExportTraceServiceRequest& request, absl::Duration timeout) = 0;
};

// Where a collector is.
struct Endpoint {
  enum class Protocol { kGrpc, kHttp };
  Protocol protocol = Protocol::kGrpc;
  bool tls = false;
  std::string host;  // an IPv6 address without brackets
  int port = 0;
  std::string path;  // of HTTP: "/v1/traces", or behind what was said
};

// grpc[s]://HOST[:PORT] or http[s]://HOST[:PORT][/PREFIX]; without a port 4317, or 4318 for HTTP. INVALID_ARGUMENT says
// what is wrong.
absl::StatusOr<Endpoint> ParseEndpoint(std::string_view url);

// `ca` is PEM of those who may vouch for the collector; "": those of this machine.
std::unique_ptr<Transport> NewGrpcTransport(const Endpoint& endpoint, const std::string& ca);
std::unique_ptr<Transport> NewHttpTransport(const Endpoint& endpoint, const std::string& ca);
inline std::unique_ptr<Transport> NewTransport(const Endpoint& endpoint, const std::string& ca) {
  return endpoint.protocol == Endpoint::Protocol::kGrpc ? NewGrpcTransport(endpoint, ca)
                                                        : NewHttpTransport(endpoint, ca);
}

}  // namespace waybill::otlp
