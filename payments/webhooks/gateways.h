// The gateways whose webhooks are taken, and the file that says how each is known and read.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "payments/webhooks/signature.h"

namespace waybill::payments {

// Stands before the name of a header where the value is not in the body.
inline constexpr std::string_view kHeaderPrefix = "header:";

struct WebhookGateway {
  std::string name;  // 1-40 of a-z, 0-9, '_' and '-'; in the path, in metrics and in the inbox
  Scheme scheme = Scheme::kStandard;
  std::vector<std::string> secrets;  // of ParseSecret; several while one is rotated

  // JSON pointers ("/data/id") into the body; an empty one: it is not said.
  std::vector<std::string> event_id;  // joined by ':'; empty: what the scheme signs as the id, or the body's digest
  std::string event_type;             // or "header:" and a header's name in lower case
  std::string payment_key;            // the charge's idempotency key
  std::string payment_token;          // the token of the pending answer
  std::string amount;
  std::string currency;
  bool decimal_amounts = false;          // "12.50", and not 1250
  std::map<std::string, int> exponents;  // of currencies that the gateway counts otherwise than ISO 4217
  std::vector<std::string> event_types;  // the others are kept and change nothing; empty: all count
};

using WebhookGateways = std::map<std::string, WebhookGateway, std::less<>>;  // by name

// What a scheme's bodies look like, before the file says otherwise.
WebhookGateway DefaultsOf(Scheme scheme);

// From TOML: a table [[gateway]] for each. INVALID_ARGUMENT names line, field and what is wrong, and never a secret;
// with one mistake there are none at all. `source` is the file's name, for messages. Files of secrets are read, too.
absl::StatusOr<WebhookGateways> ParseWebhookGateways(std::string_view text, std::string_view source);
absl::StatusOr<WebhookGateways> ReadWebhookGateways(const std::string& path);

// "acme: standard, 2 secrets", for people and logs: without what is secret.
std::string Describe(const WebhookGateways& gateways);

}  // namespace waybill::payments
