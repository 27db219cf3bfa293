// Runs callbacks later. Passed in, so that tests and simulations own the passing of time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "runtime/clock.h"

namespace waybill {

class Scheduler {
 public:
  using Callback = absl::AnyInvocable<void()>;
  // Never reused within a scheduler's life.
  using TimerId = std::pair<SteadyTime, uint64_t>;

  virtual ~Scheduler() = default;
  // Runs `callback` once, at `when` or as soon after as possible, on the scheduler's thread; it must not block.
  virtual TimerId At(SteadyTime when, Callback callback) = 0;
  // True when the callback had not started and now never will. Does not wait for a running one.
  virtual bool Cancel(const TimerId& id) = 0;
};

// One thread and an ordered map.
class ThreadScheduler final : public Scheduler {
 public:
  explicit ThreadScheduler(const Clock& clock);
  ~ThreadScheduler() override { Stop(); }

  // After this nothing runs any more; what is pending, or comes still, never will. Not from a callback.
  void Stop();

  TimerId At(SteadyTime when, Callback callback) override;
  bool Cancel(const TimerId& id) override;

 private:
  void Run();

  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<TimerId, Callback> pending_;
  uint64_t next_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace waybill
