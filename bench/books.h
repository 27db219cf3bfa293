// Whether the books balance: what the callers were told, what the database holds, what the gateway did.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace waybill::bench {

// What the gateway's own log says of one order.
struct GatewayEntry {
  std::string order_id;  // as text
  int64_t charged_minor = 0;
  int64_t refunded_minor = 0;
  int charges = 0;
  int refunds = 0;
};

// Checks the database for itself, and against the answers: `outcomes` counts the callers' answers by order status
// ("CONFIRMED", "FAILED"), error answers not among them. Each entry of the result is a sentence on what is wrong; empty:
// the books balance.
absl::StatusOr<std::vector<std::string>> CheckBooks(const std::string& database_url,
                                                    const std::map<std::string, int64_t>& outcomes);

// Every confirmed order was charged its amount once; of every other one the gateway holds nothing.
absl::StatusOr<std::vector<std::string>> CheckGateway(const std::string& database_url,
                                                      const std::vector<GatewayEntry>& entries);

}  // namespace waybill::bench
