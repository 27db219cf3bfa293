// The simple processor's contract, JSON over HTTP: POST /payments books a payment under an id of ours, once, and
// refuses a second with 422; GET /payments/{id} shows it; GET /payments/service-health says how it fares, once in five
// seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "runtime/ids.h"

namespace waybill::payments {

inline constexpr std::string_view kPaymentsPath = "/payments";
inline constexpr std::string_view kHealthPath = "/payments/service-health";

// The id of the payment of an attempt: UUID version 5 (RFC 9562) of "waybill:" and its idempotency key in the namespace
// of URLs. The same key has the same id, in every process and for ever:
//   python3 -c 'import uuid; print(uuid.uuid5(uuid.NAMESPACE_URL, "waybill:KEY"))'
Uuid ProcessorPaymentId(std::string_view key);

// Minor units of a currency with so many decimals, in its major one: 1250 and 2 are "12.50". Exact.
std::string DecimalAmount(int64_t amount_minor, int decimals);

struct ProcessorPayment {
  std::string id;      // as it came
  std::string amount;  // the JSON number as it came, digit by digit
  std::string requested_at;
};

// As processors write times: ISO 8601, and UTC where no zone is named. Nothing: it is none.
std::optional<absl::Time> ParseRequestedAt(const std::string& text);

std::string ToJson(const Uuid& id, int64_t amount_minor, int decimals, absl::Time requested_at);
// Nothing: it is no JSON object with a correlationId and an amount that is a number.
std::optional<ProcessorPayment> ParseProcessorPayment(std::string_view json);

struct ProcessorHealth {
  bool failing = false;
  int64_t min_response_ms = 0;
};
std::optional<ProcessorHealth> ParseProcessorHealth(std::string_view json);

}  // namespace waybill::payments
