// waybill-sandbox: every object is built here, bottom up, and handed to the next.
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "edge/connect/server.h"
#include "edge/http/probes.h"
#include "edge/http/server.h"
#include "edge/rpc/credentials.h"
#include "edge/rpc/grpc_log.h"
#include "edge/rpc/server.h"
#include "edge/tls/watcher.h"
#include "fmt/format.h"
#include "runtime/build.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/readiness.h"
#include "runtime/scheduler.h"
#include "runtime/shutdown.h"
#include "runtime/worker_pool.h"
#include "services/process/exposure.h"
#include "services/process/settings.h"
#include "services/sandbox/book_log.h"
#include "services/sandbox/books.h"
#include "services/sandbox/checkout.h"
#include "services/sandbox/options.h"
#include "services/sandbox/played_gateway.h"
#include "services/sandbox/processor.h"
#include "services/sandbox/sandbox.h"
#include "services/sandbox/services.h"
#include "services/sandbox/webhook_sender.h"
#include "webhooks/url.h"

namespace waybill::sandbox {
namespace {

constexpr absl::Duration kDrain = absl::Seconds(1);

struct Bound {
  std::string listen;
  std::string side_listen;
};

int Fail(const Logger& log, std::string_view what, const absl::Status& status) {
  log.Error(what, {{"error", std::string(status.message())}});
  return 1;
}

// Whole or not at all: whoever waits for the file may read it at once.
absl::Status WritePortFile(const std::string& path, int grpc_port, int side_port, const NamedGateways& gateways,
                           const std::map<std::string, int>& processor_ports) {
  if (path.empty()) return absl::OkStatus();
  const std::string fresh = path + ".new";
  {
    std::ofstream file(fresh);
    file << fmt::format("grpc={}\nside={}\n", grpc_port, side_port);
    for (const auto& gateway : gateways) {
      if (!gateway->name.empty()) file << fmt::format("gateway_{}={}\n", gateway->name, gateway->port.load());
    }
    for (const auto& [name, port] : processor_ports) file << fmt::format("processor_{}={}\n", name, port);
  }
  if (std::rename(fresh.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::InternalError(fmt::format("cannot write {}", path));
}

// Serves until a signal, or until the admin service asks for a restart (then `restart` is set, and `bound` says where).
int Serve(const ServiceOptions& options, ShutdownSignals& signals, const std::function<void()>& on_hangup,
          const Clock& clock, const Logger& log, std::atomic<bool>& restart, Bound& bound) {
  const rpc::GrpcLog grpc_log(clock, log);
  std::optional<StopWatchdog> watchdog;  // first, so that it watches until all else is gone
  Metrics metrics;
  AddProcessMetrics(metrics);
  AddBuildInfo(metrics, "waybill-sandbox", ThisBuild());

  Books books(options.drivers);
  auto book_log = BookLog::Open(options.log, [&books](const Record& record) { books.Apply(record); });
  if (!book_log.ok()) return Fail(log, "cannot open the books", book_log.status());
  log.Info("books read back", {{"file", options.log},
                               {"lines", (*book_log)->lines_read()},
                               {"torn_bytes_dropped", (*book_log)->bytes_dropped()},
                               {"free_drivers", books.free_drivers()}});

  const uint64_t seed = options.seed.value_or(EntropySeed());
  SeededRandom random(seed);
  ThreadScheduler scheduler(clock);
  WorkerPool webhook_workers(2, 10'000);
  SeededRandom webhook_random(seed + 1);
  std::shared_ptr<WebhookSender> webhooks;
  SandboxOptions sandbox_options;
  sandbox_options.checkout_url = options.checkout_url;
  if (!options.webhook_url.empty()) {
    absl::StatusOr<WebhookTarget> target = ReadWebhookTarget(*webhooks::ParseUrl(options.webhook_url),
                                                             payments::Scheme::kStandard, options.webhook_secret_file);
    if (!target.ok()) return Fail(log, "no webhooks can be sent", target.status());
    webhooks =
        std::make_shared<WebhookSender>(*std::move(target), webhook_workers, scheduler, clock, webhook_random, log);
    sandbox_options.on_news = [webhooks](const PaymentNews& news, const Behaviour& behaviour) {
      webhooks->Tell(news, behaviour);
    };
  }
  Sandbox sandbox(std::move(books), **book_log, clock, scheduler, random, metrics, ThreadLoops(), sandbox_options);
  metrics.AddCallbackGauge("waybill_sandbox_held_calls", "Calls that will never be answered, whose callers still wait.",
                           [&sandbox] { return static_cast<double>(sandbox.held()); });
  for (const auto& [target, behaviour] :
       {std::pair(Target::kGateway, options.gateway), std::pair(Target::kDispatcher, options.dispatcher)}) {
    if (auto set = sandbox.SetBehaviour(target, behaviour); !set.ok()) return Fail(log, "bad behaviour", set);
  }

  auto certificates = process::WatchCertificates("server", options.exposure.tls, clock, log, metrics);
  if (!certificates.ok()) return Fail(log, "cannot serve over TLS", certificates.status());

  Readiness readiness(clock);
  readiness.Add("log", Readiness::Severity::kRequired, absl::Seconds(1), [&sandbox] {
    return sandbox.log_failing() ? absl::UnavailableError("the log cannot be written") : absl::OkStatus();
  });
  process::AddCertificateCheck(readiness, "server", certificates->get());
  AddReadinessMetrics(metrics, readiness);
  connect::Server connect(clock, metrics, connect::ServerOptions{});
  http::ServerOptions http_options;
  http_options.listen = options.side_listen;
  http_options.connections_per_address_max = options.exposure.side_connections_per_address;
  http_options.tls = process::SideTls(options.exposure, certificates->get());
  // These outlive the port, whose pages lead to them.
  const ThreadLoops gateway_loops;
  NamedGateways named;  // outlives the gateways, whose ports answer by it
  std::vector<std::unique_ptr<PlayedGateway>> gateways;
  Checkout checkout(clock);
  auto side_port = http::Server::Start(http_options, metrics, log);
  if (!side_port.ok()) return Fail(log, "cannot open the side port", side_port.status());
  http::AddProbes(**side_port, metrics, readiness);
  if (process::SideTakesCalls(options.exposure)) connect.ServeOn(**side_port);

  // The other gateways: their pages are on the HTTP port, and their names are known on every gRPC port.
  const absl::StatusOr<std::vector<GatewayOptions>> gateway_options = GatewaysOf(options);
  if (!gateway_options.ok()) return Fail(log, "bad gateway", gateway_options.status());
  named.push_back(std::make_unique<NamedGateway>());
  named.back()->sandbox = &sandbox;
  named.back()->fee_ppm = options.gateway_fee_ppm;
  const std::string checkout_url = fmt::format("{}://{}{}", http_options.tls ? "https" : "http",
                                               BoundAddress(options.side_listen, (*side_port)->port()), kCheckoutPath);
  for (const GatewayOptions& one : *gateway_options) {
    auto gateway = PlayedGateway::Open(one, fmt::format("{}.{}", options.log, one.name), checkout_url,
                                       seed + 3 + 2 * gateways.size(),
                                       {clock, scheduler, webhook_workers, metrics, gateway_loops, log});
    if (!gateway.ok()) return Fail(log, "cannot play the gateway " + one.name, gateway.status());
    gateways.push_back(*std::move(gateway));
    named.push_back(std::make_unique<NamedGateway>());
    named.back()->name = one.name;
    named.back()->sandbox = &gateways.back()->sandbox();
    named.back()->fee_ppm = one.fee_ppm;
    named.back()->host = one.listen.substr(0, one.listen.rfind(':'));
    checkout.Add(one.name, gateways.back()->sandbox(), one.return_url);
  }
  checkout.Serve(**side_port);

  rpc::ServerOptions server_options;
  server_options.address = options.listen;
  server_options.reflection = process::HasReflection(options.exposure, options.listen);
  if (*certificates) {
    server_options.credentials =
        rpc::MakeServerCredentials(**certificates, process::ClientCertificatesOf(options.exposure));
  }
  const auto begin_again = [&restart] {
    if (!restart.exchange(true)) ::kill(::getpid(), SIGTERM);  // a second signal would end the stop at once
  };
  rpc::Server server(server_options, metrics);
  for (rpc::Server* edge : {&server, &connect.server()}) {
    RegisterGateway(*edge, sandbox);
    RegisterDispatcher(*edge, sandbox);
    RegisterPayouts(*edge, sandbox);
    RegisterAdmin(*edge, named, "", begin_again);
  }
  std::vector<Chore> watching;
  if (*certificates) watching.push_back(tls::WatchChore(**certificates));
  Chores certificate_watching(std::move(watching), clock, log);
  if (*certificates) certificate_watching.Start(ThreadLoops());
  absl::Status started = server.Start();
  if (started.ok()) started = connect.Start();
  if (!started.ok()) return Fail(log, "cannot serve", started);
  for (size_t at = 0; at < gateways.size(); ++at) {
    const absl::StatusOr<int> port = gateways[at]->Start(server_options, named, begin_again, metrics);
    if (!port.ok()) return Fail(log, "cannot serve the gateway " + gateways[at]->options().name, port.status());
    named[at + 1]->port = *port;
  }
  const auto processor_options = ProcessorsOf(options);
  if (!processor_options.ok()) return Fail(log, "bad processor", processor_options.status());
  SeededRandom processor_random(seed + 2);
  const ThreadLoops processor_loops;
  std::vector<std::unique_ptr<Processor>> processors;
  std::map<std::string, int> processor_ports;
  for (const ProcessorOptions& one : *processor_options) {
    auto processor = Processor::Open(one, clock, scheduler, processor_random, metrics, processor_loops, log);
    if (!processor.ok()) return Fail(log, "cannot play the processor " + one.name, processor.status());
    processor_ports[one.name] = (*processor)->port();
    processors.push_back(*std::move(processor));
  }
  bound.listen = BoundAddress(options.listen, server.port());
  bound.side_listen = BoundAddress(options.side_listen, (*side_port)->port());
  started = WritePortFile(options.port_file, server.port(), (*side_port)->port(), named, processor_ports);
  if (!started.ok()) return Fail(log, "cannot announce the ports", started);
  log.Info("listening on " + bound.listen,
           {{"grpc_port", server.port()}, {"side_port", (*side_port)->port()}, {"seed", seed}});
  process::WarnOfPlainPort(options.exposure, options.listen, log);

  signals.Wait(on_hangup);
  log.Info(restart ? "restarting" : "stopping", {{"held_calls", sandbox.held()}});
  watchdog.emplace(kDrain + absl::Seconds(10), log);
  readiness.SetDraining();
  sandbox.ReleaseHeld();
  const SteadyTime deadline = clock.Steady() + (restart ? absl::ZeroDuration() : kDrain);
  connect.SendAway();
  for (const auto& gateway : gateways) gateway->Stop(deadline);
  server.Drain(deadline);
  connect.Drain(deadline);
  return 0;
}

int Main(int argc, char** argv) {
  ServiceOptions options;
  const process::Service<ServiceOptions> service = {"waybill-sandbox", "WAYBILL_SANDBOX_", DeclareSettings,
                                                    FinishSettings, ThisBuild()};
  std::vector<process::Setting> in_force;
  if (auto exit_code = process::ReadSettings(service, argc, argv, options, in_force, std::cout, std::cerr)) {
    return *exit_code;
  }
  // Debian's build of Abseil looks for deadlocks at every lock, also in what ships.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  ShutdownSignals signals;  // before any thread
  SystemClock clock;
  Logger log(options.log_format, options.log_levels.level, clock);
  log.SetLevels(options.log_levels);
  std::atomic<bool> restart{false};
  Bound bound;
  const auto read_again = [&] { process::ReadSettingsAgain(service, argc, argv, options, in_force, log); };
  int exit_code = Serve(options, signals, read_again, clock, log, restart, bound);
  if (exit_code != 0 || !restart) return exit_code;

  std::vector<std::string> args =
      RestartArguments(std::vector<std::string>(argv + 1, argv + argc), bound.listen, bound.side_listen);
  std::vector<char*> pointers = {argv[0]};
  for (std::string& arg : args) pointers.push_back(arg.data());
  pointers.push_back(nullptr);
  ::execv("/proc/self/exe", pointers.data());
  return Fail(log, "cannot restart", absl::ErrnoToStatus(errno, "execv"));
}

}  // namespace
}  // namespace waybill::sandbox

int main(int argc, char** argv) { return waybill::sandbox::Main(argc, argv); }
