#include "payments/health.h"

#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill::payments {
namespace {

class HealthTest : public ::testing::Test {
 protected:
  void Answer(int times = 1) {
    for (int i = 0; i < times; ++i) health_.Answered(time_.Steady(), absl::Milliseconds(20));
  }
  void Fail(int times = 1) {
    for (int i = 0; i < times; ++i) {
      time_.Advance(absl::Milliseconds(150));
      health_.Failed(time_.Steady());
    }
  }
  bool MayExplore() { return health_.MayExplore(time_.Steady()); }

  waybill::testing::ManualTime time_;
  Health health_{HealthOptions()};
};

TEST_F(HealthTest, AFewFailuresAreNoOutage) {
  Fail(4);
  EXPECT_FALSE(health_.out());
  Answer();
  Fail(4);
  EXPECT_FALSE(health_.out()) << "not in a row";
}

TEST_F(HealthTest, FailuresInARowOpenAnOutage) {
  Fail(5);
  EXPECT_TRUE(health_.out());
  EXPECT_EQ(health_.out_since(), time_.Steady());
}

TEST_F(HealthTest, AMomentIsNoOutageHoweverManyCallsItFails) {
  for (int i = 0; i < 100; ++i) health_.Failed(time_.Steady());
  EXPECT_FALSE(health_.out());
  time_.Advance(absl::Milliseconds(500));
  health_.Failed(time_.Steady());
  EXPECT_TRUE(health_.out());
}

TEST_F(HealthTest, HalfOfTheNewestCallsOpenOneToo) {
  for (int i = 0; i < 9; ++i) {
    Answer();
    Fail();
  }
  EXPECT_FALSE(health_.out()) << "too few calls to tell";
  Answer();
  EXPECT_FALSE(health_.out());
  Fail();
  EXPECT_TRUE(health_.out());
}

TEST_F(HealthTest, AnOutageClosesLaterThanItOpens) {
  Fail(5);
  Answer(2);
  EXPECT_TRUE(health_.out());
  Fail();
  Answer(2);
  EXPECT_TRUE(health_.out()) << "not in a row";
  Answer();
  EXPECT_FALSE(health_.out());
  Fail(4);
  EXPECT_FALSE(health_.out()) << "what was before the outage counts no more";
}

TEST_F(HealthTest, OneOrderExploresAfterAWhileAndTheNextAfterItsAnswer) {
  EXPECT_FALSE(MayExplore());
  Fail(5);
  time_.Advance(absl::Seconds(29));
  EXPECT_FALSE(MayExplore());
  time_.Advance(absl::Seconds(1));
  ASSERT_TRUE(MayExplore());
  health_.Explores(time_.Steady());
  EXPECT_FALSE(MayExplore()) << "one at a time";
  Answer();
  EXPECT_TRUE(MayExplore());
  health_.Explores(time_.Steady());
  Fail();
  EXPECT_FALSE(MayExplore());
  time_.Advance(absl::Seconds(30));
  EXPECT_TRUE(MayExplore());
}

TEST_F(HealthTest, AnExplorerThatIsNeverHeardOfIsFollowedByAnother) {
  Fail(5);
  time_.Advance(absl::Seconds(30));
  health_.Explores(time_.Steady());
  time_.Advance(absl::Seconds(30));
  EXPECT_TRUE(MayExplore());
}

// Such as a refund that is tried again and again, and can never succeed.
TEST_F(HealthTest, WhatFailsMeanwhileDoesNotPutOffTheExplorer) {
  Fail(5);
  for (int i = 0; i < 3; ++i) {
    time_.Advance(absl::Seconds(10));
    Fail();
  }
  EXPECT_TRUE(MayExplore());
}

TEST_F(HealthTest, LatencyIsTheMedianOfTheNewest) {
  EXPECT_EQ(health_.MedianLatency(time_.Steady()), absl::ZeroDuration());
  for (int i = 0; i < 200; ++i) health_.Answered(time_.Steady(), absl::Seconds(9));
  for (int i = 0; i < 64; ++i) health_.Answered(time_.Steady(), absl::Milliseconds(i));
  EXPECT_EQ(health_.MedianLatency(time_.Steady()), absl::Milliseconds(32));
}

}  // namespace
}  // namespace waybill::payments
