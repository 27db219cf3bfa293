#include "services/sandbox/webhook_sender.h"

#include <utility>
#include <vector>

#include "edge/http/client.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "webhooks/signature.h"

namespace waybill::sandbox {
namespace {

constexpr absl::Duration kPostTimeout = absl::Seconds(5);
constexpr int kSendsMax = 10;  // over some four minutes
constexpr size_t kAnswerBytesMax = 4'096;

}  // namespace

void WebhookSender::Tell(const Decision& decision, const Behaviour& behaviour) {
  bool lost, twice, late, wrong;
  {
    std::lock_guard lock(mutex_);
    auto hits = [&](double share) { return share > 0 && random_.Uniform() < share; };
    lost = hits(behaviour.webhook_lost_rate);
    twice = hits(behaviour.webhook_twice_rate);
    late = hits(behaviour.webhook_late_rate);
    wrong = hits(behaviour.webhook_wrong_amount_rate);
  }
  if (lost) return;
  const nlohmann::json body = {{"type", decision.approved ? "payment.succeeded" : "payment.failed"},
                               {"data",
                                {{"idempotency_key", decision.key},
                                 {"token", decision.token},
                                 {"amount_minor", decision.amount_minor + (wrong ? 1 : 0)},
                                 {"currency", decision.currency}}}};
  const absl::Duration delay = late ? absl::Milliseconds(behaviour.late_ms) : absl::ZeroDuration();
  for (int i = 0; i < (twice ? 2 : 1); ++i) SendIn(delay, "evt_" + decision.token, body.dump(), 1);
}

void WebhookSender::SendIn(absl::Duration delay, std::string id, std::string body, int attempt) {
  Executor::Task task = [weak = weak_from_this(), id = std::move(id), body = std::move(body), attempt] {
    if (auto sender = weak.lock()) sender->Send(id, body, attempt);
  };
  if (delay <= absl::ZeroDuration()) {
    (void)workers_.Submit(task);  // refused: too many, or it ends; the webhook is lost
    return;
  }
  auto kept = std::make_shared<Executor::Task>(std::move(task));
  scheduler_.At(clock_.Steady() + delay, [weak = weak_from_this(), kept] {
    if (auto sender = weak.lock()) (void)sender->workers_.Submit(*kept);
  });
}

void WebhookSender::Send(const std::string& id, const std::string& body, int attempt) {
  const absl::Time now = clock_.Now();
  const absl::StatusOr<http::ClientAnswer> answer =
      http::CallAndWait({target_.host,
                         target_.port,
                         target_.target,
                         {{"content-type", "application/json"},
                          {"webhook-id", id},
                          {"webhook-timestamp", fmt::format("{}", absl::ToUnixSeconds(now))},
                          {"webhook-signature", webhooks::Sign({secret_}, id, now, body)}},
                         body},
                        /*tls=*/nullptr, kAnswerBytesMax, kPostTimeout);
  if (answer.ok() && answer->status / 100 == 2) return;
  log_.Warn("a webhook was not taken",
            {{"id", id}, {"attempt", attempt}, {"answer", answer.ok() ? fmt::format("{}", answer->status) : "none"}});
  if (attempt < kSendsMax) SendIn(absl::Milliseconds(250) * (1 << attempt), id, body, attempt + 1);
}

}  // namespace waybill::sandbox
