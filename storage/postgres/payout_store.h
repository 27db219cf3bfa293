// Payouts, read from Postgres.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/payout_store.h"
#include "storage/postgres/payout_tables.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresPayoutStore final : public PayoutStore {
 public:
  // Lists run on `scans`. Both outlive it.
  PostgresPayoutStore(Pool& reads, Pool& scans) : reads_(reads), scans_(scans), tables_(PayoutTables()) {}

  absl::StatusOr<PayoutRecord> Find(const std::string& client, const std::string& payout_id) override;
  absl::StatusOr<std::vector<PayoutRecord>> List(const PayoutQuery& query) override;
  absl::StatusOr<std::optional<int64_t>> Available(const std::string& client, const std::string& account,
                                                   const std::string& currency) override;

 private:
  absl::StatusOr<std::vector<PayoutRecord>> Read(Pool& pool, const char* name, const std::string& text,
                                                 const std::vector<Param>& params);

  Pool& reads_;
  Pool& scans_;
  const SharedSagaTables<domain::Payout> tables_;
};

}  // namespace waybill::storage
