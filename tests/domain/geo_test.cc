#include "domain/geo.h"

#include "gtest/gtest.h"

namespace waybill::domain {
namespace {

TEST(DistanceM, IsWhatRedisAnswers) {
  // GEODIST in the example of Redis's own documentation.
  EXPECT_NEAR(DistanceM({38.115556, 13.361389}, {37.502669, 15.087269}), 166274.1516, 1.0);
}

TEST(DistanceM, IsSymmetricAndZeroOnlyAtHome) {
  GeoPoint alexanderplatz{52.5219, 13.4132};
  GeoPoint ostbahnhof{52.5103, 13.4349};
  EXPECT_EQ(DistanceM(alexanderplatz, alexanderplatz), 0);
  EXPECT_DOUBLE_EQ(DistanceM(alexanderplatz, ostbahnhof), DistanceM(ostbahnhof, alexanderplatz));
  EXPECT_NEAR(DistanceM(alexanderplatz, ostbahnhof), 1956, 10);
}

TEST(DistanceM, GoesTheShortWayAcrossTheAntimeridian) {
  EXPECT_NEAR(DistanceM({0, 179.9}, {0, -179.9}), DistanceM({0, -0.1}, {0, 0.1}), 1e-3);
}

TEST(DistanceM, IsHalfTheGlobeBetweenAntipodes) {
  constexpr double kHalfTheGlobeM = 20'020'735;
  EXPECT_NEAR(DistanceM({90, 0}, {-90, 0}), kHalfTheGlobeM, 50);
  EXPECT_NEAR(DistanceM({0, -180}, {0, 0}), kHalfTheGlobeM, 50);
  // Where rounding takes the haversine past 1, the answer is still a distance.
  for (double latitude = -90; latitude <= 90; latitude += 0.37) {
    EXPECT_NEAR(DistanceM({latitude, 13.4132}, {-latitude, 13.4132 - 180}), kHalfTheGlobeM, 50) << latitude;
  }
}

}  // namespace
}  // namespace waybill::domain
