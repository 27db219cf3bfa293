#include "services/order/processor_gateway.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "domain/currency.h"
#include "fmt/format.h"
#include "payments/processor/contract.h"
#include "payments/webhooks/event.h"
#include "runtime/ids.h"
#include "runtime/status.h"
#include "runtime/text.h"

namespace waybill::order {
namespace {

constexpr size_t kBodyKept = 200;
constexpr absl::Duration kAheadMax = absl::Hours(24);  // of another replica's clock

http::ClientRequest RequestOf(const ParticipantCall& call, std::string method, std::string target, std::string body) {
  http::ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  if (!body.empty()) request.headers.emplace_back("content-type", "application/json");
  if (!call.traceparent.empty()) request.headers.emplace_back("traceparent", std::string(call.traceparent));
  if (!call.tracestate.empty()) request.headers.emplace_back("tracestate", std::string(call.tracestate));
  request.body = std::move(body);
  return request;
}

int DecimalsOf(const domain::Order& order) { return domain::CurrencyExponent(order.currency).value_or(0); }

absl::Status NoUse(const http::ClientAnswer& answer) {
  return absl::UnavailableError(fmt::format("answered {}: {}", answer.status, CleanText(answer.body, kBodyKept)));
}

absl::Status Unheard(const http::Channel::Result& result) {
  const absl::Status& status = result.answer.status();
  if (result.sent) return status;
  return MakeError(status.code(), std::string(status.message()), {.reason = std::string(kCallNotSent)});
}

}  // namespace

void ProcessorGateway::Charge(const ParticipantCall& call, const domain::Order& order,
                              absl::AnyInvocable<void(absl::StatusOr<ChargeResult>)> done) {
  const Uuid id = payments::ProcessorPaymentId(call.key);
  const int decimals = DecimalsOf(order);
  // Of this call, as the body says it: to the millisecond.
  const absl::Time at = absl::FromUnixMillis(absl::ToUnixMillis(clock_.Now()));
  std::string body = payments::ToJson(id, order.amount_minor, decimals, at);
  channel_.Call(RequestOf(call, "POST", std::string(payments::kPaymentsPath), std::move(body)), TimeLeft(call),
                [this, id, decimals, amount_minor = order.amount_minor, at, asked = call,
                 done = std::move(done)](http::Channel::Result result) mutable {
                  if (!result.answer.ok()) {
                    done(Unheard(result));
                  } else if (result.answer->status / 100 == 2) {
                    done(ChargeResult::ApproveAt(id.ToString(), at));
                  } else if (result.answer->status != 422) {
                    done(NoUse(*result.answer));
                  } else {
                    // The id is this attempt's alone, so who has it is an earlier call of ours, if the amount is right:
                    // at that call's time.
                    Look(id, amount_minor, decimals, asked, [id, done = std::move(done)](Seen seen) mutable {
                      if (seen.ok()) return done(ChargeResult::ApproveAt(id.ToString(), *seen));
                      if (!absl::IsNotFound(seen.status())) return done(seen.status());
                      done(absl::FailedPreconditionError(
                          fmt::format("answered 422 to payment {}, and knows no such payment", id.ToString())));
                    });
                  }
                });
}

void ProcessorGateway::Refund(const ParticipantCall& call, const domain::Order& order,
                              absl::AnyInvocable<void(absl::StatusOr<RefundResult>)> done) {
  const Uuid id = payments::ProcessorPaymentId(call.key);
  Look(id, order.amount_minor, DecimalsOf(order), call, [this, id, done = std::move(done)](Seen seen) mutable {
    if (seen.ok()) {
      done(MakeError(
          absl::StatusCode::kFailedPrecondition,
          fmt::format("gateway {} cannot refund payment {}; give it back by hand, then resolve", name_, id.ToString()),
          {.reason = std::string(kCannotRefund)}));
    } else if (absl::IsNotFound(seen.status())) {
      done(
          absl::AbortedError(fmt::format("gateway {} knows no payment {} so far, and may still come to know it; make "
                                         "sure that it never will, then resolve",
                                         name_, id.ToString())));
    } else {
      done(seen.status());
    }
  });
}

void ProcessorGateway::Health(absl::Duration timeout, absl::AnyInvocable<void(HealthAnswer)> done) {
  http::ClientRequest request;
  request.method = "GET";
  request.target = payments::kHealthPath;
  channel_.Call(std::move(request), timeout, [done = std::move(done)](http::Channel::Result result) mutable {
    using storage::ProbeOutcome;
    HealthAnswer said;  // unless it says more: no answer
    const unsigned status = result.answer.ok() ? result.answer->status : 0;
    if (status == 429) {
      said.answer.outcome = ProbeOutcome::kLimited;
      if (int seconds = 0; absl::SimpleAtoi(result.answer->retry_after, &seconds) && seconds > 0) {
        said.retry_after = absl::Seconds(seconds);
      }
    } else if (status == 404 || status == 405 || status == 501) {
      said.answer.outcome = ProbeOutcome::kNotServed;
    } else if (status == 200) {
      if (const auto health = payments::ParseProcessorHealth(result.answer->body)) {
        said.answer.outcome = health->failing ? ProbeOutcome::kFailing : ProbeOutcome::kHealthy;
        said.answer.min_response = absl::Milliseconds(health->min_response_ms);
      }
    }
    done(said);
  });
}

void ProcessorGateway::Look(const Uuid& id, int64_t amount_minor, int decimals, const ParticipantCall& call,
                            absl::AnyInvocable<void(Seen)> done) {
  channel_.Call(
      RequestOf(call, "GET", fmt::format("{}/{}", payments::kPaymentsPath, id.ToString()), ""), TimeLeft(call),
      [id, amount_minor, decimals, now = clock_.Now(), done = std::move(done)](http::Channel::Result result) mutable {
        // That this question was not sent says nothing of the payment.
        if (!result.answer.ok()) return done(result.answer.status());
        if (result.answer->status == 404) return done(absl::NotFoundError("no such payment"));
        if (result.answer->status / 100 != 2) return done(NoUse(*result.answer));
        const std::optional<payments::ProcessorPayment> payment = payments::ParseProcessorPayment(result.answer->body);
        if (!payment) return done(absl::UnknownError("what it shows is no payment"));
        const std::optional<Uuid> shown = Uuid::Parse(payment->id);
        if (shown != id || payments::ParseDecimal(payment->amount, decimals) != amount_minor) {
          return done(absl::FailedPreconditionError(fmt::format(
              "shows payment {} of {} for {} of {}", CleanText(payment->id, kBodyKept),
              CleanText(payment->amount, kBodyKept), id.ToString(), payments::DecimalAmount(amount_minor, decimals))));
        }
        std::optional<absl::Time> at = payments::ParseRequestedAt(payment->requested_at);
        if (at && (*at < absl::FromUnixSeconds(0) || *at > now + kAheadMax)) at.reset();  // no call of ours was then
        done(at);
      });
}

}  // namespace waybill::order
