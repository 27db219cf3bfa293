// The generic cell rate algorithm within one process: how much may pass, by the steady clock.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "runtime/clock.h"
#include "storage/limit_store.h"

namespace waybill::limits {

// One at a time. At rest it is as if it had just been made.
class Gcra {
 public:
  // Zero, and a cell is taken; or how long until there is one.
  absl::Duration Take(const storage::CellRate& rate, SteadyTime now) {
    const absl::Duration cell = rate.period / rate.count;
    const SteadyTime arrival = std::max(arrival_, now);
    const absl::Duration wait = arrival - now - cell * (rate.burst - 1);
    if (wait > absl::ZeroDuration()) return wait;
    arrival_ = arrival + cell;
    return absl::ZeroDuration();
  }

 private:
  SteadyTime arrival_ = SteadyTime::InfinitePast();  // theoretical
};

}  // namespace waybill::limits
