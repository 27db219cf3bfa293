// The payment gateways of a service that has several: read from its file, connected to, and followed while it runs.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/rpc/client.h"
#include "payments/gateways_file.h"
#include "payments/router.h"
#include "runtime/chores.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/shutdown.h"
#include "services/order/gateway_prober.h"
#include "services/order/payment_routing.h"
#include "services/order/processor_gateway.h"
#include "services/order/remote_gateway.h"
#include "storage/gateway_store.h"

namespace waybill::order {

class Gateways {
 public:
  using ChannelsTo = std::function<std::vector<std::shared_ptr<grpc::Channel>>(const std::string& address)>;
  using ProcessorCa = std::function<std::string()>;  // that may vouch for processors, PEM; "": this machine's
  using OnChange = std::function<void(const std::string& before, const std::string& after)>;

  // All outlive it. INVALID_ARGUMENT: the file is not as it has to be.
  static absl::StatusOr<std::unique_ptr<Gateways>> Open(const std::string& file, rpc::ClientThread& thread,
                                                        ChannelsTo channels_to, ProcessorCa processor_ca,
                                                        storage::GatewayStore& store,
                                                        storage::GatewayProbeStore& probes, ProberOptions prober,
                                                        const Clock& clock, Random& random, Metrics& metrics,
                                                        const Logger& log);

  PaymentRouting& routing() { return *routing_; }
  payments::Router& router() { return router_; }
  bool capture_later() const { return capture_later_; }  // whether any does; for as long as it lives

  // What operators have said. Blocks on the store.
  absl::Status ReadSettings();
  // How they fare: in turn with all replicas that have the gateways.
  GatewayProber& prober() { return *prober_; }
  // Reads that every second, and keeps connections to gateways that are not called.
  Chore FollowChore();
  // Waits until each is connected to, or `deadline`: who begins without connections takes every gateway for away.
  void AwaitConnections(SteadyTime deadline);
  // New connections, with certificates that have changed.
  void ConnectAgain();

  // Reads the file again at each SIGHUP: weights, costs, rules, and what gateways take. Names, addresses and how
  // they are captured stay as they were at the start; with a file that changes them, or has a mistake, all stays.
  void Start(StopRequest& stop, OnChange on_change);
  void Stop();  // reads it no more, and ends the calls

 private:
  Gateways(std::string file, ChannelsTo channels_to, storage::GatewayStore& store, const Clock& clock, Random& random,
           payments::RouterOptions options, const Logger& log)
      : file_(std::move(file)),
        channels_to_(std::move(channels_to)),
        store_(store),
        log_(log),
        router_(clock, random, options) {}
  absl::Status ReadAgain();

  struct Remote {
    std::string address;
    rpc::Client client;
    RemoteGateway gateway;

    Remote(std::string at, rpc::ClientThread& thread, const std::vector<std::shared_ptr<grpc::Channel>>& channels)
        : address(std::move(at)), client(thread, channels), gateway(client, /*only_connected=*/true) {}
  };
  struct Processor {
    http::Channel channel;
    ProcessorGateway gateway;

    Processor(std::string name, http::ChannelOptions options, const Clock& clock)
        : channel(std::move(options)), gateway(std::move(name), channel, clock) {}
  };

  const std::string file_;
  const ChannelsTo channels_to_;
  storage::GatewayStore& store_;
  const Logger log_;
  payments::Router router_;
  std::unique_ptr<GatewayProber> prober_;  // its questions end with those below
  std::map<std::string, std::unique_ptr<Remote>> remotes_;
  std::map<std::string, std::unique_ptr<Processor>> processors_;
  std::unique_ptr<PaymentRouting> routing_;
  bool capture_later_ = false;

  std::mutex reading_;  // over what follows
  payments::Routes in_force_;
  OnChange on_change_;
  StopRequest* stop_ = nullptr;
};

}  // namespace waybill::order
