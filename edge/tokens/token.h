// Short-lived signed tokens for apps: JWTs (RFC 7519) that a tenant's own backend issues to its users, and that say who
// they are and what they may follow. Keys come from a file, in which several stand while they are rotated.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::tokens {

// Whom tokens are for: their claim `aud`.
inline constexpr std::string_view kAudience = "waybill-realtime";
inline constexpr size_t kTokenBytesMax = 4096;
inline constexpr size_t kTopicsMax = 100;
// A token that is good for longer is none.
inline constexpr absl::Duration kLifeMax = absl::Hours(24);

struct Claims {
  std::string tenant;               // whose orders they are: the client that creates them
  std::string user;                 // `sub`, the user_id of the orders; "": of all of the tenant's
  std::string device;               // "": not said
  std::vector<std::string> topics;  // what may be followed: "order:ID" (a UUID), or "order:*" for all
  absl::Time expires;               // to the second
};

// Whether they allow a channel of that name, be it there or not.
bool Allows(const Claims& claims, std::string_view channel);

class Keys {
 public:
  // From TOML, a table [[key]] for each:
  //
  //   [[key]]
  //   id = "2026-11"                   # of `kid`; 1-64 of a-z, A-Z, 0-9, '-', '_' and '.'
  //   algorithm = "HS256"              # or EdDSA (Ed25519)
  //   secret = "base64 of 32 bytes or more"                          # of HS256
  //   public_key = "-----BEGIN PUBLIC KEY-----…", private_key = …    # of EdDSA: to verify, and to issue
  //   tenants = ["shop"]               # whose tokens it may sign; all tenants' where it is left out
  //
  // INVALID_ARGUMENT names line, field and what is wrong, and nothing of what it holds. `source` is the file's name.
  static absl::StatusOr<Keys> Parse(std::string_view text, std::string_view source);
  static absl::StatusOr<Keys> Read(const std::string& path);

  // TOKEN_INVALID, TOKEN_EXPIRED.
  absl::StatusOr<Claims> Verify(std::string_view token, absl::Time now) const;
  // Signed by that key, or by the last of the file where `id` is "". INVALID_ARGUMENT: there is no such key, it can
  // only verify, or the claims are none that Verify would take; names the claim and what is wrong with it.
  absl::StatusOr<std::string> Issue(const Claims& claims, std::string_view id, absl::Time now) const;

  std::vector<std::string> ids() const;

 private:
  struct Key;
  std::map<std::string, std::shared_ptr<const Key>, std::less<>> keys_;
  std::string last_;
};

}  // namespace waybill::tokens
