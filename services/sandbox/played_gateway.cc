#include "services/sandbox/played_gateway.h"

#include <utility>

#include "fmt/format.h"
#include "services/sandbox/books.h"
#include "webhooks/url.h"

namespace waybill::sandbox {

absl::StatusOr<std::unique_ptr<PlayedGateway>> PlayedGateway::Open(const GatewayOptions& options,
                                                                   const std::string& book_log,
                                                                   const std::string& checkout, uint64_t seed,
                                                                   const PlayedWith& with) {
  std::unique_ptr<PlayedGateway> gateway(new PlayedGateway(options));
  Books books(/*drivers=*/0);
  auto log = BookLog::Open(book_log, [&books](const Record& record) { books.Apply(record); });
  if (!log.ok()) return log.status();
  gateway->log_ = *std::move(log);
  gateway->random_ = std::make_unique<SeededRandom>(seed);
  gateway->webhook_random_ = std::make_unique<SeededRandom>(seed + 1);
  SandboxOptions sandbox;
  if (options.redirects) {
    sandbox.redirects_for = options.expires;
    sandbox.checkout_url =
        options.checkout_url.empty() ? fmt::format("{}{}/", checkout, options.name) : options.checkout_url;
  }
  if (!options.webhook_url.empty()) {
    absl::StatusOr<WebhookTarget> target = ReadWebhookTarget(*webhooks::ParseUrl(options.webhook_url),
                                                             options.webhook_scheme, options.webhook_secret_file);
    if (!target.ok()) return target.status();
    gateway->webhooks_ = std::make_shared<WebhookSender>(*std::move(target), with.webhook_workers, with.scheduler,
                                                         with.clock, *gateway->webhook_random_, with.log);
    sandbox.on_news = [webhooks = gateway->webhooks_](const PaymentNews& news, const Behaviour& behaviour) {
      webhooks->Tell(news, behaviour);
    };
  }
  gateway->sandbox_ = std::make_unique<Sandbox>(std::move(books), *gateway->log_, with.clock, with.scheduler,
                                                *gateway->random_, with.metrics, with.loops, std::move(sandbox));
  return gateway;
}

absl::StatusOr<int> PlayedGateway::Start(rpc::ServerOptions how, const NamedGateways& gateways,
                                         std::function<void()> restart, Metrics& metrics) {
  how.address = options_.listen;
  server_ = std::make_unique<rpc::Server>(how, metrics);
  RegisterGateway(*server_, *sandbox_);
  RegisterAdmin(*server_, gateways, options_.name, std::move(restart));
  if (absl::Status started = server_->Start(); !started.ok()) return started;
  return server_->port();
}

void PlayedGateway::Stop(SteadyTime deadline) {
  sandbox_->ReleaseHeld();
  if (server_) server_->Drain(deadline);
}

}  // namespace waybill::sandbox
