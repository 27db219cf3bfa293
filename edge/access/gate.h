// The gate that every call passes before anything of it is looked at: who calls, and may they. Knows no gRPC.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/access.h"
#include "edge/access/key_ring.h"

namespace waybill::access {

enum class Identity {
  kOpen,      // everybody is let in and taken at their word; a key says who, where nothing else does
  kRequired,  // by a key or a certificate
};

// What a method asks of its caller: a scope, or (kAnybody) nothing.
using Rule = std::optional<domain::Scope>;
inline constexpr Rule kAnybody = std::nullopt;

// What a call shows of its caller.
struct Evidence {
  std::optional<std::string_view> authorization;  // the header; "" when there are several
  std::string_view client;                        // metadata waybill-client
  std::function<std::vector<std::string>()> certificate_names;
};

class Gate {
 public:
  // Open. Nobody has the scope admin.
  Gate() = default;
  // `keys` outlives this. While open, they count for methods that need admin: what is done by those is still true when
  // identity is required. null (open only): nobody has that scope.
  Gate(Identity identity, const KeyRing* keys) : identity_(identity), keys_(keys) {}

  // Who calls a method of that rule. As KeyRing, and SCOPE_MISSING, CLIENT_MISMATCH; while open only KeyRing's, of a
  // key that is shown without a name.
  absl::StatusOr<CallerPtr> Admit(const Rule& rule, const Evidence& evidence) const;
  // Whether one that was let in would be let in again.
  absl::Status Check(const Caller& caller) const;

 private:
  absl::StatusOr<CallerPtr> Find(const Evidence& evidence) const;
  absl::StatusOr<std::string> NameOf(const Evidence& evidence) const;  // while open

  Identity identity_ = Identity::kOpen;
  const KeyRing* keys_ = nullptr;
};

// Who may do everything but administer keys, under that name.
CallerPtr Anybody(std::string_view client);

}  // namespace waybill::access
