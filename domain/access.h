// Who may do what: scopes, and for which drivers a caller may write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace waybill::domain {

enum class Scope : uint8_t {
  kOrdersWrite,
  kOrdersRead,
  kLocationsWrite,
  kLocationsRead,
  kOps,
  kAdmin,
  kLedgerWrite,
  kLedgerRead,
  kPayoutsWrite,
  kPayoutsRead,
};

inline constexpr Scope kScopes[] = {
    Scope::kOrdersWrite, Scope::kOrdersRead,   Scope::kLocationsWrite, Scope::kLocationsRead, Scope::kLedgerWrite,
    Scope::kLedgerRead,  Scope::kPayoutsWrite, Scope::kPayoutsRead,    Scope::kOps,           Scope::kAdmin};

std::string_view Name(Scope scope);  // "orders:write"
std::optional<Scope> ParseScope(std::string_view name);

// A set of scopes. Having admin is having all; having ops is having all that read.
class Scopes {
 public:
  constexpr Scopes() = default;
  constexpr Scopes(std::initializer_list<Scope> scopes) {
    for (const Scope scope : scopes) Add(scope);
  }
  static constexpr Scopes All() { return {Scope::kAdmin}; }

  constexpr void Add(Scope scope) { bits_ |= Bit(scope); }
  // Given as such, or included in another.
  constexpr bool Has(Scope scope) const {
    const bool reads = scope == Scope::kOrdersRead || scope == Scope::kLocationsRead || scope == Scope::kLedgerRead ||
                       scope == Scope::kPayoutsRead;
    return Given(scope) || Given(Scope::kAdmin) || (reads && Given(Scope::kOps));
  }
  constexpr bool empty() const { return bits_ == 0; }
  std::vector<std::string> Names() const;  // of those given

  bool operator==(const Scopes&) const = default;

 private:
  static constexpr uint16_t Bit(Scope scope) { return static_cast<uint16_t>(1U << static_cast<unsigned>(scope)); }
  constexpr bool Given(Scope scope) const { return (bits_ & Bit(scope)) != 0; }

  uint16_t bits_ = 0;
};

inline constexpr size_t kDriverPatternsMax = 1'000;

// Drivers, named by patterns: an id, a beginning of ids with * behind it, or * for all. What holds for a million points
// a second costs a hash or a binary search of a few.
class DriverPatterns {
 public:
  DriverPatterns() = default;  // no driver
  // Of patterns that FindPatternFault finds nothing wrong with.
  explicit DriverPatterns(const std::vector<std::string>& patterns);
  static const DriverPatterns& All();

  bool Match(std::string_view driver_id) const;

 private:
  bool all_ = false;
  absl::flat_hash_set<std::string> ids_;
  std::vector<std::string> prefixes_;  // sorted, and none begins with another
};

// What is wrong with a pattern; "" when nothing is.
std::string_view FindPatternFault(std::string_view pattern);

}  // namespace waybill::domain
