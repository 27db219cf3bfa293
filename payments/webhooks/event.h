// What a webhook says, once it is known who sent it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "payments/webhooks/gateways.h"
#include "payments/webhooks/signature.h"

namespace waybill::payments {

// All texts are valid UTF-8 without control characters, and bounded. Nothing of it is believed: it says about which
// payment the gateway is to be asked.
struct Event {
  std::string id;                       // of the gateway; where it signs none, "sha256:" and the body's digest
  std::string type;                     // "payment.succeeded"; may be empty
  std::string key;                      // the charge's idempotency key, as the gateway was given it; may be empty
  std::string token;                    // the gateway's own name of the payment, as in the pending answer; may be empty
  std::optional<int64_t> amount_minor;  // in the currency's minor unit by ISO 4217
  std::string currency;                 // upper case; may be empty
  // Of a type that the gateway's settings name, or they name none.
  bool wanted = true;
  // What a person has to look at: UNREADABLE_BODY, UNREADABLE_AMOUNT; empty: nothing.
  std::string_view problem;
};

inline constexpr std::string_view kUnreadableBody = "UNREADABLE_BODY";
inline constexpr std::string_view kUnreadableAmount = "UNREADABLE_AMOUNT";

// `header` and `body` as they were verified. Never fails: what was signed is kept, and says what is wrong with it.
Event ReadEvent(const WebhookGateway& gateway, const HeaderOf& header, std::string_view body);

// "12.50" with two decimals: 1250. Nothing: it is no such number, has decimals beyond that, or does not fit.
std::optional<int64_t> ParseDecimal(std::string_view text, int decimals);

}  // namespace waybill::payments
