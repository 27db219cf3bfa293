// Whether the books balance: what the callers were told, what the database holds, what the gateway did.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace waybill::bench {

// What a gateway's own log says of one attempt at charging an order.
struct GatewayEntry {
  std::string order_id;  // as text
  int64_t charged_minor = 0;
  int64_t refunded_minor = 0;
  int charges = 0;
  int refunds = 0;
};

// Each entry of a result is a sentence on what is wrong; empty: all is well.

// The database for itself: `orders` of them, each settled, and its money and driver as its state says.
absl::StatusOr<std::vector<std::string>> CheckBooks(const std::string& database_url, int64_t orders);

// The database against what callers of UNTIL_SETTLED were told: `answers` counts them by order status ("CONFIRMED").
absl::StatusOr<std::vector<std::string>> CheckAnswers(const std::string& database_url,
                                                      const std::map<std::string, int64_t>& answers);

// Of every confirmed order the gateways hold its amount once, all of them together; of every other one nothing.
absl::StatusOr<std::vector<std::string>> CheckGateways(const std::string& database_url,
                                                       const std::vector<GatewayEntry>& entries);

}  // namespace waybill::bench
