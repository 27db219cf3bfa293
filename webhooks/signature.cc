#include "webhooks/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "absl/strings/escaping.h"
#include "fmt/format.h"

namespace waybill::webhooks {
namespace {

constexpr std::string_view kSecretPrefix = "whsec_";
constexpr size_t kKeyBytes = 32;

std::string Base64(std::string_view bytes) { return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size())); }

}  // namespace

std::string MakeSecret(const Entropy& entropy) { return std::string(kSecretPrefix) + Base64(entropy(kKeyBytes)); }

std::optional<std::string> KeyOf(std::string_view secret) {
  if (!secret.starts_with(kSecretPrefix)) return std::nullopt;
  secret.remove_prefix(kSecretPrefix.size());
  std::string key;
  if (!absl::Base64Unescape(absl::string_view(secret.data(), secret.size()), &key) || key.empty()) return std::nullopt;
  return key;
}

std::string Sign(const std::vector<std::string>& secrets, std::string_view id, absl::Time timestamp,
                 std::string_view body) {
  const std::string content = fmt::format("{}.{}.{}", id, absl::ToUnixSeconds(timestamp), body);
  std::string header;
  for (const std::string& secret : secrets) {
    const std::optional<std::string> key = KeyOf(secret);
    if (!key) continue;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    HMAC(EVP_sha256(), key->data(), static_cast<int>(key->size()),
         reinterpret_cast<const unsigned char*>(content.data()),  // NOLINT(*-reinterpret-cast): OpenSSL's bytes
         content.size(), digest.data(), &size);
    if (!header.empty()) header += ' ';
    header += "v1," + Base64({reinterpret_cast<const char*>(digest.data()), size});  // NOLINT(*-reinterpret-cast)
  }
  return header;
}

}  // namespace waybill::webhooks
