#include "edge/access/key_admin.h"

#include <utility>

#include "domain/client.h"
#include "domain/reasons.h"
#include "domain/visible_ascii.h"
#include "fmt/format.h"
#include "runtime/text.h"

namespace waybill::access {
namespace {

using domain::Scope;
using domain::Violations;
using storage::AccessKey;

void CheckExpiry(absl::Time expires_at, absl::Time now, Violations& violations) {
  if (expires_at <= now) violations.Add("expire_time", "is not in the future");
}

// Who makes a key, for its row.
std::string NameOf(const domain::Actor& by) {
  return by.key_id.empty() || by.key_id == by.client ? by.client : fmt::format("{} ({})", by.client, by.key_id);
}

std::string Joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

std::string ShowExpiry(absl::Time time) {
  return time == absl::InfiniteFuture() ? "never" : absl::FormatTime(absl::RFC3339_full, time, absl::UTCTimeZone());
}

domain::Deed CreateDeed(const AccessKey& key, const domain::Actor& by) {
  return {by,
          "key.create",
          "key",
          key.id,
          {{"name", key.name},
           {"client", key.client},
           {"scopes", Joined(key.scopes.Names())},
           {"drivers", Joined(key.drivers)},
           {"certificate", key.certificate},
           {"expires", ShowExpiry(key.expires_at)}}};
}

std::string DigestText(const KeyHash::Digest& digest) { return {digest.data(), digest.size()}; }

absl::Status Check(const KeyAdmin::Wanted& wanted, absl::Time now) {
  constexpr size_t kNameMax = 128, kClientMax = 128, kCertificateMax = 253;
  Violations violations;
  const Utf8 name = ReadUtf8(wanted.name);
  if (wanted.name.empty() || !name.valid || name.has_control || name.characters > kNameMax) {
    violations.Add("name", fmt::format("has to be 1-{} characters, none of them a control character", kNameMax));
  }
  domain::CheckVisibleAscii(wanted.client, kClientMax, "client", violations);
  if (wanted.client == "admin") violations.Add("client", "is the administrator's, whose key is in a file");
  if (domain::IsReservedClient(wanted.client))
    violations.Add("client", "begins with a parenthesis, as Waybill's own do");
  if (wanted.scopes.empty()) violations.Add("scopes", "at least one is required");
  domain::Scopes scopes;
  for (size_t i = 0; i < wanted.scopes.size(); ++i) {
    if (const std::optional<Scope> scope = domain::ParseScope(wanted.scopes[i])) {
      scopes.Add(*scope);
    } else {
      violations.Add(fmt::format("scopes[{}]", i), "is not a known scope");
    }
  }
  if (wanted.drivers.size() > domain::kDriverPatternsMax) {
    violations.Add("drivers", fmt::format("have to be at most {}", domain::kDriverPatternsMax));
  } else {
    for (size_t i = 0; i < wanted.drivers.size(); ++i) {
      const std::string_view fault = domain::FindPatternFault(wanted.drivers[i]);
      if (!fault.empty()) violations.Add(fmt::format("drivers[{}]", i), std::string(fault));
    }
  }
  if (scopes.Has(Scope::kLocationsWrite) && wanted.drivers.empty()) {
    violations.Add("drivers", "say whose positions a key with locations:write or admin may write; * for all");
  } else if (!scopes.Has(Scope::kLocationsWrite) && !wanted.drivers.empty()) {
    violations.Add("drivers", "say nothing without the scope locations:write");
  }
  if (!wanted.certificate.empty())
    domain::CheckVisibleAscii(wanted.certificate, kCertificateMax, "certificate", violations);
  CheckExpiry(wanted.expires_at, now, violations);
  return std::move(violations).ToStatus();
}

}  // namespace

absl::StatusOr<KeyAdmin::Made> KeyAdmin::Create(const Wanted& wanted, const domain::Actor& by) {
  const absl::Time now = clock_.Now();
  if (absl::Status wrong = Check(wanted, now); !wrong.ok()) return wrong;
  Made made;
  AccessKey& key = made.key;
  key.id = MakeKeyId(entropy_);
  key.name = wanted.name;
  key.client = wanted.client;
  for (const std::string& name : wanted.scopes) key.scopes.Add(*domain::ParseScope(name));
  key.drivers = wanted.drivers;
  key.certificate = wanted.certificate;
  key.created_at = now;
  key.created_by = NameOf(by);
  key.expires_at = wanted.expires_at;
  if (key.certificate.empty()) {
    made.secret = MakeSecret(key.id, entropy_);
    key.secret_hash = DigestText(hash_.Of(made.secret));
  }
  if (absl::Status added = store_.Add(key, CreateDeed(key, by)); !added.ok()) return added;
  changed_();
  return made;
}

absl::StatusOr<KeyAdmin::Made> KeyAdmin::Rotate(const std::string& id, absl::Duration overlap, absl::Time expires_at,
                                                const domain::Actor& by) {
  const absl::Time now = clock_.Now();
  if (!IsKeyId(id)) return storage::KeyNotFound(id);
  absl::StatusOr<AccessKey> old = store_.Get(id);
  if (!old.ok()) return old.status();
  Violations violations;
  if (!old->certificate.empty()) violations.Add("key_id", "is a certificate, which whoever issued it renews");
  if (overlap < absl::ZeroDuration() || overlap > kOverlapMax) {
    violations.Add("overlap", fmt::format("has to be within 0 and {}", absl::FormatDuration(kOverlapMax)));
  }
  CheckExpiry(expires_at, now, violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  AccessKey fresh;
  fresh.id = MakeKeyId(entropy_);
  fresh.created_at = now;
  fresh.created_by = NameOf(by);
  fresh.expires_at = expires_at;
  std::string secret = MakeSecret(fresh.id, entropy_);
  fresh.secret_hash = DigestText(hash_.Of(secret));
  const domain::Deed deed = {by,
                             "key.rotate",
                             "key",
                             id,
                             {{"fresh", fresh.id},
                              {"client", old->client},
                              {"overlap", absl::FormatDuration(overlap)},
                              {"expires", ShowExpiry(expires_at)}}};
  absl::StatusOr<AccessKey> rotated = store_.Rotate(id, fresh, now, now + overlap, deed);
  if (!rotated.ok()) return rotated.status();
  changed_();
  return Made{*std::move(rotated), std::move(secret)};
}

absl::StatusOr<std::vector<AccessKey>> KeyAdmin::List(const std::string& after, int limit) {
  if (!after.empty() && !IsKeyId(after)) return domain::BadField("page_token", "is none of this list's");
  return store_.List(after, limit);
}

absl::StatusOr<AccessKey> KeyAdmin::Revoke(const std::string& id, const domain::Actor& by) {
  if (!IsKeyId(id)) return storage::KeyNotFound(id);
  absl::StatusOr<AccessKey> revoked = store_.Revoke(id, clock_.Now(), {by, "key.revoke", "key", id});
  if (revoked.ok()) changed_();
  return revoked;
}

}  // namespace waybill::access
