// Who sent a webhook: the schemes with which gateways sign what they post, seen from the receiver.
//
// What is signed are the bytes as they came: a body that was parsed and written again no longer fits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::payments {

enum class Scheme : uint8_t {
  kStandard,  // Standard Webhooks 1.0, also with svix's headers: id.time.body
  kStripe,    // Stripe-Signature: time.body
  kRazorpay,  // X-Razorpay-Signature: the body
  kCashfree,  // x-webhook-signature: time and body
  kAdyen,     // a signature inside the one notification item, over eight of its fields
  kMollie,    // X-Mollie-Signature: the body
  kGithub,    // X-Hub-Signature-256: the body; for gateways of the house, too
};
inline constexpr Scheme kSchemes[] = {Scheme::kStandard, Scheme::kStripe, Scheme::kRazorpay, Scheme::kCashfree,
                                      Scheme::kAdyen,    Scheme::kMollie, Scheme::kGithub};

std::string_view Name(Scheme scheme);  // "standard", as in files
std::optional<Scheme> ParseScheme(std::string_view name);

// A secret as the scheme's HMAC takes it: bytes, from the text that the gateway shows. INVALID_ARGUMENT says what is
// wrong, and nothing of the text.
absl::StatusOr<std::string> ParseSecret(Scheme scheme, std::string_view text);

// The value of a header, by its name in lower case; empty when it is absent.
using HeaderOf = std::function<std::string_view(std::string_view name)>;

// Why a webhook is not taken for the gateway's. For our logs: who sent it learns none of it.
enum class Refusal : uint8_t {
  kNoSignature,         // the header, or the field inside, is absent
  kMalformedSignature,  // it is there, and not of the scheme's form
  kNoTime,              // the scheme signs a time, and there is none that can be read
  kTooOld,              // signed longer ago than the tolerance
  kFromTheFuture,       // signed for later than the tolerance
  kWrongSignature,      // made with another secret, or for another body
};
std::string_view Name(Refusal refusal);  // "too_old"

// How far a signed time may lie from now, either way.
inline constexpr absl::Duration kTolerance = absl::Seconds(300);

// Nothing: one of the secrets (of ParseSecret) signed this body. Takes as long for a wrong signature as for one that is
// nearly right.
std::optional<Refusal> Verify(Scheme scheme, const HeaderOf& header, std::string_view body,
                              std::span<const std::string> secrets, absl::Time now);

// HMAC-SHA256, 32 bytes.
std::string HmacSha256(std::string_view key, std::string_view message);

}  // namespace waybill::payments
