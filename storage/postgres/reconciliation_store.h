// Reconciliation in Postgres: settlements, settlement_lines and reconciliation_cases, beside payments.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/postgres/pool.h"
#include "storage/reconciliation.h"

namespace waybill::storage {

struct ReconciliationOptions {
  // What we booked so shortly before the end of what a settlement covers may stand in the next one, too.
  absl::Duration late_max = absl::Hours(1);
  // How long after an order began its charge, and its refund, are looked for. Orders are found by their ids, which
  // have the time of their beginning in them; an index by other times would cost each payment.
  absl::Duration order_age_max = absl::Hours(24 * 35);
};

// Pools of which one comparison may hold a connection for minutes: longer than other statements may take.
ConnectionOptions ReconciliationConnectionOptions();

class PostgresReconciliationStore final : public ReconciliationStore {
 public:
  explicit PostgresReconciliationStore(Pool& pool, const ReconciliationOptions& options = {})
      : pool_(pool), options_(options) {}

  absl::StatusOr<Settlement> Begin(const NewSettlement& settlement) override;
  absl::Status AddLines(int64_t settlement_id, const std::vector<SettlementLine>& lines) override;
  absl::StatusOr<Settlement> Reconcile(int64_t settlement_id, int64_t lines, const domain::Deed& deed) override;
  absl::StatusOr<std::vector<Settlement>> List(const std::string& gateway, int64_t before, int limit) override;
  absl::StatusOr<Settlement> Get(int64_t settlement_id) override;
  absl::StatusOr<std::vector<SettlementTotals>> Totals(int64_t settlement_id) override;
  absl::StatusOr<std::vector<ReconciliationCase>> ListCases(const CaseQuery& query) override;
  absl::StatusOr<ReconciliationCase> CloseCase(int64_t case_id, const std::string& reason,
                                               const domain::Deed& deed) override;
  absl::StatusOr<std::vector<Open>> CountOpen() override;

  // Holds open cases against all that their gateways have said, in one transaction with `pick`, a statement that
  // answers their ids as texts. Those that are no longer so are closed. How many were picked.
  absl::StatusOr<int64_t> CompareAgain(const std::string& pick, absl::Span<const Param> params);

  // Ends comparisons that run, which leave nothing behind, and takes no more of them.
  void Cancel();

 private:
  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params);
  // Of a comparison.
  absl::StatusOr<Rows> Step(Connection& connection, const std::string& sql, absl::Span<const Param> params = {});
  // One transaction, which Cancel ends. `work` answers a StatusOr.
  template <typename Work>
  auto InTransaction(Work work) -> decltype(work(std::declval<Connection&>()));
  // Within the transaction.
  absl::StatusOr<Settlement> Compare(Connection& connection, int64_t settlement_id, int64_t lines,
                                     const domain::Deed& deed);
  absl::StatusOr<int64_t> CompareAgain(Connection& connection, const std::string& pick, absl::Span<const Param> params);

  Pool& pool_;
  const ReconciliationOptions options_;
  std::mutex mutex_;
  bool cancelled_ = false;
  std::set<int64_t> comparing_;  // sessions that do, by their backends
};

}  // namespace waybill::storage
