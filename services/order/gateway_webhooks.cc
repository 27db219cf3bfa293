#include "services/order/gateway_webhooks.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "services/order/place_order.h"

namespace waybill::order {
namespace {

using storage::InboxState;
using storage::WebhookDue;
using storage::WebhookEvent;
using storage::WebhookOrder;
using storage::WebhookSettlement;

constexpr size_t kArrivedMax = 20'000;  // beyond that the chore looks at them
constexpr size_t kLookAtOnce = 256;
constexpr absl::Duration kNextLookFirst = absl::Seconds(1), kNextLookMax = absl::Hours(1);

// It is not the event's: it passes, or concerns all of them.
bool Passes(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status) ||
         absl::IsCancelled(status) || absl::IsAborted(status);
}

http::Response Say(unsigned code, std::string body) {
  http::Response response;
  response.code = code;
  response.body = std::move(body);
  return response;
}

http::Response AskAgain(std::string_view seconds) {
  http::Response response = Say(503, "not now\n");
  response.fields = {{"retry-after", std::string(seconds)}};
  return response;
}

}  // namespace

WebhookJudgement JudgeWebhook(const WebhookEvent& event, const WebhookOrder* order, absl::Duration age) {
  const bool known =
      order != nullptr && (order->charged || order->state != saga::State::kRunning || saga::IsToken(order->token));
  if (order != nullptr) {
    if (!event.currency.empty() && event.currency != order->currency) {
      return {InboxState::kAttention, "CURRENCY_MISMATCH"};
    }
    if (event.amount_minor && *event.amount_minor != order->amount_minor) {
      return {InboxState::kAttention, "AMOUNT_MISMATCH"};
    }
  }
  if (!known) {
    // Of its own attempt nothing more can become, whatever becomes of the order elsewhere.
    if (order != nullptr && order->attempt_decided) return {InboxState::kLate, "ALREADY_DECIDED"};
    if (event.key.empty() && event.token.empty()) return {InboxState::kIgnored, "NO_PAYMENT"};
    if (age > kUnmatchedFor) return {InboxState::kAttention, "UNKNOWN_PAYMENT"};
    return {InboxState::kUnmatched, "UNKNOWN_PAYMENT"};
  }
  if (order->charged || order->state != saga::State::kRunning) return {InboxState::kLate, "ALREADY_DECIDED"};
  return {InboxState::kSignalled, "", true};
}

std::optional<absl::Duration> NextTier(int attempts) {
  constexpr absl::Duration kTiers[] = {absl::Seconds(5), absl::Minutes(1), absl::Minutes(5), absl::Minutes(30),
                                       absl::Hours(2),   absl::Hours(6),   absl::Hours(12)};
  if (attempts < 0 || static_cast<size_t>(attempts) >= std::size(kTiers)) return std::nullopt;
  return kTiers[attempts];
}

absl::Duration NextLook(int attempts) {
  return std::min(kNextLookFirst * (int64_t{1} << std::clamp(attempts, 0, 20)), kNextLookMax);
}

std::optional<Uuid> OrderOfKey(std::string_view key) {
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::string_view of = key.substr(slash + 1);
  if (!of.starts_with(kChargePayment)) return std::nullopt;
  of.remove_prefix(kChargePayment.size());
  // A later attempt's has its number behind that.
  const bool numbered = of.size() > 1 && of.front() == '/' && of.find_first_not_of("0123456789", 1) == of.npos;
  if (!of.empty() && !numbered) return std::nullopt;
  return Uuid::Parse(key.substr(0, slash));
}

GatewayWebhooks::GatewayWebhooks(storage::WebhookInbox& inbox, storage::PaymentEvents* events, saga::Runner& runner,
                                 OrderMetrics& orders, Executor& workers, const Clock& clock, Metrics& metrics,
                                 const Logger& log)
    : inbox_(inbox),
      events_(events),
      runner_(runner),
      orders_(orders),
      workers_(workers),
      clock_(clock),
      metrics_(metrics),
      log_(log.For("services.order")),
      lost_events_(metrics.AddCounter("waybill_payment_events_lost_total",
                                      "Entries that the stream payment_events did not take.")) {
  metrics.AddCallbackGauge("waybill_gateway_events_attention",
                           "Events of the webhook inbox that a person has to look at.",
                           [this] { return static_cast<double>(attention_); });
  metrics.AddCallbackGauge("waybill_gateway_events_open",
                           "Events of the webhook inbox that are looked at again: just received, or of no payment yet.",
                           [this] { return static_cast<double>(open_); });
  metrics.AddCallbackGauge("waybill_gateway_events_overdue_seconds",
                           "How long an event of the webhook inbox should have been looked at.",
                           [this] { return overdue_seconds_.load(); });
}

void GatewayWebhooks::Use(payments::WebhookGateways gateways) {
  auto shared = std::make_shared<const payments::WebhookGateways>(std::move(gateways));
  std::lock_guard lock(mutex_);
  gateways_ = std::move(shared);
}

void GatewayWebhooks::Count(std::string_view name, std::string_view help, std::string_view gateway,
                            std::string_view label, std::string_view value) {
  const std::string key = fmt::format("{} {} {}", name, gateway, value);
  prometheus::Counter* counter = nullptr;
  {
    std::lock_guard lock(mutex_);
    prometheus::Counter*& known = counters_[key];
    if (known == nullptr) {
      known = &metrics_.AddCounter(std::string(name), std::string(help),
                                   {{"gateway", std::string(gateway)}, {std::string(label), std::string(value)}});
    }
    counter = known;
  }
  counter->Increment();
}

void GatewayWebhooks::Received(std::string_view gateway, std::string_view result) {
  Count("waybill_gateway_webhooks_total", "Webhooks by gateway and by what became of the request.", gateway, "result",
        result);
}

void GatewayWebhooks::Settled(const std::string& gateway, const std::string& id, InboxState state,
                              const std::string& reason) {
  Count("waybill_gateway_events_total", "Events of webhooks by gateway and by what became of them.", gateway, "state",
        storage::Name(state));
  if (state != InboxState::kAttention) return;
  log_.Error("an event of a webhook needs attention", {{"gateway", gateway}, {"event_id", id}, {"reason", reason}});
}

void GatewayWebhooks::Take(http::ExchangePtr exchange) {
  http::Request& request = exchange->request();
  Take(request, [exchange = std::move(exchange)](http::Response response) { exchange->Answer(std::move(response)); });
}

void GatewayWebhooks::Take(http::Request& request, Answer answer) {
  std::shared_ptr<const payments::WebhookGateways> gateways;
  {
    std::lock_guard lock(mutex_);
    gateways = gateways_;
  }
  const auto found = gateways->find(std::string_view(request.path).substr(kWebhooksPath.size()));
  if (found == gateways->end()) {
    answer(Say(404, "no such gateway\n"));
    return;
  }
  const payments::WebhookGateway& gateway = found->second;
  if (request.body.size() > storage::kWebhookBytesMax) {
    Received(gateway.name, "too_large");
    answer(Say(413, "the body is too long\n"));
    return;
  }
  const payments::HeaderOf header = [&request](std::string_view name) { return request.Field(name); };
  if (std::optional<payments::Refusal> refusal =
          payments::Verify(gateway.scheme, header, request.body, gateway.secrets, clock_.Now())) {
    Received(gateway.name, "refused");
    Count("waybill_gateway_webhook_refusals_total", "Webhooks that were not taken for the gateway's, by why.",
          gateway.name, "reason", payments::Name(*refusal));
    log_.Warn("a webhook was refused", {{"gateway", gateway.name}, {"reason", std::string(payments::Name(*refusal))}});
    answer(Say(401, "the signature does not fit\n"));
    return;
  }
  if (draining_) {
    answer(AskAgain("1"));
    return;
  }
  payments::Event event = payments::ReadEvent(gateway, header, request.body);
  storage::WebhookArrival arrival;
  arrival.event = {gateway.name, event.id, event.type, event.key, event.token, event.amount_minor, event.currency};
  if (!event.problem.empty() && event.wanted) {
    arrival.state = InboxState::kAttention;
    arrival.reason = std::string(event.problem);
  } else if (!event.wanted) {
    arrival.state = InboxState::kIgnored;
    arrival.reason = "OTHER_TYPE";
  }
  arrival.body = std::move(request.body);
  const std::string name = gateway.name;
  const bool adyen = gateway.scheme == payments::Scheme::kAdyen;  // wants to read this
  auto answer_once = std::make_shared<Answer>(std::move(answer));
  arrival.done = [this, answer_once, event = arrival.event, fresh_state = arrival.state, reason = arrival.reason,
                  adyen](absl::StatusOr<bool> fresh) mutable {
    if (!fresh.ok()) {
      Received(event.gateway, "not_kept");
      log_.Warn("a webhook could not be kept",
                {{"gateway", event.gateway}, {"error", std::string(fresh.status().message())}});
      (*answer_once)(GetErrorDetail(fresh.status()).reason == "STORE_REFUSED" ? Say(500, "it cannot be kept\n")
                                                                              : AskAgain("5"));
      return;
    }
    Received(event.gateway, *fresh ? "kept" : "repeated");
    (*answer_once)(Say(200, adyen ? "[accepted]" : "ok\n"));
    if (!*fresh) return;
    if (fresh_state == InboxState::kNew) {
      Look(std::move(event));
    } else {
      Settled(event.gateway, event.id, fresh_state, reason);
    }
  };
  if (!inbox_.Keep(arrival)) {
    Received(name, "not_kept");
    (*answer_once)(AskAgain("1"));
  }
}

void GatewayWebhooks::Look(WebhookEvent event) {
  {
    std::lock_guard lock(mutex_);
    if (arrived_.size() >= kArrivedMax) return;  // it is due soon
    arrived_.push_back({std::move(event), 0, absl::ZeroDuration()});
    if (arrived_.size() > 1) return;  // a worker is on its way
  }
  Executor::Task task = [this] { LookAtArrived(); };
  if (workers_.Submit(task)) return;
  std::lock_guard lock(mutex_);
  arrived_.clear();  // they are due soon
}

void GatewayWebhooks::LookAtArrived() {
  std::vector<WebhookDue> arrived;
  {
    std::lock_guard lock(mutex_);
    arrived.swap(arrived_);
  }
  for (size_t from = 0; from < arrived.size() && !draining_; from += kLookAtOnce) {
    const auto first = arrived.begin() + static_cast<std::ptrdiff_t>(from);
    const auto end = arrived.begin() + static_cast<std::ptrdiff_t>(std::min(from + kLookAtOnce, arrived.size()));
    if (absl::Status looked = LookAt({std::make_move_iterator(first), std::make_move_iterator(end)}); !looked.ok()) {
      log_.Warn("events of webhooks are looked at later", {{"error", std::string(looked.message())}});
      return;  // all of them: they are due soon
    }
  }
}

WebhookSettlement GatewayWebhooks::Failed(const WebhookEvent& event, int attempts, const absl::Status& why) {
  const std::string reason = GetErrorDetail(why).reason;
  WebhookSettlement failed{event.gateway, event.id, InboxState::kAttention,
                           fmt::format("{}: {}", reason.empty() ? "LOOK_FAILED" : reason, std::string(why.message()))};
  if (const std::optional<absl::Duration> again = NextTier(attempts)) {
    failed.state = InboxState::kNew;
    failed.again = *again;
  }
  return failed;
}

absl::Status GatewayWebhooks::LookAt(std::vector<WebhookDue> due) {
  std::vector<WebhookEvent> events;
  std::vector<std::optional<Uuid>> order_ids;
  for (WebhookDue& one : due) {
    order_ids.push_back(OrderOfKey(one.event.key));
    events.push_back(std::move(one.event));
  }
  absl::StatusOr<std::vector<std::optional<WebhookOrder>>> orders = inbox_.FindOrders(events, order_ids);
  if (!orders.ok() && (Passes(orders.status()) || events.size() == 1)) {
    if (Passes(orders.status())) return orders.status();
    return inbox_.Settle({{Failed(events[0], due[0].attempts, orders.status())}});
  }
  if (!orders.ok()) {  // some of them: each for itself
    for (size_t at = 0; at < due.size(); ++at) {
      due[at].event = std::move(events[at]);
      if (absl::Status looked = LookAt({std::move(due[at])}); !looked.ok()) return looked;
    }
    return absl::OkStatus();
  }
  std::vector<WebhookSettlement> settled;
  std::vector<storage::PaymentEvent> told;
  absl::Status first_error;
  // What is left when the process ends, or the store is away, stays due.
  for (size_t at = 0; at < events.size() && !draining_ && first_error.ok(); ++at) {
    const WebhookEvent& event = events[at];
    const WebhookOrder* order = (*orders)[at] ? &*(*orders)[at] : nullptr;
    WebhookJudgement judged = JudgeWebhook(event, order, due[at].age);
    if (judged.signal) {
      WAYBILL_FAILPOINT("inbox.before_signal");
      saga::Signal signal;
      signal.step = std::string(kChargePayment);
      signal.token = order->token;
      // That there is something to ask for; what, the gateway says.
      signal.outcome = saga::Outcome::Succeeded(fmt::format("webhook {} of {}", event.id, event.gateway));
      absl::StatusOr<saga::SignalResult> said = runner_.AddSignal(order->order_id, std::move(signal));
      if (!said.ok() && Passes(said.status())) {
        first_error.Update(said.status());
        continue;
      }
      if (!said.ok()) {
        settled.push_back(Failed(event, due[at].attempts, said.status()));
        settled.back().order_id = order->order_id;
        continue;
      }
      orders_.Signal(*said);
      // The order is being asked for: it may come to wait for the very token that the event names.
      const bool under_another = !event.token.empty() && event.token != order->token;
      const bool kept = *said == saga::SignalResult::kKept || *said == saga::SignalResult::kRepeated;
      if (under_another && kept && due[at].age <= kUnmatchedFor) judged = {InboxState::kUnmatched, "ANOTHER_TOKEN"};
      if (*said == saga::SignalResult::kLate) judged = {InboxState::kLate, "ALREADY_DECIDED"};
    }
    WebhookSettlement one{event.gateway, event.id, judged.state, judged.reason};
    if (order != nullptr) one.order_id = order->order_id;
    if (judged.state == InboxState::kUnmatched) {
      one.again = NextLook(due[at].attempts);
    } else {
      told.push_back({event.gateway, event.id, event.type, std::string(storage::Name(judged.state)),
                      order == nullptr ? "" : order->order_id.ToString()});
    }
    settled.push_back(std::move(one));
  }
  if (settled.empty()) return first_error;
  WAYBILL_FAILPOINT("inbox.before_settle");
  if (absl::Status written = inbox_.Settle(settled); !written.ok()) return written;
  for (const WebhookSettlement& one : settled) {
    if (one.state == InboxState::kNew) {
      log_.Warn("an event of a webhook could not be looked at, and will be again",
                {{"gateway", one.gateway}, {"event_id", one.id}, {"reason", one.reason}});
      continue;
    }
    Settled(one.gateway, one.id, one.state, one.reason);
  }
  if (events_ != nullptr && !told.empty()) {
    if (absl::Status added = events_->Add(told); !added.ok()) {
      lost_events_.Increment(static_cast<double>(told.size()));
    }
  }
  return first_error;
}

std::vector<Chore> GatewayWebhooks::MakeChores(absl::Duration keep) {
  std::vector<Chore> chores;
  chores.push_back({"looking at webhooks' events",
                    [this]() -> absl::StatusOr<absl::Duration> {
                      absl::StatusOr<std::vector<WebhookDue>> due = inbox_.ClaimDue(static_cast<int>(kLookAtOnce));
                      if (!due.ok()) return due.status();
                      const bool more = due->size() == kLookAtOnce;
                      if (!due->empty()) {
                        if (absl::Status looked = LookAt(*std::move(due)); !looked.ok()) return looked;
                      }
                      return more ? absl::ZeroDuration() : absl::Seconds(1);
                    },
                    absl::Seconds(1)});
  chores.push_back(EveryChore(absl::Seconds(10), "counting webhooks' events", [this] {
    absl::StatusOr<storage::InboxStats> stats = inbox_.Stats();
    if (!stats.ok()) return stats.status();
    attention_ = stats->attention;
    open_ = stats->open;
    overdue_seconds_ = absl::ToDoubleSeconds(stats->overdue);
    return absl::OkStatus();
  }));
  chores.push_back({"deleting old webhooks' events",
                    [this, keep]() -> absl::StatusOr<absl::Duration> {
                      constexpr int kDeletedAtOnce = 1'000;
                      absl::StatusOr<int64_t> deleted = inbox_.DeleteOld(keep, kDeletedAtOnce);
                      if (!deleted.ok()) return deleted.status();
                      return *deleted == kDeletedAtOnce ? absl::Milliseconds(100) : absl::Minutes(10);
                    },
                    absl::Minutes(1)});
  return chores;
}

}  // namespace waybill::order
