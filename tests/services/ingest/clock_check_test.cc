#include "services/ingest/clock_check.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill::ingest {
namespace {

using ::testing::HasSubstr;

class ClockCheckTest : public ::testing::Test {
 protected:
  void Compare(absl::Duration ahead) { check_.Compare(time_.Now(), time_.Now() + ahead); }
  void Saw(int drivers, bool in_future) {
    for (int i = 0; i < drivers; ++i) check_.Saw((in_future ? "f-" : "p-") + std::to_string(i), in_future);
  }

  testing::ManualTime time_;
  Logger log_{LogFormat::kText, LogLevel::kOff, time_};
  ClockCheck check_{time_, log_};
};

TEST_F(ClockCheckTest, ToleratesWhatClocksDifferBy) {
  EXPECT_TRUE(check_.Verdict().ok());
  Compare(absl::Seconds(5));
  EXPECT_EQ(check_.store_ahead(), absl::ZeroDuration());
  Compare(-absl::Seconds(5));
  EXPECT_TRUE(check_.Verdict().ok());
}

TEST_F(ClockCheckTest, SaysByHowMuchTheStoresClockDiffers) {
  Compare(absl::Minutes(10));
  EXPECT_EQ(check_.store_ahead(), absl::Minutes(10));
  EXPECT_THAT(std::string(check_.Verdict().message()), HasSubstr("10m ahead of this host's"));
  Compare(-absl::Hours(1));
  EXPECT_THAT(std::string(check_.Verdict().message()), HasSubstr("1h behind this host's"));
  Compare(absl::ZeroDuration());
  EXPECT_TRUE(check_.Verdict().ok());
}

TEST_F(ClockCheckTest, AFewDriversOfTheFutureAreTheirOwnFault) {
  Saw(9, true);
  EXPECT_FALSE(check_.fleet_ahead());
  Saw(9, true);  // the same ones
  EXPECT_FALSE(check_.fleet_ahead());
}

TEST_F(ClockCheckTest, ManyAmongManyMoreAreTheirOwnFault) {
  Saw(10, false);
  Saw(39, true);
  EXPECT_FALSE(check_.fleet_ahead());
}

TEST_F(ClockCheckTest, NearlyTheWholeFleetIsBelieved) {
  Saw(2, false);
  Saw(10, true);
  EXPECT_TRUE(check_.fleet_ahead());
  EXPECT_THAT(std::string(check_.Verdict().message()), HasSubstr("behind"));
  // Until a window says otherwise.
  time_.Advance(absl::Minutes(1));
  Saw(12, true);
  EXPECT_TRUE(check_.fleet_ahead());
  time_.Advance(absl::Minutes(1));
  Saw(12, false);
  EXPECT_TRUE(check_.fleet_ahead()) << "the window before was ahead";
  time_.Advance(absl::Minutes(1));
  Saw(1, false);
  EXPECT_FALSE(check_.fleet_ahead());
}

}  // namespace
}  // namespace waybill::ingest
