#include "runtime/scheduler.h"

#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ManualTimeTest : public ::testing::Test {
 protected:
  Scheduler::Callback Log(int n) {
    return [this, n] { ran_.push_back(n); };
  }
  testing::ManualTime time_;
  const SteadyTime start_ = time_.Steady();
  std::vector<int> ran_;
};

TEST_F(ManualTimeTest, RunsInOrderOfTimeAndThenOfAsking) {
  time_.At(start_ + absl::Seconds(2), Log(3));
  time_.At(start_ + absl::Seconds(1), Log(1));
  time_.At(start_ + absl::Seconds(1), Log(2));
  time_.At(start_ + absl::Seconds(3), Log(4));
  time_.Advance(absl::Milliseconds(999));
  EXPECT_THAT(ran_, IsEmpty());
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(ran_, ElementsAre(1, 2, 3));
  EXPECT_EQ(time_.Steady(), start_ + absl::Milliseconds(2999));
  EXPECT_EQ(time_.pending(), 1);
}

TEST_F(ManualTimeTest, EachCallbackSeesItsOwnTimeAndMayAskForMore) {
  std::vector<SteadyTime> seen;
  time_.At(start_ + absl::Seconds(1), [&] {
    seen.push_back(time_.Steady());
    time_.At(time_.Steady() + absl::Seconds(1), [&] { seen.push_back(time_.Steady()); });
  });
  time_.Advance(absl::Seconds(5));
  EXPECT_THAT(seen, ElementsAre(start_ + absl::Seconds(1), start_ + absl::Seconds(2)));
}

TEST_F(ManualTimeTest, PastTimersRunWithoutMovingTimeBack) {
  time_.At(start_ - absl::Hours(1), Log(1));
  EXPECT_TRUE(time_.RunNext());
  EXPECT_EQ(time_.Steady(), start_);
  EXPECT_FALSE(time_.RunNext());
}

TEST_F(ManualTimeTest, CancelledTimersNeverRun) {
  auto id = time_.At(start_, Log(1));
  EXPECT_TRUE(time_.Cancel(id));
  EXPECT_FALSE(time_.Cancel(id));
  auto done = time_.At(start_, Log(2));
  time_.Advance(absl::ZeroDuration());
  EXPECT_FALSE(time_.Cancel(done));
  EXPECT_THAT(ran_, ElementsAre(2));
}

TEST_F(ManualTimeTest, SettingTheWallClockIsNoTimePassing) {
  time_.At(start_ + absl::Seconds(2), Log(1));
  const absl::Time wall = time_.Now();
  testing::DistantClock distant(time_);
  time_.SetWall(wall - absl::Hours(1));
  EXPECT_EQ(time_.Now(), wall - absl::Hours(1));
  EXPECT_EQ(time_.Steady(), start_);
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(ran_, ElementsAre(1));
  EXPECT_EQ(time_.Now(), wall - absl::Hours(1) + absl::Seconds(2));
  EXPECT_EQ(distant.Now(), wall + absl::Seconds(2)) << "another host's clock";
}

constexpr absl::Duration kNever = absl::Hours(1'000);

TEST(ThreadScheduler, RunsWhatIsDueInOrder) {
  SystemClock clock;
  ThreadScheduler scheduler(clock);
  std::latch hold{1}, done{1};
  std::vector<int> ran;
  SteadyTime past = clock.Steady() - absl::Hours(1);
  scheduler.At(past - absl::Hours(1), [&] { hold.wait(); });
  scheduler.At(past + absl::Seconds(2), [&] {
    ran.push_back(3);
    done.count_down();
  });
  scheduler.At(past + absl::Seconds(1), [&] { ran.push_back(1); });
  scheduler.At(past + absl::Seconds(1), [&] { ran.push_back(2); });
  hold.count_down();
  done.wait();
  // The first may have started before the others were there; behind it they run in order.
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
}

TEST(ThreadScheduler, AnEarlierTimerWakesTheThreadThatWaitsForALaterOne) {
  SystemClock clock;
  ThreadScheduler scheduler(clock);
  scheduler.At(clock.Steady() + kNever, [] { FAIL() << "far in the future"; });
  scheduler.At(SteadyTime::InfiniteFuture(), [] { FAIL() << "never"; });
  std::latch done{1};
  scheduler.At(clock.Steady() + absl::Milliseconds(1), [&] { done.count_down(); });
  done.wait();
}

TEST(ThreadScheduler, NeverRunsBeforeItsTime) {
  SystemClock clock;
  ThreadScheduler scheduler(clock);
  std::latch done{1};
  SteadyTime when = clock.Steady() + absl::Milliseconds(3);
  SteadyTime ran;
  scheduler.At(when, [&] {
    ran = clock.Steady();
    done.count_down();
  });
  done.wait();
  EXPECT_GE(ran, when);
}

TEST(ThreadScheduler, CancelTellsWhetherItCameInTime) {
  SystemClock clock;
  ThreadScheduler scheduler(clock);
  auto id = scheduler.At(clock.Steady() + kNever, [] { FAIL(); });
  EXPECT_TRUE(scheduler.Cancel(id));
  EXPECT_FALSE(scheduler.Cancel(id));
  std::latch running{1}, let_go{1};
  auto started = scheduler.At(clock.Steady(), [&] {
    running.count_down();
    let_go.wait();
  });
  running.wait();
  EXPECT_FALSE(scheduler.Cancel(started)) << "it has started";
  let_go.count_down();
}

// Calls the scheduler when destroyed, as an object does whose last reference a callback holds.
struct CancelsWhenDestroyed {
  Scheduler& scheduler;
  Scheduler::TimerId other;
  ~CancelsWhenDestroyed() { scheduler.Cancel(other); }
};

TEST(ThreadScheduler, CallbacksAreDestroyedOutsideItsLock) {
  SystemClock clock;
  ThreadScheduler scheduler(clock);
  auto other = scheduler.At(clock.Steady() + kNever, [] {});
  std::shared_ptr<CancelsWhenDestroyed> owner(new CancelsWhenDestroyed{scheduler, other});
  auto id = scheduler.At(clock.Steady() + kNever, [owner] {});
  owner = nullptr;
  EXPECT_TRUE(scheduler.Cancel(id));
  EXPECT_FALSE(scheduler.Cancel(other)) << "the destructor did";
}

TEST(ThreadScheduler, CallbacksMayScheduleAndCancel) {
  SystemClock clock;
  ThreadScheduler scheduler(clock);
  std::latch done{1};
  auto never = scheduler.At(clock.Steady() + kNever, [] { FAIL(); });
  scheduler.At(clock.Steady(), [&] {
    EXPECT_TRUE(scheduler.Cancel(never));
    scheduler.At(clock.Steady(), [&] { done.count_down(); });
  });
  done.wait();
}

TEST(ThreadScheduler, DestructorDropsWhatIsPending) {
  SystemClock clock;
  auto alive = std::make_shared<int>(1);
  {
    ThreadScheduler scheduler(clock);
    scheduler.At(clock.Steady() + kNever, [alive] { FAIL(); });
  }
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(ThreadScheduler, TakesTimersFromManyThreads) {
  SystemClock clock;
  ThreadScheduler scheduler(clock);
  std::atomic<int> left = 4 * 500;
  std::latch done{1};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        scheduler.At(clock.Steady(), [&] {
          if (--left == 0) done.count_down();
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  done.wait();
}

}  // namespace
}  // namespace waybill
