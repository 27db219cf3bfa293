// Making, listing, rotating and revoking keys, without gRPC. Every call blocks on the store.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "edge/access/key.h"
#include "runtime/clock.h"
#include "storage/key_store.h"

namespace waybill::access {

class KeyAdmin {
 public:
  static constexpr absl::Duration kOverlapMax = absl::Hours(24 * 30);

  struct Wanted {
    std::string name;
    std::string client;
    std::vector<std::string> scopes;
    std::vector<std::string> drivers;
    std::string certificate;  // empty: a secret is made
    absl::Time expires_at = absl::InfiniteFuture();
  };
  struct Made {
    storage::AccessKey key;
    std::string secret;  // only here; empty: a certificate
  };

  // `store` and `clock` outlive this. `changed` is called after every change, before it is answered.
  KeyAdmin(storage::KeyStore& store, KeyHash hash, Entropy entropy, const Clock& clock, std::function<void()> changed)
      : store_(store),
        hash_(std::move(hash)),
        entropy_(std::move(entropy)),
        clock_(clock),
        changed_(std::move(changed)) {}

  // `by`: who does it. BAD_REQUEST naming each wrong field, CERTIFICATE_IN_USE.
  absl::StatusOr<Made> Create(const Wanted& wanted, const domain::Actor& by);
  // A second secret for the same client, scopes and drivers; the first one ends after `overlap`. BAD_REQUEST,
  // KEY_NOT_FOUND.
  absl::StatusOr<Made> Rotate(const std::string& id, absl::Duration overlap, absl::Time expires_at,
                              const domain::Actor& by);
  absl::StatusOr<storage::AccessKey> Revoke(const std::string& id, const domain::Actor& by);
  // At most `limit`, by their ids, from behind `after` on; "": from the first. BAD_REQUEST.
  absl::StatusOr<std::vector<storage::AccessKey>> List(const std::string& after, int limit);

 private:
  storage::KeyStore& store_;
  const KeyHash hash_;
  const Entropy entropy_;
  const Clock& clock_;
  const std::function<void()> changed_;
};

}  // namespace waybill::access
