// Dead letters in Postgres: read from, and changed in, the tables of their sources.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "saga/definition.h"
#include "storage/dead_letters.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/reconciliation_store.h"

namespace waybill::storage {

class PostgresDeadLetterStore final : public DeadLetterStore {
 public:
  // All outlive it. What is changed is promised, so `writes` has connections that commit. Only sagas of `kinds` are
  // redriven: nobody here would take up another.
  PostgresDeadLetterStore(const saga::Kinds& kinds, PostgresReconciliationStore& reconciliation, Pool& writes,
                          Pool& reads)
      : kinds_(kinds), reconciliation_(reconciliation), writes_(writes), reads_(reads) {}

  absl::StatusOr<std::vector<DeadLetter>> List(const DeadLetterFilter& filter,
                                               const std::optional<std::pair<absl::Time, std::string>>& after,
                                               int limit) override;
  absl::StatusOr<std::vector<DeadLetterCount>> Count(const DeadLetterFilter& filter, int64_t most) override;
  absl::StatusOr<int> Redrive(const DeadLetterFilter& filter, int limit, absl::Duration apart,
                              const domain::Deed& deed) override;
  absl::StatusOr<int> Discard(const DeadLetterFilter& filter, int limit, const std::string& reason,
                              const domain::Deed& deed) override;

 private:
  const saga::Kinds& kinds_;
  PostgresReconciliationStore& reconciliation_;
  Pool& writes_;
  Pool& reads_;
};

}  // namespace waybill::storage
