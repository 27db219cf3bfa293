#include "bench/plain_race.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "fmt/format.h"
#include "payments/processor/contract.h"
#include "payments/webhooks/event.h"
#include "runtime/ids.h"

namespace waybill::bench {
namespace {

using storage::RedisConnection;
using storage::RedisPipeline;
using storage::RedisReplies;

constexpr std::string_view kQueue = "race:queue";
constexpr std::string_view kPaid = "race:paid:";
constexpr std::string_view kHealth = "race:health";  // who is failing, as the one who asked last says
constexpr std::string_view kHealthTurn = "race:health:turn";
// A processor answers once in five seconds; a little more, for the way there.
constexpr std::string_view kHealthEveryMs = "5050";
constexpr absl::Duration kHealthLook = absl::Milliseconds(100);
constexpr absl::Duration kPaymentTimeout =
    absl::Seconds(30);                            // processors take 5 s at most, and some time in their line
constexpr std::string_view kWaitInRedis = "0.2";  // seconds
constexpr int kDecimals = 2;
constexpr size_t kThreads = 2;
constexpr size_t kQueueMax = 100'000;

http::Response RaceAnswer(unsigned code, std::string body = "{}") {
  return {code, "application/json", std::move(body), {}};
}

// The first error there is, of the connection or of a command.
absl::Status StatusOf(const absl::StatusOr<RedisReplies>& replies) {
  if (!replies.ok()) return replies.status();
  for (size_t at = 0; at < replies->size(); ++at) {
    if ((*replies)[at].IsError()) return storage::RedisErrorStatus((*replies)[at].Text());
  }
  return absl::OkStatus();
}

// Milliseconds since 1970 as Redis takes the end of a range; `otherwise` when it is not there; nothing: it is no time.
std::optional<std::string> ScoreIn(const std::string& query, std::string_view name, std::string_view otherwise) {
  const std::string text = http::QueryParameter(query, name);
  if (text.empty()) return std::string(otherwise);
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, absl::UTCTimeZone(), &time, &error)) return std::nullopt;
  return std::to_string(absl::ToUnixMillis(time));
}

}  // namespace

struct PlainRace::Payment {
  std::string body;  // as it came, and waits in the list
  std::string id, amount;
  Processor* processor = nullptr;
  bool tried_other = false;
  absl::Time requested_at;
};

PlainRace::Processor::Processor(std::string name, int at_port, int workers)
    : paid(std::string(kPaid) + name), port(at_port), channel([&] {
        http::ChannelOptions options;
        options.host = "127.0.0.1";
        options.port = at_port;
        options.connections_max = options.calls_max = static_cast<size_t>(workers) + 1;  // and one for its health
        return options;
      }()) {}

absl::StatusOr<std::unique_ptr<PlainRace>> PlainRace::Start(const PlainRaceOptions& options) {
  auto url = storage::RedisUrl::Parse(options.redis_url);
  if (!url.ok()) return url.status();
  std::unique_ptr<PlainRace> made(new PlainRace(options, *url));
  PlainRace& race = *made;
  if (auto pinged = StatusOf(race.redis_.Borrow()->Run({"PING"})); !pinged.ok()) return pinged;
  http::ServerOptions http;
  http.listen = options.listen;
  auto server = http::Server::Start(http, race.metrics_, race.log_);
  if (!server.ok()) return server.status();
  race.server_ = *std::move(server);
  http::Server& at = *race.server_;
  at.Serve("/payments", {"take", {"POST"}}, [&race](auto exchange) { race.Take(std::move(exchange)); });
  at.Serve("/payments-summary", {"summary", {"GET"}}, [&race](auto exchange) { race.Summarize(std::move(exchange)); });
  at.Serve("/purge-payments", {"purge", {"POST"}}, [&race](auto exchange) { race.Purge(std::move(exchange)); });
  const ThreadLoops loops;
  race.taking_out_ = loops.Start([&race](const Clock&) { return race.TakeOut(); });
  race.health_ = loops.Start([&race](const Clock&) { return race.AskHealth(); });
  return made;
}

PlainRace::PlainRace(const PlainRaceOptions& options, const storage::RedisUrl& url)
    : log_(LogFormat::kText, LogLevel::kWarn, clock_),
      redis_(url, {}),
      taking_(url, {}),
      asking_(url, {}),
      default_("default", options.default_port, options.workers),
      fallback_("fallback", options.fallback_port, options.workers),
      idle_(options.workers),
      intake_(kThreads, kQueueMax),
      books_(kThreads, kQueueMax) {}

PlainRace::~PlainRace() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  less_to_do_.notify_all();
  if (taking_out_) taking_out_->Join();
  if (health_) health_->Join();
  default_.channel.Stop();  // what was under way is put back
  fallback_.channel.Stop();
  books_.Stop();
  intake_.Stop();
}

void PlainRace::OnWorker(WorkerPool& pool, const http::ExchangePtr& exchange, std::function<http::Response()> answer) {
  Executor::Task task = [exchange, answer = std::move(answer)] { exchange->Answer(answer()); };
  if (!pool.Submit(task)) exchange->Answer(RaceAnswer(503));
}

void PlainRace::Take(http::ExchangePtr exchange) {
  OnWorker(intake_, exchange, [this, exchange] {
    const std::string& body = exchange->request().body;
    const auto payment = payments::ParseProcessorPayment(body);
    if (!payment || !Uuid::Parse(payment->id) || !payments::ParseDecimal(payment->amount, kDecimals)) {
      return RaceAnswer(400);
    }
    return RaceAnswer(StatusOf(redis_.Borrow()->Run({"LPUSH", kQueue, body})).ok() ? 202 : 503);
  });
}

void PlainRace::Summarize(http::ExchangePtr exchange) {
  OnWorker(intake_, exchange, [this, exchange] {
    const std::string& query = exchange->request().query;
    const auto from = ScoreIn(query, "from", "-inf"), to = ScoreIn(query, "to", "+inf");
    if (!from || !to) return RaceAnswer(400);
    RedisPipeline pipeline;
    for (const Processor* processor : {&default_, &fallback_}) {
      pipeline.Add({"ZRANGEBYSCORE", processor->paid, *from, *to});
    }
    const auto found = redis_.Borrow()->Run(pipeline);
    if (!StatusOf(found).ok()) return RaceAnswer(503);
    const auto sum = [&](size_t at) {
      int64_t amount = 0;                                       // in hundredths
      for (size_t row = 0; row < (*found)[at].size(); ++row) {  // "UUID AMOUNT"
        const std::string_view member = (*found)[at][row].Text();
        amount += payments::ParseDecimal(member.substr(member.find(' ') + 1), kDecimals).value_or(0);
      }
      return fmt::format(R"({{"totalRequests":{},"totalAmount":{}}})", (*found)[at].size(),
                         payments::DecimalAmount(amount, kDecimals));
    };
    return RaceAnswer(200, fmt::format(R"({{"default":{},"fallback":{}}})", sum(0), sum(1)));
  });
}

void PlainRace::Purge(http::ExchangePtr exchange) {
  OnWorker(intake_, exchange, [this] {
    return RaceAnswer(StatusOf(redis_.Borrow()->Run({"DEL", kQueue, default_.paid, fallback_.paid})).ok() ? 200 : 503);
  });
}

std::optional<SteadyTime> PlainRace::TakeOut() {
  int idle = 0;
  {
    std::unique_lock lock(mutex_);
    less_to_do_.wait(lock, [this] { return stopping_ || idle_ > 0; });
    idle = idle_;
  }
  if (stopping_) return std::nullopt;
  const auto first = taking_.Run({"BRPOP", kQueue, kWaitInRedis});
  if (!StatusOf(first).ok()) return clock_.Steady() + kHealthLook;
  if ((*first)[0].size() < 2) return Loop::kAtOnce;  // nothing came
  Work(std::string((*first)[0][1].Text()));
  if (idle < 2) return Loop::kAtOnce;
  const auto more = taking_.Run({"RPOP", kQueue, std::to_string(idle - 1)});
  if (StatusOf(more).ok()) {
    for (size_t at = 0; at < (*more)[0].size(); ++at) Work(std::string((*more)[0][at].Text()));
  }
  return Loop::kAtOnce;
}

void PlainRace::Work(std::string body) {
  auto payment = std::make_shared<Payment>();
  const auto parsed = payments::ParseProcessorPayment(body);
  payment->body = std::move(body);
  payment->id = parsed->id;
  payment->amount = parsed->amount;
  payment->processor = default_.failing && !fallback_.failing ? &fallback_ : &default_;
  {
    std::lock_guard lock(mutex_);
    --idle_;
  }
  Pay(payment);
}

void PlainRace::Pay(const PaymentPtr& payment) {
  payment->requested_at = absl::FromUnixMillis(absl::ToUnixMillis(clock_.Now()));
  const std::string body =
      fmt::format(R"({{"correlationId":"{}","amount":{},"requestedAt":"{}"}})", payment->id, payment->amount,
                  absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", payment->requested_at, absl::UTCTimeZone()));
  payment->processor->channel.Call(
      {"127.0.0.1", 0, std::string(payments::kPaymentsPath), {{"content-type", "application/json"}}, body},
      kPaymentTimeout, [this, payment](http::Channel::Result result) {
        constexpr unsigned kBooked = 200, kBookedBefore = 422;
        const unsigned status = result.answer.ok() ? result.answer->status : 0;
        if (status == kBooked || status == kBookedBefore) return Record(payment);
        Processor& other = payment->processor == &default_ ? fallback_ : default_;
        if (std::exchange(payment->tried_other, true) || other.failing || stopping_) return PutBack(payment);
        payment->processor = &other;
        Pay(payment);
      });
}

void PlainRace::Record(const PaymentPtr& payment) {
  Executor::Task task = [this, payment] {
    const std::string score = std::to_string(absl::ToUnixMillis(payment->requested_at));
    (void)redis_.Borrow()->Run(
        {"ZADD", payment->processor->paid, score, fmt::format("{} {}", payment->id, payment->amount)});
    Finish();
  };
  if (!books_.Submit(task)) Finish();
}

void PlainRace::PutBack(const PaymentPtr& payment) {
  Executor::Task task = [this, payment] {
    (void)redis_.Borrow()->Run({"LPUSH", kQueue, payment->body});
    Finish();
  };
  if (!books_.Submit(task)) Finish();
}

void PlainRace::Finish() {
  {
    std::lock_guard lock(mutex_);
    ++idle_;
  }
  less_to_do_.notify_all();
}

std::optional<SteadyTime> PlainRace::AskHealth() {
  if (stopping_) return std::nullopt;
  const auto turn = asking_.Run({"SET", kHealthTurn, "1", "NX", "PX", kHealthEveryMs});
  if (StatusOf(turn).ok() && !(*turn)[0].IsNull()) {
    const bool by_default = AskHealthOf(default_), by_fallback = AskHealthOf(fallback_);
    (void)asking_.Run({"SET", kHealth, fmt::format("{:d}{:d}", by_default, by_fallback)});
  }
  const auto health = asking_.Run({"GET", kHealth});
  if (StatusOf(health).ok() && (*health)[0].Text().size() == 2) {
    default_.failing = (*health)[0].Text()[0] == '1';
    fallback_.failing = (*health)[0].Text()[1] == '1';
  }
  return clock_.Steady() + kHealthLook;
}

bool PlainRace::AskHealthOf(Processor& processor) {
  const auto answer =
      http::CallAndWait({"127.0.0.1", processor.port, std::string(payments::kHealthPath), {}, "", "GET"}, nullptr,
                        1 << 10, absl::Seconds(1));
  const auto health =
      answer.ok() && answer->status == 200 ? payments::ParseProcessorHealth(answer->body) : std::nullopt;
  return health ? health->failing : processor.failing.load();
}

}  // namespace waybill::bench
