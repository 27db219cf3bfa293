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
using domain::Payment;
using domain::PaymentAttempt;
using domain::Payout;
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

// Nothing of it was sent, and what is held is free again.
void Refuse(Payout& payout, const std::string& reason, absl::Time now) {
  if (payout.state != Payout::State::kOpen) return;
  payout.refusal = reason;
  payout.state = Payout::State::kRefused;
  payout.decided_at = now;
  payout.effects.decided = true;
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

risk::Facts FactsOf(const Payment& payment) {
  risk::Facts facts = FactsOf(static_cast<const Order&>(payment));
  facts.subject = risk::Subject::kPayment;
  return facts;
}

risk::Facts FactsOf(const Payout& payout) {
  risk::Facts facts;
  facts.subject = risk::Subject::kPayout;
  facts.client = payout.client;
  facts.Of(risk::Trait::kUser) = payout.account;
  facts.Of(risk::Trait::kCard) = payout.destination;
  facts.amount_minor = payout.amount_minor;
  facts.currency = payout.currency;
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

void RiskAssessor::Count(risk::Subject subject, const risk::Assessment& assessment) {
  const auto labels = [subject](const risk::Verdict& verdict) {
    return prometheus::Labels{{"kind", std::string(risk::Name(subject))},
                              {"decision", std::string(risk::Name(verdict.decision))},
                              {"rule", verdict.rule.empty() ? "none" : verdict.rule}};
  };
  metrics_
      .AddCounter(
          "waybill_risk_decisions_total",
          "Orders, payments and payouts (kind) that were assessed, by what was decided, and by the rule that decided "
          "or added most.",
          labels(assessment.verdict))
      .Increment();
  metrics_
      .AddCounter("waybill_risk_shadow_decisions_total", "The same by what it would have been, were no rule in shadow.",
                  labels(assessment.shadow))
      .Increment();
}

Outcome RiskAssessor::AssessOnWorker(const Uuid& id, const risk::Facts& facts) {
  const std::shared_ptr<const risk::Rules> rules = in_force_ ? in_force_() : nullptr;
  absl::StatusOr<storage::RiskStore::Assessed> assessed =
      rules != nullptr ? store_.Assess(id, facts, *rules) : store_.Find(id);
  if (absl::IsNotFound(assessed.status())) {
    return Outcome::Unknown(
        std::string(kRiskUnknown),
        fmt::format("this process has no rules of risk, and the {} needs them", risk::Name(facts.subject)));
  }
  if (!assessed.ok()) return Unknown(assessed.status());
  if (assessed->fresh) Count(facts.subject, assessed->kept.assessment);
  return OutcomeOf(*assessed);
}

template <typename P>
saga::Action<P> RiskAssessor::Assessing(std::function<void(const P&)> waits,
                                        std::function<void(P&, const std::string& reason)> ends) {
  auto call = [this, waits = std::move(waits), ends](const Attempt& attempt, P& payload, saga::OutcomeCallback done) {
    auto answer = std::make_shared<saga::OutcomeCallback>(std::move(done));
    Executor::Task task = [this, waits, ends, id = attempt.saga_id, deadline = attempt.deadline, &payload, answer] {
      if (clock_.Steady() >= deadline) {
        (*answer)(Outcome::NotMade(std::string(kRiskUnknown), "the assessment waited for too long"));
        return;
      }
      Outcome outcome = AssessOnWorker(id, FactsOf(payload));
      if (outcome.kind == Outcome::Kind::kRejected || outcome.kind == Outcome::Kind::kLater) waits(payload);
      if (outcome.kind == Outcome::Kind::kRejected) ends(payload, outcome.reason);
      (*answer)(std::move(outcome));
    };
    if (!workers_.Submit(task)) {
      (*answer)(Outcome::NotMade(std::string(kRiskUnknown), "too many wait to be assessed"));
    }
  };
  // What a person says counts as it is.
  auto signalled = [ends](Outcome outcome, P& payload) -> std::optional<Outcome> {
    if (outcome.kind == Outcome::Kind::kRejected) ends(payload, outcome.reason);
    return outcome;
  };
  return {.call = call, .signalled = signalled};
}

saga::Action<Order> RiskAssessor::Assess() {
  return Assessing<Order>(dropped_, [](Order& order, const std::string&) { LeaveUnasked(order); });
}

saga::Action<Payment> RiskAssessor::AssessPayment() {
  return Assessing<Payment>(dropped_, [](Payment& payment, const std::string&) { LeaveUnasked(payment); });
}

saga::Action<Payout> RiskAssessor::AssessPayout() {
  saga::Action<Payout> assess =
      Assessing<Payout>([](const Payout&) {},
                        [this](Payout& payout, const std::string& reason) { Refuse(payout, reason, clock_.Now()); });
  assess.call = [assess = std::move(assess.call)](const Attempt& attempt, Payout& payout, saga::OutcomeCallback done) {
    if (payout.state == Payout::State::kOpen) {
      assess(attempt, payout, std::move(done));
    } else {
      done(Outcome::Rejected(payout.refusal));
    }
  };
  return assess;
}

saga::Action<Order> RiskAssessor::Undo() {
  auto call = [](const Attempt&, Order& order, saga::OutcomeCallback done) {
    LeaveUnasked(order);
    done(Outcome::Succeeded());
  };
  return {.call = call, .journaled = true};
}

// One that its gateway was asked for is decided by now: what undoes that step asks until it is.
saga::Action<Payout> RiskAssessor::UndoPayout() {
  auto call = [this](const Attempt&, Payout& payout, saga::OutcomeCallback done) {
    Refuse(payout, std::string(kRiskUnknown), clock_.Now());
    done(Outcome::Succeeded());
  };
  return {.call = call, .journaled = true};
}

}  // namespace waybill::order
