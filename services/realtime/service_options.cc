#include "services/realtime/service_options.h"

#include <string_view>
#include <utility>

#include "edge/http/origins.h"
#include "edge/tokens/token.h"
#include "fmt/format.h"
#include "runtime/local_address.h"
#include "services/process/flags.h"

namespace waybill::realtime {

void DeclareSettings(CLI::App& app, ServiceOptions& options) {
  app.description(
      "waybill-realtime tells apps by WebSocket what happens to the orders that they follow: GET /ws/connect. It "
      "reads\n"
      "the orders' logs in Postgres and keeps nothing itself, so any number of it may run.");
  app.add_option("--listen", options.listen, "Address of the port that apps connect to; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--side-listen", options.side_listen, "Address of the HTTP port for probes and metrics, always plain")
      ->capture_default_str();
  app.add_option("--tls-certificate", options.tls.certificate,
                 "Serve apps over TLS with this certificate (PEM), and behind it those of the CAs between. It is read "
                 "again every 5 s, as is the key")
      ->type_name("FILE");
  app.add_option("--tls-key", options.tls.key, "The certificate's key (PEM, not encrypted)")->type_name("FILE");
  app.add_flag("--expose-plain", options.expose_plain,
               "Listen where other machines reach it although that is plain: behind a proxy, or in a closed network");
  app.add_option("--web-origins", options.web_origins,
                 "Origins whose pages may connect, with commas between; * for all (default: none)")
      ->check([](const std::string& text) { return std::string(http::ParseOrigins(text).status().message()); });
  app.add_option("--token-keys-file", options.token_keys_file,
                 "File with the keys that tokens of apps are signed by, read again every 5 s (docs/realtime.md)")
      ->type_name("FILE");
  app.add_option("--port-file", options.port_file,
                 "Write the bound ports to this file once serving: realtime=PORT, side=PORT");
  app.add_option("--database-url", options.database_url, "Postgres")->envname("DATABASE_URL")->capture_default_str();
  process::AddDuration(app, "--store-wait", options.store_wait, "How long to wait for Postgres at start");
  process::AddDuration(app, "--poll", options.channels.poll, "How often it is asked what happened to followed orders",
                       absl::Minutes(1));
  app.add_option("--epoch", options.channels.epoch,
                 "To be another one after an older state of the database was put back: apps then begin anew")
      ->capture_default_str();
  process::AddInteger(app, "--connections-max", options.connections_max, "WebSockets at a time; for more: 503")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--connections-per-address", options.connections_per_address_max,
                      "Connections of one address, or one /64 of IPv6; more are closed at once. Loopback is not "
                      "counted; behind a proxy, which is one address, give it more")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--connections-per-user", options.connections_per_user_max,
                      "WebSockets of one user at a time, or of a device whose token names no user")
      ->check(CLI::Range(size_t{1}, size_t{1'000'000}))
      ->capture_default_str();
  process::AddInteger(app, "--subscriptions-max", options.sessions.subscriptions_max,
                      "Orders that one WebSocket may follow at a time")
      ->check(CLI::Range(size_t{1}, size_t{10'000}))
      ->capture_default_str();
  process::AddDuration(app, "--ping-after", options.ping_after,
                       "A client that is silent for so long is pinged, and has 10 s to answer", absl::Hours(1));
  process::AddDuration(app, "--drain", options.drain,
                       "At SIGTERM WebSockets are closed one after the other within this time");
  process::AddLogFlags(app, options.log_levels, options.log_format);
}

absl::Status FinishSettings(ServiceOptions& options) {
  const auto wrong = [](std::string_view what) { return absl::InvalidArgumentError(std::string(what)); };
  if (options.token_keys_file.empty()) {
    return wrong("--token-keys-file is missing: without keys nobody's token can be told from a forged one");
  }
  if (const auto keys = tokens::Keys::Read(options.token_keys_file); !keys.ok()) {
    return absl::InvalidArgumentError(fmt::format("--token-keys-file: {}", std::string(keys.status().message())));
  }
  if (options.tls.certificate.empty() != options.tls.key.empty()) {
    return wrong("--tls-certificate and --tls-key are given together, or not at all");
  }
  if (options.channels.epoch.empty() || options.channels.epoch.size() > 64) {
    return wrong("--epoch is not 1 to 64 characters");
  }
  for (const auto& [flag, address] :
       {std::pair("--listen", &options.listen), std::pair("--side-listen", &options.side_listen)}) {
    const bool covered = address == &options.listen && !options.tls.empty();
    if (covered || options.expose_plain || IsLocal(*address)) continue;
    return absl::InvalidArgumentError(fmt::format(
        "{} {} can be reached from other machines, and is plain: add --expose-plain if that is meant", flag, *address));
  }
  return absl::OkStatus();
}

}  // namespace waybill::realtime
