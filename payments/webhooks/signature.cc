#include "payments/webhooks/signature.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::payments {
namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kSecretBytesMin = 8, kSecretBytesMax = 512;
// Of a header: what is rolled over has two.
constexpr size_t kSignaturesMax = 16;

constexpr std::string_view kSchemeNames[] = {"standard", "stripe", "razorpay", "cashfree", "adyen", "mollie", "github"};

std::optional<std::string> UnBase64(std::string_view text) {
  std::string bytes;
  // As senders write it: padded, and of the ordinary alphabet.
  if (text.empty() || text.size() % 4 != 0 || !absl::Base64Unescape({text.data(), text.size()}, &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

std::optional<std::string> UnHex(std::string_view text) {
  if (text.empty() || text.size() % 2 != 0) return std::nullopt;
  const bool hex = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
  if (!hex) return std::nullopt;
  return absl::HexStringToBytes({text.data(), text.size()});
}

bool HasUpperHex(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'F'; });
}

// Whole seconds, or (Cashfree) milliseconds: times of this century that are written with more than eleven digits.
std::optional<absl::Time> ParseTime(std::string_view text) {
  if (text.empty() || text.size() > 15) return std::nullopt;
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number >= 100'000'000'000 ? absl::FromUnixMillis(number) : absl::FromUnixSeconds(number);
}

std::optional<Refusal> CheckTime(std::string_view text, absl::Time now) {
  const std::optional<absl::Time> signed_at = ParseTime(text);
  if (!signed_at) return Refusal::kNoTime;
  if (*signed_at < now - kTolerance) return Refusal::kTooOld;
  if (*signed_at > now + kTolerance) return Refusal::kFromTheFuture;
  return std::nullopt;
}

// Each signature against each secret, in any case: which of them fits does not show in the time.
std::optional<Refusal> Compare(std::span<const std::string> signatures, std::span<const std::string> secrets,
                               std::string_view message) {
  if (signatures.empty()) return Refusal::kMalformedSignature;
  bool fits = false;
  for (const std::string& secret : secrets) {
    const std::string expected = HmacSha256(secret, message);
    for (const std::string& signature : signatures) {
      if (signature.size() == kDigestBytes) fits |= CRYPTO_memcmp(signature.data(), expected.data(), kDigestBytes) == 0;
    }
  }
  if (!fits) return Refusal::kWrongSignature;
  return std::nullopt;
}

std::optional<Refusal> CompareOne(std::optional<std::string> signature, std::span<const std::string> secrets,
                                  std::string_view message) {
  if (!signature) return Refusal::kMalformedSignature;
  return Compare({&*signature, 1}, secrets, message);
}

std::string Joined(std::initializer_list<std::string_view> parts) {
  std::string joined;
  size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  joined.reserve(size);
  for (const std::string_view part : parts) joined += part;
  return joined;
}

std::optional<Refusal> VerifyStandard(const HeaderOf& header, std::string_view body,
                                      std::span<const std::string> secrets, absl::Time now) {
  const std::string_view prefix = header("webhook-signature").empty() ? "svix-" : "webhook-";
  const auto field = [&](std::string_view name) { return header(Joined({prefix, name})); };
  std::string_view signature = field("signature");
  if (signature.empty()) return Refusal::kNoSignature;
  const std::string_view id = field("id"), time = field("timestamp");
  if (id.empty()) return Refusal::kMalformedSignature;
  if (std::optional<Refusal> refusal = CheckTime(time, now)) return refusal;
  std::vector<std::string> signatures;
  while (!signature.empty() && signatures.size() < kSignaturesMax) {
    const std::string_view one = signature.substr(0, signature.find(' '));
    signature.remove_prefix(std::min(signature.size(), one.size() + 1));
    if (!one.starts_with("v1,")) continue;  // of another version
    if (std::optional<std::string> bytes = UnBase64(one.substr(3))) signatures.push_back(*std::move(bytes));
  }
  return Compare(signatures, secrets, Joined({id, ".", time, ".", body}));
}

std::optional<Refusal> VerifyStripe(const HeaderOf& header, std::string_view body, std::span<const std::string> secrets,
                                    absl::Time now) {
  std::string_view rest = header("stripe-signature");
  if (rest.empty()) return Refusal::kNoSignature;
  std::string_view time;
  std::vector<std::string> signatures;
  while (!rest.empty() && signatures.size() < kSignaturesMax) {
    const std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.starts_with("t=")) time = part.substr(2);
    if (!part.starts_with("v1=") || HasUpperHex(part)) continue;
    if (std::optional<std::string> bytes = UnHex(part.substr(3))) signatures.push_back(*std::move(bytes));
  }
  if (std::optional<Refusal> refusal = CheckTime(time, now)) return refusal;
  return Compare(signatures, secrets, Joined({time, ".", body}));
}

std::optional<Refusal> VerifyCashfree(const HeaderOf& header, std::string_view body,
                                      std::span<const std::string> secrets, absl::Time now) {
  const std::string_view signature = header("x-webhook-signature"), time = header("x-webhook-timestamp");
  if (signature.empty()) return Refusal::kNoSignature;
  if (std::optional<Refusal> refusal = CheckTime(time, now)) return refusal;
  return CompareOne(UnBase64(signature), secrets, Joined({time, body}));
}

// A header of its own over the body: hex, behind a prefix.
std::optional<Refusal> VerifyHex(std::string_view signature, std::string_view prefix, std::string_view body,
                                 std::span<const std::string> secrets) {
  if (signature.empty()) return Refusal::kNoSignature;
  if (!signature.starts_with(prefix) || HasUpperHex(signature)) return Refusal::kMalformedSignature;
  return CompareOne(UnHex(signature.substr(prefix.size())), secrets, body);
}

// It has to be parsed first, so a body that is long is not looked at.
constexpr size_t kAdyenBytesMax = 64 << 10;

std::optional<Refusal> VerifyAdyen(std::string_view body, std::span<const std::string> secrets) {
  if (body.size() > kAdyenBytesMax) return Refusal::kMalformedSignature;
  const nlohmann::json notification = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  const auto at = [](const nlohmann::json& object, std::string_view name) -> const nlohmann::json* {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(name);
    return found == object.end() ? nullptr : &*found;
  };
  const nlohmann::json* items = at(notification, "notificationItems");
  // JSON notifications have one each; of several, one signature would vouch for one only.
  if (items == nullptr || !items->is_array() || items->size() != 1) return Refusal::kMalformedSignature;
  const nlohmann::json* item = at(items->front(), "NotificationRequestItem");
  if (item == nullptr) return Refusal::kMalformedSignature;
  const auto text = [](const nlohmann::json* value) -> std::string {
    if (value == nullptr || value->is_null()) return "";
    if (value->is_string()) return value->get<std::string>();
    return value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);  // a number, true or false
  };
  const nlohmann::json* additional = at(*item, "additionalData");
  const nlohmann::json* amount = at(*item, "amount");
  const nlohmann::json* signature = additional == nullptr ? nullptr : at(*additional, "hmacSignature");
  if (signature == nullptr || !signature->is_string()) return Refusal::kNoSignature;
  const nlohmann::json* value = amount == nullptr ? nullptr : at(*amount, "value");
  const nlohmann::json* currency = amount == nullptr ? nullptr : at(*amount, "currency");
  const std::string message =
      fmt::format("{}:{}:{}:{}:{}:{}:{}:{}", text(at(*item, "pspReference")), text(at(*item, "originalReference")),
                  text(at(*item, "merchantAccountCode")), text(at(*item, "merchantReference")), text(value),
                  text(currency), text(at(*item, "eventCode")), text(at(*item, "success")));
  return CompareOne(UnBase64(signature->get<std::string>()), secrets, message);
}

}  // namespace

std::string_view Name(Scheme scheme) { return kSchemeNames[static_cast<size_t>(scheme)]; }

std::optional<Scheme> ParseScheme(std::string_view name) {
  for (const Scheme scheme : kSchemes) {
    if (Name(scheme) == name) return scheme;
  }
  return std::nullopt;
}

std::string_view Name(Refusal refusal) {
  constexpr std::string_view kNames[] = {"no_signature", "malformed_signature", "no_time",
                                         "too_old",      "from_the_future",     "wrong_signature"};
  return kNames[static_cast<size_t>(refusal)];
}

absl::StatusOr<std::string> ParseSecret(Scheme scheme, std::string_view text) {
  std::optional<std::string> key;
  std::string_view form;
  switch (scheme) {
    case Scheme::kStandard:
      key = UnBase64(text.starts_with("whsec_") ? text.substr(6) : text);
      form = "base64, perhaps behind whsec_";
      break;
    case Scheme::kAdyen:
      key = UnHex(text);
      form = "hex";
      break;
    default:
      key = std::string(text);
      form = "text";
  }
  if (!key) return absl::InvalidArgumentError(fmt::format("is not {}", form));
  if (key->size() < kSecretBytesMin || key->size() > kSecretBytesMax) {
    return absl::InvalidArgumentError(fmt::format("is not of {} to {} bytes", kSecretBytesMin, kSecretBytesMax));
  }
  return *std::move(key);
}

std::optional<Refusal> Verify(Scheme scheme, const HeaderOf& header, std::string_view body,
                              std::span<const std::string> secrets, absl::Time now) {
  switch (scheme) {
    case Scheme::kStandard:
      return VerifyStandard(header, body, secrets, now);
    case Scheme::kStripe:
      return VerifyStripe(header, body, secrets, now);
    case Scheme::kRazorpay:
      return VerifyHex(header("x-razorpay-signature"), "", body, secrets);
    case Scheme::kCashfree:
      return VerifyCashfree(header, body, secrets, now);
    case Scheme::kAdyen:
      return VerifyAdyen(body, secrets);
    case Scheme::kMollie:
      return VerifyHex(header("x-mollie-signature"), "sha256=", body, secrets);
    case Scheme::kGithub:
      break;
  }
  return VerifyHex(header("x-hub-signature-256"), "sha256=", body, secrets);
}

std::string HmacSha256(std::string_view key, std::string_view message) {
  std::string digest(kDigestBytes, '\0');
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(message.data()),
       message.size(), reinterpret_cast<unsigned char*>(digest.data()), &size);
  return digest;
}

}  // namespace waybill::payments
