// Reads of payments that have no order. Writes go through their sagas' journal.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "domain/payment.h"
#include "runtime/ids.h"
#include "saga/record.h"

namespace waybill::storage {

using PaymentRecord = saga::RecordOf<domain::Payment>;

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer; UNREADABLE_ROW when a row is
// of a newer version.
class PaymentStore {
 public:
  virtual ~PaymentStore() = default;
  // The payment to which `client` has given this id. PAYMENT_NOT_FOUND.
  virtual absl::StatusOr<PaymentRecord> Find(const std::string& client, const std::string& payment_id) = 0;
};

absl::Status PaymentNotFound(const std::string& payment_id);

}  // namespace waybill::storage
