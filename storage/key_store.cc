#include "storage/key_store.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::storage {

absl::Status KeyNotFound(const std::string& id) {
  ErrorDetail detail;
  detail.metadata.emplace_back("key_id", id);
  return domain::ReasonError("KEY_NOT_FOUND", fmt::format("there is no such key {}", id), std::move(detail));
}

absl::Status CertificateInUse(const std::string& certificate) {
  ErrorDetail detail;
  detail.metadata.emplace_back("certificate", certificate);
  return domain::ReasonError("CERTIFICATE_IN_USE", fmt::format("another key is the certificate of {}", certificate),
                             std::move(detail));
}

}  // namespace waybill::storage
