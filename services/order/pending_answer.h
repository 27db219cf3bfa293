// A call's answer, given once: by the saga, by the deadline, or by the client that went away, whoever is first.
#pragma once

#include <mutex>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/clock.h"
#include "runtime/scheduler.h"

namespace waybill::order {

template <typename T>
class PendingAnswer {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<T>)>;

  PendingAnswer(Scheduler& scheduler, Done done) : scheduler_(scheduler), done_(std::move(done)) {}

  void Give(absl::StatusOr<T> answer) {
    Done done;
    std::optional<Scheduler::TimerId> timer;
    {
      std::lock_guard lock(mutex_);
      if (given_) return;
      given_ = true;
      done = std::move(done_);
      done_ = nullptr;
      timer = std::exchange(timer_, std::nullopt);
    }
    if (timer.has_value()) scheduler_.Cancel(*timer);
    done(std::move(answer));
  }

  // Nobody wants the answer any more.
  void Abandon() { Give(absl::CancelledError("the caller went away")); }

  // Runs `late` at `when` unless the answer was given.
  void Bound(SteadyTime when, Scheduler::Callback late) {
    std::lock_guard lock(mutex_);
    if (!given_) timer_ = scheduler_.At(when, std::move(late));
  }

  bool given() const {
    std::lock_guard lock(mutex_);
    return given_;
  }

 private:
  Scheduler& scheduler_;
  mutable std::mutex mutex_;
  bool given_ = false;
  Done done_;
  std::optional<Scheduler::TimerId> timer_;
};

}  // namespace waybill::order
