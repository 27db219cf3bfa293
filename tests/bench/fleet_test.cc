#include "bench/fleet.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_fleet.h"

namespace waybill::bench {
namespace {

TEST(SeedFleet, PutsThatManyDriversWhereTheyAreValidAndFreshForAWhile) {
  waybill::testing::ManualTime clock;
  storage::testing::FakeFleet fleet(clock);
  ASSERT_TRUE(SeedFleet(fleet, 25'001, clock.Now()).ok());
  clock.Advance(absl::Hours(1));
  const auto ids = fleet.Scan(0, 100'000);
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->driver_ids.size(), 25'001u);
  const auto drivers = fleet.Get(ids->driver_ids);
  ASSERT_TRUE(drivers.ok());
  std::set<std::pair<double, double>> places;
  for (const auto& driver : *drivers) {
    places.emplace(driver->point.latitude, driver->point.longitude);
    EXPECT_LT(driver->point.latitude, 85);
    EXPECT_LT(driver->point.longitude, 180);
  }
  EXPECT_EQ(places.size(), 25'001u) << "no two in the same place";
}

TEST(SeedFleet, TellsWhenTheFleetCannotTakeThem) {
  waybill::testing::ManualTime clock;
  storage::testing::FakeFleet fleet(clock);
  fleet.set_error(absl::UnavailableError("down"));
  EXPECT_EQ(SeedFleet(fleet, 1, clock.Now()).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace waybill::bench
