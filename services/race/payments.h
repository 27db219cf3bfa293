// What the front needs of waybill-order, in words of the contract.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/ids.h"

namespace waybill::race {

// What a gateway has charged in some time.
struct Total {
  std::string gateway;
  std::string currency;
  int64_t requests = 0;
  int64_t amount_minor = 0;
};

// Thread-safe. `done` runs once, on any thread, by the deadline.
class Payments {
 public:
  virtual ~Payments() = default;
  // OK: it is durable that this payment is charged, once however often it is asked for with the same id and amount.
  virtual void Take(const Uuid& id, int64_t amount_minor, SteadyTime deadline,
                    absl::AnyInvocable<void(absl::Status)> done) = 0;
  // Of [from, to); infinite: without a bound.
  virtual void Summarize(absl::Time from, absl::Time to, SteadyTime deadline,
                         absl::AnyInvocable<void(absl::StatusOr<std::vector<Total>>)> done) = 0;
};

}  // namespace waybill::race
