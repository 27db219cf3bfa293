// The gateway's webhooks: when a charge that was pending is decided, whoever is to know is told, signed by Standard
// Webhooks; late, twice, never, or with another amount, as the behaviour says.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/random.h"
#include "runtime/scheduler.h"
#include "services/sandbox/behaviour.h"
#include "services/sandbox/sandbox.h"
#include "webhooks/url.h"

namespace waybill::sandbox {

class WebhookSender : public std::enable_shared_from_this<WebhookSender> {
 public:
  // `target` is plain; `secret`: "whsec_…". All outlive what `workers` and `scheduler` still run; this
  // need not.
  WebhookSender(webhooks::Url target, std::string secret, Executor& workers, Scheduler& scheduler, const Clock& clock,
                Random& random, const Logger& log)
      : target_(std::move(target)),
        secret_(std::move(secret)),
        workers_(workers),
        scheduler_(scheduler),
        clock_(clock),
        random_(random),
        log_(log) {}

  void Tell(const Decision& decision, const Behaviour& behaviour);

 private:
  void SendIn(absl::Duration delay, std::string id, std::string body, int attempt);
  void Send(const std::string& id, const std::string& body, int attempt);

  const webhooks::Url target_;
  const std::string secret_;
  Executor& workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  std::mutex mutex_;  // of random_
  Random& random_;
  const Logger& log_;
};

}  // namespace waybill::sandbox
