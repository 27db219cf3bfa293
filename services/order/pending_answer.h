// A call's answer, given once: by the saga, by the deadline, or by the client that went away, whoever is first.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/clock.h"
#include "runtime/scheduler.h"

namespace waybill::order {

// The wait is over, and whether `what` is durable is not known.
inline absl::Status MayExist(std::string_view what) {
  return domain::ReasonError("STORE_UNAVAILABLE",
                             fmt::format("the journal did not answer in time; the {} may or may not exist", what),
                             {.retry_after = absl::Seconds(1)});
}

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

  // What is durable by now: the answer, should the wait end before a better one.
  void Keep(T durable) {
    std::lock_guard lock(mutex_);
    kept_ = std::move(durable);
  }
  // What was kept, or that `what` may exist.
  void GiveKept(std::string_view what) {
    std::optional<T> kept;
    {
      std::lock_guard lock(mutex_);
      kept = std::exchange(kept_, std::nullopt);
    }
    Give(kept ? absl::StatusOr<T>(*std::move(kept)) : MayExist(what));
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
  std::optional<T> kept_;
  std::optional<Scheduler::TimerId> timer_;
};

// At `when`, unless the answer was given. The timer must not keep the call alive after that. `what`: a literal.
template <typename T>
void BoundWait(const std::shared_ptr<PendingAnswer<T>>& answer, SteadyTime when, std::string_view what) {
  answer->Bound(when, [weak = std::weak_ptr(answer), what] {
    if (const auto late = weak.lock()) late->GiveKept(what);
  });
}

}  // namespace waybill::order
