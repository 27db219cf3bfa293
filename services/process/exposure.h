// Who can reach a service, and over what: the settings of its TLS, and that nothing is open to the world unless
// somebody has said so.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/asio/ssl/context.hpp"
#include "edge/tls/credentials.h"
#include "edge/tls/watcher.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/readiness.h"

namespace waybill::process {

struct Exposure {
  tls::Files tls;                         // none: plain
  std::string client_certificates;        // "require" or "accept"; "": require, where there is a CA
  std::vector<std::string> expose_plain;  // of "grpc" and "side", the HTTP port
  size_t side_connections_per_address = 1'000;
  std::string reflection;  // "on" or "off"; "": on where only this machine reaches the port
};

// --tls-certificate, --tls-key, --tls-client-ca, --tls-client-certificates, --expose-plain,
// --side-connections-per-address and --reflection.
void AddExposureSettings(CLI::App& app, Exposure& exposure);

// INVALID_ARGUMENT names the settings that contradict each other, or the address that others can reach although it is
// plain and nobody has said that it may be.
absl::Status CheckExposure(const Exposure& exposure, const std::string& listen, const std::string& side_listen);

tls::ClientCertificates ClientCertificatesOf(const Exposure& exposure);

// With a certificate both ports are served over TLS; the side port stays plain where --expose-plain says so, for probes
// and scrapes.
bool SideIsPlain(const Exposure& exposure);
// As http::ServerOptions::tls; nothing where the side port is plain. `watcher` is null without a certificate, and
// outlives what is answered.
std::function<std::shared_ptr<boost::asio::ssl::context>()> SideTls(const Exposure& exposure,
                                                                    const tls::Watcher* watcher);
// Not where it is plain beside a gRPC port that is not: who may call has to show a certificate there, perhaps.
bool SideTakesCalls(const Exposure& exposure);

// Whether the gRPC port at `listen` tells anybody what methods there are.
bool HasReflection(const Exposure& exposure, const std::string& listen);

// Warns once if the gRPC port is plain.
void WarnOfPlainPort(const Exposure& exposure, const std::string& listen, const Logger& log);

// As tls::Watcher::Start; null where there are no files.
absl::StatusOr<std::unique_ptr<tls::Watcher>> WatchCertificates(const std::string& use, const tls::Files& files,
                                                                const Clock& clock, const Logger& log,
                                                                Metrics& metrics);

// The check "certificate_`use`" of what is watched; none of null. `watcher` outlives `readiness`.
void AddCertificateCheck(Readiness& readiness, const std::string& use, const tls::Watcher* watcher);

}  // namespace waybill::process
