#include "services/race/front.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "domain/currency.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "payments/processor/contract.h"
#include "payments/webhooks/event.h"
#include "runtime/ids.h"
#include "runtime/status.h"

namespace waybill::race {
namespace {

using Json = nlohmann::json;

http::Response JsonAnswer(unsigned code, std::string body) { return {code, "application/json", std::move(body), {}}; }

unsigned CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kFailedPrecondition:
      return GetErrorDetail(status).reason == "PAYMENT_ID_REUSED" ? 422 : 503;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
      return 503;
    default:
      return 500;
  }
}

http::Response ErrorAnswer(const absl::Status& status) {
  const ErrorDetail detail = GetErrorDetail(status);
  Json json = {{"reason", detail.reason.empty() ? absl::StatusCodeToString(status.code()) : detail.reason},
               {"message", std::string(status.message())}};
  for (const auto& [field, why] : detail.violations) json["fields"].push_back({{"field", field}, {"why", why}});
  const unsigned code = CodeOf(status);
  http::Response response = JsonAnswer(code, json.dump(-1, ' ', false, Json::error_handler_t::replace));
  if (code == 429 || code == 503) {
    const absl::Duration after = std::max(detail.retry_after, absl::Seconds(1));
    response.fields.emplace_back("Retry-After",
                                 std::to_string(absl::ToInt64Seconds(absl::Ceil(after, absl::Seconds(1)))));
  }
  return response;
}

// The same call may well be answered later.
bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsResourceExhausted(status) || absl::IsCancelled(status);
}

}  // namespace

struct Front::Asked {
  explicit Asked(Front& of) : front(of) {
    std::lock_guard lock(front.mutex_);
    ++front.under_way_;
  }
  ~Asked() {
    std::lock_guard lock(front.mutex_);
    --front.under_way_;
    front.fewer_.notify_all();
  }
  Front& front;
  http::ExchangePtr exchange;
  SteadyTime deadline;
  absl::Duration pause;
  std::atomic<bool> gone{false};
  std::function<void(const AskedPtr&)> call;
};

Front::Front(Payments& payments, Scheduler& scheduler, const Clock& clock, Random& random, Metrics& metrics,
             FrontOptions options)
    : payments_(payments),
      scheduler_(scheduler),
      clock_(clock),
      random_(random),
      repeated_(metrics.AddCounter("waybill_race_repeated_total", "Calls of waybill-order that were made again.")),
      options_(std::move(options)),
      decimals_(domain::CurrencyExponent(options_.currency).value_or(2)) {}

void Front::ServeOn(http::Server& server) {
  server.Serve("/payments", {"payments", {"POST"}}, [this](auto exchange) { Take(std::move(exchange)); });
  server.Serve("/payments-summary", {"payments_summary", {"GET"}},
               [this](auto exchange) { Summarize(std::move(exchange)); });
  server.Serve("/purge-payments", {"purge_payments", {"POST"}}, [this](auto exchange) { Purge(std::move(exchange)); });
}

void Front::Take(http::ExchangePtr exchange) {
  const std::optional<payments::ProcessorPayment> payment = payments::ParseProcessorPayment(exchange->request().body);
  if (!payment) {
    exchange->Answer(ErrorAnswer(domain::BadField("body", "is no JSON object with a correlationId and an amount")));
    return;
  }
  domain::Violations violations;
  const std::optional<Uuid> id = Uuid::Parse(payment->id);
  const std::optional<int64_t> amount = payments::ParseDecimal(payment->amount, decimals_);
  if (!id) violations.Add("correlationId", "is not a UUID");
  if (!amount || *amount <= 0) {
    violations.Add("amount", fmt::format("is not a positive number with {} decimals at most", decimals_));
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) {
    exchange->Answer(ErrorAnswer(wrong));
    return;
  }
  auto asked = std::make_shared<Asked>(*this);
  asked->call = [this, id = *id, amount = *amount](const AskedPtr& again) {
    payments_.Take(id, amount, again->deadline, [this, again](const absl::Status& status) {
      if (!status.ok()) return Failed(again, status);
      again->exchange->Answer(http::Response{202, "", "", {}});
    });
  };
  asked->exchange = std::move(exchange);
  Ask(asked);
}

void Front::Summarize(http::ExchangePtr exchange) {
  const std::string& query = exchange->request().query;
  domain::Violations violations;
  absl::Time from = absl::InfinitePast(), to = absl::InfiniteFuture();
  for (const auto& [name, time] : {std::pair("from", &from), std::pair("to", &to)}) {
    const std::string text = http::QueryParameter(query, name);
    if (text.empty()) continue;
    if (const std::optional<absl::Time> taken = payments::ParseRequestedAt(text)) {
      *time = *taken;
    } else {
      violations.Add(name, "is no time of ISO 8601, such as 2026-07-10T12:34:56.000Z");
    }
  }
  // A payment's time is a whole number of milliseconds: one that is `to` is in.
  if (to != absl::InfiniteFuture()) to += absl::Microseconds(1);
  if (from > to) violations.Add("to", "is before from");
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) {
    exchange->Answer(ErrorAnswer(wrong));
    return;
  }
  auto asked = std::make_shared<Asked>(*this);
  asked->call = [this, from, to](const AskedPtr& again) {
    payments_.Summarize(from, to, again->deadline, [this, again](absl::StatusOr<std::vector<Total>> totals) {
      if (!totals.ok()) return Failed(again, totals.status());
      const auto of = [&](const std::string& gateway) {
        Total sum;
        for (const Total& total : *totals) {
          if (total.gateway == gateway && total.currency == options_.currency) sum = total;
        }
        return fmt::format(R"({{"totalRequests":{},"totalAmount":{}}})", sum.requests,
                           payments::DecimalAmount(sum.amount_minor, decimals_));
      };
      again->exchange->Answer(
          JsonAnswer(200, fmt::format(R"({{"default":{},"fallback":{}}})", of(options_.default_gateway),
                                      of(options_.fallback_gateway))));
    });
  };
  asked->exchange = std::move(exchange);
  Ask(asked);
}

// Books are not deleted, whoever asks: who compares sums after a purge gives a `from`.
void Front::Purge(http::ExchangePtr exchange) {
  if (options_.purge_allowed) {
    exchange->Answer(JsonAnswer(200, R"({"message":"nothing was deleted: ask for sums with from"})"));
  } else {
    exchange->Answer(
        JsonAnswer(403, R"({"reason":"PURGE_REFUSED","message":"this service runs without --purge-allowed"})"));
  }
}

void Front::Ask(const AskedPtr& asked) {
  asked->deadline = clock_.Steady() + options_.timeout;
  asked->pause = options_.pause;
  asked->exchange->OnGone([weak = std::weak_ptr(asked)] {
    if (const AskedPtr alone = weak.lock()) alone->gone = true;
  });
  asked->call(asked);
}

void Front::Failed(const AskedPtr& asked, const absl::Status& status) {
  if (asked->gone) return;
  const absl::Duration pause = std::max(asked->pause * (0.5 + random_.Uniform() / 2), absl::Milliseconds(1));
  const SteadyTime again_at = clock_.Steady() + pause;
  bool again = MayPass(status) && again_at < asked->deadline;
  if (again) {
    asked->pause = std::min(asked->pause * 2, options_.pause_max);
    std::lock_guard lock(mutex_);
    again = !draining_;
    if (again) waiting_.try_emplace(asked.get(), asked, status);
  }
  if (!again) {
    asked->exchange->Answer(ErrorAnswer(status));
    return;
  }
  repeated_.Increment();
  scheduler_.At(again_at, [this, waiting = asked.get()] { MakeAgain(waiting); });
}

void Front::MakeAgain(Asked* waiting) {
  AskedPtr asked;  // let go of outside the lock, which that takes
  {
    std::lock_guard lock(mutex_);
    const auto found = waiting_.find(waiting);
    if (found == waiting_.end()) return;  // it was drained
    asked = std::move(found->second.first);
    waiting_.erase(found);
  }
  if (!asked->gone) asked->call(asked);
}

void Front::Drain(SteadyTime deadline) {
  decltype(waiting_) drained;
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    drained.swap(waiting_);
  }
  for (const auto& [key, one] : drained) {
    if (!one.first->gone) one.first->exchange->Answer(ErrorAnswer(one.second));
  }
  drained.clear();
  std::unique_lock lock(mutex_);
  fewer_.wait_for(lock, absl::ToChronoNanoseconds(deadline - clock_.Steady()), [this] { return under_way_ == 0; });
}

}  // namespace waybill::race
