// Who gives an order its driver.
#pragma once

#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/driver.h"
#include "domain/order.h"
#include "runtime/ids.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

// Failure reason of an order for which there was no driver.
inline constexpr std::string_view kNoDriverAvailable = "NO_DRIVER_AVAILABLE";

struct AssignResult {
  std::optional<domain::DriverSlot> driver;
  std::string none_reason;  // when there is no driver: machine-readable
};

// Thread-safe. Both calls are idempotent under the call's key; a release closes the key, so that an assignment that
// arrives late answers none. `done` as in PaymentGateway.
class Dispatch {
 public:
  virtual ~Dispatch() = default;

  // True: assigning has no effect outside of this process. The driver is claimed by the journal, together with the
  // outcome, and the claim may be lost there: then Assign is called again, with `conflicts` raised.
  virtual bool journaled() const = 0;

  virtual void Assign(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order, int conflicts,
                      absl::AnyInvocable<void(absl::StatusOr<AssignResult>)> done) = 0;
  // `order.driver` is what the order holds, if anything.
  virtual void Release(const ParticipantCall& call, const Uuid& order_id, const domain::Order& order,
                       absl::AnyInvocable<void(absl::Status)> done) = 0;

  // The saga's newest step, and with it the last claim or release made for this order, is in the journal.
  virtual void OnDurable(const Uuid& order_id) {}
  // Another process drives the saga: what was last picked or released here was never written.
  virtual void OnFenced(const Uuid& order_id) {}
};

}  // namespace waybill::order
