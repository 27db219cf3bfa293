#include "bench/pacer.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace waybill::bench {
namespace {

struct ManualTimer final : Timer {
  absl::Duration Now() const override { return now; }
  void SleepUntil(absl::Duration instant) override { now = std::max(now, instant); }
  absl::Duration now = absl::Seconds(100);
};

TEST(Pacer, SleepsUntilEachCallIsDue) {
  ManualTimer timer;
  Pacer pacer(timer, absl::Seconds(100), 1'000);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(pacer.Next(), absl::Seconds(100) + absl::Milliseconds(i));
    EXPECT_EQ(timer.now, absl::Seconds(100) + absl::Milliseconds(i));
  }
}

// The point of an open loop: a stall delays the start of calls, but not the instant their latency is counted from.
TEST(Pacer, AStallDoesNotMoveTheSchedule) {
  ManualTimer timer;
  Pacer pacer(timer, absl::Seconds(100), 100);
  pacer.Next();
  timer.now += absl::Seconds(1);
  for (int i = 1; i <= 100; ++i) {
    EXPECT_EQ(pacer.Next(), absl::Seconds(100) + absl::Milliseconds(10) * i);
    EXPECT_EQ(timer.now, absl::Seconds(101)) << "a call that is late starts at once";
  }
  EXPECT_EQ(pacer.Next(), timer.now) << "and then the pace is kept again";
  EXPECT_EQ(timer.now, absl::Seconds(101) + absl::Milliseconds(10));
}

TEST(Pacer, DoesNotDriftAtRatesThatDoNotDivide) {
  ManualTimer timer;
  Pacer pacer(timer, absl::ZeroDuration(), 3);
  absl::Duration last;
  for (int i = 0; i <= 3'000'000; ++i) last = pacer.Next();
  EXPECT_LT(absl::AbsDuration(last - absl::Seconds(1'000'000)), absl::Milliseconds(1));
}

}  // namespace
}  // namespace waybill::bench
