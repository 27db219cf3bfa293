#include "services/order/webhook_sender.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "boost/asio/io_context.hpp"
#include "boost/asio/post.hpp"
#include "edge/http/client.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/text.h"
#include "webhooks/retry_schedule.h"
#include "webhooks/signature.h"
#include "webhooks/url.h"

namespace waybill::order {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using storage::ClaimedDelivery;
using storage::DeliveryResult;
using storage::WebhookDelivery;

// Of an answer's body; what is kept of it.
constexpr size_t kAnswerBytesMax = 4'096, kAnswerKept = 512;
// After the store did not answer.
constexpr absl::Duration kStorePause = absl::Seconds(1);

webhooks::Address AddressOf(const asio::ip::tcp::endpoint& endpoint) {
  const asio::ip::address address = endpoint.address();
  if (address.is_v4()) return webhooks::MappedAddress(address.to_v4().to_bytes());
  return address.to_v6().to_bytes();
}

}  // namespace

WebhookMetrics::WebhookMetrics(Metrics& metrics)
    : delivered(metrics.AddCounter("waybill_webhook_attempts_total", "Attempts to deliver an event, by how they ended.",
                                   {{"outcome", "delivered"}})),
      refused(metrics.AddCounter("waybill_webhook_attempts_total", "Attempts to deliver an event, by how they ended.",
                                 {{"outcome", "refused"}})),
      unreachable(metrics.AddCounter("waybill_webhook_attempts_total",
                                     "Attempts to deliver an event, by how they ended.", {{"outcome", "unreachable"}})),
      forbidden(metrics.AddCounter("waybill_webhook_attempts_total", "Attempts to deliver an event, by how they ended.",
                                   {{"outcome", "forbidden"}})),
      died(metrics.AddCounter("waybill_webhook_deliveries_died_total",
                              "Deliveries that were given up after their last attempt.")),
      disabled(metrics.AddCounter("waybill_webhook_endpoints_disabled_total",
                                  "Endpoints that were disabled because they are gone or failed for days.")),
      attempt_seconds(metrics.AddHistogram("waybill_webhook_attempt_seconds",
                                           "How long an attempt to deliver an event took.", LatencyBuckets())),
      delivered_seconds(metrics.AddHistogram("waybill_webhook_delivered_seconds",
                                             "From what an event tells to its delivery at the first attempt.",
                                             LatencyBuckets())),
      endpoints(metrics.AddGauge("waybill_webhook_endpoints", "Endpoints that are enabled.")),
      endpoints_disabled(metrics.AddGauge("waybill_webhook_endpoints_disabled",
                                          "Endpoints that are disabled, and not by their clients.")),
      waiting(metrics.AddGauge("waybill_webhook_deliveries_waiting", "Deliveries that wait for an attempt.")),
      dead(metrics.AddGauge("waybill_webhook_deliveries_dead", "Deliveries that are dead, and not replayed.")),
      overdue(metrics.AddGauge("waybill_webhook_overdue_seconds",
                               "How long the oldest delivery that is due has waited beyond its time.")),
      in_flight(metrics.AddGauge("waybill_webhook_in_flight", "Attempts that are under way.")),
      connections(metrics.AddCounter("waybill_webhook_connections_total",
                                     "Connections to endpoints; further attempts went over one that was kept.")),
      connections_kept(metrics.AddGauge("waybill_webhook_connections_kept",
                                        "Connections to endpoints that wait for another delivery.")) {}

class WebhookSender::Engine {
 public:
  Engine(storage::WebhookStore& store, const storage::WebhookInterest& interest, const Clock& clock, Random& random,
         WebhookMetrics& metrics, const Logger& log, WebhookOptions options)
      : store_(store),
        interest_(interest),
        clock_(clock),
        random_(random),
        metrics_(metrics),
        log_(log.For("services.order")),
        options_(std::move(options)),
        tls_(http::MakeClientTls("")) {}

  std::optional<SteadyTime> TakeTurn() {
    CloseOld();
    const std::optional<SteadyTime> stop_by = StopBy();
    if (!stop_by && !draining_ && results_.empty() && clock_.Steady() >= next_claim_) Claim();
    if (!attempts_.empty()) RunUntilSomething(stop_by);
    if (!results_.empty()) Record();
    if (const std::optional<SteadyTime> now_stop_by = StopBy()) {
      if ((attempts_.empty() && results_.empty()) || clock_.Steady() >= *now_stop_by) return std::nullopt;
    }
    if (!results_.empty()) return clock_.Steady() + kStorePause;
    if (!attempts_.empty()) return Loop::kAtOnce;
    return draining_ ? clock_.Steady() + options_.poll : next_claim_;
  }

  // From any thread.
  void SetDraining() { draining_ = true; }
  void Stop(SteadyTime deadline) {
    {
      std::lock_guard lock(mutex_);
      stop_by_ = deadline;
    }
    asio::post(io_, [] {});
  }

 private:
  struct Attempt {
    ClaimedDelivery delivery;
    webhooks::Url url;
    SteadyTime begun;
    std::unique_ptr<http::Lookup> lookup;
    std::unique_ptr<http::ClientCall> exchange;
    SteadyTime looked_at;  // when the address was that it goes to
    bool over_kept = false;
    bool over = false;
  };
  struct Kept {
    std::string url;
    http::KeptConnection connection;
    SteadyTime looked_at;
    SteadyTime idle_since;
  };

  std::optional<SteadyTime> StopBy() const {
    std::lock_guard lock(mutex_);
    return stop_by_;
  }

  void Claim() {
    next_claim_ = clock_.Steady() + options_.poll;
    const int room = options_.in_flight_max - static_cast<int>(attempts_.size());
    if (room <= 0 || !interest_.MayBe()) return;
    std::map<Uuid, int> counts;
    for (const auto& attempt : attempts_) ++counts[attempt->delivery.endpoint_id];
    std::vector<storage::WebhookStore::Busy> busy;
    for (const auto& [id, count] : counts) busy.push_back({id, count});
    absl::StatusOr<std::vector<ClaimedDelivery>> claimed =
        store_.Claim(busy, options_.each_max, room, options_.lease());
    if (!claimed.ok()) {
      log_.Warn("deliveries of webhooks are not claimed", {{"error", std::string(claimed.status().message())}});
      next_claim_ = clock_.Steady() + kStorePause;
      return;
    }
    // There may be more where these came from, as soon as one of them has ended.
    more_ = !claimed->empty();
    for (ClaimedDelivery& delivery : *claimed) Begin(std::move(delivery));
    metrics_.in_flight.Set(static_cast<double>(attempts_.size()));
  }

  void Begin(ClaimedDelivery delivery) {
    Attempt& attempt = *attempts_.emplace_back(std::make_unique<Attempt>());
    attempt.delivery = std::move(delivery);
    attempt.begun = clock_.Steady();
    absl::StatusOr<webhooks::Url> url = webhooks::ParseUrl(attempt.delivery.url);
    if (!url.ok())
      return Fail(attempt, metrics_.forbidden, fmt::format("the URL {}", std::string(url.status().message())));
    attempt.url = *std::move(url);
    std::optional<Kept> kept = TakeKept(attempt);
    if (!kept) return LookUp(attempt);
    attempt.looked_at = kept->looked_at;
    attempt.over_kept = true;
    Prepare(attempt);
    attempt.exchange->Start(std::move(kept->connection), TimeLeft(attempt), Ending(attempt));
  }

  absl::Duration TimeLeft(const Attempt& attempt) const { return options_.timeout - (clock_.Steady() - attempt.begun); }

  void LookUp(Attempt& attempt) {
    attempt.over_kept = false;
    attempt.looked_at = clock_.Steady();
    attempt.lookup = std::make_unique<http::Lookup>(io_, attempt.url.host, attempt.url.port);
    attempt.lookup->Start(TimeLeft(attempt), [this, &attempt](absl::StatusOr<http::Addresses> found) {
      if (found.ok()) return Send(attempt, *found);
      Fail(attempt, metrics_.unreachable,
           fmt::format("{} is not found: {}", attempt.url.host, std::string(found.status().message())));
    });
  }

  // To the very addresses that were looked at: asked again, a name may say something else.
  void Send(Attempt& attempt, http::Addresses& found) {
    std::erase_if(found, [&](const asio::ip::tcp::endpoint& endpoint) {
      const webhooks::Address address = AddressOf(endpoint);
      return attempt.url.tls ? !options_.guard.Allows(address) : !options_.guard.IsNamed(address);
    });
    if (found.empty()) {
      return Fail(attempt, metrics_.forbidden,
                  attempt.url.tls ? "the host is at no address that may be called"
                                  : "without TLS only networks of --webhook-allow-networks are called");
    }
    Prepare(attempt);
    metrics_.connections.Increment();
    attempt.exchange->Start(found, TimeLeft(attempt), Ending(attempt));
  }

  void Prepare(Attempt& attempt) {
    const absl::Time now = clock_.Now();
    const ClaimedDelivery& delivery = attempt.delivery;
    http::ClientRequest request = {
        attempt.url.host,
        attempt.url.port,
        attempt.url.target,
        {{"content-type", "application/json"},
         {"webhook-id", delivery.event_id},
         {"webhook-timestamp", fmt::format("{}", absl::ToUnixSeconds(now))},
         {"webhook-signature", webhooks::Sign(delivery.secrets, delivery.event_id, now, delivery.body)}},
        delivery.body};
    WAYBILL_FAILPOINT("webhook.before_send");
    attempt.exchange = std::make_unique<http::ClientCall>(
        io_, std::move(request), attempt.url.tls ? tls_.get() : nullptr, kAnswerBytesMax, /*keep=*/true);
  }

  http::ClientCall::Done Ending(Attempt& attempt) {
    return [this, &attempt](error_code error) {
      WAYBILL_FAILPOINT("webhook.after_receive");
      // The other side may end what it has kept at any time. Should it have read this, it is told again.
      if (error && attempt.over_kept && error != asio::error::timed_out) return LookUp(attempt);
      if (error) return Fail(attempt, metrics_.unreachable, error.message());
      Keep(attempt);
      Answered(attempt, attempt.exchange->answer());
    };
  }

  // --- Connections that endpoints keep open. Each was made to an address that was looked at, and goes nowhere else.

  void Keep(Attempt& attempt) {
    std::optional<http::KeptConnection> connection = attempt.exchange->Take();
    if (!connection || kept_count_ >= options_.in_flight_max) return;
    std::vector<Kept>& kept = kept_[attempt.delivery.endpoint_id];
    if (kept.size() >= static_cast<size_t>(options_.each_max)) return;
    kept.push_back({attempt.delivery.url, *std::move(connection), attempt.looked_at, clock_.Steady()});
    ++kept_count_;
  }

  bool IsOld(const Kept& kept, SteadyTime now) const {
    return now - kept.looked_at >= options_.kept_for || now - kept.idle_since >= options_.idle_max;
  }

  // The one that was used last; nothing when there is none to this URL.
  std::optional<Kept> TakeKept(const Attempt& attempt) {
    const auto found = kept_.find(attempt.delivery.endpoint_id);
    if (found == kept_.end()) return std::nullopt;
    std::optional<Kept> taken;
    const SteadyTime now = clock_.Steady();
    while (!taken && !found->second.empty()) {
      Kept& last = found->second.back();
      if (last.url == attempt.delivery.url && !IsOld(last, now) && last.connection.Quiet()) taken = std::move(last);
      found->second.pop_back();
      --kept_count_;
    }
    if (found->second.empty()) kept_.erase(found);
    return taken;
  }

  void CloseOld() {
    const SteadyTime now = clock_.Steady();
    for (auto endpoint = kept_.begin(); endpoint != kept_.end();) {
      kept_count_ -=
          static_cast<int>(std::erase_if(endpoint->second, [&](const Kept& kept) { return IsOld(kept, now); }));
      endpoint = endpoint->second.empty() ? kept_.erase(endpoint) : std::next(endpoint);
    }
    metrics_.connections_kept.Set(kept_count_);
  }

  void CloseAll(const Uuid& endpoint_id) {
    const auto found = kept_.find(endpoint_id);
    if (found == kept_.end()) return;
    kept_count_ -= static_cast<int>(found->second.size());
    kept_.erase(found);
  }

  void Answered(Attempt& attempt, const http::ClientAnswer& answer) {
    const bool succeeded = answer.status >= 200 && answer.status < 300;
    DeliveryResult result = ResultOf(attempt, CleanText(answer.body, kAnswerKept));
    result.code = static_cast<int>(answer.status);
    if (succeeded) {
      metrics_.delivered.Increment();
      if (attempt.delivery.attempts == 0) {
        metrics_.delivered_seconds.Observe(absl::ToDoubleSeconds(clock_.Now() - attempt.delivery.created_at));
      }
      return End(attempt, std::move(result));
    }
    metrics_.refused.Increment();
    if (answer.status == 410) {
      result.endpoint_gone = true;
      Die(result, "the endpoint answered 410 Gone");
      return End(attempt, std::move(result));
    }
    int64_t seconds = 0;
    if (!absl::SimpleAtoi(answer.retry_after, &seconds)) seconds = 0;
    Again(attempt, std::move(result), absl::Seconds(std::max<int64_t>(seconds, 0)));
  }

  void Fail(Attempt& attempt, prometheus::Counter& outcome, std::string why) {
    outcome.Increment();
    Again(attempt, ResultOf(attempt, CleanText(std::move(why), kAnswerKept)), absl::ZeroDuration());
  }

  void Again(Attempt& attempt, DeliveryResult result, absl::Duration retry_after) {
    const std::optional<absl::Duration> pause =
        webhooks::NextPause(attempt.delivery.attempts + 1, retry_after, random_);
    if (pause) {
      result.state = WebhookDelivery::State::kWaiting;
      result.pause = *pause;
    } else {
      Die(result, fmt::format("none of {} attempts succeeded", attempt.delivery.attempts + 1));
    }
    End(attempt, std::move(result));
  }

  void Die(DeliveryResult& result, std::string why) {
    result.state = WebhookDelivery::State::kDead;
    result.reason = std::move(why);
    metrics_.died.Increment();
  }

  static DeliveryResult ResultOf(const Attempt& attempt, std::string answer) {
    DeliveryResult result;
    result.endpoint_id = attempt.delivery.endpoint_id;
    result.event_id = attempt.delivery.event_id;
    result.url = attempt.delivery.url;
    result.epoch = attempt.delivery.epoch;
    result.answer = std::move(answer);
    return result;
  }

  void End(Attempt& attempt, DeliveryResult result) {
    metrics_.attempt_seconds.Observe(absl::ToDoubleSeconds(clock_.Steady() - attempt.begun));
    attempt.over = true;
    results_.push_back(std::move(result));
  }

  // Lets what is under way go on, until one of them has ended, or there is something else to do.
  void RunUntilSomething(std::optional<SteadyTime> stop_by) {
    absl::Duration wait = options_.poll;
    if (stop_by) wait = std::clamp(*stop_by - clock_.Steady(), absl::ZeroDuration(), wait);
    const auto until = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait);
    io_.restart();
    while (results_.empty() && io_.run_one_until(until) > 0) {
    }
    io_.poll();
    if (!results_.empty()) std::erase_if(attempts_, [](const auto& attempt) { return attempt->over; });
  }

  void Record() {
    std::erase_if(attempts_, [](const auto& attempt) { return attempt->over; });
    metrics_.in_flight.Set(static_cast<double>(attempts_.size()));
    absl::StatusOr<std::vector<storage::DisabledEndpoint>> disabled = store_.Finish(results_, options_.failing_max);
    if (!disabled.ok()) {
      log_.Warn("what became of deliveries of webhooks is not written",
                {{"error", std::string(disabled.status().message())}});
      return;
    }
    results_.clear();
    if (more_) next_claim_ = Loop::kAtOnce;
    for (const storage::DisabledEndpoint& endpoint : *disabled) {
      metrics_.disabled.Increment();
      CloseAll(endpoint.id);
      log_.Warn("an endpoint of webhooks is disabled",
                {{"endpoint_id", endpoint.id.ToString()}, {"client", endpoint.client}, {"why", endpoint.reason}});
    }
  }

  storage::WebhookStore& store_;
  const storage::WebhookInterest& interest_;
  const Clock& clock_;
  Random& random_;
  WebhookMetrics& metrics_;
  const Logger log_;
  const WebhookOptions options_;
  const std::unique_ptr<asio::ssl::context> tls_;
  mutable std::mutex mutex_;
  std::optional<SteadyTime> stop_by_;  // under mutex_

  // The loop's own.
  asio::io_context io_{1};
  SteadyTime next_claim_ = SteadyTime::InfinitePast();
  bool more_ = false;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  std::vector<DeliveryResult> results_;     // that are not written yet
  std::map<Uuid, std::vector<Kept>> kept_;  // by endpoint
  int kept_count_ = 0;                      // of all
  std::atomic<bool> draining_{false};
};

WebhookSender::WebhookSender(storage::WebhookStore& store, const storage::WebhookInterest& interest, const Clock& clock,
                             Random& random, WebhookMetrics& metrics, const Logger& log, WebhookOptions options)
    : engine_(std::make_unique<Engine>(store, interest, clock, random, metrics, log, std::move(options))) {}

WebhookSender::~WebhookSender() { Stop(SteadyTime::InfinitePast()); }

void WebhookSender::Start(const Loops& loops) {
  loop_ = loops.Start([this](const Clock&) { return engine_->TakeTurn(); });
}

void WebhookSender::SetDraining() { engine_->SetDraining(); }

void WebhookSender::Stop(SteadyTime deadline) {
  if (loop_ == nullptr) return;
  engine_->Stop(deadline);
  loop_->Join();
  loop_.reset();
}

std::optional<SteadyTime> WebhookSender::TakeTurn() { return engine_->TakeTurn(); }

std::vector<Chore> WebhookChores(storage::WebhookStore& store, storage::WebhookInterest& interest, const Clock& clock,
                                 WebhookMetrics& metrics, const WebhookOptions& options) {
  std::vector<Chore> chores;
  chores.push_back(EveryChore(absl::Seconds(1), "asking who wants webhooks", [&store, &interest, &clock] {
    const SteadyTime asked = clock.Steady();
    absl::StatusOr<bool> any = store.AnyEndpoint();
    if (any.ok()) interest.Learn(asked, *any);
    return any.status();
  }));
  chores.push_back({"burying deliveries of webhooks", [&store]() -> absl::StatusOr<absl::Duration> {
                      absl::StatusOr<int64_t> buried = store.Bury();
                      if (!buried.ok()) return buried.status();
                      return *buried == storage::kDeliveriesChanged ? absl::ZeroDuration() : absl::Seconds(5);
                    }});
  chores.push_back(
      {"forgetting deliveries of webhooks", [&store, age = options.retention]() -> absl::StatusOr<absl::Duration> {
         absl::StatusOr<int64_t> forgotten = store.Forget(age);
         if (!forgotten.ok()) return forgotten.status();
         return *forgotten == storage::kDeliveriesChanged ? absl::Seconds(1) : absl::Minutes(1);
       }});
  chores.push_back(EveryChore(absl::Seconds(15), "counting deliveries of webhooks", [&store, &metrics] {
    absl::StatusOr<storage::WebhookStats> stats = store.Count();
    if (!stats.ok()) return stats.status();
    metrics.endpoints.Set(static_cast<double>(stats->endpoints));
    metrics.endpoints_disabled.Set(static_cast<double>(stats->disabled));
    metrics.waiting.Set(static_cast<double>(stats->waiting));
    metrics.dead.Set(static_cast<double>(stats->dead));
    metrics.overdue.Set(absl::ToDoubleSeconds(stats->overdue));
    return absl::OkStatus();
  }));
  return chores;
}

}  // namespace waybill::order
