// Signatures of Standard Webhooks (standardwebhooks.com), symmetric: HMAC-SHA256.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace waybill::webhooks {

// So many bytes that nobody can foretell.
using Entropy = std::function<std::string(size_t bytes)>;

// "whsec_" and base64 of 32 bytes.
std::string MakeSecret(const Entropy& entropy);

// The key that a secret stands for; nothing where it is none.
std::optional<std::string> KeyOf(std::string_view secret);

// The header webhook-signature: "v1,…" by each of the secrets, with a blank between. Signed are the id, the timestamp
// in whole seconds since 1970, and the body.
std::string Sign(const std::vector<std::string>& secrets, std::string_view id, absl::Time timestamp,
                 std::string_view body);

}  // namespace waybill::webhooks
