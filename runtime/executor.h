// Where work runs that is not the caller's own: tasks, and loops that go on for ever. Passed in, so that main alone
// starts threads, and a simulation runs all of a service on one.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/functional/any_invocable.h"
#include "runtime/clock.h"

namespace waybill {

// A bounded queue of tasks, and whoever runs them.
class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;

  virtual ~Executor() = default;
  // False when too much waits or it stops: the task was not taken, and the caller sheds the load.
  [[nodiscard]] virtual bool Submit(Task& task) = 0;
  virtual size_t queue_depth() const = 0;  // tasks that wait
};

// Something that is done again and again, one turn at a time.
class Loop {
 public:
  // One turn. Answers when the next is due, unless it is woken before; nullopt: that was the last one.
  using Turn = absl::AnyInvocable<std::optional<SteadyTime>(const Clock& clock)>;
  static constexpr SteadyTime kAtOnce = SteadyTime::InfinitePast();
  static constexpr SteadyTime kWhenWoken = SteadyTime::InfiniteFuture();

  virtual ~Loop() = default;  // after Join
  // Takes a turn soon; if one is under way, another one follows it.
  virtual void Wake() = 0;
  // Wakes it, and waits until it has taken its last turn. Not from a turn; the second time there is nothing to do.
  virtual void Join() = 0;
};

class Loops {
 public:
  virtual ~Loops() = default;
  // The first turn is taken at once, never on the calling thread, which may hold a lock. Turns may block.
  virtual std::unique_ptr<Loop> Start(Loop::Turn turn) const = 0;
};

// A thread for each, which waits by the system's steady clock.
class ThreadLoops final : public Loops {
 public:
  std::unique_ptr<Loop> Start(Loop::Turn turn) const override;
};

}  // namespace waybill
