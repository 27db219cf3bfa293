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
  void Say(bool failing, std::optional<absl::Duration> min_response = std::nullopt) {
    health_.Says(time_.Steady(), {time_.Steady(), failing, min_response});
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

// --- What a gateway says of itself.

TEST_F(HealthTest, OneThatSaysThatItFailsIsOutAndNobodyExploresIt) {
  Say(/*failing=*/true);
  EXPECT_TRUE(health_.out());
  for (int i = 0; i < 20; ++i) {
    time_.Advance(absl::Seconds(5));
    EXPECT_FALSE(MayExplore());
    Say(/*failing=*/true);
  }
}

TEST_F(HealthTest, ThatItIsWellLetsOneOrderThroughAndAnswersCloseTheOutage) {
  Say(/*failing=*/true);
  time_.Advance(absl::Seconds(5));
  Say(/*failing=*/false);
  EXPECT_TRUE(health_.out()) << "its word alone closes nothing";
  ASSERT_TRUE(MayExplore());
  health_.Explores(time_.Steady());
  EXPECT_FALSE(MayExplore());
  Answer(2);
  EXPECT_TRUE(health_.out());
  Answer();
  EXPECT_FALSE(health_.out());
}

TEST_F(HealthTest, AnOutageThatCallsFoundIsTriedSoonerWhenItSaysThatItIsWell) {
  Say(/*failing=*/false);
  Fail(5);
  EXPECT_FALSE(MayExplore()) << "that was before";
  time_.Advance(absl::Seconds(5));
  Say(/*failing=*/false);
  EXPECT_TRUE(MayExplore());
}

TEST_F(HealthTest, AWordThatProvesWrongCountsNoMore) {
  Fail(5);
  time_.Advance(absl::Seconds(5));
  Say(/*failing=*/false);
  ASSERT_TRUE(MayExplore());
  health_.Explores(time_.Steady());
  Fail();
  for (int i = 0; i < 5; ++i) {
    time_.Advance(absl::Seconds(4));
    Say(/*failing=*/false);
    EXPECT_FALSE(MayExplore()) << "as long as others wait";
  }
  time_.Advance(absl::Seconds(10));
  EXPECT_TRUE(MayExplore());
  health_.Explores(time_.Steady());
  Say(/*failing=*/true);
  time_.Advance(absl::Seconds(5));
  Say(/*failing=*/false);
  EXPECT_TRUE(MayExplore()) << "it has noticed itself";
}

// At night, say: nobody is there to try it.
TEST_F(HealthTest, WhatOnlyItsWordOpenedItsWordCloses) {
  Say(/*failing=*/true);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2; ++i) {
      time_.Advance(absl::Seconds(5));
      Say(/*failing=*/false);
      EXPECT_TRUE(health_.out());
    }
    if (round == 0) Say(/*failing=*/true);
  }
  time_.Advance(absl::Seconds(5));
  Say(/*failing=*/false);
  EXPECT_FALSE(health_.out()) << "three in a row";

  Say(/*failing=*/true);
  Fail();
  for (int i = 0; i < 10; ++i) {
    time_.Advance(absl::Seconds(5));
    Say(/*failing=*/false);
    EXPECT_TRUE(health_.out()) << "a call has failed, too";
  }
}

// Of calls that were under way, or that no other gateway may be asked instead of.
TEST_F(HealthTest, AnswersCloseNoOutageWhileItSaysThatItFails) {
  Say(/*failing=*/true);
  Answer(10);
  EXPECT_TRUE(health_.out());
  EXPECT_FALSE(MayExplore());
  time_.Advance(absl::Seconds(16));
  Answer();
  EXPECT_FALSE(health_.out()) << "that is no news any more";
}

TEST_F(HealthTest, AnOldWordIsNone) {
  health_.Says(time_.Steady(), {time_.Steady() - absl::Seconds(16), true, absl::Milliseconds(50)});
  EXPECT_FALSE(health_.out());
  EXPECT_EQ(health_.MinResponse(time_.Steady()), std::nullopt);
  Fail(5);
  health_.Says(time_.Steady(), {time_.Steady() - absl::Seconds(16), false, std::nullopt});
  EXPECT_FALSE(MayExplore());
}

TEST_F(HealthTest, WhenNobodyAsksAnyMoreOrdersExploreAgain) {
  Say(/*failing=*/true);
  time_.Advance(absl::Seconds(30));
  EXPECT_TRUE(MayExplore());
}

TEST_F(HealthTest, WhatItTookWhileItSaidThatItIsSlowIsForgottenWithThat) {
  Say(/*failing=*/false, absl::Milliseconds(1000));
  for (int i = 0; i < 10; ++i) health_.Answered(time_.Steady(), absl::Milliseconds(1010));
  Say(/*failing=*/false, absl::Milliseconds(600));
  EXPECT_EQ(health_.MedianLatency(time_.Steady()), absl::Milliseconds(1010)) << "not much less";
  Say(/*failing=*/false, absl::Milliseconds(5));
  EXPECT_EQ(health_.MedianLatency(time_.Steady()), absl::ZeroDuration());
  EXPECT_EQ(health_.MinResponse(time_.Steady()), absl::Milliseconds(5));
}

TEST_F(HealthTest, LatencyIsTheMedianOfTheNewest) {
  EXPECT_EQ(health_.MedianLatency(time_.Steady()), absl::ZeroDuration());
  for (int i = 0; i < 200; ++i) health_.Answered(time_.Steady(), absl::Seconds(9));
  for (int i = 0; i < 64; ++i) health_.Answered(time_.Steady(), absl::Milliseconds(i));
  EXPECT_EQ(health_.MedianLatency(time_.Steady()), absl::Milliseconds(32));
}

}  // namespace
}  // namespace waybill::payments
