#include "runtime/executor.h"

#include <atomic>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/scheduled_executor.h"

namespace waybill {
namespace {

using ::testing::ElementsAre;

TEST(ThreadLoops, TakeTurnsAtOnceWhenDueAndWhenWoken) {
  std::latch waits(3), woken(4);
  std::atomic<int> turns = 0;
  auto loop = ThreadLoops().Start([&](const Clock& clock) -> std::optional<SteadyTime> {
    const int turn = ++turns;
    if (turn <= 3) waits.count_down();
    if (turn <= 4) woken.count_down();
    if (turn == 1) return Loop::kAtOnce;
    if (turn == 2) return clock.Steady() + absl::Milliseconds(1);
    if (turn <= 4) return Loop::kWhenWoken;
    return std::nullopt;
  });
  waits.wait();
  loop->Wake();
  woken.wait();
  EXPECT_EQ(turns, 4);
  loop->Join();
  EXPECT_EQ(turns, 5);
  loop->Join();
  EXPECT_EQ(turns, 5) << "there is no turn after the last one";
}

TEST(ThreadLoops, OneThatIsWokenDuringATurnTakesAnother) {
  std::latch in_turn(1), go_on(1), second(2);
  auto loop = ThreadLoops().Start([&](const Clock&) -> std::optional<SteadyTime> {
    if (second.try_wait()) return std::nullopt;
    second.count_down();
    if (!in_turn.try_wait()) {
      in_turn.count_down();
      go_on.wait();
    }
    return Loop::kWhenWoken;
  });
  in_turn.wait();
  loop->Wake();
  go_on.count_down();
  second.wait();
  loop->Join();
}

class ScheduledTest : public ::testing::Test {
 protected:
  testing::ManualTime time_;
  const SteadyTime start_ = time_.Steady();
  std::vector<absl::Duration> turns_;
};

TEST_F(ScheduledTest, LoopsTakeTurnsWhenTimePasses) {
  testing::ScheduledLoops loops(time_, time_, [] { return absl::Milliseconds(1); });
  bool last = false;
  auto loop = loops.Start([&](const Clock& clock) -> std::optional<SteadyTime> {
    turns_.push_back(clock.Steady() - start_);
    if (last) return std::nullopt;
    return turns_.size() == 1 ? Loop::kAtOnce : clock.Steady() + absl::Milliseconds(10);
  });
  time_.Advance(absl::Milliseconds(5));
  loop->Wake();
  time_.Advance(absl::Milliseconds(20));
  last = true;
  loop->Join();
  loop->Wake();
  time_.Advance(absl::Hours(1));
  EXPECT_THAT(turns_, ElementsAre(absl::Milliseconds(1), absl::Milliseconds(2), absl::Milliseconds(6),
                                  absl::Milliseconds(16), absl::Milliseconds(25)));
}

TEST_F(ScheduledTest, AbandonedLoopsTakeNoTurn) {
  testing::ScheduledLoops loops(time_, time_, [] { return absl::ZeroDuration(); });
  auto loop = loops.Start([&](const Clock&) -> std::optional<SteadyTime> {
    turns_.push_back(absl::ZeroDuration());
    return Loop::kAtOnce;
  });
  loops.Abandon();
  loop->Join();
  loop.reset();
  time_.Advance(absl::Seconds(1));
  EXPECT_TRUE(turns_.empty());
}

TEST_F(ScheduledTest, ExecutorRunsTasksLaterAndRefusesWhatIsTooMuch) {
  testing::ScheduledExecutor executor(time_, time_, 2, [] { return absl::Milliseconds(1); });
  int ran = 0;
  for (int i = 0; i < 2; ++i) {
    Executor::Task task = [&] { ++ran; };
    EXPECT_TRUE(executor.Submit(task));
  }
  Executor::Task refused = [&] { ran += 100; };
  EXPECT_FALSE(executor.Submit(refused));
  EXPECT_EQ(executor.queue_depth(), 2u);
  EXPECT_EQ(ran, 0);
  time_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(ran, 2);
  EXPECT_EQ(executor.queue_depth(), 0u);
  refused();
  EXPECT_EQ(ran, 102) << "it was left untouched";
}

}  // namespace
}  // namespace waybill
