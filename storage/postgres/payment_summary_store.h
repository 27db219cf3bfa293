// Sums of payments in Postgres: payment_entries and payment_sums, and of payments of before there were sums the rest.
#pragma once

#include <string>
#include <vector>

#include "storage/payment_summary.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

struct PaymentSummaryOptions {
  int entries_max = 2'000;  // rows of payment_entries that are moved at once; each is what one commit booked
  int rest_max = 10'000;    // payments of before that are moved at once
};

// Until the payments of before are moved, a summary looks through them, which takes longer than other statements may.
ConnectionOptions PaymentSummaryConnectionOptions();

class PostgresPaymentSummaryStore final : public PaymentSummaryStore {
 public:
  explicit PostgresPaymentSummaryStore(Pool& pool, const PaymentSummaryOptions& options = {})
      : pool_(pool), options_(options) {}

  absl::StatusOr<std::vector<PaymentTotals>> Summarize(const SummaryQuery& query) override;
  absl::StatusOr<Unsummed> CountUnsummed() override;
  absl::StatusOr<bool> Fold() override;

 private:
  Pool& pool_;
  const PaymentSummaryOptions options_;
};

}  // namespace waybill::storage
