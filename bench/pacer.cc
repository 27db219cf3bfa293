#include "bench/pacer.h"

#include <chrono>
#include <thread>

namespace waybill::bench {

absl::Duration SteadyTimer::Now() const {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

void SteadyTimer::SleepUntil(absl::Duration instant) {
  std::this_thread::sleep_until(std::chrono::steady_clock::time_point(absl::ToChronoNanoseconds(instant)));
}

}  // namespace waybill::bench
