#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/numbers.h"
#include "edge/otlp/transport.h"
#include "fmt/format.h"

namespace waybill::otlp {
namespace {

struct Scheme {
  std::string_view name;
  Endpoint::Protocol protocol;
  bool tls;
  int port;
};
constexpr std::array<Scheme, 4> kSchemes = {{{"grpc://", Endpoint::Protocol::kGrpc, false, 4317},
                                             {"grpcs://", Endpoint::Protocol::kGrpc, true, 4317},
                                             {"http://", Endpoint::Protocol::kHttp, false, 4318},
                                             {"https://", Endpoint::Protocol::kHttp, true, 4318}}};

absl::Status NoEndpoint(std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("{}; wanted is grpc[s]://HOST[:PORT] or http[s]://HOST[:PORT]", why));
}

}  // namespace

absl::StatusOr<Endpoint> ParseEndpoint(std::string_view url) {
  const auto scheme =
      std::find_if(kSchemes.begin(), kSchemes.end(), [&](const Scheme& known) { return url.starts_with(known.name); });
  if (scheme == kSchemes.end()) return NoEndpoint("no collector begins so");
  Endpoint endpoint;
  endpoint.protocol = scheme->protocol;
  endpoint.tls = scheme->tls;
  endpoint.port = scheme->port;
  url.remove_prefix(scheme->name.size());
  const std::string_view authority = url.substr(0, url.find('/'));
  std::string_view path = url.substr(authority.size());
  const bool plain = std::all_of(url.begin(), url.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '@' && c != '?' && c != '#' && c != '"' && c != '\\';
  });
  if (!plain) return NoEndpoint("it has characters that no such address has");
  std::string_view host = authority, port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return NoEndpoint("the address has no ]");
    host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
  } else if (const size_t colon = authority.rfind(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (host.empty() || (host.find(':') != std::string_view::npos) != authority.starts_with('[')) {
    return NoEndpoint("it names no host");
  }
  if (!port.empty()) {
    const bool digits = port.size() > 1 && port[0] == ':' && port.find_first_not_of("0123456789", 1) == port.npos;
    if (!digits || !absl::SimpleAtoi(absl::string_view(port.data() + 1, port.size() - 1), &endpoint.port) ||
        endpoint.port < 1 || endpoint.port > 65'535) {
      return NoEndpoint("the port is none");
    }
  }
  endpoint.host = host;
  while (path.ends_with('/')) path.remove_suffix(1);
  if (endpoint.protocol == Endpoint::Protocol::kGrpc) {
    if (!path.empty()) return NoEndpoint("gRPC knows no path");
    return endpoint;
  }
  constexpr std::string_view kTraces = "/v1/traces";  // by OTLP, whatever stands before it
  endpoint.path = path;
  if (!path.ends_with(kTraces)) endpoint.path += kTraces;
  return endpoint;
}

}  // namespace waybill::otlp
