#include "services/order/assess_risk.h"

#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "saga/outcome.h"

namespace waybill::order {
namespace {

using domain::Order;
using domain::PaymentAttempt;
using saga::Attempt;
using saga::Outcome;

Outcome Unknown(const absl::Status& status) {
  std::string cause = GetErrorDetail(status).reason;
  if (cause.empty()) cause = absl::StatusCodeToString(status.code());
  return Outcome::Unknown(std::string(kRiskUnknown), fmt::format("{}: {}", cause, std::string(status.message())));
}

// "deny, score 120 (user-hour: 4 orders of the user within 1h, more than 3; …)"
std::string Explain(const risk::Assessment& assessment) {
  std::string reasons;
  for (const risk::Reason& reason : assessment.reasons) {
    if (reason.shadow) continue;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", reason.rule, reason.detail);
  }
  const risk::Verdict& verdict = assessment.verdict;
  return fmt::format("{}, score {}{}", risk::Name(verdict.decision), verdict.score,
                     reasons.empty() ? "" : fmt::format(" ({})", reasons));
}

// A routed order begins with its first attempt, which nobody is asked for.
void LeaveUnasked(Order& order) {
  if (order.attempts.empty() || order.attempts.back().state != PaymentAttempt::State::kOpen ||
      order.attempts.back().authorization) {
    return;
  }
  order.attempts.back().state = PaymentAttempt::State::kNotSent;
  order.effects.attempt_changed = static_cast<uint8_t>(order.attempts.size());
}

Outcome OutcomeOf(const storage::RiskStore::Assessed& assessed) {
  std::string why = Explain(assessed.kept.assessment);
  risk::Decision decision = assessed.kept.assessment.verdict.decision;
  if (decision == risk::Decision::kReview) {
    if (!assessed.review_over) {
      return Outcome::Later(std::string(kReviewToken), *assessed.kept.review_until, std::move(why));
    }
    decision = assessed.kept.after_review;
    why = fmt::format("nobody has decided in time, so {}: {}", risk::Name(decision), why);
  }
  if (decision == risk::Decision::kAllow) return Outcome::Succeeded(std::move(why));
  return Outcome::Rejected(std::string(kRiskDenied), std::move(why));
}

}  // namespace

risk::Facts FactsOf(const Order& order) {
  risk::Facts facts;
  facts.client = order.client;
  facts.Of(risk::Trait::kUser) = order.user_id;
  facts.amount_minor = order.amount_minor;
  facts.currency = order.currency;
  if (order.payer) {
    facts.Of(risk::Trait::kCard) = order.payer->card;
    facts.Of(risk::Trait::kDevice) = order.payer->device;
    facts.Of(risk::Trait::kAddress) = order.payer->address;
    facts.position = order.payer->position;
    facts.account = order.payer->account;
  }
  return facts;
}

RiskAssessor::RiskAssessor(storage::RiskStore& store, Executor& workers, const Clock& clock, Metrics& metrics,
                           InForce in_force, Dropped dropped)
    : store_(store),
      workers_(workers),
      clock_(clock),
      metrics_(metrics),
      in_force_(std::move(in_force)),
      dropped_(std::move(dropped)) {}

void RiskAssessor::Count(const risk::Assessment& assessment) {
  const auto labels = [](const risk::Verdict& verdict) {
    return prometheus::Labels{{"decision", std::string(risk::Name(verdict.decision))},
                              {"rule", verdict.rule.empty() ? "none" : verdict.rule}};
  };
  metrics_
      .AddCounter("waybill_risk_decisions_total",
                  "Orders that were assessed, by what was decided, and by the rule that decided or added most.",
                  labels(assessment.verdict))
      .Increment();
  metrics_
      .AddCounter("waybill_risk_shadow_decisions_total",
                  "The same orders by what it would have been, were no rule in shadow.", labels(assessment.shadow))
      .Increment();
}

Outcome RiskAssessor::AssessOnWorker(const Uuid& order_id, const Order& order) {
  const std::shared_ptr<const risk::Rules> rules = in_force_ ? in_force_() : nullptr;
  absl::StatusOr<storage::RiskStore::Assessed> assessed =
      rules != nullptr ? store_.Assess(order_id, FactsOf(order), *rules) : store_.Find(order_id);
  if (absl::IsNotFound(assessed.status())) {
    return Outcome::Unknown(std::string(kRiskUnknown), "this process has no rules of risk, and the order needs them");
  }
  if (!assessed.ok()) return Unknown(assessed.status());
  if (assessed->fresh) Count(assessed->kept.assessment);
  return OutcomeOf(*assessed);
}

saga::Action<Order> RiskAssessor::Assess() {
  auto call = [this](const Attempt& attempt, Order& order, saga::OutcomeCallback done) {
    auto answer = std::make_shared<saga::OutcomeCallback>(std::move(done));
    Executor::Task task = [this, order_id = attempt.saga_id, deadline = attempt.deadline, &order, answer] {
      if (clock_.Steady() >= deadline) {
        (*answer)(Outcome::NotMade(std::string(kRiskUnknown), "the assessment waited for too long"));
        return;
      }
      Outcome outcome = AssessOnWorker(order_id, order);
      if (outcome.kind == Outcome::Kind::kRejected || outcome.kind == Outcome::Kind::kLater) dropped_(order);
      if (outcome.kind == Outcome::Kind::kRejected) LeaveUnasked(order);
      (*answer)(std::move(outcome));
    };
    if (!workers_.Submit(task)) {
      (*answer)(Outcome::NotMade(std::string(kRiskUnknown), "too many orders wait to be assessed"));
    }
  };
  // What a person says counts as it is.
  auto signalled = [](Outcome outcome, Order& order) -> std::optional<Outcome> {
    if (outcome.kind == Outcome::Kind::kRejected) LeaveUnasked(order);
    return outcome;
  };
  return {.call = call, .signalled = signalled};
}

saga::Action<Order> RiskAssessor::Undo() {
  auto call = [](const Attempt&, Order& order, saga::OutcomeCallback done) {
    LeaveUnasked(order);
    done(Outcome::Succeeded());
  };
  return {.call = call, .journaled = true};
}

}  // namespace waybill::order
