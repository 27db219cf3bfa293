#include "services/sandbox/webhook_sender.h"

#include <fstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "domain/currency.h"
#include "edge/http/client.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "payments/processor/contract.h"
#include "payments/webhooks/gateways.h"
#include "webhooks/signature.h"

namespace waybill::sandbox {
namespace {

using payments::Scheme;

constexpr absl::Duration kPostTimeout = absl::Seconds(5);
constexpr absl::Duration kHeldBackFor = absl::Seconds(3);  // where no other one comes
constexpr int kSendsMax = 10;                              // over some four minutes
constexpr size_t kAnswerBytesMax = 4'096;
constexpr size_t kNewsKinds = 3;

// Of PaymentNews::Kind, as the scheme's gateways call it.
std::string_view TypeOf(Scheme scheme, PaymentNews::Kind kind) {
  static constexpr std::string_view kOwn[kNewsKinds] = {"payment.pending", "payment.succeeded", "payment.failed"};
  static constexpr std::string_view kStripe[kNewsKinds] = {"payment_intent.processing", "payment_intent.succeeded",
                                                           "payment_intent.payment_failed"};
  static constexpr std::string_view kRazorpay[kNewsKinds] = {"payment.authorized", "payment.captured",
                                                             "payment.failed"};
  static constexpr std::string_view kCashfree[kNewsKinds] = {"PAYMENT_PENDING_WEBHOOK", "PAYMENT_SUCCESS_WEBHOOK",
                                                             "PAYMENT_FAILED_WEBHOOK"};
  const size_t at = static_cast<size_t>(kind);
  switch (scheme) {
    case Scheme::kStripe:
      return kStripe[at];
    case Scheme::kRazorpay:
      return kRazorpay[at];
    case Scheme::kCashfree:
      return kCashfree[at];
    default:
      return kOwn[at];
  }
}

// Each token has one of its being pending, and one of what became of it.
std::string EventId(const PaymentNews& news) {
  return fmt::format("evt_{}{}", news.token, news.kind == PaymentNews::Kind::kPending ? "_pending" : "");
}

std::string HexOf(std::string_view bytes) { return absl::BytesToHexString({bytes.data(), bytes.size()}); }

}  // namespace

absl::StatusOr<WebhookTarget> ReadWebhookTarget(const webhooks::Url& url, Scheme scheme,
                                                const std::string& secret_file) {
  if (scheme == Scheme::kAdyen) {
    return absl::InvalidArgumentError(fmt::format("the scheme {} is none that is played", payments::Name(scheme)));
  }
  WebhookTarget target{url, scheme, ""};
  std::ifstream file(secret_file);
  std::getline(file, target.secret);
  target.secret = std::string(absl::StripAsciiWhitespace(target.secret));
  if (absl::Status wrong = payments::ParseSecret(scheme, target.secret).status(); !wrong.ok()) {
    return absl::InvalidArgumentError(fmt::format("the secret in {} {}", secret_file, std::string(wrong.message())));
  }
  return target;
}

WebhookMessage MakeWebhook(const WebhookTarget& target, const PaymentNews& news, bool wrong_amount) {
  // Everything where the receiver looks for it.
  const payments::WebhookGateway places = payments::DefaultsOf(target.scheme);
  nlohmann::json body = nlohmann::json::object();
  const auto put = [&body](const std::string& place, auto value) {
    if (place.starts_with('/')) body[nlohmann::json::json_pointer(place)] = std::move(value);
  };
  if (!places.event_id.empty()) put(places.event_id.front(), EventId(news));
  const std::string type(TypeOf(target.scheme, news.kind));
  put(places.event_type, type);
  put(places.payment_key, news.key);
  put(places.payment_token, news.token);
  const int64_t amount_minor = news.amount_minor + (wrong_amount ? 1 : 0);
  if (places.decimal_amounts) {
    put(places.amount, payments::DecimalAmount(amount_minor, domain::CurrencyExponent(news.currency).value_or(2)));
  } else {
    put(places.amount, amount_minor);
  }
  put(places.currency, news.currency);
  WebhookMessage message{{{"content-type", "application/json"}}, body.dump()};
  if (places.event_type.starts_with(payments::kHeaderPrefix)) {
    message.fields.emplace_back(places.event_type.substr(payments::kHeaderPrefix.size()), type);
  }
  return message;
}

http::Fields SignWebhook(const WebhookTarget& target, const std::string& id, absl::Time now, const std::string& body) {
  const std::string time = fmt::format("{}", absl::ToUnixSeconds(now));
  if (target.scheme == Scheme::kStandard) {
    return {{"webhook-id", id},
            {"webhook-timestamp", time},
            {"webhook-signature", webhooks::Sign({target.secret}, id, now, body)}};
  }
  const std::string key = payments::ParseSecret(target.scheme, target.secret).value_or("");
  const auto sign = [&](const std::string& message) { return HexOf(payments::HmacSha256(key, message)); };
  switch (target.scheme) {
    case Scheme::kStripe:
      return {{"stripe-signature", fmt::format("t={},v1={}", time, sign(time + "." + body))}};
    case Scheme::kRazorpay:
      return {{"x-razorpay-signature", sign(body)}};
    case Scheme::kCashfree: {
      const std::string bytes = payments::HmacSha256(key, time + body);
      return {{"x-webhook-timestamp", time}, {"x-webhook-signature", absl::Base64Escape(bytes)}};
    }
    case Scheme::kMollie:
      return {{"x-mollie-signature", "sha256=" + sign(body)}};
    default:
      return {{"x-hub-signature-256", "sha256=" + sign(body)}};
  }
}

void WebhookSender::Tell(const PaymentNews& news, const Behaviour& behaviour) {
  std::unique_lock lock(mutex_);
  const auto hits = [&](double share) { return share > 0 && random_.Uniform() < share; };
  const bool lost = hits(behaviour.webhook_lost_rate), twice = hits(behaviour.webhook_twice_rate),
             late = hits(behaviour.webhook_late_rate), wrong = hits(behaviour.webhook_wrong_amount_rate),
             hold_back = hits(behaviour.webhook_out_of_order_rate);
  if (lost) return;
  const Sending sending{EventId(news), MakeWebhook(target_, news, wrong)};
  if (hold_back && !held_back_) {
    held_back_ = sending;
    lock.unlock();
    scheduler_.At(clock_.Steady() + kHeldBackFor, [weak = weak_from_this(), id = sending.id] {
      if (auto sender = weak.lock()) sender->LetGo(id);
    });
    if (twice) SendIn(kHeldBackFor, sending);
    return;
  }
  std::optional<Sending> behind = std::exchange(held_back_, std::nullopt);
  lock.unlock();
  const absl::Duration delay = late ? absl::Milliseconds(behaviour.late_ms) : absl::ZeroDuration();
  for (int i = 0; i < (twice ? 2 : 1); ++i) SendIn(delay, sending);
  // Behind it as far as one can tell: it takes as long as the other, and a little more.
  if (behind) SendIn(delay + absl::Milliseconds(100), *std::move(behind));
}

void WebhookSender::LetGo(const std::string& id) {
  std::optional<Sending> held_back;
  {
    std::lock_guard lock(mutex_);
    if (held_back_ && held_back_->id == id) held_back = std::exchange(held_back_, std::nullopt);
  }
  if (held_back) SendIn(absl::ZeroDuration(), *std::move(held_back));
}

void WebhookSender::SendIn(absl::Duration delay, Sending sending) {
  Executor::Task task = [weak = weak_from_this(), sending = std::move(sending)] {
    if (auto sender = weak.lock()) sender->Send(sending);
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

void WebhookSender::Send(Sending sending) {
  http::Fields fields = SignWebhook(target_, sending.id, clock_.Now(), sending.message.body);
  fields.insert(fields.end(), sending.message.fields.begin(), sending.message.fields.end());
  const absl::StatusOr<http::ClientAnswer> answer =
      http::CallAndWait({target_.url.host, target_.url.port, target_.url.target, fields, sending.message.body},
                        /*tls=*/nullptr, kAnswerBytesMax, kPostTimeout);
  if (answer.ok() && answer->status / 100 == 2) return;
  log_.Warn("a webhook was not taken", {{"id", sending.id},
                                        {"attempt", sending.attempt},
                                        {"answer", answer.ok() ? fmt::format("{}", answer->status) : "none"}});
  if (sending.attempt >= kSendsMax) return;
  const absl::Duration pause = absl::Milliseconds(250) * (1 << sending.attempt);
  ++sending.attempt;
  SendIn(pause, std::move(sending));
}

}  // namespace waybill::sandbox
