// An order as the books hold it: the payload of its saga.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "saga/record.h"

namespace waybill::storage {

// WGS 84, degrees.
struct GeoPoint {
  double latitude = 0;
  double longitude = 0;
  friend bool operator==(const GeoPoint&, const GeoPoint&) = default;
};

// A driver is free for as many active orders as it has capacity; each takes one slot, from 1.
struct DriverSlot {
  std::string driver_id;
  int slot = 1;
};

// What a driver may hold and holds.
struct DriverLoad {
  int capacity = 1;
  std::vector<int> taken;  // slots
};

struct Charge {
  std::string gateway_reference;
  int64_t amount_minor = 0;
  absl::Time at;
};

struct Refund {
  int64_t amount_minor = 0;
  absl::Time at;
};

struct Order {
  static constexpr std::string_view kKind = "place_order";

  std::string client;           // identity of the caller; scopes the idempotency key
  std::string idempotency_key;  // 1-255 visible ASCII characters
  std::string fingerprint;      // 32 bytes: SHA-256 over the canonical request
  std::string user_id;
  int64_t amount_minor = 0;  // minor units of `currency`
  std::string currency;      // ISO 4217
  std::optional<GeoPoint> pickup;
  std::map<std::string, std::string> metadata;

  std::optional<Charge> charge;      // once the gateway approved
  std::optional<Refund> refund;      // once the gateway gave it back
  std::optional<DriverSlot> driver;  // while the order holds one

  // What the next journal write adds to the books. The journal writes what is true here from the fields above.
  struct Effects {
    bool charged = false;   // insert `charge` into payments
    bool refunded = false;  // set `refund` on the payment
    bool claimed = false;   // insert `driver` into order_assignments; may conflict
    bool released = false;  // end the order's assignment, if it has one
  };
  Effects effects;
};

using OrderRecord = saga::RecordOf<Order>;

}  // namespace waybill::storage
