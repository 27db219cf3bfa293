#include "saga/definition.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::saga {

absl::Status Kinds::CheckDriven(const Header& header) const {
  if (Find(header.kind, header.version) != nullptr) return absl::OkStatus();
  ErrorDetail detail;
  detail.metadata = {
      {"saga_id", header.id.ToString()}, {"kind", header.kind}, {"version", std::to_string(header.version)}};
  return domain::ReasonError(kNotDrivenHere,
                             fmt::format("this process does not drive version {} of {}", header.version, header.kind),
                             std::move(detail));
}

}  // namespace waybill::saga
