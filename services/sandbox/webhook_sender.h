// A gateway's webhooks: when a charge is pending, and when it is decided, whoever is to know is told, signed as the
// gateway's scheme has it; late, twice, never, out of order, or with another amount, as the behaviour says.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/http/exchange.h"
#include "payments/webhooks/signature.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "services/sandbox/behaviour.h"
#include "services/sandbox/sandbox.h"
#include "webhooks/url.h"

namespace waybill::sandbox {

struct WebhookTarget {
  webhooks::Url url;  // plain
  // Any but Adyen's, whose signature stands inside the body.
  payments::Scheme scheme = payments::Scheme::kStandard;
  std::string secret;  // the text that both sides have
};

// INVALID_ARGUMENT: what is wrong with the secret in the file, or with the scheme; nothing of the secret.
absl::StatusOr<WebhookTarget> ReadWebhookTarget(const webhooks::Url& url, payments::Scheme scheme,
                                                const std::string& secret_file);

struct WebhookMessage {
  http::Fields fields;
  std::string body;
};
// `wrong_amount`: by one minor unit.
WebhookMessage MakeWebhook(const WebhookTarget& target, const PaymentNews& news, bool wrong_amount);
// What has to be signed anew at each attempt.
http::Fields SignWebhook(const WebhookTarget& target, const std::string& id, absl::Time now, const std::string& body);

class WebhookSender : public std::enable_shared_from_this<WebhookSender> {
 public:
  // All outlive what `workers` and `scheduler` still run; this need not.
  WebhookSender(WebhookTarget target, Executor& workers, Scheduler& scheduler, const Clock& clock, Random& random,
                const Logger& log)
      : target_(std::move(target)),
        workers_(workers),
        scheduler_(scheduler),
        clock_(clock),
        random_(random),
        log_(log) {}

  void Tell(const PaymentNews& news, const Behaviour& behaviour);

 private:
  struct Sending {
    std::string id;
    WebhookMessage message;
    int attempt = 1;
  };

  void SendIn(absl::Duration delay, Sending sending);
  void Send(Sending sending);
  // Sends the one that is held back, if it is still that one.
  void LetGo(const std::string& id);

  const WebhookTarget target_;
  Executor& workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  std::mutex mutex_;  // over what follows
  Random& random_;
  std::optional<Sending> held_back_;  // until the next one is under way
  const Logger& log_;
};

}  // namespace waybill::sandbox
