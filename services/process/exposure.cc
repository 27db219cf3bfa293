#include "services/process/exposure.h"

#include <algorithm>
#include <utility>

#include "edge/tls/server_context.h"
#include "fmt/format.h"
#include "runtime/local_address.h"
#include "services/process/flags.h"

namespace waybill::process {
namespace {

bool MayBePlain(const Exposure& exposure, std::string_view port) {
  return std::find(exposure.expose_plain.begin(), exposure.expose_plain.end(), port) != exposure.expose_plain.end();
}

absl::Status Open(std::string_view setting, const std::string& listen, std::string_view port) {
  return absl::InvalidArgumentError(
      fmt::format("{} {} can be reached from other machines, and has no TLS: give --tls-certificate and --tls-key; "
                  "behind a proxy, or in a network that is closed to others, say so with --expose-plain {}",
                  setting, listen, port));
}

}  // namespace

void AddExposureSettings(CLI::App& app, Exposure& exposure) {
  app.add_option("--tls-certificate", exposure.tls.certificate,
                 "Serve both ports over TLS with this certificate (PEM), and behind it those of the CAs between. It is "
                 "read again every 5 s, as are key and CA")
      ->type_name("FILE");
  app.add_option("--tls-key", exposure.tls.key, "The certificate's key (PEM, not encrypted)")->type_name("FILE");
  app.add_option("--tls-client-ca", exposure.tls.ca,
                 "Ask clients for a certificate, which has to be of one of these CAs (PEM)")
      ->type_name("FILE");
  app.add_option("--tls-client-certificates", exposure.client_certificates,
                 "Whether clients without a certificate are served: require, accept (default: require)")
      ->check(CLI::IsMember({"require", "accept"}));
  app.add_option("--expose-plain", exposure.expose_plain,
                 "Ports that are plain although other machines may reach them, or there is a certificate: grpc, side")
      ->check(CLI::IsMember({"grpc", "side"}))
      ->delimiter(',');
  AddInteger(
      app, "--side-connections-per-address", exposure.side_connections_per_address,
      "Connections to the HTTP port from one address, or from one /64 of IPv6; more are closed at once. Loopback "
      "is not counted; behind a proxy, which is one address, give it more")
      ->check(CLI::Range(size_t{1}, size_t{10'000}))
      ->capture_default_str();
  app.add_option(
         "--reflection", exposure.reflection,
         "Whether anybody is told over gRPC what methods there are: on, off (default: on where no other machine "
         "reaches the port)")
      ->check(CLI::IsMember({"on", "off"}));
}

absl::Status CheckExposure(const Exposure& exposure, const std::string& listen, const std::string& side_listen) {
  const auto& [certificate, key, ca] = exposure.tls;
  const auto lacks = [](std::string_view given, std::string_view lacking) {
    return absl::InvalidArgumentError(fmt::format("{} is given without {}", given, lacking));
  };
  if (key.empty() && !certificate.empty()) return lacks("--tls-certificate", "--tls-key");
  if (certificate.empty() && !key.empty()) return lacks("--tls-key", "--tls-certificate");
  if (certificate.empty() && !ca.empty()) return lacks("--tls-client-ca", "--tls-certificate and --tls-key");
  if (ca.empty() && !exposure.client_certificates.empty()) return lacks("--tls-client-certificates", "--tls-client-ca");
  if (!certificate.empty() && MayBePlain(exposure, "grpc")) {
    return absl::InvalidArgumentError("--expose-plain grpc is given, and --tls-certificate too");
  }
  if (!certificate.empty()) return absl::OkStatus();
  if (!MayBePlain(exposure, "grpc") && !IsLocal(listen)) return Open("--listen", listen, "grpc");
  if (!MayBePlain(exposure, "side") && !IsLocal(side_listen)) return Open("--side-listen", side_listen, "side");
  return absl::OkStatus();
}

bool SideIsPlain(const Exposure& exposure) { return exposure.tls.empty() || MayBePlain(exposure, "side"); }

std::function<std::shared_ptr<boost::asio::ssl::context>()> SideTls(const Exposure& exposure,
                                                                    const tls::Watcher* watcher) {
  if (SideIsPlain(exposure)) return nullptr;
  return [context = std::make_shared<tls::ServerContext>(*watcher, ClientCertificatesOf(exposure))] {
    return context->current();
  };
}

bool SideTakesCalls(const Exposure& exposure) { return exposure.tls.empty() || !SideIsPlain(exposure); }

tls::ClientCertificates ClientCertificatesOf(const Exposure& exposure) {
  if (exposure.tls.ca.empty()) return tls::ClientCertificates::kNone;
  return exposure.client_certificates == "accept" ? tls::ClientCertificates::kAccept
                                                  : tls::ClientCertificates::kRequire;
}

bool HasReflection(const Exposure& exposure, const std::string& listen) {
  return exposure.reflection.empty() ? IsLocal(listen) : exposure.reflection == "on";
}

void WarnOfPlainPort(const Exposure& exposure, const std::string& listen, const Logger& log) {
  if (!exposure.tls.empty()) return;
  log.Warn(IsLocal(listen) ? "the gRPC port is plain: whoever is on this machine can call and listen in"
                           : "the gRPC port is plain: whoever reaches it can call and listen in",
           {{"listen", listen}, {"instead", "--tls-certificate and --tls-key"}});
}

absl::StatusOr<std::unique_ptr<tls::Watcher>> WatchCertificates(const std::string& use, const tls::Files& files,
                                                                const Clock& clock, const Logger& log,
                                                                Metrics& metrics) {
  if (files.empty()) return nullptr;
  return tls::Watcher::Start(use, files, clock, log, metrics);
}

void AddCertificateCheck(Readiness& readiness, const std::string& use, const tls::Watcher* watcher) {
  if (watcher == nullptr) return;
  readiness.Add("certificate_" + use, Readiness::Severity::kDegraded, absl::Seconds(1),
                [watcher] { return watcher->Verdict(); });
}

}  // namespace waybill::process
