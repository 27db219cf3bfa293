#include "edge/access/gate.h"

#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::access {
namespace {

using domain::ReasonError;
using domain::Scope;

absl::Status ScopeMissing(Scope scope) {
  ErrorDetail detail;
  detail.metadata.emplace_back("scope", domain::Name(scope));
  return ReasonError("SCOPE_MISSING", fmt::format("the key lacks the scope {}", domain::Name(scope)),
                     std::move(detail));
}

}  // namespace

CallerPtr Anybody(std::string_view client) {
  static constexpr domain::Scopes kAll = {Scope::kOrdersWrite, Scope::kOrdersRead, Scope::kLocationsWrite,
                                          Scope::kLocationsRead, Scope::kOps};
  static const CallerPtr& nameless =
      *new CallerPtr(std::make_shared<Caller>(Caller{"", kAll, domain::DriverPatterns::All(), ""}));
  if (client.empty()) return nameless;
  return std::make_shared<Caller>(Caller{std::string(client), kAll, domain::DriverPatterns::All(), ""});
}

absl::StatusOr<CallerPtr> Gate::Find(const Evidence& evidence) const {
  if (keys_ == nullptr) return ReasonError("NO_IDENTITY", "this service knows no keys");
  if (evidence.authorization) return keys_->FindSecret(*evidence.authorization);
  const std::vector<std::string> names = evidence.certificate_names();
  if (names.empty()) return ReasonError("NO_IDENTITY", "the call has neither a key nor a client's certificate");
  return keys_->FindCertificate(names);
}

// Whoever names nobody and shows a key is that key's client: what he makes is still his when keys are required. For
// the same reason he is nobody else when his key is over, or is not known for the moment: a retry under another name
// would be a second order.
absl::StatusOr<std::string> Gate::NameOf(const Evidence& evidence) const {
  if (keys_ == nullptr || !evidence.client.empty()) return std::string(evidence.client);
  const bool key = evidence.authorization && ParseAuthorization(*evidence.authorization);
  if (!key && evidence.authorization) return std::string();  // somebody else's
  absl::StatusOr<CallerPtr> caller = Find(evidence);
  if (caller.ok()) return (*caller)->client;
  const std::string reason = GetErrorDetail(caller.status()).reason;
  if (!key && (reason == "NO_IDENTITY" || reason == "KEY_UNKNOWN")) return std::string();  // a certificate need be none
  return caller.status();
}

absl::StatusOr<CallerPtr> Gate::Admit(const Rule& rule, const Evidence& evidence) const {
  if (!rule) return Anybody(evidence.client);
  if (identity_ == Identity::kOpen && *rule != Scope::kAdmin) {
    absl::StatusOr<std::string> name = NameOf(evidence);
    return name.ok() ? absl::StatusOr<CallerPtr>(Anybody(*name)) : name.status();
  }
  absl::StatusOr<CallerPtr> caller = Find(evidence);
  if (!caller.ok()) return caller;
  if (!(*caller)->scopes.Has(*rule)) return ScopeMissing(*rule);
  if (identity_ == Identity::kRequired && !evidence.client.empty() && evidence.client != (*caller)->client) {
    return ReasonError("CLIENT_MISMATCH", "waybill-client names another client than the key does");
  }
  return caller;
}

absl::Status Gate::Check(const Caller& caller) const {
  return caller.key_id.empty() || keys_ == nullptr ? absl::OkStatus() : keys_->Check(caller);
}

}  // namespace waybill::access
