#include "edge/tokens/token.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/file.h"
#include "runtime/ids.h"
#include "runtime/toml.h"

namespace waybill::tokens {
namespace {

using domain::ReasonError;
using nlohmann::json;

constexpr size_t kSecretBytesMin = 32;
constexpr size_t kNameBytesMax = 200;
constexpr absl::Duration kLeeway = absl::Seconds(5);  // of the clock that `nbf` was written by
constexpr std::string_view kHs256 = "HS256", kEdDsa = "EdDSA";

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Pkey = std::unique_ptr<EVP_PKEY, FreePkey>;
struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

Pkey ReadPem(const std::string& pem, bool is_private) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  // Without a password, rather than one that is asked for at the terminal.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  Pkey key(is_private ? PEM_read_bio_PrivateKey(bio, nullptr, no_password, nullptr)
                      : PEM_read_bio_PUBKEY(bio, nullptr, no_password, nullptr));
  BIO_free(bio);
  if (key != nullptr && EVP_PKEY_id(key.get()) != EVP_PKEY_ED25519) key.reset();
  return key;
}

bool IsKeyId(std::string_view id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

std::string Encode(std::string_view bytes) {
  std::string text;
  absl::WebSafeBase64Escape({bytes.data(), bytes.size()}, &text);
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

// Nothing but the alphabet: each signature has one spelling, but for the last character's spare bits.
std::optional<std::string> Decode(std::string_view text) {
  const bool alphabet =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_'; });
  std::string bytes;
  if (!alphabet || !absl::WebSafeBase64Unescape({text.data(), text.size()}, &bytes)) return std::nullopt;
  return bytes;
}

absl::Status Invalid(std::string_view why) { return ReasonError("TOKEN_INVALID", fmt::format("the token {}", why)); }

// As it is matched with channels; nullopt: it is none.
std::optional<std::string> TopicOf(std::string_view text) {
  constexpr std::string_view kOrder = "order:";
  if (!text.starts_with(kOrder)) return std::nullopt;
  if (text == "order:*") return std::string(text);
  const std::optional<Uuid> id = Uuid::Parse(text.substr(kOrder.size()));
  return id ? std::optional(fmt::format("{}{}", kOrder, id->ToString())) : std::nullopt;
}

bool IsTopic(std::string_view topic) {
  return topic.starts_with("order:") && topic.size() > 6 && topic.size() <= kNameBytesMax &&
         std::all_of(topic.begin(), topic.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::optional<std::string> TextOf(const json& claims, const char* name, bool needed) {
  const auto found = claims.find(name);
  if (found == claims.end()) return needed ? std::nullopt : std::optional<std::string>("");
  if (!found->is_string()) return std::nullopt;
  std::string text = found->get<std::string>();
  if (text.size() > kNameBytesMax || (needed && text.empty())) return std::nullopt;
  return text;
}

std::optional<std::vector<std::string>> TenantsOf(const toml::node& list) {
  if (list.as_array() == nullptr || list.as_array()->empty()) return std::nullopt;
  std::vector<std::string> tenants;
  for (const toml::node& one : *list.as_array()) {
    const auto* text = one.as_string();
    if (text == nullptr || text->get().empty() || text->get().size() > kNameBytesMax) return std::nullopt;
    tenants.push_back(text->get());
  }
  return tenants;
}

// Seconds since 1970, as RFC 7519 has them; nullopt: not there, or none.
std::optional<absl::Time> TimeOf(const json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end() || !found->is_number()) return std::nullopt;
  const double seconds = found->get<double>();
  if (!(seconds >= 0 && seconds < 1e11)) return std::nullopt;
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

bool IsForUs(const json& claims) {
  const auto found = claims.find("aud");
  if (found == claims.end()) return false;
  if (found->is_array()) return std::find(found->begin(), found->end(), json(std::string(kAudience))) != found->end();
  return *found == json(std::string(kAudience));
}

absl::StatusOr<Claims> Read(const json& body, absl::Time now) {
  Claims claims;
  if (!IsForUs(body)) return Invalid(fmt::format("is not for \"{}\" (aud)", kAudience));
  const std::optional<absl::Time> expires = TimeOf(body, "exp");
  if (!expires) return Invalid("does not say when it expires (exp)");
  if (*expires <= now) return ReasonError("TOKEN_EXPIRED", "the token's time is over");
  if (*expires > now + kLifeMax) return Invalid("is good for more than a day (exp)");
  claims.expires = *expires;
  if (body.contains("nbf")) {
    const std::optional<absl::Time> begins = TimeOf(body, "nbf");
    if (!begins || *begins > now + kLeeway) return Invalid("is not good yet (nbf)");
  }
  const auto tenant = TextOf(body, "tenant", true), user = TextOf(body, "sub", false),
             device = TextOf(body, "device", false);
  if (!tenant) return Invalid("does not say whose orders it is about (tenant)");
  if (!user || !device) return Invalid("has a sub or device that is no text, or too long");
  // No claim is all users; an empty one might be somebody's mistake.
  if (body.contains("sub") && user->empty()) return Invalid("has an empty sub");
  claims.tenant = *tenant;
  claims.user = *user;
  claims.device = *device;
  const auto topics = body.find("topics");
  if (topics == body.end() || !topics->is_array() || topics->size() > kTopicsMax) {
    return Invalid(fmt::format("does not list up to {} topics (topics)", kTopicsMax));
  }
  for (const json& topic : *topics) {
    std::optional<std::string> known = topic.is_string() ? TopicOf(topic.get_ref<const std::string&>()) : std::nullopt;
    if (!known) return Invalid("lists a topic that is neither order:ID nor order:* (topics)");
    claims.topics.push_back(*std::move(known));
  }
  return claims;
}

}  // namespace

struct Keys::Key {
  bool hmac = false;
  std::string secret;                               // of HS256
  Pkey verifying_key, own_key;                      // of EdDSA; the second may be missing, as may the first beside it
  std::optional<std::vector<std::string>> tenants;  // nullopt: all

  std::string_view algorithm() const { return hmac ? kHs256 : kEdDsa; }
  bool IsFor(const std::string& tenant) const {
    return !tenants || std::find(tenants->begin(), tenants->end(), tenant) != tenants->end();
  }

  std::string Mac(std::string_view text) const {
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
    unsigned size = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.data(), &size);
    return {reinterpret_cast<const char*>(mac.data()), size};
  }

  bool Signed(std::string_view text, std::string_view signature) const {
    if (hmac) {
      const std::string mac = Mac(text);
      return signature.size() == mac.size() && CRYPTO_memcmp(mac.data(), signature.data(), mac.size()) == 0;
    }
    const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
    EVP_PKEY* key = verifying_key != nullptr ? verifying_key.get() : own_key.get();
    return EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key) == 1 &&
           EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                            reinterpret_cast<const unsigned char*>(text.data()), text.size()) == 1;
  }

  // Empty: it can only verify.
  std::string Sign(std::string_view text) const {
    if (hmac) return Mac(text);
    if (own_key == nullptr) return {};
    const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
    std::array<unsigned char, 64> signature{};
    size_t size = signature.size();
    if (EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, own_key.get()) != 1 ||
        EVP_DigestSign(context.get(), signature.data(), &size, reinterpret_cast<const unsigned char*>(text.data()),
                       text.size()) != 1) {
      return {};
    }
    return {reinterpret_cast<const char*>(signature.data()), size};
  }
};

bool Allows(const Claims& claims, std::string_view channel) {
  if (!IsTopic(channel)) return false;
  return std::any_of(claims.topics.begin(), claims.topics.end(),
                     [&](const std::string& topic) { return topic == "order:*" || topic == channel; });
}

absl::StatusOr<Keys> Keys::Parse(std::string_view text, std::string_view source) {
  absl::StatusOr<toml::table> file = ParseToml(text, source);
  if (!file.ok()) return file.status();
  const auto wrong = [&](const toml::node& node, std::string_view why) {
    return absl::InvalidArgumentError(fmt::format("{}:{}: {}", source, node.source().begin.line, why));
  };
  Keys keys;
  for (const auto& [name, node] : *file) {
    const auto* tables = node.as_array();
    if (name.str() != "key" || tables == nullptr) return wrong(node, "each key is a table [[key]]");
    for (const toml::node& one : *tables) {
      const auto* fields = one.as_table();
      if (fields == nullptr) return wrong(one, "each key is a table [[key]]");
      std::map<std::string, std::string, std::less<>> texts;
      std::optional<std::vector<std::string>> tenants;
      for (const auto& [field, value] : *fields) {
        static constexpr std::array<std::string_view, 6> kFields = {"id",         "algorithm",   "secret",
                                                                    "public_key", "private_key", "tenants"};
        const std::string_view known = field.str();
        if (std::find(kFields.begin(), kFields.end(), known) == kFields.end()) {
          return wrong(value, fmt::format("a key has: {}; and nothing else", fmt::join(kFields, ", ")));
        }
        if (known == "tenants") {
          tenants = TenantsOf(value);
          if (!tenants) return wrong(value, R"(tenants is not a list of one or more names, such as ["shop"])");
          continue;
        }
        if (value.as_string() == nullptr) return wrong(value, fmt::format("{} is not a text in quotes", known));
        texts.emplace(known, value.as_string()->get());
      }
      const std::string id = texts["id"], algorithm = texts["algorithm"];
      if (!IsKeyId(id)) return wrong(one, "id is not 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.'");
      auto key = std::make_shared<Key>();
      key->tenants = std::move(tenants);
      key->hmac = algorithm == kHs256;
      if (key->hmac) {
        if (texts.contains("public_key") || texts.contains("private_key")) {
          return wrong(one, "HS256 has a secret, and no other key");
        }
        if (!absl::Base64Unescape(texts["secret"], &key->secret) || key->secret.size() < kSecretBytesMin) {
          return wrong(one, fmt::format("secret is not base64 of {} bytes or more", kSecretBytesMin));
        }
      } else if (algorithm == kEdDsa) {
        if (texts.contains("secret")) return wrong(one, "EdDSA has no secret, but a public_key or a private_key");
        if (texts.contains("public_key")) {
          key->verifying_key = ReadPem(texts["public_key"], false);
          if (key->verifying_key == nullptr) return wrong(one, "public_key is no Ed25519 key in PEM");
        }
        if (texts.contains("private_key")) {
          key->own_key = ReadPem(texts["private_key"], true);
          if (key->own_key == nullptr) return wrong(one, "private_key is no Ed25519 key in PEM without a password");
        }
        if (key->verifying_key == nullptr && key->own_key == nullptr) {
          return wrong(one, "EdDSA needs a public_key or a private_key");
        }
      } else {
        return wrong(one, "algorithm is neither \"HS256\" nor \"EdDSA\"");
      }
      if (!keys.keys_.emplace(id, std::move(key)).second) return wrong(one, "id is another key's already");
      keys.last_ = id;
    }
  }
  if (keys.keys_.empty()) return absl::InvalidArgumentError(fmt::format("{}: there is no key", source));
  return keys;
}

absl::StatusOr<Keys> Keys::Read(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return Parse(*text, path);
}

absl::StatusOr<Claims> Keys::Verify(std::string_view token, absl::Time now) const {
  if (token.size() > kTokenBytesMax) return Invalid("is too long");
  const size_t first = token.find('.');
  const size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return Invalid("is not three parts with dots between");
  }
  const auto head_text = Decode(token.substr(0, first)),
             body_text = Decode(token.substr(first + 1, second - first - 1)),
             signature = Decode(token.substr(second + 1));
  if (!head_text || !body_text || !signature) return Invalid("is not base64url");
  const json head = json::parse(*head_text, nullptr, /*allow_exceptions=*/false);
  if (!head.is_object()) return Invalid("has a head that is no JSON object");
  const auto key = keys_.find(TextOf(head, "kid", true).value_or(""));
  if (key == keys_.end()) return Invalid("names no key that is known (kid)");
  // The key says how it signs: a token cannot choose.
  if (TextOf(head, "alg", true) != key->second->algorithm()) return Invalid("is not signed as its key signs (alg)");
  if (head.contains("crit")) return Invalid("asks for what is not known (crit)");
  if (!key->second->Signed(token.substr(0, second), *signature)) return Invalid("is not signed by its key");
  const json body = json::parse(*body_text, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object()) return Invalid("says no JSON object");
  absl::StatusOr<Claims> claims = tokens::Read(body, now);
  if (claims.ok() && !key->second->IsFor(claims->tenant))
    return Invalid("is of a tenant that its key is not for (tenant)");
  return claims;
}

absl::StatusOr<std::string> Keys::Issue(const Claims& claims, std::string_view id, absl::Time now) const {
  const auto key = keys_.find(id.empty() ? std::string_view(last_) : id);
  if (key == keys_.end()) return absl::InvalidArgumentError(fmt::format("there is no key \"{}\"", id));
  for (const std::string& topic : claims.topics) {
    if (!TopicOf(topic)) {
      return domain::BadField("topics",
                              fmt::format("\"{}\" is neither order:ID, with an order's id, nor order:*", topic));
    }
  }
  if (!key->second->IsFor(claims.tenant)) {
    return domain::BadField("tenant", fmt::format("key \"{}\" is not for \"{}\", but for {}", key->first, claims.tenant,
                                                  fmt::join(*key->second->tenants, ", ")));
  }
  json body = {{"aud", kAudience},
               {"tenant", claims.tenant},
               {"topics", claims.topics},
               {"iat", absl::ToUnixSeconds(now)},
               {"exp", absl::ToUnixSeconds(claims.expires)}};
  if (!claims.user.empty()) body["sub"] = claims.user;
  if (!claims.device.empty()) body["device"] = claims.device;
  if (absl::StatusOr<Claims> readable = tokens::Read(body, now); !readable.ok()) {
    return absl::InvalidArgumentError(std::string(readable.status().message()));
  }
  const json head = {{"alg", key->second->algorithm()}, {"kid", key->first}, {"typ", "JWT"}};
  std::string token =
      fmt::format("{}.{}", Encode(head.dump()), Encode(body.dump(-1, ' ', false, json::error_handler_t::replace)));
  const std::string signature = key->second->Sign(token);
  if (signature.empty()) return absl::InvalidArgumentError(fmt::format("key \"{}\" can only verify", key->first));
  token.append(".").append(Encode(signature));
  if (token.size() > kTokenBytesMax) return absl::InvalidArgumentError("the token would be too long");
  return token;
}

std::vector<std::string> Keys::ids() const {
  std::vector<std::string> ids;
  for (const auto& [id, key] : keys_) ids.push_back(id);
  return ids;
}

}  // namespace waybill::tokens
