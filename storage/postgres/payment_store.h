// Payments without an order, read from Postgres.
#pragma once

#include <string>

#include "storage/payment_store.h"
#include "storage/postgres/payment_tables.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

class PostgresPaymentStore final : public PaymentStore {
 public:
  explicit PostgresPaymentStore(Pool& reads) : reads_(reads), tables_(PaymentTables()) {}

  absl::StatusOr<PaymentRecord> Find(const std::string& client, const std::string& payment_id) override;

 private:
  Pool& reads_;
  const SharedSagaTables<domain::Payment> tables_;
};

}  // namespace waybill::storage
