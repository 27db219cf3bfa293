// The secret of a key: how it looks, how it is made, and the keyed hash of it that alone is kept.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct evp_mac_ctx_st;

namespace waybill::access {

// wb_<id>_<random>: an id of 1-32 of a-z and 0-9, and 32-128 of a-z, A-Z and 0-9 that nobody can guess.
struct Secret {
  std::string_view id;
  std::string_view text;  // all of it
};

bool IsKeyId(std::string_view text);
std::optional<Secret> ParseSecret(std::string_view text);
// The value of the header: "Bearer wb_...", its first word in capitals or not (RFC 9110).
std::optional<Secret> ParseAuthorization(std::string_view header);

// So many bytes that nobody can guess.
using Entropy = std::function<std::string(size_t bytes)>;
std::string SystemEntropy(size_t bytes);

std::string MakeKeyId(const Entropy& entropy);                        // 60 bits
std::string MakeSecret(std::string_view id, const Entropy& entropy);  // 260 bits

// HMAC-SHA256. Thread-safe.
class KeyHash {
 public:
  using Digest = std::array<char, 32>;
  static constexpr size_t kKeyBytesMin = 32;

  explicit KeyHash(std::string_view key);
  // Of a file's bytes, without the end of its line. INVALID_ARGUMENT says what is wrong with it.
  static absl::StatusOr<KeyHash> FromFile(const std::string& path);

  Digest Of(std::string_view secret) const;

 private:
  std::shared_ptr<evp_mac_ctx_st> keyed_;  // copied for each
};

// In a time that does not tell where they differ.
bool SameBytes(std::string_view a, std::string_view b);

// The secret in a file, which holds nothing else. INVALID_ARGUMENT says what is wrong with it, and nothing of what it
// holds.
absl::StatusOr<std::string> ReadSecretFile(const std::string& path);

}  // namespace waybill::access
