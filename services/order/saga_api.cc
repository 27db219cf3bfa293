#include "services/order/saga_api.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "domain/payout.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "services/order/place_order.h"

namespace waybill::order {
namespace {

using storage::SagaView;

absl::Status Refuse(std::string_view reason, std::string_view why, const SagaView& saga) {
  ErrorDetail detail;
  detail.metadata = {{"saga_id", saga.header.id.ToString()}, {"state", std::string(saga::Name(saga.header.state))}};
  return domain::ReasonError(reason, why, std::move(detail));
}

domain::DeedPtr DeedOnSaga(const Uuid& saga_id, domain::Actor by, std::string action,
                           std::vector<std::pair<std::string, std::string>> detail) {
  return std::make_shared<domain::Deed>(
      domain::Deed{std::move(by), std::move(action), "saga", saga_id.ToString(), std::move(detail)});
}

absl::Status CheckUnfinished(const SagaView& saga) {
  if (saga::IsUnfinished(saga.header.state)) return absl::OkStatus();
  return Refuse("SAGA_FINISHED", "the saga has ended; there is nothing to retry", saga);
}

absl::Status CheckStuck(const SagaView& saga) {
  const bool lasting = saga.header.state == saga::State::kCompensating || saga.header.state == saga::State::kClosing;
  if (lasting && saga.header.needs_attention) return absl::OkStatus();
  return Refuse("SAGA_NOT_STUCK", "only a saga that is compensating or closing, and needs attention, can be resolved",
                saga);
}

}  // namespace

absl::StatusOr<SagaApi::Answer> SagaApi::Read(const Uuid& saga_id) {
  absl::StatusOr<SagaView> saga = store_.GetSaga(saga_id);
  if (!saga.ok()) return saga.status();
  absl::StatusOr<std::vector<saga::LogEntry>> log = store_.SagaLog(saga_id);
  if (!log.ok()) return log.status();
  return Answer{*std::move(saga), *std::move(log)};
}

void SagaApi::List(storage::SagaQuery query, absl::AnyInvocable<void(absl::StatusOr<std::vector<SagaView>>)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  Executor::Task read = [this, query = std::move(query), shared] { (*shared)(store_.ListSagas(query)); };
  if (!list_workers_.Submit(read)) (*shared)(domain::TooBusy());
}

void SagaApi::Get(const Uuid& saga_id, Done done) {
  auto shared = std::make_shared<Done>(std::move(done));
  Executor::Task read = [this, saga_id, shared] { (*shared)(Read(saga_id)); };
  if (!workers_.Submit(read)) (*shared)(domain::TooBusy());
}

void SagaApi::Retry(const Uuid& saga_id, domain::Actor by, SteadyTime deadline, Done done) {
  saga::Directive retry{saga::Directive::Kind::kRetry, "", DeedOnSaga(saga_id, std::move(by), "saga.retry", {})};
  Direct(saga_id, std::move(retry), nullptr, deadline, CheckUnfinished, std::move(done));
}

void SagaApi::Resolve(const Uuid& saga_id, domain::Actor by, std::string reason, SteadyTime deadline, Done done) {
  auto prepare = [this, saga_id](saga::Record& record) {
    if (record.kind == domain::PartialRefund::kKind) {
      // Nobody knows whether the money went back: it counts as if it had.
      domain::PartialRefund& refund = saga::As<domain::PartialRefund>(record).payload;
      refund.state = domain::PartialRefund::State::kResolved;
      refund.decided_at = clock_.Now();
      refund.effects.decided = true;
      return;
    }
    if (record.kind == domain::Payout::kKind) {
      // Nobody knows whether the money went: it counts as if it had.
      domain::Payout& payout = saga::As<domain::Payout>(record).payload;
      if (payout.state != domain::Payout::State::kOpen) return;
      payout.state = domain::Payout::State::kResolved;
      payout.decided_at = clock_.Now();
      payout.effects.decided = true;
      return;
    }
    if (record.kind != domain::Order::kKind) return;
    domain::Order& order = saga::As<domain::Order>(record).payload;
    if (order.driver.has_value()) GiveBackDriver(dispatch_, saga_id, order);  // nobody else will
  };
  saga::Directive resolve{saga::Directive::Kind::kResolve, fmt::format("{}: {}", by.operator_name, reason)};
  resolve.deed = DeedOnSaga(saga_id, std::move(by), "saga.resolve", {{"reason", std::move(reason)}});
  Direct(saga_id, std::move(resolve), prepare, deadline, CheckStuck, std::move(done));
}

void SagaApi::Signal(const Uuid& saga_id, domain::Actor by, saga::Signal signal,
                     absl::AnyInvocable<void(absl::StatusOr<SignalAnswer>)> done) {
  signal.deed = DeedOnSaga(saga_id, std::move(by), "saga.signal",
                           {{"step", signal.step},
                            {"action", std::string(saga::Name(signal.direction))},
                            {"token", signal.token},
                            {"outcome", std::string(saga::Name(signal.outcome.kind))},
                            {"reason", signal.outcome.reason},
                            {"detail", signal.outcome.detail}});
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  // As where it is decided by its name (RiskApi::Decide): nothing but what is said decides.
  signal.only_awaited = signal.step == domain::kAssessRisk;
  Executor::Task task = [this, saga_id, signal = std::move(signal), shared]() mutable {
    absl::StatusOr<saga::SignalResult> result = runner_.AddSignal(saga_id, std::move(signal));
    if (absl::IsNotFound(result.status())) {
      absl::StatusOr<SagaView> saga = store_.GetSaga(saga_id);
      if (absl::Status driven = saga.ok() ? kinds_.CheckDriven(saga->header) : saga.status(); !driven.ok())
        result = driven;
    }
    if (!result.ok()) {
      (*shared)(result.status());
      return;
    }
    metrics_.Signal(*result);
    if (*result == saga::SignalResult::kUnawaited) {
      (*shared)(domain::ReasonError("REVIEW_NOT_OPEN", "it does not wait for a person, or is being decided"));
      return;
    }
    SignalAnswer answer{*result, std::nullopt};
    // What was said is durable; a failure now would only make the caller say it again.
    if (absl::StatusOr<Answer> saga = Read(saga_id); saga.ok()) answer.saga = *std::move(saga);
    (*shared)(std::move(answer));
  };
  if (!workers_.Submit(task)) (*shared)(domain::TooBusy());
}

// The saga may go on backing off for long; the answer says how it stands after one more try, or after `retry_wait_`.
void SagaApi::Direct(const Uuid& saga_id, saga::Directive directive, saga::Runner::Prepare prepare, SteadyTime deadline,
                     std::function<absl::Status(const SagaView&)> check, Done done) {
  auto answer = std::make_shared<PendingAnswer<Answer>>(scheduler_, std::move(done));
  Executor::Task task = [this, saga_id, directive = std::move(directive), prepare = std::move(prepare), deadline,
                         check = std::move(check), answer]() mutable {
    absl::StatusOr<SagaView> saga = store_.GetSaga(saga_id);
    absl::Status allowed = saga.ok() ? kinds_.CheckDriven(saga->header) : saga.status();
    if (allowed.ok()) allowed = check(*saga);
    if (allowed.ok() && directive.kind == saga::Directive::Kind::kRetry) allowed = audit_.Append(*directive.deed);
    if (!allowed.ok()) {
      answer->Give(allowed);
      return;
    }
    SteadyTime now = clock_.Steady();
    answer->Bound(std::min(now + retry_wait_, deadline - absl::Milliseconds(100)),
                  [this, saga_id, answer] { AnswerRead(saga_id, answer); });
    runner_.Direct(saga_id, std::move(directive), std::move(prepare),
                   [this, saga_id, check = std::move(check), answer](absl::StatusOr<const saga::Record*> settled) {
                     WAYBILL_FAILPOINT("resolve.after_commit");
                     if (GetErrorDetail(settled.status()).reason == "UNREADABLE_ROW") {
                       answer->Give(settled.status());
                       return;
                     }
                     if (settled.status().code() != absl::StatusCode::kFailedPrecondition) {
                       AnswerRead(saga_id, answer);
                       return;
                     }
                     // It moved between our look and our word.
                     Executor::Task again = [this, saga_id, check, answer, refused = settled.status()] {
                       absl::StatusOr<SagaView> now_is = store_.GetSaga(saga_id);
                       absl::Status why = now_is.ok() ? check(*now_is) : now_is.status();
                       answer->Give(why.ok() ? refused : why);
                     };
                     if (!workers_.Submit(again)) answer->Give(domain::TooBusy());
                   });
  };
  if (!workers_.Submit(task)) answer->Give(domain::TooBusy());
}

void SagaApi::AnswerRead(const Uuid& saga_id, const Pending& answer) {
  Executor::Task read = [this, saga_id, answer] {
    if (!answer->given()) answer->Give(Read(saga_id));
  };
  if (!workers_.Submit(read)) answer->Give(domain::TooBusy());
}

}  // namespace waybill::order
