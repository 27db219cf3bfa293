#include "storage/reasons.h"

#include <cstdlib>

namespace waybill::storage {

const Reason& FindReason(std::string_view name) {
  for (const Reason& reason : kReasons) {
    if (reason.name == name) return reason;
  }
  std::abort();  // a reason outside the table is a bug that the first test meets
}

absl::Status ReasonError(std::string_view reason, std::string_view message, ErrorDetail detail) {
  detail.reason = std::string(reason);
  return MakeError(FindReason(reason).code, message, detail);
}

}  // namespace waybill::storage
