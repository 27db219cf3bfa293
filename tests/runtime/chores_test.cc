#include "runtime/chores.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/testing/manual_time.h"

namespace waybill {
namespace {

class ChoresTest : public ::testing::Test {
 protected:
  testing::ManualTime time_;
  Logger log_{LogFormat::kText, LogLevel::kOff, time_};
};

TEST_F(ChoresTest, EachIsDoneAtItsOwnPace) {
  std::string done;
  Chores chores({EveryChore(absl::Seconds(1), "a",
                            [&] {
                              done += 'a';
                              return absl::OkStatus();
                            }),
                 EveryChore(absl::Seconds(3), "b",
                            [&] {
                              done += 'b';
                              return absl::OkStatus();
                            })},
                time_, log_);
  const SteadyTime start = time_.Steady();
  EXPECT_EQ(chores.RunDue(), start + absl::Seconds(1));
  EXPECT_EQ(done, "ab");
  EXPECT_EQ(chores.RunDue(), start + absl::Seconds(1)) << "nothing is due yet";
  for (int i = 0; i < 3; ++i) {
    time_.Advance(absl::Seconds(1));
    chores.RunDue();
  }
  EXPECT_EQ(done, "abaaab");
}

TEST_F(ChoresTest, OneThatFailsIsTriedAgainAfterItsOwnPause) {
  int tries = 0;
  Chores chores({{"failing",
                  [&]() -> absl::StatusOr<absl::Duration> {
                    if (++tries < 3) return absl::UnavailableError("away");
                    return absl::Hours(1);
                  },
                  absl::Seconds(2)}},
                time_, log_);
  const SteadyTime start = time_.Steady();
  EXPECT_EQ(chores.RunDue(), start + absl::Seconds(2));
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(chores.RunDue(), start + absl::Seconds(4));
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(chores.RunDue(), start + absl::Seconds(4) + absl::Hours(1));
  EXPECT_EQ(tries, 3);
}

TEST_F(ChoresTest, GoOnWhenTheWallClockIsSet) {
  int done = 0;
  Chores chores({EveryChore(absl::Seconds(1), "counting",
                            [&] {
                              ++done;
                              return absl::OkStatus();
                            })},
                time_, log_);
  chores.RunDue();
  time_.SetWall(time_.Now() - absl::Hours(1));
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(chores.RunDue(), time_.Steady() + absl::Seconds(1));
  EXPECT_EQ(done, 2) << "set back";
  time_.SetWall(time_.Now() + absl::Hours(2));
  chores.RunDue();
  EXPECT_EQ(done, 2) << "set forward: no time has passed";
}

TEST_F(ChoresTest, AreDoneOnAThreadUntilStopped) {
  SystemClock clock;
  int done = 0;
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::condition_variable changed;
  Chores chores({EveryChore(absl::Milliseconds(1), "counting",
                            [&] {
                              EXPECT_FALSE(stopped);
                              std::lock_guard lock(mutex);
                              ++done;
                              changed.notify_all();
                              return absl::OkStatus();
                            })},
                clock, log_);
  chores.Start(ThreadLoops());
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done >= 3; });
  }
  chores.Stop();
  stopped = true;  // seen by a chore that runs all the same, until the chores are gone
}

}  // namespace
}  // namespace waybill
