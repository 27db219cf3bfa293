#include "tests/simulation/gateway_posts.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "edge/http/exchange.h"
#include "fmt/format.h"
#include "services/order/gateway_webhooks.h"
#include "webhooks/signature.h"

namespace waybill::simulation {
namespace {

using storage::InboxState;

constexpr char kSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
// An order that a webhook was taken for waits no longer than this: for looks at an event that came before the charge's
// answer, for stores that are away, processes that die.
constexpr absl::Duration kHeardWithin = absl::Seconds(90);

// A gateway of orders that are not routed has no name but in the webhooks' path.
std::string NameOf(const std::string& gateway) { return gateway.empty() ? "acme" : gateway; }

}  // namespace

struct GatewayPosts::Event {
  std::string gateway;
  std::string id;
  std::string body;
  std::optional<Uuid> order_id;  // nullopt: of no order of ours
  std::string token;             // of the order's charge, once it was pending
  bool other_amount = false;
  bool by_token = false;  // it says nothing else of the payment
  Chance chance;
  int tries_left = 8;
};

GatewayPosts::GatewayPosts(const Plan& plan, EventLoop& loop, Truth& truth,
                           const storage::testing::MemoryOrderBook& orders,
                           const storage::testing::MemoryInboxBook& inbox, FindProcess find,
                           std::function<void(std::string_view)> tell)
    : plan_(plan),
      loop_(loop),
      truth_(truth),
      orders_(orders),
      inbox_(inbox),
      find_(std::move(find)),
      tell_(std::move(tell)) {}

payments::WebhookGateways GatewayPosts::Known(const Plan& plan) {
  std::vector<std::string> names = {NameOf("")};
  if (!plan.gateways.empty()) names.clear();
  for (const GatewayPlan& gateway : plan.gateways) names.push_back(gateway.route.name);
  payments::WebhookGateways known;
  for (const std::string& name : names) {
    payments::WebhookGateway& gateway = known[name] = payments::DefaultsOf(payments::Scheme::kStandard);
    gateway.name = name;
    gateway.secrets = {*payments::ParseSecret(gateway.scheme, kSecret)};
  }
  return known;
}

absl::Duration GatewayPosts::ClockAhead(const std::string& gateway) const {
  for (const GatewayPlan& known : plan_.gateways) {
    if (known.route.name == gateway) return known.clock_ahead;
  }
  return plan_.clock_ahead;
}

void GatewayPosts::Tell(const std::string& gateway, const sandbox::Record& effect) {
  if (effect.effect != sandbox::Effect::kCharge && effect.effect != sandbox::Effect::kDecline) return;
  Chance chance(plan_.seed, {30, HashOf(gateway), HashOf(effect.key)});
  const PostOdds& odds = plan_.posts;
  if (chance.OneIn(odds.stray)) {
    sandbox::Record stray = effect;
    stray.order_id = Uuid{{1, 2, 3, static_cast<uint8_t>(chance.Pick(256))}}.ToString();
    stray.key = domain::PaymentKey(stray.order_id, 1);
    stray.token.clear();
    Say(gateway, stray, chance);
  }
  if (chance.OneIn(odds.other_amount)) {
    sandbox::Record other = effect;
    other.amount_minor += chance.Between(1, 500);
    Say(gateway, other, chance);
  }
  if (!chance.OneIn(odds.lost)) Say(gateway, effect, chance);
}

// As the sandbox's own webhooks are; some name the charge by the gateway's token alone.
void GatewayPosts::Say(const std::string& gateway, const sandbox::Record& effect, Chance chance) {
  auto event = std::make_shared<Event>(Event{.gateway = NameOf(gateway), .chance = chance});
  event->id = fmt::format("evt_{}", ++events_);
  event->order_id = Uuid::Parse(effect.order_id);
  const auto row = orders_.rows.find(*event->order_id);
  if (row == orders_.rows.end()) event->order_id.reset();
  if (row != orders_.rows.end()) {
    event->other_amount = effect.amount_minor != saga::As<domain::Order>(*row->second.record).payload.amount_minor;
  }
  event->token = effect.token;
  event->by_token = !effect.token.empty() && event->chance.OneIn(3);
  const bool by_both = !effect.token.empty() && event->chance.OneIn(2);
  std::string data;
  if (!event->by_token) data += fmt::format(R"("idempotency_key":"{}",)", effect.key);
  if (event->by_token || by_both) data += fmt::format(R"("token":"{}",)", effect.token);
  event->body = fmt::format(R"({{"type":"payment.{}","data":{{{}"amount_minor":{},"currency":"{}"}}}})",
                            effect.effect == sandbox::Effect::kCharge ? "succeeded" : "failed", data,
                            effect.amount_minor, effect.currency);
  const PostOdds& odds = plan_.posts;
  for (int times = event->chance.OneIn(odds.twice) ? 2 : 1; times > 0; --times) {
    const absl::Duration after =
        event->chance.OneIn(odds.late) ? event->chance.Milliseconds(500, 20'000) : event->chance.Milliseconds(0, 20);
    auto posted = std::make_shared<Event>(*event);
    posted->chance = Chance(event->chance.Next(), {31});
    ++open_;
    loop_.After(kWorld, after, [this, posted] { Post(posted); });
  }
}

void GatewayPosts::Post(std::shared_ptr<Event> event) {
  if (event->tries_left-- == 0) {
    tell_(fmt::format("{} gives up its event {}", event->gateway, event->id));
    --open_;
    return;
  }
  OrderProcess* process = find_(static_cast<int>(event->chance.Pick(static_cast<size_t>(plan_.processes))));
  if (process == nullptr) return Answered(event, 0);
  Deliver(event, *process);
}

// The answer comes once: the service's, or none in time when the process has died or the answer was lost.
void GatewayPosts::Deliver(const std::shared_ptr<Event>& event, OrderProcess& process) {
  auto open = std::make_shared<bool>(true);
  auto answered = [this, event, open](unsigned code) {
    if (std::exchange(*open, false)) Answered(event, code);
  };
  loop_.After(kWorld, absl::Seconds(5), [answered] { answered(0); });
  const absl::Time signed_at = loop_.Now() + ClockAhead(event->gateway);
  auto request = std::make_shared<http::Request>();
  request->method = "POST";
  request->path = std::string(order::kWebhooksPath) + event->gateway;
  request->body = event->body;
  request->fields = {{"webhook-id", event->id},
                     {"webhook-timestamp", std::to_string(absl::ToUnixSeconds(signed_at))},
                     {"webhook-signature", webhooks::Sign({kSecret}, event->id, signed_at, event->body)}};
  const bool answer_is_lost = event->chance.OneIn(20);
  process.host.After(process.host.Soon(), [this, &process, event, request, answered, answer_is_lost, signed_at] {
    // Clearly so: what lies at the edge is not looked at.
    const absl::Duration off = absl::AbsDuration(process.host.Now() - signed_at);
    const bool must_be_refused = off > payments::kTolerance + absl::Minutes(1);
    process.webhooks().Take(*request, [this, &process, event, request, answered, answer_is_lost,
                                       must_be_refused](const http::Response& response) {
      if (!process.host.alive()) return;
      if (response.code / 100 == 2) Taken(event, must_be_refused);
      if (answer_is_lost) return;
      loop_.After(kWorld, absl::Milliseconds(1), [answered, code = response.code] { answered(code); });
    });
  });
}

void GatewayPosts::Taken(const std::shared_ptr<Event>& event, bool must_be_refused) {
  answered_[{event->gateway, event->id}] = event;
  if (must_be_refused) {
    truth_.Wrong(
        fmt::format("event {} of {} was taken, and was signed at quite another time", event->id, event->gateway));
  }
  if (inbox_.rows.contains({event->gateway, event->id})) return;
  truth_.Wrong(fmt::format("event {} of {} was answered 2xx and is not in the inbox", event->id, event->gateway));
}

void GatewayPosts::Answered(const std::shared_ptr<Event>& event, unsigned code) {
  tell_(fmt::format("{} posted its event {}{}: {}", event->gateway, event->id,
                    event->other_amount ? ", of another amount" : "", code == 0 ? "no answer" : std::to_string(code)));
  if (code == 401) ++refused_;
  if (code / 100 == 2) {
    --open_;
    loop_.After(kWorld, kHeardWithin + ClosedFor(plan_), [this, event] { CheckItWaitsNoMore(*event); });
    return;
  }
  loop_.After(kWorld, event->chance.Milliseconds(100, 3'000), [this, event] { Post(event); });
}

void GatewayPosts::CheckItWaitsNoMore(const Event& event) {
  if (!event.order_id || event.other_amount || event.token.empty()) return;
  if (event.by_token && restored_.contains(event.gateway)) return;
  if (truth_.IsForgotten(event.order_id->ToString())) return;
  const auto row = orders_.rows.find(*event.order_id);
  if (row == orders_.rows.end() || !row->second.waiting) return;
  // Another gateway may have given it the same token.
  const auto& attempts = saga::As<domain::Order>(*row->second.record).payload.attempts;
  if (!attempts.empty() && attempts.back().gateway != event.gateway) return;
  const std::string waits = saga::WaitName(std::string(domain::kChargePayment), saga::Direction::kDo, event.token);
  if (!saga::IsAmong(waits, row->second.record->waits_for)) return;
  truth_.Wrong(fmt::format("{} still waits for its payer, though {} told us by {} what has become of that",
                           event.order_id->ToString(), event.gateway, event.id));
}

// Of no payment that our books know by what it says: kept, and looked at again for a week. So it is with a token in an
// answer that we have never heard.
bool GatewayPosts::IsSettled(const storage::testing::MemoryInboxBook::Row& row) const {
  if (row.state != InboxState::kUnmatched) return row.state != InboxState::kNew;
  if (const std::optional<Uuid> order = order::OrderOfKey(row.event.key)) return !orders_.rows.contains(*order);
  return std::none_of(orders_.rows.begin(), orders_.rows.end(), [&](const auto& entry) {
    if (entry.second.record->kind != domain::Order::kKind) return false;
    const domain::Order& order = saga::As<domain::Order>(*entry.second.record).payload;
    return order.pending && order.pending->token == row.event.token &&
           (order.attempts.empty() || (order.attempts.size() == 1 && order.attempts[0].gateway == row.event.gateway));
  });
}

bool GatewayPosts::Quiet() const {
  return open_ == 0 &&
         std::all_of(inbox_.rows.begin(), inbox_.rows.end(), [this](const auto& row) { return IsSettled(row.second); });
}

void GatewayPosts::CheckEnd() {
  for (const auto& [key, event] : answered_) {
    const auto row = inbox_.rows.find(key);
    const std::string name = fmt::format("event {} of {}", key.second, key.first);
    if (row == inbox_.rows.end()) {
      truth_.Wrong(fmt::format("{} was answered 2xx, and is no more", name));
      continue;
    }
    const storage::testing::MemoryInboxBook::Row& kept = row->second;
    if (!IsSettled(kept)) {
      truth_.Wrong(fmt::format("{} is left {}: {}", name, storage::Name(kept.state), kept.reason));
      continue;
    }
    const bool unknown = kept.reason == "UNKNOWN_PAYMENT" || kept.state == InboxState::kUnmatched;
    const bool unsure = event->by_token && restored_.contains(key.first);
    if (unknown || unsure || event->other_amount == (kept.state == InboxState::kAttention)) continue;
    truth_.Wrong(fmt::format("{}, {}, is {}: {}", name,
                             event->other_amount ? "of another amount" : "of what was charged",
                             storage::Name(kept.state), kept.reason));
  }
}

}  // namespace waybill::simulation
