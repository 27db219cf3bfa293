#include "domain/driver.h"

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::domain {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

DriverPosition Fine() {
  DriverPosition position;
  position.driver_id = "ada";
  position.point = {-90, 180};
  position.accuracy_m = 0;
  position.heading_deg = 360;
  position.speed_mps = 0;
  return position;
}

TEST(IsDriverId, IsVisibleAsciiOfUpTo128) {
  EXPECT_TRUE(IsDriverId("!"));
  EXPECT_TRUE(IsDriverId("~" + std::string(127, 'd')));
  EXPECT_FALSE(IsDriverId(""));
  EXPECT_FALSE(IsDriverId(std::string(129, 'd')));
  for (const char* text : {"a b", " a", "a\t", "a\x7f", "caf\xc3\xa9"}) EXPECT_FALSE(IsDriverId(text)) << text;
  EXPECT_FALSE(IsDriverId(std::string("a\0", 2)));
}

TEST(FindFault, TakesEveryBoundItself) {
  EXPECT_FALSE(FindFault(Fine()).has_value());
  EXPECT_TRUE(CheckPosition(Fine()).ok());
}

TEST(FindFault, SaysTheFirst) {
  DriverPosition position = Fine();
  position.point.longitude = 180.001;
  position.speed_mps = -1;
  auto fault = FindFault(position);
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->kind, PositionFault::Kind::kCoordinate);
  EXPECT_STREQ(fault->field, "longitude");
}

TEST(FindFault, TakesNothingThatIsNotANumber) {
  DriverPosition position = Fine();
  position.point.latitude = kNan;
  EXPECT_STREQ(FindFault(position)->field, "latitude");
  position = Fine();
  position.heading_deg = kNan;
  EXPECT_STREQ(FindFault(position)->field, "heading_deg");
  position = Fine();
  position.speed_mps = std::numeric_limits<double>::infinity();
  EXPECT_STREQ(FindFault(position)->field, "speed_mps");
}

TEST(CheckPosition, NamesEveryField) {
  DriverPosition position = Fine();
  position.driver_id = "";
  position.point = {91, -181};
  position.accuracy_m = -1;
  absl::Status status = CheckPosition(position);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(status).reason, "BAD_REQUEST");
  EXPECT_THAT(GetErrorDetail(status).violations,
              ElementsAre(Pair("driver_id", ::testing::_), Pair("latitude", ::testing::_),
                          Pair("longitude", ::testing::_), Pair("accuracy_m", ::testing::_)));
}

}  // namespace
}  // namespace waybill::domain
