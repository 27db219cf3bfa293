#include "services/order/gateways.h"

#include <algorithm>
#include <utility>

#include "edge/rpc/deadline.h"
#include "webhooks/url.h"

namespace waybill::order {
namespace {

constexpr absl::Duration kConnectAgainMax = absl::Seconds(2);
// Of HTTP/1.1, where each carries one call at a time. They are opened when they are needed; with fewer, calls of a
// processor that takes a second for each would wait in us, and be late.
constexpr size_t kProcessorConnections = 800;

}  // namespace

absl::StatusOr<std::unique_ptr<Gateways>> Gateways::Open(const std::string& file, rpc::ClientThread& thread,
                                                         ChannelsTo channels_to, ProcessorCa processor_ca,
                                                         storage::GatewayStore& store,
                                                         storage::GatewayProbeStore& probes, ProberOptions prober,
                                                         const Clock& clock, Random& random, Metrics& metrics,
                                                         const Logger& log) {
  absl::StatusOr<payments::Routes> routes = payments::ReadRoutes(file);
  if (!routes.ok()) return routes.status();
  payments::RouterOptions router;
  router.health.word_for = std::max(router.health.word_for, 3 * prober.every);
  std::unique_ptr<Gateways> made(
      new Gateways(file, std::move(channels_to), store, clock, random, router, log.For("services.order")));
  Gateways& gateways = *made;
  std::map<std::string, PaymentGateway*> by_name;
  std::map<std::string, AskHealth> asks;
  for (const payments::Gateway& gateway : routes->gateways) {
    if (gateway.IsProcessor()) {
      absl::StatusOr<webhooks::Url> url = webhooks::ParseUrl(gateway.address);
      if (!url.ok()) return url.status();
      http::ChannelOptions channel;
      channel.host = url->host;
      channel.port = url->port;
      channel.connections_max = kProcessorConnections;
      if (url->tls) channel.ca = processor_ca;
      auto processor = std::make_unique<Processor>(gateway.name, std::move(channel), clock);
      by_name[gateway.name] = &processor->gateway;
      asks[gateway.name] = [at = &processor->gateway](absl::Duration timeout, auto done) {
        at->Health(timeout, std::move(done));
      };
      gateways.processors_[gateway.name] = std::move(processor);
      continue;
    }
    gateways.capture_later_ |= gateway.capture_later;
    auto remote = std::make_unique<Remote>(gateway.address, thread, gateways.channels_to_(gateway.address));
    by_name[gateway.name] = &remote->gateway;
    asks[gateway.name] = [at = &remote->gateway](absl::Duration timeout, auto done) {
      at->Health(timeout, std::move(done));
    };
    gateways.remotes_[gateway.name] = std::move(remote);
  }
  gateways.in_force_ = *std::move(routes);
  gateways.router_.Use(gateways.in_force_);
  gateways.prober_ =
      std::make_unique<GatewayProber>(std::move(asks), probes, gateways.router_, clock, metrics, std::move(prober));
  gateways.routing_ = std::make_unique<PaymentRouting>(gateways.router_, std::move(by_name), clock, metrics);
  gateways.log_.Info("orders are routed", {{"file", file}, {"gateways", payments::Describe(gateways.in_force_)}});
  return made;
}

absl::Status Gateways::ReadSettings() {
  absl::StatusOr<std::vector<storage::GatewaySetting>> settings = store_.Settings();
  if (!settings.ok()) return settings.status();
  router_.Use(*settings);
  return absl::OkStatus();
}

Chore Gateways::FollowChore() {
  return EveryChore(absl::Seconds(1), "following gateways", [this] {
    for (const auto& [name, remote] : remotes_) remote->client.Connect();
    return ReadSettings();
  });
}

void Gateways::AwaitConnections(SteadyTime deadline) {
  for (const auto& [name, remote] : remotes_) remote->client.Connect();  // all at once
  for (const auto& [name, remote] : remotes_) {
    if (!remote->client.AwaitConnection(deadline)) log_.Warn("a gateway is not reached", {{"gateway", name}});
  }
}

void Gateways::ConnectAgain() {
  for (const auto& [name, remote] : remotes_) {
    if (remote->address.starts_with("grpc://")) continue;  // plain: certificates are nothing to it
    // Until they stand, calls go over those that do: one that finds no connection is not sent.
    const std::vector<std::shared_ptr<grpc::Channel>> fresh = channels_to_(remote->address);
    for (const auto& channel : fresh) {
      channel->WaitForConnected(rpc::ToGrpcDeadline(SystemClock().Steady() + kConnectAgainMax));
    }
    remote->client.Use(fresh);
  }
}

absl::Status Gateways::ReadAgain() {
  std::lock_guard turn(reading_);
  absl::StatusOr<payments::Routes> routes = payments::ReadRoutes(file_);
  if (!routes.ok()) return routes.status();
  if (*routes == in_force_) return absl::OkStatus();
  if (!payments::SameGateways(*routes, in_force_)) {
    return absl::FailedPreconditionError("names, addresses and capture of gateways change with a restart only");
  }
  router_.Use(*routes);
  const std::string before = payments::Describe(std::exchange(in_force_, *std::move(routes)));
  const std::string after = payments::Describe(in_force_);
  log_.Info("orders are routed anew", {{"file", file_}, {"gateways", after}});
  if (on_change_) on_change_(before, after);
  return absl::OkStatus();
}

void Gateways::Start(StopRequest& stop, OnChange on_change) {
  {
    std::lock_guard turn(reading_);
    on_change_ = std::move(on_change);
  }
  stop_ = &stop;
  const auto read_again = [this] {
    if (absl::Status read = ReadAgain(); !read.ok()) {
      log_.Error("gateways are as before: the file was not taken", {{"error", std::string(read.message())}});
    }
  };
  stop.AlsoOnHangup(this, read_again);
  read_again();  // a SIGHUP since the start has told nobody
}

void Gateways::Stop() {
  if (stop_ != nullptr) stop_->AlsoOnHangup(this, nullptr);
  for (const auto& [name, remote] : remotes_) remote->client.Stop();
  for (const auto& [name, processor] : processors_) processor->channel.Stop();
}

}  // namespace waybill::order
