// Keys of callers. A key is a secret, of which a hash is kept, or the name in a client's certificate.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/access.h"
#include "domain/deed.h"

namespace waybill::storage {

struct AccessKey {
  std::string id;      // public: the secret names it
  std::string name;    // for people
  std::string client;  // who calls
  domain::Scopes scopes;
  std::vector<std::string> drivers;  // patterns (domain/access.h) of those it may write positions of
  std::string secret_hash;           // 32 bytes; empty: a certificate
  std::string certificate;           // a name in it; empty: a secret
  absl::Time created_at;
  std::string created_by;
  absl::Time expires_at = absl::InfiniteFuture();
  absl::Time revoked_at = absl::InfiniteFuture();  // InfiniteFuture: not revoked
  std::optional<absl::Time> used_at;               // last, about

  bool operator==(const AccessKey&) const = default;
};

absl::Status KeyNotFound(const std::string& id);
absl::Status CertificateInUse(const std::string& certificate);

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class KeyStore {
 public:
  virtual ~KeyStore() = default;

  // Grows with every change of a key, whoever makes it; a use is none. Read before the keys: those that are read after
  // it are of that version or newer.
  virtual absl::StatusOr<int64_t> Version() = 0;
  // Those that are not over, and those that have been for less than `over_for`, so that it can be said of them.
  virtual absl::StatusOr<std::vector<AccessKey>> Recent(absl::Time now, absl::Duration over_for) = 0;

  // What changes keys takes a deed, which is in the audit exactly when something has changed.

  // `used_at` is not written. CERTIFICATE_IN_USE.
  virtual absl::Status Add(const AccessKey& key, const domain::Deed& deed) = 0;
  // At most `limit`, by their ids, which begin behind `after`.
  virtual absl::StatusOr<std::vector<AccessKey>> List(const std::string& after, int limit) = 0;
  virtual absl::StatusOr<AccessKey> Get(const std::string& id) = 0;  // KEY_NOT_FOUND
  // Adds a key for the same client, name, scopes and drivers as that of `id`, which expires at `old_expires_at` if not
  // before; one that has no time left is revoked, so that it is over whatever other hosts' clocks say. Of `fresh`
  // counts the rest. Answers the new one. KEY_NOT_FOUND for one that is no secret, or over at `now`.
  virtual absl::StatusOr<AccessKey> Rotate(const std::string& id, const AccessKey& fresh, absl::Time now,
                                           absl::Time old_expires_at, const domain::Deed& deed) = 0;
  // One that was revoked before stays as it is. KEY_NOT_FOUND.
  virtual absl::StatusOr<AccessKey> Revoke(const std::string& id, absl::Time now, const domain::Deed& deed) = 0;

  // Of each key the latest use that anybody has written counts. Unknown ids are passed over.
  virtual absl::Status WriteUses(const std::vector<std::pair<std::string, absl::Time>>& uses) = 0;
};

}  // namespace waybill::storage
