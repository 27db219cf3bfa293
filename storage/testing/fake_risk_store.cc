#include "storage/testing/fake_risk_store.h"

#include <algorithm>
#include <utility>

#include "domain/reasons.h"
#include "risk/testing/past.h"

namespace waybill::storage::testing {

void FakeRiskStore::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

void FakeRiskStore::Decline(const Uuid& order_id, absl::Time at) {
  std::lock_guard lock(mutex_);
  declines_.emplace_back(order_id, at);
}

void FakeRiskStore::Put(RiskAssessment assessment) {
  std::lock_guard lock(mutex_);
  kept_.push_back(std::move(assessment));
}

const RiskAssessment* FakeRiskStore::Get(const Uuid& order_id) const {
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const RiskAssessment& one) { return one.order_id == order_id; });
  return found == kept_.end() ? nullptr : &*found;
}

RiskStore::Assessed FakeRiskStore::Answer(const RiskAssessment& kept, bool fresh) const {
  return {kept, fresh, kept.review_until.has_value() && *kept.review_until <= clock_.Now()};
}

risk::History FakeRiskStore::HistoryOf(const risk::Facts& facts, const risk::Questions& questions, absl::Time at,
                                       std::optional<absl::Time> known_by) const {
  std::vector<risk::testing::PastOrder> past;
  for (const RiskAssessment& one : kept_) {
    const bool declined = std::any_of(declines_.begin(), declines_.end(), [&](const auto& decline) {
      return decline.first == one.order_id && (!known_by || decline.second <= *known_by);
    });
    past.push_back({one.facts, one.at, declined});
  }
  return risk::testing::HistoryOf(questions, facts, at, past);
}

absl::StatusOr<RiskStore::Assessed> FakeRiskStore::Assess(const Uuid& order_id, const risk::Facts& facts,
                                                          const risk::Rules& rules) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  if (const RiskAssessment* kept = Get(order_id)) return Answer(*kept, false);
  absl::Time at = absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now()));
  for (const RiskAssessment& one : kept_) {
    const bool shares = std::any_of(std::begin(risk::kTraits), std::end(risk::kTraits), [&](risk::Trait trait) {
      return risk::testing::SharesTrait(facts, one.facts, trait);
    });
    if (shares) at = std::max(at, one.at + absl::Microseconds(1));
  }
  RiskAssessment kept;
  kept.order_id = order_id;
  kept.facts = facts;
  kept.at = at;
  kept.assessment = risk::Assess(rules, facts, HistoryOf(facts, risk::QuestionsOf(rules, facts), at, std::nullopt), at);
  if (kept.assessment.verdict.decision == risk::Decision::kReview) {
    kept.review_until = at + rules.review_for;
    kept.after_review = rules.after_review;
  }
  kept_.push_back(kept);
  return Answer(kept, true);
}

absl::StatusOr<RiskStore::Assessed> FakeRiskStore::Find(const Uuid& order_id) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  const RiskAssessment* kept = Get(order_id);
  if (kept == nullptr) return domain::ReasonError("ORDER_NOT_FOUND", "it was not assessed");
  return Answer(*kept, false);
}

absl::StatusOr<risk::History> FakeRiskStore::HistoryAt(const risk::Facts& facts, const risk::Questions& questions,
                                                       absl::Time at) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  return HistoryOf(facts, questions, at, at);
}

absl::StatusOr<std::vector<RiskAssessment>> FakeRiskStore::List(const RiskQuery& query) {
  std::lock_guard lock(mutex_);
  if (!error_.ok()) return error_;
  std::vector<RiskAssessment> all;
  for (const RiskAssessment& one : kept_) {
    if (one.at < query.from || one.at >= query.to) continue;
    if (query.after && !(std::pair(query.from, query.after->bytes) < std::pair(one.at, one.order_id.bytes))) continue;
    all.push_back(one);
  }
  std::sort(all.begin(), all.end(), [](const RiskAssessment& a, const RiskAssessment& b) {
    return std::pair(a.at, a.order_id.bytes) < std::pair(b.at, b.order_id.bytes);
  });
  if (all.size() > query.limit) all.resize(query.limit);
  return all;
}

}  // namespace waybill::storage::testing
