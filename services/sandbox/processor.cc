#include "services/sandbox/processor.h"

#include <algorithm>
#include <utility>

#include "domain/currency.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "payments/processor/contract.h"
#include "payments/webhooks/event.h"
#include "runtime/ids.h"

namespace waybill::sandbox {
namespace {

using Json = nlohmann::json;

constexpr int64_t kPaymentDelayMsMax = 60'000;

http::Response JsonAnswer(unsigned code, std::string body) { return {code, "application/json", std::move(body), {}}; }
http::Response Message(unsigned code, std::string_view message) {
  return JsonAnswer(code, Json{{"message", message}}.dump());
}

http::Response TooMany(std::string_view message, int64_t retry_after_s = 5) {
  http::Response refusal = Message(429, message);
  refusal.fields.emplace_back("Retry-After", fmt::format("{}", retry_after_s));
  return refusal;
}

class ExchangeCaller final : public Caller {
 public:
  ExchangeCaller(http::ExchangePtr exchange, std::shared_ptr<http::Response> response)
      : exchange_(std::move(exchange)), response_(std::move(response)) {}
  void Answer(const absl::Status& status) override {
    exchange_->Answer(status.ok() ? std::move(*response_) : Message(500, std::string(status.message())));
  }
  void OnGone(absl::AnyInvocable<void()> callback) override { exchange_->OnGone(std::move(callback)); }

 private:
  const http::ExchangePtr exchange_;
  const std::shared_ptr<http::Response> response_;
};

std::optional<double> ShareIn(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return 0;
  if (!found->is_number()) return std::nullopt;
  const double share = found->get<double>();
  if (!(share >= 0 && share <= 1)) return std::nullopt;
  return share;
}

std::optional<absl::Time> TimeIn(const std::string& text, absl::Time otherwise) {
  if (text.empty()) return otherwise;
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, absl::UTCTimeZone(), &time, &error)) return std::nullopt;
  return time;
}

}  // namespace

Processor::Processor(ProcessorOptions options, const Clock& clock, Scheduler& scheduler, Random& random)
    : options_(std::move(options)),
      decimals_(domain::CurrencyExponent(options_.currency).value_or(2)),
      clock_(clock),
      scheduler_(scheduler),
      random_(random) {}

absl::StatusOr<std::unique_ptr<Processor>> Processor::Open(ProcessorOptions options, const Clock& clock,
                                                           Scheduler& scheduler, Random& random, Metrics& metrics,
                                                           const Loops& loops, const Logger& log) {
  Books books(/*drivers=*/0);
  auto book_log = BookLog::Open(options.log, [&books](const Record& record) { books.Apply(record); });
  if (!book_log.ok()) return book_log.status();
  std::unique_ptr<Processor> made(new Processor(std::move(options), clock, scheduler, random));
  Processor& processor = *made;
  processor.log_ = *std::move(book_log);
  processor.sandbox_ =
      std::make_unique<Sandbox>(std::move(books), *processor.log_, clock, scheduler, random, metrics, loops);
  http::ServerOptions http;
  http.listen = processor.options_.listen;
  auto server = http::Server::Start(http, metrics, log);
  if (!server.ok()) return server.status();
  processor.server_ = *std::move(server);
  http::Server& at = *processor.server_;
  const std::string payments(payments::kPaymentsPath);
  at.Serve(payments, {"payment", {"POST"}}, [&processor](auto exchange) { processor.Pay(std::move(exchange)); });
  at.Serve(payments + "/", {"payment", {"GET"}}, [&processor](auto exchange) { processor.Show(std::move(exchange)); });
  at.Serve(std::string(payments::kHealthPath), {"health", {"GET"}},
           [&processor](auto exchange) { processor.ShowHealth(std::move(exchange)); });
  at.Serve("/admin/", {"admin", {"GET", "PUT", "POST"}},
           [&processor](auto exchange) { processor.Administrate(std::move(exchange)); });
  return made;
}

Processor::~Processor() {
  if (sandbox_) sandbox_->ReleaseHeld();
  std::unique_lock lock(mutex_);
  std::exchange(waiting_, {}).clear();
  lock.unlock();
  server_.reset();
  lock.lock();
  less_under_way_.wait(lock, [this] { return under_way_ == 0; });
}

void Processor::Pay(http::ExchangePtr exchange) {
  const std::optional<payments::ProcessorPayment> payment = payments::ParseProcessorPayment(exchange->request().body);
  const std::optional<Uuid> id = payment ? Uuid::Parse(payment->id) : std::nullopt;
  const std::optional<int64_t> amount = payment ? payments::ParseDecimal(payment->amount, decimals_) : std::nullopt;
  const std::optional<absl::Time> requested_at = payment ? TimeIn(payment->requested_at, clock_.Now()) : std::nullopt;
  if (!id || !amount || *amount <= 0 || !requested_at) {
    return exchange->Answer(Message(
        400, fmt::format("needs a correlationId (UUID), a positive amount of {} decimals at most, and a requestedAt",
                         decimals_)));
  }
  Delayed pay = [this, exchange, id = id->ToString(), amount = *amount, requested_at = *requested_at](bool fails) {
    if (fails) return exchange->Answer(Message(500, "internal server error"));
    Execute(exchange, id, amount, requested_at);
  };
  std::unique_lock lock(mutex_);
  const bool waits = under_way_ >= options_.under_way_max;
  if (random_.Uniform() < too_many_rate_ || (waits && waiting_.size() >= options_.waiting_max)) {
    lock.unlock();
    return exchange->Answer(TooMany("too many requests"));
  }
  if (waits) return waiting_.push_back(std::move(pay));
  ++under_way_;
  const int64_t delay_ms = delay_ms_;
  lock.unlock();
  if (delay_ms == 0) return End(pay);
  EndIn(delay_ms, std::move(pay));
}

void Processor::EndIn(int64_t delay_ms, Delayed payment) {
  scheduler_.At(clock_.Steady() + absl::Milliseconds(delay_ms),
                [this, payment = std::move(payment)]() mutable { End(payment); });
}

void Processor::End(Delayed& payment) {
  std::unique_lock lock(mutex_);
  const bool fails = failure_ || random_.Uniform() < failing_rate_;
  lock.unlock();
  payment(fails);
  lock.lock();
  if (!waiting_.empty()) {
    EndIn(delay_ms_, std::move(waiting_.front()));
    waiting_.pop_front();
    return;
  }
  --under_way_;
  less_under_way_.notify_all();
}

void Processor::Execute(const http::ExchangePtr& exchange, std::string id, int64_t amount_minor,
                        absl::Time requested_at) {
  auto response = std::make_shared<http::Response>();
  Sandbox::Call call;
  call.key = id;
  call.execute = [this, id, amount_minor, requested_at, response](Books& books, const Verdict&, absl::Time,
                                                                  std::optional<Record>& effect) {
    if (books.FindPayment(id) != nullptr) {
      *response = Message(422, "CorrelationId already exists");
      return absl::OkStatus();
    }
    *response = Message(200, "payment processed successfully");
    return books.Charge({id, id, amount_minor, options_.currency}, Verdict(), requested_at, effect).status();
  };
  sandbox_->Serve(Target::kGateway, "Charge", std::make_unique<ExchangeCaller>(exchange, response), std::move(call));
}

void Processor::Show(http::ExchangePtr exchange) {
  const std::optional<Uuid> id = Uuid::Parse(exchange->request().path.substr(payments::kPaymentsPath.size() + 1));
  if (!id) return exchange->Answer(Message(404, "not found"));
  auto response = std::make_shared<http::Response>();
  sandbox_->Read(
      std::make_unique<ExchangeCaller>(std::move(exchange), response), [this, id = *id, response](const Books& books) {
        const Payment* payment = books.FindPayment(id.ToString());
        *response = payment == nullptr
                        ? Message(404, "not found")
                        : JsonAnswer(200, payments::ToJson(id, payment->amount_minor, decimals_, payment->time));
      });
}

void Processor::ShowHealth(http::ExchangePtr exchange) {
  std::unique_lock lock(mutex_);
  const SteadyTime now = clock_.Steady();
  ++health_calls_;
  if (health_called_at_) {
    const absl::Duration gap = now - *health_called_at_;
    health_gap_ = std::min(gap, health_gap_.value_or(gap));
  }
  health_called_at_ = now;
  if (health_at_ && now - *health_at_ < options_.health_every) {
    ++health_refused_;
    lock.unlock();
    const int64_t seconds = absl::ToInt64Seconds(absl::Ceil(options_.health_every, absl::Seconds(1)));
    return exchange->Answer(TooMany(fmt::format("one call in {} s", seconds), seconds));
  }
  health_at_ = now;
  std::string body = Json{{"failing", failure_}, {"minResponseTime", delay_ms_}}.dump();
  lock.unlock();
  exchange->Answer(JsonAnswer(200, std::move(body)));
}

void Processor::Administrate(http::ExchangePtr exchange) {
  const http::Request& request = exchange->request();
  {
    std::lock_guard lock(mutex_);
    if (request.Field("x-rinha-token") != options_.token) return exchange->Answer(Message(401, "unauthorized"));
  }
  const std::string path = request.path.substr(std::string_view("/admin/").size());
  constexpr std::string_view kConfigurations = "configurations/";
  if (request.method == "GET" && path == "payments-summary") return Summarize(std::move(exchange));
  if (request.method == "GET" && path == "health-calls") {
    std::lock_guard lock(mutex_);
    const Json calls = {{"calls", health_calls_},
                        {"refused", health_refused_},
                        {"shortestGapMs", health_gap_ ? absl::ToInt64Milliseconds(*health_gap_) : -1}};
    return exchange->Answer(JsonAnswer(200, calls.dump()));
  }
  if (request.method == "POST" && path == "purge-payments") {
    auto response = std::make_shared<http::Response>(Message(200, "all payments purged"));
    return sandbox_->Decide(std::make_unique<ExchangeCaller>(std::move(exchange), response),
                            [](Books& books, absl::Time now, std::optional<Record>& effect) {
                              books.Purge(now, effect);
                              return absl::OkStatus();
                            });
  }
  if (request.method == "PUT" && path.starts_with(kConfigurations)) {
    return exchange->Answer(Configure(path.substr(kConfigurations.size()), request.body));
  }
  exchange->Answer(Message(404, "not found"));
}

http::Response Processor::Configure(const std::string& what, const std::string& body) {
  const Json json = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Message(400, "is no JSON object");
  std::lock_guard lock(mutex_);
  if (what == "misbehaviour") {
    const auto lost = ShareIn(json, "lostAnswerRate"), many = ShareIn(json, "tooManyRate"),
               failing = ShareIn(json, "failingRate");
    if (!lost || !many || !failing) return Message(400, "a share is not within 0..1");
    Behaviour behaviour;
    behaviour.lost_after_rate = *lost;
    if (absl::Status set = sandbox_->SetBehaviour(Target::kGateway, behaviour); !set.ok()) {
      return Message(400, std::string(set.message()));
    }
    too_many_rate_ = *many;
    failing_rate_ = *failing;
    return Message(200, "set");
  }
  const auto value = json.find(what);
  if (what == "token" && value != json.end() && value->is_string()) {
    options_.token = value->get<std::string>();
    return {204, "", "", {}};
  } else if (what == "delay" && value != json.end() && value->is_number_unsigned() &&
             value->get<uint64_t>() <= kPaymentDelayMsMax) {
    delay_ms_ = value->get<int64_t>();
  } else if (what == "failure" && value != json.end() && value->is_boolean()) {
    failure_ = value->get<bool>();
  } else {
    return Message(400, R"(is none of {"token":"…"}, {"delay":MS} up to a minute, and {"failure":true})");
  }
  return Message(200, "set");
}

void Processor::Summarize(http::ExchangePtr exchange) {
  const std::string& query = exchange->request().query;
  const auto from = TimeIn(http::QueryParameter(query, "from"), absl::InfinitePast());
  const auto to = TimeIn(http::QueryParameter(query, "to"), absl::InfiniteFuture());
  if (!from || !to) return exchange->Answer(Message(400, "from and to are times of ISO 8601, in UTC"));
  auto response = std::make_shared<http::Response>();
  sandbox_->Read(std::make_unique<ExchangeCaller>(std::move(exchange), response), [this, from = *from, to = *to,
                                                                                   response](const Books& books) {
    int64_t requests = 0, amount_minor = 0;
    for (const auto& [id, payment] : books.payments()) {
      if (payment.time < from || payment.time > to) continue;
      requests += payment.charges;
      amount_minor += payment.charged_minor;
    }
    constexpr int kPpmDecimals = 6;
    *response =
        JsonAnswer(200, fmt::format(R"({{"totalRequests":{},"totalAmount":{},"totalFee":{},"feePerTransaction":{}}})",
                                    requests, payments::DecimalAmount(amount_minor, decimals_),
                                    payments::DecimalAmount(amount_minor * options_.fee_ppm, decimals_ + kPpmDecimals),
                                    payments::DecimalAmount(options_.fee_ppm, kPpmDecimals)));
  });
}

}  // namespace waybill::sandbox
