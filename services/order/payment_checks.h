// How often a payment is asked for because somebody says that its payer is back.
#pragma once

#include <cstddef>
#include <mutex>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/ids.h"

namespace waybill::order {

// Of each payment: at once, and again no sooner than `every` after that; whoever comes in between shares the next time,
// so that the gateway is asked after he came, too. Thread-safe.
class PaymentChecks {
 public:
  // Of more payments than `most` within `every`, those beyond are asked for whenever somebody comes.
  explicit PaymentChecks(absl::Duration every, size_t most = 10'000) : every_(every), most_(most) {}

  enum class Turn {
    kNow,     // ask
    kLater,   // ask at `at`, and say so by Asks
    kShared,  // somebody else will
  };
  struct Taken {
    Turn turn = Turn::kNow;
    SteadyTime at;
  };
  Taken Take(const Uuid& id, SteadyTime now);
  // Who took kLater asks now.
  void Asks(const Uuid& id, SteadyTime now);

 private:
  struct Check {
    SteadyTime asked;
    bool again = false;  // somebody asks at asked + every_
  };

  const absl::Duration every_;
  const size_t most_;
  std::mutex mutex_;
  absl::flat_hash_map<Uuid, Check> checks_;
};

}  // namespace waybill::order
