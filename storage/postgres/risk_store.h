// Assessments in Postgres: risk_assessments.
#pragma once

#include <vector>

#include "storage/postgres/pool.h"
#include "storage/risk_store.h"

namespace waybill::storage {

// A statement has a second: an order waits for it, and is asked for again.
ConnectionOptions RiskConnectionOptions();

// Exact by locks: whoever assesses an order holds an advisory lock for each of its traits until its row is committed,
// taken in the order of their numbers, so that nobody waits in a circle.
class PostgresRiskStore final : public RiskStore {
 public:
  // `writes` for what is assessed, with RiskConnectionOptions; `reads` for all else. Both outlive it.
  PostgresRiskStore(Pool& writes, Pool& reads) : writes_(writes), reads_(reads) {}

  absl::StatusOr<Assessed> Assess(const Uuid& order_id, const risk::Facts& facts, const risk::Rules& rules) override;
  absl::StatusOr<Assessed> Find(const Uuid& order_id) override;
  absl::StatusOr<risk::History> HistoryAt(const risk::Facts& facts, const risk::Questions& questions,
                                          absl::Time at) override;
  absl::StatusOr<std::vector<RiskAssessment>> List(const RiskQuery& query) override;

 private:
  // Within the transaction that was begun. nullopt: the order was assessed before, and nothing was written.
  absl::StatusOr<std::optional<RiskAssessment>> AssessLocked(Connection& connection, const Uuid& order_id,
                                                             const risk::Facts& facts, const risk::Rules& rules);
  static absl::StatusOr<Assessed> FindOn(Connection& connection, const Uuid& order_id);

  Pool& writes_;
  Pool& reads_;
};

}  // namespace waybill::storage
