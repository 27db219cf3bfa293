#include "services/order/risk_api.h"

#include <memory>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/assess_risk.h"
#include "services/order/order_status.h"

namespace waybill::order {
namespace {

absl::Status ReviewNotOpen(const Uuid& order_id, OrderStatus status, std::string_view why) {
  ErrorDetail detail;
  detail.metadata = {{"order_id", order_id.ToString()}, {"status", std::string(Name(status))}};
  return domain::ReasonError("REVIEW_NOT_OPEN", why, std::move(detail));
}

}  // namespace

absl::StatusOr<std::vector<storage::RiskAssessment>> RiskApi::Reviews(std::optional<Uuid> before, int limit) {
  storage::OrderQuery query;
  query.statuses = FilterOf(OrderStatus::kAwaitingReview);
  query.before = before;
  query.limit = limit;
  absl::StatusOr<std::vector<storage::OrderRecord>> orders = orders_.List(query);
  if (!orders.ok()) return orders.status();
  std::vector<storage::RiskAssessment> reviews;
  for (const storage::OrderRecord& order : *orders) {
    absl::StatusOr<storage::RiskAssessment> kept = Get(order.id);
    if (!kept.ok()) return kept.status();
    reviews.push_back(*std::move(kept));
  }
  return reviews;
}

absl::StatusOr<saga::SignalResult> RiskApi::Decide(const Uuid& order_id, bool allow, domain::Actor by,
                                                   std::string reason) {
  absl::StatusOr<storage::OrderRecord> order = orders_.Get(order_id);
  if (!order.ok()) return order.status();
  const OrderStatus status = StatusOf(*order);
  if (status != OrderStatus::kAwaitingReview) return ReviewNotOpen(order_id, status, "it does not wait for a person");
  saga::Signal signal;
  signal.step = std::string(kAssessRisk);
  signal.token = std::string(kReviewToken);
  std::string detail = fmt::format("{}: {}", by.operator_name, reason);
  signal.outcome = allow ? saga::Outcome::Succeeded(std::move(detail))
                         : saga::Outcome::Rejected(std::string(kRiskDenied), std::move(detail));
  signal.deed = std::make_shared<domain::Deed>(domain::Deed{std::move(by),
                                                            allow ? "risk.approve" : "risk.deny",
                                                            "order",
                                                            order_id.ToString(),
                                                            {{"reason", std::move(reason)}}});
  absl::StatusOr<saga::SignalResult> result = runner_.AddSignal(order_id, std::move(signal));
  if (!result.ok()) return result.status();
  if (*result == saga::SignalResult::kRepeated) return ReviewNotOpen(order_id, status, "somebody has decided");
  if (*result == saga::SignalResult::kLate) return ReviewNotOpen(order_id, status, "it has ended meanwhile");
  return *result;
}

absl::StatusOr<storage::RiskAssessment> RiskApi::Get(const Uuid& order_id) {
  absl::StatusOr<storage::RiskStore::Assessed> found = risk_.Find(order_id);
  if (!found.ok()) return found.status();
  return std::move(found->kept);
}

absl::StatusOr<std::vector<RiskApi::Tested>> RiskApi::Test(const risk::Rules& rules, const storage::RiskQuery& query) {
  absl::StatusOr<std::vector<storage::RiskAssessment>> kept = risk_.List(query);
  if (!kept.ok()) return kept.status();
  std::vector<Tested> tested;
  for (storage::RiskAssessment& was : *kept) {
    absl::StatusOr<risk::History> history = risk_.HistoryAt(was.facts, risk::QuestionsOf(rules, was.facts), was.at);
    if (!history.ok()) return history.status();
    risk::Assessment would_be = risk::Assess(rules, was.facts, *history, was.at);
    tested.push_back({std::move(was), std::move(would_be)});
  }
  return tested;
}

}  // namespace waybill::order
