// The step that asks the rules of risk before anything is charged or paid out: of orders, of payments without one, and
// of payouts, whose amount is held already.
//
// What they say of one is decided once, and durable before the order goes on (storage::RiskStore). While the store
// does not answer nothing is known: the step is tried again, and turned back when its budget is spent, and nothing
// goes on without an assessment. What wants a person waits, as any step may, until somebody has decided
// (RiskApi), or its time is over and what the rules say of that holds.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "domain/order.h"
#include "domain/payment.h"
#include "domain/payout.h"
#include "risk/rules.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "saga/definition.h"
#include "storage/risk_store.h"

namespace waybill::order {

using domain::kAssessRisk;
inline constexpr std::string_view kRiskDenied = "RISK_DENIED";
inline constexpr std::string_view kRiskUnknown = "RISK_UNKNOWN";  // the rules could not be asked, for too long
// What waits that wants a person.
inline constexpr std::string_view kReviewToken = "review";

risk::Facts FactsOf(const domain::Order& order);
risk::Facts FactsOf(const domain::Payment& payment);
risk::Facts FactsOf(const domain::Payout& payout);

class RiskAssessor {
 public:
  // The rules in force; null: this process has none, and nothing goes on here that was not assessed before.
  using InForce = std::function<std::shared_ptr<const risk::Rules>()>;

  // An order, or a payment, asks no gateway, or nobody knows when.
  using Dropped = std::function<void(const domain::Order&)>;

  // All outlive it. The executor's tasks block on the store.
  RiskAssessor(storage::RiskStore& store, Executor& workers, const Clock& clock, Metrics& metrics, InForce in_force,
               Dropped dropped);

  saga::Action<domain::Order> Assess();
  saga::Action<domain::Payment> AssessPayment();
  // One that was refused from the start is not assessed.
  saga::Action<domain::Payout> AssessPayout();

  // The order's attempt at a gateway, if it has one, which nobody was asked for, is over.
  static saga::Action<domain::Order> Undo();
  // The payout that nobody has asked its gateway for is refused (kRiskUnknown), and its hold is over.
  saga::Action<domain::Payout> UndoPayout();

 private:
  // `waits`: it asks nobody, or nobody knows when. `ends`: it is over, for that reason.
  template <typename P>
  saga::Action<P> Assessing(std::function<void(const P&)> waits,
                            std::function<void(P&, const std::string& reason)> ends);
  saga::Outcome AssessOnWorker(const Uuid& id, const risk::Facts& facts);
  void Count(risk::Subject subject, const risk::Assessment& assessment);

  storage::RiskStore& store_;
  Executor& workers_;
  const Clock& clock_;
  Metrics& metrics_;
  const InForce in_force_;
  const Dropped dropped_;
};

}  // namespace waybill::order
