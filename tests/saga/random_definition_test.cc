// Definitions made at random, of one to six steps that answer, refuse, are lost, wait, book or undo in every mix, one
// after the other or at the same time,
// driven by processes that crash at any moment; and beside them a model that is too small to be wrong: what a
// participant keeps of one key.
#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "saga/runner.h"
#include "saga/testing/memory_journal.h"
#include "tests/saga/processes.h"
#include "tests/support/long_forms.h"

namespace waybill::saga::random_definition {
namespace {

struct Plan {
  static constexpr std::string_view kKind = "plan";
  static constexpr size_t kStepsMax = 6;

  // What each step's bookings are, for those that are journaled: as the payload has it, and what the next write
  // changes.
  std::array<bool, kStepsMax> booked{};
  std::array<int, kStepsMax> begun_anew{};  // how often each step was
  struct Effects {
    std::array<bool, kStepsMax> changed{};
  };
  Effects effects;
};

// What a participant keeps of one saga.
struct Kept {
  bool done = false;    // and not undone
  bool closed = false;  // undone, or to be never done
  bool refused = false;
  bool told = false;  // that it is for good
  int under_way = 0;  // calls that will execute
};

struct Shape {
  bool journaled = false, claims = false, undoes = false, closes = false, beside = false;
};

class World {
 public:
  explicit World(uint64_t seed) : chance_(seed) {
    DefinitionBuilder<Plan> builder;
    const size_t steps = 1 + chance_.Pick(Plan::kStepsMax);
    for (size_t step = 0; step < steps; ++step) {
      Shape shape;
      shape.journaled = chance_.OneIn(3);
      shape.claims = shape.journaled || chance_.OneIn(4);
      shape.undoes = !chance_.OneIn(4);
      shape.closes = !shape.journaled && chance_.OneIn(3);
      shape.beside = step > 0 && chance_.OneIn(3);
      shapes_.push_back(shape);
      const std::string name = fmt::format("step_{}", step);
      (shape.beside ? builder.Beside(name) : builder.Step(name))
          .Does(shape.journaled ? Booking(step, true) : Calling(step, Direction::kDo))
          .Retried({.attempts_max = 1 + static_cast<int>(chance_.Pick(4)),
                    .retry_for = absl::Seconds(static_cast<int64_t>(chance_.Pick(4))),
                    .attention_after = 3,
                    .undo_backoff_max = absl::Seconds(5)});
      if (shape.undoes) builder.UndoneBy(shape.journaled ? Booking(step, false) : Calling(step, Direction::kUndo));
      if (shape.closes) builder.ClosedBy(Calling(step, Direction::kClose));
    }
    kinds_ = Kinds({builder.Done()});
    book_.kinds[std::string(Plan::kKind)].apply_effects = [this](const Record& record) {
      const Plan& plan = As<Plan>(record).payload;
      const bool claims = [&] {
        for (size_t step = 0; step < shapes_.size(); ++step) {
          if (plan.effects.changed[step] && plan.booked[step]) return true;
        }
        return false;
      }();
      if (claims && chance_.OneIn(6)) return false;  // lost to another saga
      for (size_t step = 0; step < shapes_.size(); ++step) {
        if (plan.effects.changed[step]) booked_[record.id][step] = plan.booked[step];
      }
      return true;
    };
    book_.on_write = [this](const testing::MemoryBook::Row& row) { ExpectNothingLeft(row); };
    processes_.emplace(book_, kinds_, time_, time_, chance_, 2);
  }

  void Run() {
    for (int i = 0; i < 12; ++i) At(0, 10'000, [this] { StartSaga(); });
    for (int i = 0; i < 5; ++i) At(0, 15'000, [this] { Crash(); });
    for (int i = 0; i < 3; ++i) At(0, 15'000, [this] { Tell(Directive::Kind::kCancel); });
    for (int i = 0; i < 4; ++i) At(3'000, 20'000, [this] { Tell(Directive::Kind::kClose); });
    processes_->Housekeep();
    for (int events = 0; events < 200'000 && (time_.Steady() < start_ + absl::Minutes(1) || processes_->Unfinished());
         ++events) {
      if (!time_.RunNext()) break;
    }
  }

  // What is wrong at the end; empty: nothing.
  std::string Verdict() {
    for (const auto& [id, row] : book_.rows) {
      const State state = row.record->state;
      if (IsUnfinished(state)) return fmt::format("{} is still {}", id.ToString(), Name(state));
      for (size_t step = 0; step < shapes_.size(); ++step) {
        if (std::string wrong = Judge(id, state, step); !wrong.empty()) {
          return fmt::format("{} is {}, and its step {} {}", id.ToString(), Name(state), step, wrong);
        }
      }
    }
    return wrong_;
  }
  std::string Describe() const {
    std::string text;
    for (const Shape& shape : shapes_) {
      text +=
          fmt::format("{}{}{}{}\n",
                      shape.journaled ? "books"
                      : shape.claims  ? "calls and claims"
                                      : "calls",
                      shape.undoes ? ", undone" : "", shape.closes ? ", closed" : "", shape.beside ? ", beside" : "");
    }
    return text + story_;
  }
  std::map<State, int> Ends() const {
    std::map<State, int> ends;
    for (const auto& [id, row] : book_.rows) ++ends[row.record->state];
    return ends;
  }

 private:
  std::string Judge(const Uuid& id, State state, size_t step) {
    const Shape& shape = shapes_[step];
    const Kept& kept = kept_[id][step];
    const bool done = shape.journaled ? booked_[id][step] : kept.done;
    if (shape.claims && booked_[id][step] != done && (shape.undoes || state != State::kCompensated)) {
      return "is not what is booked";
    }
    if (state == State::kSucceeded || state == State::kClosed) {
      if (!done) return "was not done";
      if (state == State::kClosed && shape.closes && !kept.told) return "was not told";
      return "";
    }
    if (state != State::kCompensated) return "";
    if (done && shape.undoes) return "was not undone";
    return "";
  }

  // Of a step that has durably begun anew nothing is there, nor will be: whoever was in doubt would not have said so.
  void ExpectNothingLeft(const testing::MemoryBook::Row& row) {
    const Uuid& id = row.record->id;
    for (size_t& seen = entries_seen_[id]; seen < row.log.size(); ++seen) {
      const LogEntry& entry = row.log[seen];
      if (entry.outcome != LogOutcome::kAgain) continue;
      const Kept& kept = kept_[id][static_cast<size_t>(entry.step.back() - '0')];
      if (!kept.done && kept.under_way == 0) continue;
      wrong_ = fmt::format("{}: {} began anew, and may have had an effect", id.ToString(), entry.step);
    }
  }

  // The first of the steps that are done at the same time as this one, and the first after them.
  size_t FirstBeside(size_t step) const {
    while (shapes_[step].beside) --step;
    return step;
  }
  size_t EndBeside(size_t step) const {
    while (++step < shapes_.size() && shapes_[step].beside) {
    }
    return step;
  }
  // The calls among the first `end` steps are to be done by now.
  void ExpectDone(const Uuid& id, size_t step, size_t end) {
    for (size_t before = 0; before < end; ++before) {
      const Kept& kept = kept_[id][before];
      if (!shapes_[before].journaled && !kept.done && !kept.closed) {
        wrong_ = fmt::format("{}: step {} was done before step {}", id.ToString(), step, before);
      }
    }
  }

  template <typename Task>
  void At(int64_t from, int64_t to, Task task) {
    time_.At(time_.Steady() + chance_.Milliseconds(from, to), std::move(task));
  }
  void Say(std::string_view line) {
    story_ += fmt::format("{} {}\n", absl::ToInt64Milliseconds(time_.Steady() - start_), line);
  }

  void Crash() { Say(fmt::format("crash {}", processes_->CrashAny())); }
  void StartSaga() {
    auto record = std::make_unique<RecordOf<Plan>>();
    record->id = ids_.Next();
    record->created_at = time_.Now();
    started_.push_back(record->id);
    Say("start " + record->id.ToString());
    processes_->Any().Start(
        std::move(record), [](auto) {}, [](auto) {});
  }
  void Tell(Directive::Kind kind) {
    if (started_.empty()) return;
    const Uuid& id = started_[chance_.Pick(started_.size())];
    Say(fmt::format("{} {}", kind == Directive::Kind::kCancel ? "cancel" : "close", id.ToString()));
    processes_->Any().Direct(id, {kind, ""}, nullptr, [](auto) {});
  }
  Action<Plan> Booking(size_t step, bool done) {
    Action<Plan> action;
    action.journaled = true;
    action.claim_lost = [step](Plan& plan) { plan.booked[step] = false; };
    action.call = [this, step, done](const Attempt& attempt, Plan& plan, OutcomeCallback answer) {
      if (done) ExpectDone(attempt.saga_id, step, EndBeside(step));
      if (done && chance_.OneIn(8)) return answer(Outcome::Rejected("NONE_LEFT"));
      if (done && chance_.OneIn(8)) return answer(Outcome::Unknown("BUSY"));
      plan.booked[step] = done;
      plan.effects.changed[step] = true;
      answer(Outcome::Succeeded());
    };
    return action;
  }

  Action<Plan> Calling(size_t step, Direction direction) {
    Action<Plan> action;
    action.call = [this, step, direction](const Attempt& attempt, Plan& plan, OutcomeCallback done) {
      const Uuid& id = attempt.saga_id;
      if (plan.begun_anew[step] > As<Plan>(*book_.rows.at(id).record).payload.begun_anew[step]) {
        wrong_ = fmt::format("{}: step {} was called with what is not durable", id.ToString(), step);
      }
      if (direction == Direction::kDo && !attempt.in_doubt && plan.begun_anew[step] < 3 && chance_.OneIn(6)) {
        ++plan.begun_anew[step];
        return done(Outcome::Again());
      }
      if (shapes_[step].claims && direction != Direction::kClose) {
        done = [&plan, step, direction, done = std::move(done)](Outcome outcome) mutable {
          if (outcome.kind == Outcome::Kind::kSucceeded) {
            plan.booked[step] = direction == Direction::kDo;
            plan.effects.changed[step] = true;
          }
          done(std::move(outcome));
        };
      }
      Call(attempt, step, direction, std::move(done));
    };
    if (!shapes_[step].claims) return action;
    action.claim_lost = [step](Plan& plan) { plan.booked[step] = false; };
    action.signalled = [](Outcome outcome, Plan&) {  // what it is to claim, only the participant says
      return outcome.kind == Outcome::Kind::kSucceeded ? std::nullopt : std::optional(std::move(outcome));
    };
    return action;
  }
  // Executes now, late or never; answers in time, late, never, or by a signal; and walks the steps in order only.
  void Call(const Attempt& attempt, size_t step, Direction direction, OutcomeCallback done) {
    const Uuid id = attempt.saga_id;
    Say(fmt::format("{} {} {}", Name(direction), step, id.ToString()));
    const uint64_t refusal = chance_.random.Next();
    if (direction == Direction::kDo && kept_[id][step].under_way > 0 && chance_.OneIn(3)) {
      return done(Outcome::Rejected("IN_PROGRESS"));  // which says nothing about the call that is
    }
    auto execute = [this, id, step, direction, refusal] { return Execute(id, step, direction, refusal); };
    const absl::Duration there = chance_.OneIn(6) ? chance_.Milliseconds(1'000, 9'000) : chance_.Milliseconds(1, 50);
    auto will_execute = [&] { kept_[id][step].under_way += direction == Direction::kDo; };
    if (chance_.OneIn(5)) {  // later
      will_execute();
      Signal signal{fmt::format("step_{}", step), direction, fmt::format("t{}", chance_.Pick(2)), {}};
      At(0, 6'000, [this, id, signal, execute]() mutable {
        signal.outcome = execute();
        SaySignal(id, signal);
        if (chance_.OneIn(3)) At(0, 3'000, [this, id, signal] { SaySignal(id, signal); });
      });
      const absl::Time until = time_.Now() + chance_.Milliseconds(500, 6'000);
      time_.At(time_.Steady() + chance_.Milliseconds(1, 50),
               [signal, until, done = std::move(done)]() mutable { done(Outcome::Later(signal.token, until)); });
      return;
    }
    if (chance_.OneIn(6) || time_.Steady() + there >= attempt.deadline) {
      time_.At(attempt.deadline, [done = std::move(done)]() mutable { done(Outcome::Unknown("LOST")); });
      if (chance_.OneIn(2)) {
        will_execute();
        time_.At(time_.Steady() + there, [execute] { execute(); });
      }
      return;
    }
    will_execute();
    time_.At(time_.Steady() + there, [execute, done = std::move(done)]() mutable { done(execute()); });
  }
  void SaySignal(const Uuid& id, const Signal& signal) {
    if (chance_.OneIn(4)) return;
    (void)processes_->Any().AddSignal(id, signal);
  }

  Outcome Execute(const Uuid& id, size_t step, Direction direction, uint64_t refusal) {
    Kept& kept = kept_[id][step];
    switch (direction) {
      case Direction::kDo:
        --kept.under_way;
        if (kept.done) return Outcome::Succeeded();
        if (kept.closed || kept.refused) return Outcome::Rejected("CLOSED");
        if (refusal % 10 == 0) {
          kept.refused = true;
          return Outcome::Rejected("REFUSED");
        }
        ExpectDone(id, step, FirstBeside(step));
        kept.done = true;
        return Outcome::Succeeded();
      case Direction::kUndo:
        if (kept.told) wrong_ = fmt::format("{}: step {} was undone after it was for good", id.ToString(), step);
        for (size_t after = step + 1; after < shapes_.size(); ++after) {
          if (shapes_[after].undoes && kept_[id][after].done) {
            wrong_ = fmt::format("{}: step {} was undone before step {}", id.ToString(), step, after);
          }
        }
        kept.done = false;
        kept.closed = true;
        return Outcome::Succeeded();
      case Direction::kClose:
        if (!kept.done) wrong_ = fmt::format("{}: step {} was closed and not done", id.ToString(), step);
        kept.told = true;
        return Outcome::Succeeded();
    }
    return Outcome::Unknown("NO_DIRECTION");
  }

  waybill::testing::ManualTime time_;
  const SteadyTime start_ = time_.Steady();
  testing::Chance chance_;
  IdGenerator ids_{time_, chance_.random};
  testing::MemoryBook book_;
  std::vector<Shape> shapes_;
  std::map<Uuid, std::array<Kept, Plan::kStepsMax>> kept_;
  std::map<Uuid, std::array<bool, Plan::kStepsMax>> booked_;
  std::map<Uuid, size_t> entries_seen_;
  Kinds kinds_{{}};
  std::vector<Uuid> started_;
  std::string story_, wrong_;
  std::optional<testing::Processes> processes_;
};

TEST(RandomDefinition, EndsDoneOrUndoneWhateverHappens) {
  std::map<State, int> ends;
  const uint64_t seeds = ::waybill::testing::LongForms() ? 20'000 : 400;
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    World world(seed);
    world.Run();
    ASSERT_EQ(world.Verdict(), "") << "replay with seed " << seed << ":\n" << world.Describe();
    for (const auto& [state, count] : world.Ends()) ends[state] += count;
  }
  for (State state : {State::kSucceeded, State::kClosed, State::kCompensated}) {
    EXPECT_GT(ends[state], static_cast<int>(seeds) / 2) << Name(state);
  }
}

}  // namespace
}  // namespace waybill::saga::random_definition
