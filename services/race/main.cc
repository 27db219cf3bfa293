// waybill-race: reading this shows the whole service. Everything is built here and handed to the next.
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edge/access/key.h"
#include "edge/http/probes.h"
#include "edge/http/server.h"
#include "edge/rpc/client.h"
#include "edge/rpc/credentials.h"
#include "edge/rpc/grpc_log.h"
#include "edge/tls/credentials.h"
#include "fmt/format.h"
#include "grpcpp/create_channel.h"
#include "runtime/build.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/readiness.h"
#include "runtime/scheduler.h"
#include "runtime/shutdown.h"
#include "services/process/startup.h"
#include "services/race/front.h"
#include "services/race/remote_payments.h"
#include "services/race/service_options.h"

namespace waybill::race {
namespace {

absl::StatusOr<std::vector<std::shared_ptr<grpc::Channel>>> ChannelsTo(const ServiceOptions& options) {
  absl::StatusOr<std::vector<OrderAddress>> orders = ParseOrderAddresses(options.orders);
  if (!orders.ok()) return orders.status();
  absl::StatusOr<tls::Credentials> credentials = tls::ReadCredentials({"", "", options.ca});
  if (!credentials.ok()) return credentials.status();
  // It is our own, and clients wait: it is found again soon after it has come back.
  grpc::ChannelArguments arguments = rpc::MakeChannelArguments(rpc::Pings::kRare);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (const OrderAddress& one : *orders) {
    channels.push_back(grpc::CreateCustomChannel(
        one.target, one.tls ? rpc::MakeChannelCredentials(*credentials) : grpc::InsecureChannelCredentials(),
        arguments));
  }
  return channels;
}

// Whole or not at all: whoever waits for the file may read it at once.
absl::Status WritePortFile(const std::string& path, int race_port, int side_port) {
  if (path.empty()) return absl::OkStatus();
  const std::string fresh = path + ".new";
  std::ofstream(fresh) << fmt::format("race={}\nside={}\n", race_port, side_port);
  if (std::rename(fresh.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::InternalError(fmt::format("cannot write {}", path));
}

int Serve(const ServiceOptions& options, const Clock& clock, const Logger& log, StopRequest& stop,
          process::ProcessAudit&) {
  const rpc::GrpcLog grpc_log(clock, log);
  SeededRandom random(EntropySeed());
  Metrics metrics;
  AddProcessMetrics(metrics);
  AddBuildInfo(metrics, "waybill-race", ThisBuild());
  ThreadScheduler scheduler(clock);

  std::string key;
  if (!options.key_file.empty()) {
    absl::StatusOr<std::string> read = access::ReadSecretFile(options.key_file);
    if (!read.ok()) return process::Fail(log, "bad --key-file", read.status());
    key = *std::move(read);
  }
  auto channels = ChannelsTo(options);
  if (!channels.ok()) return process::Fail(log, "cannot call waybill-order", channels.status());
  rpc::ClientThread client_thread;
  rpc::Client orders(client_thread, *channels);
  RemotePayments payments(orders, options.front.currency, key);
  Front front(payments, scheduler, clock, random, metrics, options.front);

  Readiness readiness(clock);
  readiness.AwaitServing();
  readiness.Add("orders", Readiness::Severity::kRequired, absl::Seconds(1), [&orders] {
    return orders.Connect() ? absl::OkStatus() : absl::UnavailableError("no waybill-order is connected to");
  });
  AddReadinessMetrics(metrics, readiness);
  http::ServerOptions side_options;
  side_options.listen = options.side_listen;
  auto side_port = http::Server::Start(side_options, metrics, log);
  if (!side_port.ok()) return process::Fail(log, "cannot open the side port", side_port.status());
  http::AddProbes(**side_port, metrics, readiness);
  http::ServerOptions race_options;
  race_options.listen = options.listen;
  race_options.body_bytes_max = 16 << 10;
  orders.AwaitConnection(clock.Steady() + absl::Seconds(2));
  auto race_port =
      http::Server::Start(race_options, metrics, log, [&front](http::Server& server) { front.ServeOn(server); });
  if (!race_port.ok()) return process::Fail(log, "cannot open the port", race_port.status());
  if (absl::Status written = WritePortFile(options.port_file, (*race_port)->port(), (*side_port)->port());
      !written.ok()) {
    return process::Fail(log, "cannot announce the ports", written);
  }
  readiness.SetServing();
  log.Info("serving",
           {{"race_port", (*race_port)->port()}, {"side_port", (*side_port)->port()}, {"orders", options.orders}});
  stop.Wait();

  log.Info("draining", {});
  StopWatchdog watchdog(options.drain + absl::Seconds(10), log);
  readiness.SetDraining();
  (*race_port)->SetDraining();
  (*side_port)->SetDraining();
  front.Drain(clock.Steady() + options.drain);
  orders.Stop();
  scheduler.Stop();
  race_port->reset();
  side_port->reset();
  readiness.Stop();
  log.Info("stopped", {});
  return 0;
}

}  // namespace
}  // namespace waybill::race

int main(int argc, char** argv) {
  using namespace waybill::race;  // NOLINT(google-build-using-namespace): this file is the service's own main
  return waybill::process::RunService<ServiceOptions>(
      {"waybill-race", "WAYBILL_RACE_", DeclareSettings, FinishSettings, waybill::ThisBuild()}, argc, argv, Serve);
}
