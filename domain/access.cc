#include "domain/access.h"

#include <algorithm>

#include "domain/driver.h"

namespace waybill::domain {

std::string_view Name(Scope scope) {
  switch (scope) {
    case Scope::kOrdersWrite:
      return "orders:write";
    case Scope::kOrdersRead:
      return "orders:read";
    case Scope::kLocationsWrite:
      return "locations:write";
    case Scope::kLocationsRead:
      return "locations:read";
    case Scope::kLedgerWrite:
      return "ledger:write";
    case Scope::kLedgerRead:
      return "ledger:read";
    case Scope::kPayoutsWrite:
      return "payouts:write";
    case Scope::kPayoutsRead:
      return "payouts:read";
    case Scope::kOps:
      return "ops";
    case Scope::kAdmin:
      return "admin";
  }
  return "";
}

std::optional<Scope> ParseScope(std::string_view name) {
  for (const Scope scope : kScopes) {
    if (Name(scope) == name) return scope;
  }
  return std::nullopt;
}

std::vector<std::string> Scopes::Names() const {
  std::vector<std::string> names;
  for (const Scope scope : kScopes) {
    if (Given(scope)) names.emplace_back(Name(scope));
  }
  return names;
}

DriverPatterns::DriverPatterns(const std::vector<std::string>& patterns) {
  for (const std::string& pattern : patterns) {
    if (!pattern.ends_with('*')) {
      ids_.insert(pattern);
    } else if (pattern.size() == 1) {
      all_ = true;
    } else {
      prefixes_.push_back(pattern.substr(0, pattern.size() - 1));
    }
  }
  std::sort(prefixes_.begin(), prefixes_.end());
  // Sorted, what begins with another stands behind it, and all between them begin with it, too.
  const auto covered = [](const std::string& shorter, const std::string& longer) {
    return longer.starts_with(shorter);
  };
  prefixes_.erase(std::unique(prefixes_.begin(), prefixes_.end(), covered), prefixes_.end());
}

const DriverPatterns& DriverPatterns::All() {
  static const DriverPatterns& all = *new DriverPatterns({"*"});
  return all;
}

bool DriverPatterns::Match(std::string_view driver_id) const {
  if (all_) return true;
  if (!ids_.empty() && ids_.contains(absl::string_view(driver_id.data(), driver_id.size()))) return true;
  // Only the last one that is not greater can be a beginning: any between that and it would begin with it.
  const auto after = std::upper_bound(prefixes_.begin(), prefixes_.end(), driver_id);
  return after != prefixes_.begin() && driver_id.starts_with(*std::prev(after));
}

std::string_view FindPatternFault(std::string_view pattern) {
  if (pattern == "*") return "";
  if (pattern.ends_with('*')) pattern.remove_suffix(1);
  if (pattern.find('*') != std::string_view::npos) return "has a * elsewhere than at its end";
  if (!IsDriverId(pattern)) return "has to be 1-128 visible ASCII characters";
  return "";
}

}  // namespace waybill::domain
