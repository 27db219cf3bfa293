#include "services/order/risk_api.h"

#include <memory>
#include <utility>

#include "domain/payment.h"
#include "domain/payout.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/assess_risk.h"
#include "storage/order_status.h"

namespace waybill::order {
namespace {

// Orders by the status that their callers see, all else by its saga's state.
std::string_view StatusName(const saga::Header& header) {
  if (header.kind == domain::Order::kKind) return storage::Name(storage::StatusOf(header));
  return storage::IsInReview(header) ? "AWAITING_REVIEW" : saga::Name(header.state);
}

absl::Status ReviewNotOpen(const saga::Header& header, std::string_view why) {
  ErrorDetail detail;
  detail.metadata = {{"order_id", header.id.ToString()}, {"status", std::string(StatusName(header))}};
  return domain::ReasonError("REVIEW_NOT_OPEN", why, std::move(detail));
}

// What the audit calls it.
std::string_view SubjectOf(const saga::Header& header) {
  if (header.kind == domain::Payout::kKind) return risk::Name(risk::Subject::kPayout);
  return risk::Name(header.kind == domain::Payment::kKind ? risk::Subject::kPayment : risk::Subject::kOrder);
}

}  // namespace

absl::StatusOr<std::vector<storage::RiskAssessment>> RiskApi::Reviews(std::optional<Uuid> before, int limit) {
  absl::StatusOr<std::vector<Uuid>> ids = orders_.InReview(before, limit);
  if (!ids.ok()) return ids.status();
  std::vector<storage::RiskAssessment> reviews;
  for (const Uuid& id : *ids) {
    absl::StatusOr<storage::RiskAssessment> kept = Get(id);
    if (!kept.ok()) return kept.status();
    reviews.push_back(*std::move(kept));
  }
  return reviews;
}

absl::Status RiskApi::Decide(const Uuid& order_id, bool allow, domain::Actor by, std::string reason) {
  absl::StatusOr<storage::SagaView> found = orders_.GetSaga(order_id);
  if (absl::IsNotFound(found.status())) return storage::OrderNotFound(order_id);
  if (!found.ok()) return found.status();
  const saga::Header& header = found->header;
  if (!storage::IsInReview(header)) return ReviewNotOpen(header, "it does not wait for a person");
  saga::Signal signal;
  signal.step = std::string(kAssessRisk);
  signal.token = std::string(kReviewToken);
  signal.only_awaited = true;  // the step itself would go by the time that is over, not by who decides meanwhile
  std::string detail = fmt::format("{}: {}", by.operator_name, reason);
  signal.outcome = allow ? saga::Outcome::Succeeded(std::move(detail))
                         : saga::Outcome::Rejected(std::string(kRiskDenied), std::move(detail));
  signal.deed = std::make_shared<domain::Deed>(domain::Deed{std::move(by),
                                                            allow ? "risk.approve" : "risk.deny",
                                                            std::string(SubjectOf(header)),
                                                            order_id.ToString(),
                                                            {{"reason", std::move(reason)}}});
  absl::StatusOr<saga::SignalResult> result = runner_.AddSignal(order_id, std::move(signal));
  if (!result.ok()) return result.status();
  if (*result == saga::SignalResult::kRepeated) return ReviewNotOpen(header, "somebody has decided");
  if (*result == saga::SignalResult::kUnawaited) {
    return ReviewNotOpen(header, "its time is over, or somebody decides it at this moment");
  }
  if (*result == saga::SignalResult::kLate) return ReviewNotOpen(header, "it has ended meanwhile");
  return absl::OkStatus();
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
