// Executor and loops without threads: what they run, a scheduler does, on one thread and in an order that the scheduler
// and chance give.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/scheduler.h"

namespace waybill::testing {

// How long it takes until a thread gets to it.
using Delay = std::function<absl::Duration()>;

// All of these belong to one thread; what is passed by reference outlives them and what they run.
class ScheduledExecutor final : public Executor {
 public:
  ScheduledExecutor(Scheduler& scheduler, const Clock& clock, size_t queue_max, Delay delay)
      : scheduler_(scheduler), clock_(clock), queue_max_(queue_max), delay_(std::move(delay)) {}

  bool Submit(Task& task) override {
    if (queue_depth_ >= queue_max_) return false;
    ++queue_depth_;
    scheduler_.At(clock_.Steady() + delay_(), [this, run = std::move(task)]() mutable {
      --queue_depth_;
      run();
    });
    return true;
  }
  size_t queue_depth() const override { return queue_depth_; }

 private:
  Scheduler& scheduler_;
  const Clock& clock_;
  const size_t queue_max_;
  const Delay delay_;
  size_t queue_depth_ = 0;
};

class ScheduledLoops final : public Loops {
 public:
  ScheduledLoops(Scheduler& scheduler, const Clock& clock, Delay delay)
      : scheduler_(scheduler), clock_(clock), delay_(std::move(delay)) {}

  std::unique_ptr<Loop> Start(Loop::Turn turn) const override {
    auto loop = std::make_unique<One>(*this, std::move(turn));
    loop->Wake();
    return loop;
  }

  // As if the process had died: no more turns, and Join does not wait for the last one.
  void Abandon() { abandoned_ = true; }

 private:
  class One final : public Loop {
   public:
    One(const ScheduledLoops& all, Turn turn) : all_(all), turn_(std::move(turn)) {}
    ~One() override {
      if (timer_) all_.scheduler_.Cancel(*timer_);
    }

    void Wake() override {
      woken_ = true;
      if (!in_turn_) Schedule(SteadyTime::InfinitePast());
    }

    // Here nobody else runs meanwhile, so that whoever joins takes the turns that are left, one right after the other.
    void Join() override {
      while (!ended_ && !all_.abandoned_) TakeTurn();
    }

   private:
    void Schedule(SteadyTime due) {
      if (ended_ || all_.abandoned_ || due == kWhenWoken) return;
      const SteadyTime at = std::max(due, all_.clock_.Steady() + all_.delay_());
      if (timer_ && timer_->first <= at) return;
      if (timer_) all_.scheduler_.Cancel(*timer_);
      timer_ = all_.scheduler_.At(at, [this] {
        timer_.reset();
        TakeTurn();
      });
    }

    void TakeTurn() {
      if (timer_) all_.scheduler_.Cancel(*std::exchange(timer_, std::nullopt));
      woken_ = false;
      in_turn_ = true;
      const std::optional<SteadyTime> due = turn_(all_.clock_);
      in_turn_ = false;
      ended_ = !due.has_value();
      if (!ended_) Schedule(woken_ ? kAtOnce : *due);
    }

    const ScheduledLoops& all_;
    Turn turn_;
    std::optional<Scheduler::TimerId> timer_;
    bool woken_ = false;
    bool in_turn_ = false;
    bool ended_ = false;
  };

  Scheduler& scheduler_;
  const Clock& clock_;
  const Delay delay_;
  bool abandoned_ = false;
};

}  // namespace waybill::testing
