// How the loop of a consumer, or a publisher, is stopped: what is under way it ends until a deadline, and whoever stops
// it waits hardly longer than that, however silent the broker is.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "edge/amqp/connection.h"
#include "runtime/clock.h"
#include "runtime/executor.h"

namespace waybill::amqp {

// Thread-safe.
class BoundedStop {
 public:
  // The first one counts. The loop is to be woken then.
  void Begin(SteadyTime deadline);
  // Until when the loop may go on; nullopt: nobody stops it.
  std::optional<SteadyTime> deadline() const;
  // The last that the loop says.
  void Ended();
  // After Begin: until the loop has ended, kGoodbye after the deadline at the latest. What it still waits for then is
  // interrupted.
  void Await(const Clock& clock, Interrupt& interrupt, Loop& loop);

 private:
  mutable std::mutex mutex_;
  std::condition_variable ended_now_;
  std::optional<SteadyTime> deadline_;  // guarded by mutex_
  bool ended_ = false;                  // guarded by mutex_
};

}  // namespace waybill::amqp
