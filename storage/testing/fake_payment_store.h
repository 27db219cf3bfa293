// The payment store over the same in-memory book that the memory journals write.
#pragma once

#include <string>

#include "saga/testing/memory_journal.h"
#include "storage/payment_store.h"

namespace waybill::storage::testing {

class FakePaymentStore final : public PaymentStore {
 public:
  explicit FakePaymentStore(saga::testing::MemoryBook& book) : book_(book) {}

  absl::StatusOr<PaymentRecord> Find(const std::string& client, const std::string& payment_id) override {
    std::lock_guard lock(book_.mutex);
    for (const auto& [id, row] : book_.rows) {
      if (row.record->kind != domain::Payment::kKind) continue;
      const PaymentRecord& record = saga::As<domain::Payment>(*row.record);
      if (record.payload.client == client && record.payload.idempotency_key == payment_id) return record;
    }
    return PaymentNotFound(payment_id);
  }

 private:
  saga::testing::MemoryBook& book_;
};

}  // namespace waybill::storage::testing
