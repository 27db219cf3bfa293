#include "services/ingest/clock_check.h"

#include <string>
#include <vector>

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
    std::vector<ClockCheck::Sighting> sightings;
    for (int i = 0; i < drivers; ++i) {
      sightings.push_back({ClockCheck::Hash((in_future ? "f-" : "p-") + std::to_string(i)), in_future});
    }
    check_.Saw(sightings);
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

// Ten bad devices behind one gateway, whose report opens a minute.
TEST_F(ClockCheckTest, AWindowThatHasJustBegunIsReadWithTheOneBefore) {
  Saw(1'000, false);
  time_.Advance(absl::Minutes(1));
  Saw(20, true);
  EXPECT_FALSE(check_.fleet_ahead());
  time_.Advance(absl::Minutes(2));  // long enough to know nothing of the others any more
  Saw(20, true);
  EXPECT_TRUE(check_.fleet_ahead());
}

// This host's clock is set back while it serves.
TEST_F(ClockCheckTest, DriversThatWereInThePresentAndAreInTheFutureNowCountOnce) {
  auto report = [&](int drivers, bool in_future) {
    std::vector<ClockCheck::Sighting> sightings;
    for (int i = 0; i < drivers; ++i) sightings.push_back({ClockCheck::Hash(std::to_string(i)), in_future});
    check_.Saw(sightings);
  };
  report(100, false);
  time_.Advance(absl::Minutes(1));
  report(80, true);
  EXPECT_FALSE(check_.fleet_ahead()) << "20 are outstanding";
  report(81, true);
  EXPECT_TRUE(check_.fleet_ahead());
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
