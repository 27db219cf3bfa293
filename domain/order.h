// An order as the books hold it: the payload of its saga.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "domain/driver.h"
#include "domain/geo.h"
#include "domain/partial_refund.h"
#include "domain/payer.h"
#include "domain/payment_attempt.h"

namespace waybill::domain {

// The step that asks the rules of risk, before anything is charged. Persisted.
inline constexpr std::string_view kAssessRisk = "assess_risk";

struct Charge {
  std::string gateway_reference;
  int64_t amount_minor = 0;
  absl::Time at;
};

// A charge that the gateway decides later, as it said last.
struct PendingCharge {
  std::string token;                  // the gateway's own name for it
  std::string checkout_url;           // where the payer pays; empty: none was named
  std::optional<absl::Time> expires;  // when paying is over; nullopt: it was not said
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
  std::optional<Payer> payer;  // what was said of who pays

  // At which gateways it was tried to charge a routed order, the first one first: only at the last one the money can
  // be, or may come to be. Empty: of an order that is not routed, or that no gateway takes.
  std::vector<PaymentAttempt> attempts;
  std::optional<PendingCharge> pending;  // while it waits for the gateway to decide
  std::optional<Charge> charge;          // once the gateway approved
  std::optional<Refund> refund;        // once the gateway gave all of it back; parts that went before are in its amount
  std::vector<PartialRefund> refunds;  // as they stand when the order is read; the oldest first
  std::optional<DriverSlot> driver;    // while the order holds one

  // What the next journal write adds to the books. The journal writes what is true here from the fields above.
  struct Effects {
    bool pending = false;   // write `pending` to pending_charges
    bool charged = false;   // insert `charge` into payments
    bool refunded = false;  // set `refund` on the payment
    bool claimed = false;   // insert `driver` into order_assignments; may conflict
    bool released = false;  // end the order's assignment, if it has one
    // Numbers of payment attempts, from 1; 0: none.
    uint8_t attempt_changed = 0;  // set how it stands
    uint8_t attempt_begun = 0;    // insert it, other than the first, which Begin inserts
  };
  Effects effects;
};

}  // namespace waybill::domain
