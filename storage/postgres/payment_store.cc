#include "storage/postgres/payment_store.h"

#include <memory>
#include <utility>

namespace waybill::storage {
namespace {

constexpr char kFindPaymentWhere[] = " WHERE s.kind = $1 AND s.dedupe_key = $2";

}  // namespace

absl::StatusOr<PaymentRecord> PostgresPaymentStore::Find(const std::string& client, const std::string& payment_id) {
  domain::Payment named;
  named.client = client;
  named.idempotency_key = payment_id;
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  if (absl::Status prepared = (*connection)->Prepare("payment_find", tables_.sql().select + kFindPaymentWhere);
      !prepared.ok()) {
    return prepared;
  }
  PaymentRecord wanted;
  wanted.payload = std::move(named);
  const std::vector<std::string> key = tables_.DedupeKey(wanted);
  absl::StatusOr<Rows> rows =
      (*connection)->ExecutePrepared("payment_find", {Param::Text(key[0]), Param::Text(key[1])});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) return PaymentNotFound(payment_id);
  absl::StatusOr<std::unique_ptr<saga::Record>> record = tables_.Decode(*rows, 0);
  if (!record.ok()) return record.status();
  return std::move(saga::As<domain::Payment>(**record));
}

}  // namespace waybill::storage
