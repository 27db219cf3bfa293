// A gateway that is played beside the one of --listen: books, webhooks and a gRPC port of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/rpc/server.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "services/sandbox/book_log.h"
#include "services/sandbox/options.h"
#include "services/sandbox/sandbox.h"
#include "services/sandbox/services.h"
#include "services/sandbox/webhook_sender.h"

namespace waybill::sandbox {

// What all of them share. All outlive them.
struct PlayedWith {
  const Clock& clock;
  Scheduler& scheduler;
  Executor& webhook_workers;
  Metrics& metrics;
  const Loops& loops;
  const Logger& log;
};

class PlayedGateway {
 public:
  // `checkout`: what the checkout URLs of a redirect one begin with. UNAVAILABLE, DATA_LOSS, …: its books or its secret
  // cannot be read.
  static absl::StatusOr<std::unique_ptr<PlayedGateway>> Open(const GatewayOptions& options, const std::string& book_log,
                                                             const std::string& checkout, uint64_t seed,
                                                             const PlayedWith& with);

  const GatewayOptions& options() const { return options_; }
  Sandbox& sandbox() { return *sandbox_; }

  // `how` but for its address; `gateways` outlive it. The port that is bound.
  absl::StatusOr<int> Start(rpc::ServerOptions how, const NamedGateways& gateways, std::function<void()> restart,
                            Metrics& metrics);
  void Stop(SteadyTime deadline);

 private:
  explicit PlayedGateway(const GatewayOptions& options) : options_(options) {}

  const GatewayOptions options_;
  std::unique_ptr<Random> random_, webhook_random_;
  std::unique_ptr<BookLog> log_;
  std::shared_ptr<WebhookSender> webhooks_;
  std::unique_ptr<Sandbox> sandbox_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace waybill::sandbox
