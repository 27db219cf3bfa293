#include "storage/payout_store.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {

absl::Status PayoutNotFound(const std::string& payout_id) {
  return domain::ReasonError("PAYOUT_NOT_FOUND", fmt::format("there is no payout {} of this client", payout_id),
                             {.metadata = {{"payout_id", payout_id}}});
}

}  // namespace waybill::storage
