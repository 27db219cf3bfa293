// Webhooks of gateways: taken over HTTP, kept, and told to the orders that they are about.
//
// A webhook is answered with 2xx once its event is durable in the inbox, and not before. What it says is not believed:
// its order is signalled, and asks the gateway under the charge's key. Whoever received an event looks at it at once;
// when that process dies in between, another one does, since the row says when it is due.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/http/exchange.h"
#include "payments/webhooks/event.h"
#include "payments/webhooks/gateways.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "saga/runner.h"
#include "services/order/order_metrics.h"
#include "storage/webhook_inbox.h"

namespace waybill::order {

// The path is this and a gateway's name.
inline constexpr std::string_view kWebhooksPath = "/webhooks/";

// What is done about an event, by what the books say of its order.
struct WebhookJudgement {
  storage::InboxState state = storage::InboxState::kNew;
  std::string reason;
  bool signal = false;  // then `state` is what it becomes once that is durable
};
// `order` null: there is none that has its key or token. `age`: since it was received.
WebhookJudgement JudgeWebhook(const storage::WebhookEvent& event, const storage::WebhookOrder* order,
                              absl::Duration age);
// When an event is looked at next after a look that failed for a reason of its own, after so many looks before;
// nullopt: no more, a person has to look.
std::optional<absl::Duration> NextTier(int attempts);
// When an event that matches nothing yet is looked at next, after so many looks.
absl::Duration NextLook(int attempts);
// The order in a charge's idempotency key, "<order_id>/charge_payment".
std::optional<Uuid> OrderOfKey(std::string_view key);

// How long an event that matches no payment is looked at again. Then a person has to look.
inline constexpr absl::Duration kUnmatchedFor = absl::Hours(24 * 7);

class GatewayWebhooks {
 public:
  // All outlive this. `workers` block on the stores; `events` may be null: nobody follows.
  GatewayWebhooks(storage::WebhookInbox& inbox, storage::PaymentEvents* events, saga::Runner& runner,
                  OrderMetrics& orders, Executor& workers, const Clock& clock, Metrics& metrics, const Logger& log);

  // The gateways from now on.
  void Use(payments::WebhookGateways gateways);

  // One POST; on the HTTP server's thread.
  void Take(http::ExchangePtr exchange);
  // `answer` is called once. The request outlives that; its body is taken from it.
  using Answer = absl::AnyInvocable<void(http::Response)>;
  void Take(http::Request& request, Answer answer);
  // From now on they are sent away: the process ends.
  void SetDraining() { draining_ = true; }

  // Looks at what nobody has looked at in time, deletes what is older than `keep`, counts.
  std::vector<Chore> MakeChores(absl::Duration keep);

 private:
  void Count(std::string_view name, std::string_view help, std::string_view gateway, std::string_view label,
             std::string_view value);
  void Received(std::string_view gateway, std::string_view result);
  void Settled(const std::string& gateway, const std::string& id, storage::InboxState state, const std::string& reason);
  // An event that was just made durable.
  void Look(storage::WebhookEvent event);
  void LookAtArrived();
  // An error is one of the store's or of this process, and leaves what is left due. What is wrong with one event alone
  // holds up no other.
  absl::Status LookAt(std::vector<storage::WebhookDue> due);
  static storage::WebhookSettlement Failed(const storage::WebhookEvent& event, int attempts, const absl::Status& why);

  storage::WebhookInbox& inbox_;
  storage::PaymentEvents* const events_;
  saga::Runner& runner_;
  OrderMetrics& orders_;
  Executor& workers_;
  const Clock& clock_;
  Metrics& metrics_;
  const Logger log_;
  std::atomic<bool> draining_{false};

  std::mutex mutex_;
  std::shared_ptr<const payments::WebhookGateways> gateways_ = std::make_shared<payments::WebhookGateways>();
  std::vector<storage::WebhookDue> arrived_;  // and no worker has taken them yet
  std::map<std::string, prometheus::Counter*, std::less<>> counters_;
  prometheus::Counter& lost_events_;
  std::atomic<int64_t> attention_{0}, open_{0};
  std::atomic<double> overdue_seconds_{0};
};

}  // namespace waybill::order
