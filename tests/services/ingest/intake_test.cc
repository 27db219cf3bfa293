#include "services/ingest/intake.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"

namespace waybill::ingest {
namespace {

using domain::DriverPosition;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kNow = absl::FromUnixMicros(1'800'000'000'000'000);
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

DriverPosition Good() {
  DriverPosition position;
  position.driver_id = "ann";
  position.point = {52.5, 13.4};
  position.recorded_at = kNow;
  return position;
}

class IntakeTest : public ::testing::Test {
 protected:
  // The reason and field for which the position is rejected; "" when it is not.
  std::string Fault(const DriverPosition& position) { return FaultIn(intake_, position); }
  static std::string FaultIn(Intake& intake, const DriverPosition& position) {
    const Checked checked = intake.Check({position}, 7, kNow);
    EXPECT_EQ(checked.accepted.size() + checked.rejected.size(), 1u);
    if (checked.rejected.empty()) {
      EXPECT_EQ(domain::FindFault(checked.accepted[0].position), std::nullopt);
      return "";
    }
    const Rejection& rejection = checked.rejected[0];
    EXPECT_EQ(rejection.sequence, 7);
    EXPECT_EQ(rejection.index, 0);
    EXPECT_FALSE(rejection.detail.empty());
    return std::string(Name(rejection.reason)) + " " + std::string(rejection.field);
  }
  std::string WithId(const std::string& id) {
    DriverPosition position = Good();
    position.driver_id = id;
    return Fault(position);
  }
  std::string WithPoint(double latitude, double longitude) {
    DriverPosition position = Good();
    position.point = {latitude, longitude};
    return Fault(position);
  }
  std::string WithTime(absl::Time time) {
    DriverPosition position = Good();
    position.recorded_at = time;
    return Fault(position);
  }

  IntakeOptions options_;
  Intake intake_{options_};
};

TEST_F(IntakeTest, TakesIdsOf1To128VisibleCharacters) {
  EXPECT_EQ(WithId(""), "bad_driver_id driver_id");
  EXPECT_EQ(WithId("a"), "");
  EXPECT_EQ(WithId(std::string(128, 'a')), "");
  EXPECT_EQ(WithId(std::string(129, 'a')), "bad_driver_id driver_id");
  EXPECT_EQ(WithId("!~"), "");
  for (const std::string& id : {std::string("a b"), std::string("a\n"), std::string("\x7f"), std::string("\xc3\xa9"),
                                std::string("a\0b", 3), std::string("\x80")}) {
    EXPECT_EQ(WithId(id), "bad_driver_id driver_id");
  }
}

TEST_F(IntakeTest, TakesCoordinatesOnTheGlobe) {
  for (double latitude : {-90.0, 90.0, 1e-300}) EXPECT_EQ(WithPoint(latitude, 13.4), "");
  for (double longitude : {-180.0, 180.0, 0.0}) EXPECT_EQ(WithPoint(52.5, longitude), "");
  for (double bad : {90.0000001, -90.0000001, kNan, kInfinity, -kInfinity}) {
    EXPECT_EQ(WithPoint(bad, 13.4), "bad_coordinate latitude");
  }
  for (double bad : {180.0000001, -180.0000001, kNan, kInfinity, -kInfinity}) {
    EXPECT_EQ(WithPoint(52.5, bad), "bad_coordinate longitude");
  }
}

TEST_F(IntakeTest, ZeroZeroIsAReceiverWithoutAFixUnlessAllowed) {
  EXPECT_EQ(WithPoint(0, 0), "zero_coordinate ");
  EXPECT_EQ(WithPoint(-0.0, 0), "zero_coordinate ");
  EXPECT_EQ(WithPoint(0, 1e-9), "");
  EXPECT_EQ(WithPoint(1e-9, 0), "");
  IntakeOptions options;
  options.allow_zero = true;
  Intake allowing(options);
  DriverPosition position = Good();
  position.point = {0, 0};
  EXPECT_EQ(FaultIn(allowing, position), "");
}

TEST_F(IntakeTest, TakesTimesBetweenRetentionAndTheToleratedFuture) {
  EXPECT_EQ(WithTime(absl::InfinitePast()), "bad_time recorded_at");
  EXPECT_EQ(WithTime(absl::InfiniteFuture()), "time_in_future recorded_at");
  EXPECT_EQ(WithTime(kNow + options_.future_max), "");
  EXPECT_EQ(WithTime(kNow + options_.future_max + absl::Nanoseconds(1)), "time_in_future recorded_at");
  EXPECT_EQ(WithTime(kNow - options_.retention), "");
  EXPECT_EQ(WithTime(kNow - options_.retention - absl::Nanoseconds(1)), "older_than_retention recorded_at");
  EXPECT_EQ(WithTime(absl::FromUnixSeconds(-62'135'596'800)), "older_than_retention recorded_at");
}

TEST_F(IntakeTest, TakesMeasurementsThatCanBe) {
  const std::pair<std::optional<double> DriverPosition::*, std::string> fields[] = {
      {&DriverPosition::accuracy_m, "accuracy_m"},
      {&DriverPosition::heading_deg, "heading_deg"},
      {&DriverPosition::speed_mps, "speed_mps"}};
  for (const auto& [field, name] : fields) {
    for (double bad : {-0.001, kNan, kInfinity, -kInfinity}) {
      DriverPosition position = Good();
      position.*field = bad;
      EXPECT_EQ(Fault(position), "bad_measurement " + name) << bad;
    }
    for (double good : {0.0, -0.0, 360.0}) {
      DriverPosition position = Good();
      position.*field = good;
      EXPECT_EQ(Fault(position), "") << name << good;
    }
  }
  DriverPosition position = Good();
  position.heading_deg = 360.001;
  EXPECT_EQ(Fault(position), "bad_measurement heading_deg");
}

TEST_F(IntakeTest, EveryReasonHasAName) {
  for (int reason = 1; reason <= kRejectReasons; ++reason) {
    EXPECT_STRNE(Name(static_cast<RejectReason>(reason)), "unknown") << reason;
  }
}

TEST_F(IntakeTest, KeepsTimesToTheMicrosecond) {
  DriverPosition position = Good();
  position.recorded_at = kNow - absl::Seconds(1) + absl::Nanoseconds(1'999);
  const Checked checked = intake_.Check({position}, 1, kNow);
  ASSERT_THAT(checked.accepted, SizeIs(1));
  EXPECT_EQ(checked.accepted[0].position.recorded_at, kNow - absl::Seconds(1) + absl::Microseconds(1));
  // So what differs by less is the same point.
  position.recorded_at = kNow - absl::Seconds(1) + absl::Nanoseconds(1'001);
  EXPECT_EQ(intake_.Check({position}, 2, kNow).accepted.at(0).position, checked.accepted[0].position);
}

TEST_F(IntakeTest, MarksAreTheServers) {
  DriverPosition position = Good();
  position.marks = 0xffff;
  EXPECT_EQ(intake_.Check({position}, 1, kNow).accepted.at(0).position.marks, 0);
}

TEST_F(IntakeTest, NoPointsAreNoneAtAll) {
  const Checked checked = intake_.Check({}, 1, kNow);
  EXPECT_THAT(checked.accepted, IsEmpty());
  EXPECT_THAT(checked.rejected, IsEmpty());
}

TEST(Intake, APointOfADriverThatTheCallerDoesNotWriteForIsNotTaken) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const Intake intake({});
  std::vector<domain::DriverPosition> positions(3);
  for (size_t i = 0; i < positions.size(); ++i) {
    positions[i].driver_id = std::vector<std::string>{"bob", "ann", "north-7"}[i];
    positions[i].point = {52.5, 13.4};
    positions[i].recorded_at = now;
  }
  const domain::DriverPatterns patterns({"ann", "north-*"});
  const Checked checked = intake.Check(positions, 1, now, absl::ZeroDuration(), patterns);
  EXPECT_EQ(checked.accepted.size(), 2u);
  ASSERT_EQ(checked.rejected.size(), 1u);
  EXPECT_EQ(checked.rejected[0].reason, RejectReason::kNotYourDriver);
  EXPECT_EQ(checked.rejected[0].index, 0);
  EXPECT_EQ(checked.rejected[0].field, "driver_id");
}

TEST(IntakeProperty, EveryPointKeepsItsPlace) {
  EXPECT_TRUE(rc::check([] {
    Intake intake(IntakeOptions{});
    const std::vector<bool> good = *rc::gen::arbitrary<std::vector<bool>>();
    std::vector<DriverPosition> positions;
    for (size_t i = 0; i < good.size(); ++i) {
      positions.push_back(Good());
      positions.back().driver_id = "d" + std::to_string(i);
      if (!good[i]) positions.back().point.latitude = kNan;
    }
    const Checked checked = intake.Check(positions, 3, kNow);
    std::vector<std::string> places(good.size());
    for (size_t i = 0; i < checked.accepted.size(); ++i) {
      const size_t place = static_cast<size_t>(checked.IndexOf(i));
      RC_ASSERT(place < good.size());
      RC_ASSERT(good[place]);
      RC_ASSERT(checked.accepted[i].position.driver_id == "d" + std::to_string(place));
      RC_ASSERT(places[place].empty());
      places[place] = "accepted";
    }
    for (const Rejection& rejection : checked.rejected) {
      const size_t place = static_cast<size_t>(rejection.index);
      RC_ASSERT(place < good.size());
      RC_ASSERT(!good[place]);
      RC_ASSERT(places[place].empty());
      places[place] = "rejected";
    }
    RC_ASSERT(checked.accepted.size() + checked.rejected.size() == good.size());
  }));
}

// Phones say so when they do not know, most of all of drivers who stand still.
TEST(Intake, AMeasurementOfMinusOneIsNotKnown) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  domain::DriverPosition position;
  position.driver_id = "ann";
  position.point = {52.5, 13.4};
  position.recorded_at = now;
  position.accuracy_m = position.heading_deg = position.speed_mps = -1;
  Checked checked = Intake({}).Check({position}, 1, now);
  ASSERT_EQ(checked.accepted.size(), 1u);
  const domain::DriverPosition& taken = checked.accepted[0].position;
  EXPECT_FALSE(taken.accuracy_m || taken.heading_deg || taken.speed_mps);
  for (double bad : {-0.5, -1.5, -2.0, -999.0}) {
    for (auto* measured : {&position.accuracy_m, &position.heading_deg, &position.speed_mps}) {
      const auto before = std::exchange(*measured, bad);
      checked = Intake({}).Check({position}, 1, now);
      ASSERT_EQ(checked.rejected.size(), 1u) << bad;
      EXPECT_EQ(checked.rejected[0].reason, RejectReason::kBadMeasurement);
      *measured = before;
    }
  }
}

}  // namespace
}  // namespace waybill::ingest
