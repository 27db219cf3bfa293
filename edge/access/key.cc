#include "edge/access/key.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "fmt/format.h"

namespace waybill::access {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }

// Five bits of each byte.
std::string Letters(std::string bytes) {
  for (char& c : bytes) c = "abcdefghijklmnopqrstuvwxyz234567"[static_cast<unsigned char>(c) % 32];
  return bytes;
}

absl::StatusOr<std::string> ReadLineOf(const std::string& path) {
  constexpr size_t kBytesMax = 4'096;
  std::ifstream file(path, std::ios::binary);
  std::string text(kBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad()) return absl::InvalidArgumentError(fmt::format("{} cannot be read", path));
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kBytesMax) return absl::InvalidArgumentError(fmt::format("{} is too large", path));
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

bool IsKeyId(std::string_view text) {
  constexpr size_t kIdMax = 32;
  return !text.empty() && text.size() <= kIdMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsLower(c) || IsDigit(c); });
}

std::optional<Secret> ParseSecret(std::string_view text) {
  constexpr std::string_view kPrefix = "wb_";
  constexpr size_t kRandomMin = 32, kRandomMax = 128;
  if (!text.starts_with(kPrefix)) return std::nullopt;
  const std::string_view rest = text.substr(kPrefix.size());
  const std::string_view id = rest.substr(0, rest.find('_'));
  if (!IsKeyId(id) || id.size() == rest.size()) return std::nullopt;
  const std::string_view random = rest.substr(id.size() + 1);
  if (random.size() < kRandomMin || random.size() > kRandomMax) return std::nullopt;
  const bool fine =
      std::all_of(random.begin(), random.end(), [](char c) { return IsLower(c) || IsUpper(c) || IsDigit(c); });
  return fine ? std::optional(Secret{id, text}) : std::nullopt;
}

std::optional<Secret> ParseAuthorization(std::string_view header) {
  constexpr std::string_view kScheme = "bearer";
  const std::string_view scheme = header.substr(0, header.find(' '));
  const bool bearer =
      std::equal(scheme.begin(), scheme.end(), kScheme.begin(), kScheme.end(),
                 [](char given, char wanted) { return (IsUpper(given) ? given + ('a' - 'A') : given) == wanted; });
  if (!bearer) return std::nullopt;
  const size_t at = header.find_first_not_of(' ', scheme.size());
  if (at == std::string_view::npos) return std::nullopt;
  return ParseSecret(header.substr(at));
}

std::string SystemEntropy(size_t bytes) {
  std::string drawn(bytes, '\0');
  // Without it no key may be made, and nothing else can be done about it.
  if (RAND_bytes(reinterpret_cast<unsigned char*>(drawn.data()), static_cast<int>(bytes)) != 1) std::abort();
  return drawn;
}

std::string MakeKeyId(const Entropy& entropy) { return Letters(entropy(12)); }

std::string MakeSecret(std::string_view id, const Entropy& entropy) {
  return fmt::format("wb_{}_{}", id, Letters(entropy(52)));
}

KeyHash::KeyHash(std::string_view key) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  keyed_ = {EVP_MAC_CTX_new(mac), EVP_MAC_CTX_free};
  EVP_MAC_free(mac);  // the context keeps it
  std::string digest = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
                               OSSL_PARAM_construct_end()};
  if (EVP_MAC_init(keyed_.get(), reinterpret_cast<const unsigned char*>(key.data()), key.size(), params) != 1) {
    std::abort();
  }
}

absl::StatusOr<KeyHash> KeyHash::FromFile(const std::string& path) {
  absl::StatusOr<std::string> key = ReadLineOf(path);
  if (!key.ok()) return key.status();
  if (key->size() < kKeyBytesMin) {
    return absl::InvalidArgumentError(
        fmt::format("{} holds {} bytes, and has to hold {} at least", path, key->size(), kKeyBytesMin));
  }
  return KeyHash(*key);
}

KeyHash::Digest KeyHash::Of(std::string_view secret) const {
  Digest digest{};
  EVP_MAC_CTX* copy = EVP_MAC_CTX_dup(keyed_.get());
  size_t size = 0;
  const bool done = copy != nullptr &&
                    EVP_MAC_update(copy, reinterpret_cast<const unsigned char*>(secret.data()), secret.size()) == 1 &&
                    EVP_MAC_final(copy, reinterpret_cast<unsigned char*>(digest.data()), &size, digest.size()) == 1;
  EVP_MAC_CTX_free(copy);
  if (!done || size != digest.size()) std::abort();  // out of memory; a hash of nothing must never be compared
  return digest;
}

bool SameBytes(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

absl::StatusOr<std::string> ReadSecretFile(const std::string& path) {
  absl::StatusOr<std::string> text = ReadLineOf(path);
  if (text.ok() && !ParseSecret(*text)) {
    return absl::InvalidArgumentError(
        fmt::format("{} holds no key: one is wb_, an id of a-z and 0-9, _, and 32 to 128 letters and digits", path));
  }
  return text;
}

}  // namespace waybill::access
