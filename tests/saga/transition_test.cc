#include "saga/transition.h"

#include <set>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"
#include "saga/record.h"
#include "saga/retry_policy.h"

namespace waybill::saga {
namespace {

TEST(Transition, EveryRowIsFoundAndOnlyThose) {
  std::set<std::pair<State, Event>> rows;
  for (const Transition& row : TransitionTable()) {
    EXPECT_TRUE(rows.insert({row.from, row.event}).second)
        << Name(row.from) << " " << Name(row.event) << " stands twice";
  }
  for (State state : kStates) {
    for (Event event : kEvents) {
      EXPECT_EQ(FindTransition(state, event).has_value(), rows.contains({state, event}))
          << Name(state) << " " << Name(event);
    }
  }
}

TEST(Transition, StatesOnlyMoveForward) {
  for (const Transition& row : TransitionTable())
    EXPECT_GE(row.to, row.from) << Name(row.from) << " -> " << Name(row.to);
}

TEST(Transition, NothingLeavesATerminalState) {
  for (const Transition& row : TransitionTable()) EXPECT_FALSE(IsTerminal(row.from)) << Name(row.from);
}

TEST(Transition, CommandsFitTheStateTheyLeadTo) {
  for (const Transition& row : TransitionTable()) {
    switch (row.command) {
      case Command::kDoStep:
        EXPECT_EQ(row.to, State::kRunning);
        break;
      case Command::kUndoStep:
        EXPECT_EQ(row.to, State::kCompensating);
        break;
      case Command::kCloseStep:
        EXPECT_EQ(row.to, State::kClosing);
        break;
      case Command::kRetryLater:
        EXPECT_EQ(row.to, row.from);
        break;
      case Command::kWait:
        EXPECT_TRUE(IsUnfinished(row.to));
        break;
      case Command::kSettle:
        EXPECT_FALSE(IsUnfinished(row.to));
        break;
    }
  }
}

TEST(Transition, EveryStateIsReached) {
  std::set<State> reached = {State::kRunning};
  for (size_t i = 0; i < std::size(kStates); ++i) {
    for (const Transition& row : TransitionTable()) {
      if (reached.contains(row.from)) reached.insert(row.to);
    }
  }
  EXPECT_EQ(reached.size(), std::size(kStates));
}

TEST(Transition, DiagramHasEveryRow) {
  std::string diagram = TransitionDiagram();
  for (const Transition& row : TransitionTable()) {
    EXPECT_THAT(diagram, ::testing::HasSubstr(std::string(Name(row.event)) + " / " + std::string(Name(row.command))));
  }
}

TEST(Backoff, DoublesUpToItsMaximumWithFullJitter) {
  class Ceiling final : public Random {
    uint64_t Next() override { return UINT64_MAX; }
  } ceiling;
  auto at = [&](int attempt) { return Backoff(absl::Milliseconds(100), absl::Seconds(1), attempt, ceiling); };
  EXPECT_NEAR(absl::ToDoubleMilliseconds(at(2)), 100, 0.01);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(at(3)), 200, 0.01);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(at(5)), 800, 0.01);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(at(6)), 1000, 0.01);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(at(1'000'000)), 1000, 0.01);
  SeededRandom random(7);
  for (int i = 0; i < 1000; ++i) {
    absl::Duration pause = Backoff(absl::Milliseconds(100), absl::Seconds(1), 4, random);
    EXPECT_GE(pause, absl::ZeroDuration());
    EXPECT_LT(pause, absl::Milliseconds(400));
  }
}

}  // namespace
}  // namespace waybill::saga
