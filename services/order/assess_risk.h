// The step that asks the rules of risk before anything is charged.
//
// What they say of an order is decided once, and durable before the order goes on (storage::RiskStore). While the store
// does not answer nothing is known: the step is tried again, and turned back when its budget is spent, and no order
// goes on without an assessment. An order that wants a person waits, as any step may, until somebody has decided
// (RiskApi), or its time is over and what the rules say of that holds.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "domain/order.h"
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
// What an order that wants a person waits for.
inline constexpr std::string_view kReviewToken = "review";

risk::Facts FactsOf(const domain::Order& order);

class RiskAssessor {
 public:
  // The rules in force; null: this process has none, and no order goes on here that was not assessed before.
  using InForce = std::function<std::shared_ptr<const risk::Rules>()>;

  // An order asks no gateway, or nobody knows when.
  using Dropped = std::function<void(const domain::Order&)>;

  // All outlive it. The executor's tasks block on the store.
  RiskAssessor(storage::RiskStore& store, Executor& workers, const Clock& clock, Metrics& metrics, InForce in_force,
               Dropped dropped);

  saga::Action<domain::Order> Assess();
  // The order's attempt at a gateway, if it has one, which nobody was asked for, is over.
  static saga::Action<domain::Order> Undo();

 private:
  saga::Outcome AssessOnWorker(const Uuid& order_id, const domain::Order& order);
  void Count(const risk::Assessment& assessment);

  storage::RiskStore& store_;
  Executor& workers_;
  const Clock& clock_;
  Metrics& metrics_;
  const InForce in_force_;
  const Dropped dropped_;
};

}  // namespace waybill::order
