// What operators do with dead letters, without gRPC. Every call blocks on the store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/clock.h"
#include "services/order/saga_api.h"
#include "storage/dead_letters.h"

namespace waybill::order {

class DeadLetterApi {
 public:
  static constexpr int kRateMax = 1'000, kRateDefault = 10;

  struct Redriven {
    int redriven = 0;
    int64_t left = 0;     // that another call would redrive
    int64_t blocked = 0;  // that cannot be redriven now
    absl::Time as_of;
  };
  struct Discarded {
    int discarded = 0;
    int64_t left = 0;
    absl::Time as_of;
  };

  // All outlive it; `sagas` is called from a worker of another pool than its own.
  DeadLetterApi(storage::DeadLetterStore& store, SagaApi& sagas, const Clock& clock)
      : store_(store), sagas_(sagas), clock_(clock) {}

  // The oldest first, those that are dead as of `as_of` or, without it, now. `per_second` 0: kRateDefault; `limit` 0:
  // DeadLetterStore::kChangedMax. BAD_REQUEST; of a single one DEAD_LETTER_NOT_FOUND, ENDPOINT_DISABLED,
  // SAGA_NOT_DRIVEN_HERE.
  absl::StatusOr<Redriven> Redrive(storage::DeadLetterFilter filter, int per_second, int limit,
                                   std::optional<absl::Time> as_of, const domain::Actor& by);
  // The same. BAD_REQUEST, DEAD_LETTER_NOT_FOUND; of a single saga SAGA_NOT_STUCK and SAGA_NOT_DRIVEN_HERE, too.
  absl::StatusOr<Discarded> Discard(storage::DeadLetterFilter filter, const std::string& reason, int limit,
                                    std::optional<absl::Time> as_of, const domain::Actor& by);

  storage::DeadLetterStore& store() { return store_; }  // for what only reads
  const Clock& clock() const { return clock_; }

 private:
  // How many of the sagas were resolved; of a single one why not.
  absl::StatusOr<int> ResolveSagas(const storage::DeadLetterFilter& filter, int limit, const std::string& reason,
                                   const domain::Actor& by);

  storage::DeadLetterStore& store_;
  SagaApi& sagas_;
  const Clock& clock_;
};

}  // namespace waybill::order
