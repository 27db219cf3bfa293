#include "storage/payment_store.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {

absl::Status PaymentNotFound(const std::string& payment_id) {
  return domain::ReasonError("PAYMENT_NOT_FOUND", fmt::format("there is no payment {} of this client", payment_id),
                             {.metadata = {{"payment_id", payment_id}}});
}

}  // namespace waybill::storage
