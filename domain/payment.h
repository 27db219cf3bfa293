// A payment without an order: the payload of a saga of its own, which charges and does nothing else.
#pragma once

#include <string_view>

#include "domain/order.h"

namespace waybill::domain {

// Charged as an order is: by the same actions, over the same fields, in the same books. Its idempotency_key is the id
// that its client has given it, a UUID in lower case; of what only orders have (pickup, driver, partial refunds,
// metadata, fingerprint) it has nothing, and of user and payer perhaps nothing.
struct Payment : Order {
  static constexpr std::string_view kKind = "take_payment";
};

}  // namespace waybill::domain
