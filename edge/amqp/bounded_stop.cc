#include "edge/amqp/bounded_stop.h"

#include <algorithm>

namespace waybill::amqp {

void BoundedStop::Begin(SteadyTime deadline) {
  const std::lock_guard lock(mutex_);
  if (!deadline_) deadline_ = deadline;
}

std::optional<SteadyTime> BoundedStop::deadline() const {
  const std::lock_guard lock(mutex_);
  return deadline_;
}

void BoundedStop::Ended() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  ended_now_.notify_all();
}

void BoundedStop::Await(const Clock& clock, Interrupt& interrupt, Loop& loop) {
  {
    std::unique_lock lock(mutex_);
    const absl::Duration left = std::max(*deadline_ - clock.Steady(), absl::ZeroDuration()) + kGoodbye;
    ended_now_.wait_for(lock, absl::ToChronoNanoseconds(std::min(left, absl::Hours(1))), [&] { return ended_; });
  }
  interrupt.Fire();
  loop.Join();
}

}  // namespace waybill::amqp
