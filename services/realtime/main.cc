// waybill-realtime: reading this shows the whole service. Everything is built here and handed to the next.
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edge/http/origins.h"
#include "edge/http/probes.h"
#include "edge/http/server.h"
#include "edge/tls/server_context.h"
#include "edge/tls/watcher.h"
#include "edge/websocket/endpoint.h"
#include "fmt/format.h"
#include "runtime/build.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/readiness.h"
#include "runtime/scheduler.h"
#include "runtime/shutdown.h"
#include "services/process/exposure.h"
#include "services/process/startup.h"
#include "services/realtime/apps.h"
#include "services/realtime/order_channels.h"
#include "services/realtime/service_options.h"
#include "storage/postgres/order_store.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/rights.h"

namespace waybill::realtime {
namespace {

// Whole or not at all: whoever waits for the file may read it at once.
absl::Status WritePortFile(const std::string& path, int port, int side_port) {
  if (path.empty()) return absl::OkStatus();
  const std::string fresh = path + ".new";
  std::ofstream(fresh) << fmt::format("realtime={}\nside={}\n", port, side_port);
  if (std::rename(fresh.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::InternalError(fmt::format("cannot write {}", path));
}

int Serve(const ServiceOptions& options, const Clock& clock, const Logger& log, StopRequest& stop,
          process::ProcessAudit&) {
  Metrics metrics;
  AddProcessMetrics(metrics);
  AddBuildInfo(metrics, "waybill-realtime", ThisBuild());
  const ThreadLoops loops;
  SeededRandom random(EntropySeed());
  ThreadScheduler scheduler(clock);

  auto keys = TokenKeys::Open(options.token_keys_file, log, metrics);
  if (!keys.ok()) return process::Fail(log, "bad --token-keys-file", keys.status());
  auto certificates = process::WatchCertificates("server", options.tls, clock, log, metrics);
  if (!certificates.ok()) return process::Fail(log, "cannot serve over TLS", certificates.status());

  // Stores. Nothing connects yet.
  storage::Pool reads(options.database_url, storage::ReadConnectionOptions(), storage::PoolOptions{1});
  storage::PostgresOrderStore orders(reads);
  storage::Pool pings(options.database_url, storage::ReadConnectionOptions(), storage::PoolOptions{1});
  storage::PostgresOrderStore pinged(pings);

  // The side port comes first: while Postgres is awaited, it says so.
  Readiness readiness(clock);
  readiness.Add("postgres", Readiness::Severity::kRequired, absl::Seconds(2), [&pinged] { return pinged.Ping(); });
  process::AddCertificateCheck(readiness, "server", certificates->get());
  AddReadinessMetrics(metrics, readiness);
  process::AddPoolMetrics(metrics, {{"read", &reads}});
  Metrics side_metrics;  // the port's own would be those of the apps' port
  http::ServerOptions side_options;
  side_options.listen = options.side_listen;
  auto side_port = http::Server::Start(side_options, side_metrics, log);
  if (!side_port.ok()) return process::Fail(log, "cannot open the side port", side_port.status());
  http::AddProbes(**side_port, metrics, readiness);
  absl::Status schema = process::AwaitDatabase(options.database_url, storage::RealtimeRights(), /*migrate=*/false,
                                               options.store_wait, clock, stop, log);
  if (schema.code() == absl::StatusCode::kCancelled) return 0;
  if (!schema.ok()) return process::Fail(log, "cannot use the database", schema);

  OrderChannels channels(orders, clock, metrics, options.channels);
  channels.Start(loops);
  websocket::EndpointOptions endpoint_options;
  endpoint_options.origins = *http::ParseOrigins(options.web_origins);
  endpoint_options.subprotocols = {kSubprotocol};
  endpoint_options.per_client_max = options.connections_per_user_max;
  endpoint_options.socket.message_bytes_max = 16 << 10;
  endpoint_options.socket.ping_after = options.ping_after;
  websocket::Endpoint apps(endpoint_options, AdmitApps(**keys, channels, scheduler, clock, options.sessions));

  http::ServerOptions port_options;
  port_options.listen = options.listen;
  port_options.websockets_max = options.connections_max;
  port_options.connections_max = options.connections_max + 1'000;  // at their handshake, or told that there is no room
  port_options.connections_per_address_max = options.connections_per_address_max;
  port_options.body_bytes_max = 1 << 10;
  if (*certificates != nullptr) {
    port_options.tls = [context = std::make_shared<tls::ServerContext>(
                            **certificates, tls::ClientCertificates::kNone)] { return context->current(); };
  }
  auto port = http::Server::Start(port_options, metrics, log,
                                  [&apps](http::Server& server) { apps.ServeOn(server, "/ws/connect", "ws_connect"); });
  if (!port.ok()) return process::Fail(log, "cannot open the port", port.status());

  std::vector<Chore> watching = {EveryChore(absl::Seconds(5), "reading the token keys", [&keys] {
    (*keys)->Look();
    return absl::OkStatus();
  })};
  if (*certificates != nullptr) watching.push_back(tls::WatchChore(**certificates));
  Chores chores(std::move(watching), clock, log);
  chores.Start(loops);
  if (absl::Status written = WritePortFile(options.port_file, (*port)->port(), (*side_port)->port()); !written.ok()) {
    return process::Fail(log, "cannot announce the ports", written);
  }
  log.Info("serving", {{"realtime_port", (*port)->port()}, {"side_port", (*side_port)->port()}});
  stop.Wait();

  // Draining: apps are sent to other replicas, not all at once.
  log.Info("draining", {});
  StopWatchdog watchdog(options.drain + absl::Seconds(10), log);
  readiness.SetDraining();
  (*side_port)->SetDraining();
  (*port)->DrainWebSockets(options.drain, random);
  (*port)->AwaitWebSocketsEnd(options.drain + absl::Seconds(1));
  port->reset();
  scheduler.Stop();
  channels.Stop();
  chores.Stop();
  side_port->reset();  // scrapes read what is about to go
  readiness.Stop();
  log.Info("stopped", {});
  return 0;
}

}  // namespace
}  // namespace waybill::realtime

int main(int argc, char** argv) {
  using namespace waybill::realtime;  // NOLINT(google-build-using-namespace): this file is the service's own main
  return waybill::process::RunService<ServiceOptions>(
      {"waybill-realtime", "WAYBILL_REALTIME_", DeclareSettings, FinishSettings, waybill::ThisBuild()}, argc, argv,
      Serve);
}
