#include "saga/definition.h"

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::saga {

bool Definition::HasBranchesOf(const Header& header) const {
  if (header.branches.empty()) return true;
  const Group group = GroupOf(header.step);
  if (header.branches.size() != static_cast<size_t>(group.size())) return false;
  bool left = false;
  for (int at = group.first; at < group.end; ++at) {
    const Branch& branch = header.branches[static_cast<size_t>(at - group.first)];
    if (branch.step != steps[static_cast<size_t>(at)].name) return false;
    if (branch.state == Branch::State::kNothing && header.state == State::kRunning) return false;
    left = left || branch.state == Branch::State::kOpen || branch.state == Branch::State::kWaiting;
  }
  return left || header.state != State::kRunning;
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
