#include "saga/definition.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::saga {

bool Definition::Has(const std::vector<Branch>& branches, int step) const {
  if (branches.empty()) return true;
  const Group group = GroupOf(step);
  if (branches.size() != static_cast<size_t>(group.size())) return false;
  for (int at = group.first; at < group.end; ++at) {
    if (branches[static_cast<size_t>(at - group.first)].step != steps[static_cast<size_t>(at)].name) return false;
  }
  return true;
}

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
