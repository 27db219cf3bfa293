// A RiskStore in memory that behaves like the one in Postgres.
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <vector>

#include "runtime/clock.h"
#include "storage/risk_store.h"

namespace waybill::storage::testing {

class FakeRiskStore final : public RiskStore {
 public:
  // The clock outlives it.
  explicit FakeRiskStore(const Clock& clock) : clock_(clock) {}

  absl::StatusOr<Assessed> Assess(const Uuid& order_id, const risk::Facts& facts, const risk::Rules& rules) override;
  absl::StatusOr<Assessed> Find(const Uuid& order_id) override;
  absl::StatusOr<risk::History> HistoryAt(const risk::Facts& facts, const risk::Questions& questions,
                                          absl::Time at) override;
  absl::StatusOr<std::vector<RiskAssessment>> List(const RiskQuery& query) override;

  // What every call answers from now on; OK: it works.
  void set_error(absl::Status error);
  // The charge of an order was declined, and that at `at`.
  void Decline(const Uuid& order_id, absl::Time at);
  void Put(RiskAssessment assessment);

 private:
  Assessed Answer(const RiskAssessment& kept, bool fresh) const;
  const RiskAssessment* Get(const Uuid& order_id) const;
  // `known_by` of declines: nullopt: all.
  risk::History HistoryOf(const risk::Facts& facts, const risk::Questions& questions, absl::Time at,
                          std::optional<absl::Time> known_by) const;

  const Clock& clock_;
  mutable std::mutex mutex_;
  absl::Status error_;
  std::vector<RiskAssessment> kept_;
  std::vector<std::pair<Uuid, absl::Time>> declines_;
};

}  // namespace waybill::storage::testing
