#include "bench/race_load.h"

#include <array>
#include <deque>
#include <memory>
#include <optional>

#include "absl/time/clock.h"
#include "bench/http_loop.h"
#include "fmt/format.h"
#include "runtime/ids.h"
#include "runtime/random.h"

namespace waybill::bench {
namespace {

// Beyond the official script's, for calls whose answer the bench needs: the sums at the end are over all payments.
constexpr absl::Duration kPatience = absl::Seconds(30);

std::string Stamp(absl::Time time) { return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

// Version 4, as the official script's.
Uuid RandomUuid(Random& random) {
  Uuid id;
  for (size_t at = 0; at < id.bytes.size(); ++at) id.bytes[at] = static_cast<uint8_t>(random.Next());
  id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | 0x40);
  id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);
  return id;
}

class RaceRun {
 public:
  RaceRun(const RaceLoadOptions& options, const Timer& timer)
      : options_(options),
        shape_(options.shape),
        loop_(timer),
        backend_(loop_, options.backend),
        processors_{{{loop_, options.default_processor}, {loop_, options.fallback_processor}}} {}

  absl::StatusOr<RaceLoadResult> Run() {
    SetUp();
    begin_ = loop_.Now();
    for (const RaceStage& stage : shape_.stages) loop_.At(begin_ + stage.from, [this, &stage] { Set(stage); });
    options_.begun();
    loop_.At(begin_, [this] { Check(); });
    for (int number = 0; number < shape_.clients_max; ++number) {
      const absl::Duration from = shape_.BeginningOf(number);
      if (from >= shape_.duration) continue;
      clients_.push_back(std::make_unique<HttpLoop::Caller>(loop_, options_.backend));
      loop_.At(begin_ + from, [this, client = clients_.back().get()] { Pay(*client); });
    }
    // So that the end is looked at although nothing else may happen then.
    loop_.At(begin_ + shape_.duration, [] {});
    loop_.Run([this] { return !wrong_.ok() || (Over() && under_way_ == 0); });
    TearDown();
    if (!wrong_.ok()) return wrong_;
    return std::move(result_);
  }

 private:
  enum Processor { kDefault, kFallback };

  bool Over() const { return loop_.Now() >= begin_ + shape_.duration; }

  // A call whose duration counts, as of all.
  void Call(HttpLoop::Caller& caller, const std::string& head, const std::string& body, absl::Duration timeout,
            HttpLoop::Done done) {
    ++under_way_;
    caller.Call(head, body, timeout, [this, done = std::move(done)](const HttpLoop::Answer& answer) {
      --under_way_;
      if (answer.expected()) result_.took_ms.push_back(absl::ToDoubleMilliseconds(answer.took));
      done(answer);
    });
  }

  std::string AdminHead(std::string_view call) const {
    return fmt::format("{}\r\nX-Rinha-Token: {}", call, options_.token);
  }

  // One after the other. A processor has to do as told, or the race means nothing.
  void Tell(Processor processor, const std::string& call, const std::string& body) {
    Call(configuring_[processor], AdminHead(call), body, kPatience, [this, call](const HttpLoop::Answer& answer) {
      if (answer.expected()) return;
      wrong_ = absl::UnavailableError(fmt::format("a processor answered {} by {}", call, answer.code));
    });
  }
  void Tell(Processor processor, const ProcessorFare& fare) {
    Tell(processor, "PUT /admin/configurations/delay", fmt::format(R"({{"delay":{}}})", fare.delay_ms));
    Tell(processor, "PUT /admin/configurations/failure", fmt::format(R"({{"failure":{}}})", fare.failing));
  }

  void Set(const RaceStage& stage) {
    options_.tell(fmt::format(
        "{:.0f} s: default {} ms{}, fallback {} ms{}; {} clients, {} payments taken", absl::ToDoubleSeconds(stage.from),
        stage.by_default.delay_ms, stage.by_default.failing ? ", failing" : "", stage.by_fallback.delay_ms,
        stage.by_fallback.failing ? ", failing" : "", shape_.ClientsAt(stage.from), result_.taken));
    Tell(kDefault, stage.by_default);
    Tell(kFallback, stage.by_fallback);
  }

  void Pay(HttpLoop::Caller& client) {
    if (Over()) return;
    const std::string body =
        fmt::format(R"({{"correlationId":"{}","amount":{}.{:02}}})", RandomUuid(random_).ToString(),
                    shape_.amount_minor / 100, shape_.amount_minor % 100);
    Call(client, "POST /payments", body, shape_.timeout, [this, &client](const HttpLoop::Answer& answer) {
      if (answer.expected()) {
        ++result_.taken;
      } else {
        ++result_.not_taken[answer.code];
      }
      loop_.At(loop_.Now() + shape_.pause, [this, &client] { Pay(client); });
    });
  }

  // All three at once, over the same time.
  struct Compared {
    int answers = 0;
    std::optional<RaceCount> backend;
    std::array<std::optional<ProcessorTotals>, 2> processors;
  };

  void Check() {
    if (Over()) return;
    const absl::Time now = absl::Now();
    const std::string window =
        fmt::format("?from={}&to={}", Stamp(now - shape_.check_from), Stamp(now - shape_.check_to));
    auto compared = std::make_shared<Compared>();
    Call(backend_, "GET /payments-summary" + window, "", shape_.timeout,
         [this, compared](const HttpLoop::Answer& answer) {
           if (answer.expected()) compared->backend = ParseBackendSummary(answer.body);
           Compare(*compared);
         });
    for (const Processor processor : {kDefault, kFallback}) {
      Call(processors_[processor], AdminHead("GET /admin/payments-summary" + window), "", shape_.timeout,
           [this, compared, processor](const HttpLoop::Answer& answer) {
             if (answer.expected()) compared->processors[processor] = ParseProcessorSummary(answer.body);
             Compare(*compared);
           });
    }
  }

  void Compare(Compared& compared) {
    if (++compared.answers < 3) return;
    ++result_.checks;
    const auto& [by_default, by_fallback] = compared.processors;
    if (compared.backend && by_default && by_fallback) {
      const RaceCount booked{by_default->payments, by_fallback->payments};
      const int64_t found = Inconsistencies(*compared.backend, booked);
      result_.inconsistencies += found;
      if (found > 0) {
        options_.tell(fmt::format("{:.1f} s: inconsistent: the backend says {} and {}, the processors {} and {}",
                                  absl::ToDoubleSeconds(loop_.Now() - begin_), compared.backend->by_default,
                                  compared.backend->by_fallback, booked.by_default, booked.by_fallback));
      }
    } else {
      ++result_.checks_unanswered;
    }
    loop_.At(loop_.Now() + shape_.check_every, [this] { Check(); });
  }

  void RunCalls() {
    loop_.Run([this] { return !wrong_.ok() || under_way_ == 0; });
  }

  void SetUp() {
    for (const Processor processor : {kDefault, kFallback}) {
      Tell(processor, "POST /admin/purge-payments", "");
      Tell(processor, ProcessorFare());
    }
    Call(backend_, "POST /purge-payments", "", kPatience, [this](const HttpLoop::Answer& answer) {
      if (answer.expected()) return;
      wrong_ = absl::UnavailableError(fmt::format("the backend answered POST /purge-payments by {}", answer.code));
    });
    RunCalls();
  }

  void TearDown() {
    for (const Processor processor : {kDefault, kFallback}) {
      Call(processors_[processor], AdminHead("GET /admin/payments-summary"), "", kPatience,
           [this, processor](const HttpLoop::Answer& answer) {
             const auto totals = ParseProcessorSummary(answer.body);
             if (!answer.expected() || !totals) {
               wrong_ = absl::UnavailableError(fmt::format("a processor answered its summary by {}", answer.code));
               return;
             }
             (processor == kDefault ? result_.by_default : result_.by_fallback) = *totals;
           });
    }
    RunCalls();
  }

  const RaceLoadOptions& options_;
  const RaceShape& shape_;
  HttpLoop loop_;
  HttpLoop::Caller backend_;  // for summaries
  std::array<HttpLoop::Caller, 2> processors_;
  std::array<HttpLoop::Caller, 2> configuring_{
      {{loop_, options_.default_processor}, {loop_, options_.fallback_processor}}};
  std::deque<std::unique_ptr<HttpLoop::Caller>> clients_;
  SeededRandom random_{EntropySeed()};
  absl::Duration begin_;
  int64_t under_way_ = 0;
  absl::Status wrong_;
  RaceLoadResult result_;
};

}  // namespace

absl::StatusOr<RaceLoadResult> RunRaceLoad(const RaceLoadOptions& options, const Timer& timer) {
  return RaceRun(options, timer).Run();
}

}  // namespace waybill::bench
