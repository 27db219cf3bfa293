// What every Fleet does; run against the fake and against Redis.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <future>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <numbers>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "domain/driver.h"
#include "domain/geo.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "runtime/status.h"
#include "storage/fleet.h"
#include "tests/support/even_ranges.h"

namespace waybill::storage {

// An empty fleet whose time can be made to pass.
class FleetHarness {
 public:
  virtual ~FleetHarness() = default;
  virtual Fleet& fleet() = 0;
  virtual void PassTime(absl::Duration by) = 0;
};

// Every fresh position.
inline absl::StatusOr<std::vector<domain::DriverPosition>> AllPositions(Fleet& fleet) {
  std::set<std::string> ids;
  uint64_t cursor = 0;
  do {
    absl::StatusOr<FleetPage> page = fleet.Scan(cursor, 1'000);
    if (!page.ok()) return page.status();
    ids.insert(page->driver_ids.begin(), page->driver_ids.end());
    cursor = page->cursor;
  } while (cursor != 0);
  auto read = fleet.Get({ids.begin(), ids.end()});
  if (!read.ok()) return read.status();
  std::vector<domain::DriverPosition> positions;
  for (const auto& position : *read) {
    if (position.has_value()) positions.push_back(*position);
  }
  return positions;
}

class FleetContract : public ::testing::TestWithParam<std::function<std::unique_ptr<FleetHarness>()>> {
 protected:
  static constexpr domain::GeoPoint kAlexanderplatz{52.5219, 13.4132};

  Fleet& fleet() { return harness_->fleet(); }

  static domain::DriverPosition At(const std::string& driver_id, domain::GeoPoint point, int second = 0) {
    domain::DriverPosition position;
    position.driver_id = driver_id;
    position.point = point;
    position.recorded_at = absl::FromUnixSeconds(1'800'000'000 + second);
    return position;
  }
  // About `meters` to the north.
  static domain::GeoPoint North(double meters) {
    return {kAlexanderplatz.latitude + meters / 111'195, kAlexanderplatz.longitude};
  }
  void Put(std::vector<domain::DriverPosition> positions, absl::Duration ttl = absl::Hours(1)) {
    absl::Status status = fleet().Put(positions, ttl);
    ASSERT_TRUE(status.ok()) << status;
  }
  absl::StatusOr<std::vector<NearbyDriver>> Search(NearestQuery query) {
    std::promise<absl::StatusOr<std::vector<NearbyDriver>>> answer;
    fleet().Nearest(query, [&](auto found) { answer.set_value(std::move(found)); });
    return answer.get_future().get();
  }
  std::vector<std::string> Nearest(double radius_m, int limit) { return Around(kAlexanderplatz, radius_m, limit); }
  std::vector<std::string> Around(domain::GeoPoint point, double radius_m, int limit = 16) {
    NearestQuery query;
    query.point = point;
    query.radius_m = radius_m;
    query.limit = limit;
    auto found = Search(query);
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<std::string> ids;
    if (found.ok()) {
      for (const NearbyDriver& driver : *found) ids.push_back(driver.driver_id);
    }
    return ids;
  }
  std::vector<std::string> ScanAll(int count) {
    std::set<std::string> ids;
    uint64_t cursor = 0;
    do {
      auto page = fleet().Scan(cursor, count);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      ids.insert(page->driver_ids.begin(), page->driver_ids.end());
      cursor = page->cursor;
    } while (cursor != 0);
    return {ids.begin(), ids.end()};
  }
  absl::StatusOr<std::vector<domain::DriverPosition>> All() { return AllPositions(fleet()); }

  std::unique_ptr<FleetHarness> harness_ = GetParam()();
};

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_P(FleetContract, AnEmptyFleetHasNobody) {
  EXPECT_THAT(Nearest(5'000, 16), IsEmpty());
  EXPECT_THAT(ScanAll(10), IsEmpty());
  auto all = All();
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(*all, IsEmpty());
  EXPECT_TRUE(fleet().Ping().ok());
}

TEST_P(FleetContract, FindsTheNearestFirst) {
  Put({At("far", North(3'000)), At("near", North(100)), At("middle", North(800))});
  EXPECT_THAT(Nearest(5'000, 16), ElementsAre("near", "middle", "far"));
}

TEST_P(FleetContract, TellsDistances) {
  Put({At("ada", North(1'000))});
  NearestQuery query;
  query.point = kAlexanderplatz;
  auto found = Search(query);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_THAT(*found, SizeIs(1));
  EXPECT_NEAR((*found)[0].distance_m, 1'000, 5);
}

TEST_P(FleetContract, LeavesOutWhoIsBeyondTheRadius) {
  Put({At("near", North(100)), At("far", North(3'000))});
  EXPECT_THAT(Nearest(1'000, 16), ElementsAre("near"));
}

TEST_P(FleetContract, FindsNoMoreThanTheLimit) {
  for (int i = 0; i < 30; ++i) Put({At(fmt::format("driver-{:02}", i), North(10 + 10 * i))});
  EXPECT_THAT(Nearest(5'000, 3), ElementsAre("driver-00", "driver-01", "driver-02"));
  EXPECT_THAT(Nearest(5'000, 0), IsEmpty());
}

TEST_P(FleetContract, DenseAndSparseRegionsAnswerAlike) {
  std::vector<domain::DriverPosition> positions;
  for (int i = 0; i < 1'000; ++i) positions.push_back(At(fmt::format("near-{:04}", i), North(1 + i)));
  positions.push_back(At("far-1", {50.0, 8.0}));
  positions.push_back(At("far-2", {50.1, 8.0}));
  Put(positions);
  for (int i = 0; i < 200; ++i) EXPECT_THAT(Nearest(50'000, 2), ElementsAre("near-0000", "near-0001"));
  NearestQuery query;
  query.point = {50.0, 8.0};
  query.radius_m = 20'000;
  for (int i = 0; i < 200; ++i) {
    auto found = Search(query);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_THAT(*found, SizeIs(2));
    EXPECT_EQ((*found)[1].driver_id, "far-2");
  }
  EXPECT_THAT(Nearest(50'000, 2), ElementsAre("near-0000", "near-0001"));
}

TEST_P(FleetContract, ForgetsPositionsThatOutlivedTheirTtl) {
  Put({At("stale", North(100))}, absl::Seconds(1));
  Put({At("fresh", North(200))});
  harness_->PassTime(absl::Seconds(2));
  EXPECT_THAT(Nearest(5'000, 16), ElementsAre("fresh"));
  EXPECT_THAT(ScanAll(10), ElementsAre("fresh"));
  auto all = All();
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(*all, SizeIs(1));
}

TEST_P(FleetContract, StaleDriversDoNotHideFreshOnesBehindThem) {
  std::vector<domain::DriverPosition> stale;
  for (int i = 0; i < 500; ++i) stale.push_back(At(fmt::format("stale-{}", i), North(10 + i)));
  Put(stale, absl::Seconds(1));
  Put({At("fresh", North(2'000))});
  harness_->PassTime(absl::Seconds(2));
  EXPECT_THAT(Nearest(5'000, 4), ElementsAre("fresh"));
}

TEST_P(FleetContract, ADriverComesBackWithANewPosition) {
  Put({At("ada", North(100))}, absl::Seconds(1));
  harness_->PassTime(absl::Seconds(2));
  EXPECT_THAT(Nearest(5'000, 16), IsEmpty());
  Put({At("ada", North(300), 5)});
  EXPECT_THAT(Nearest(5'000, 16), ElementsAre("ada"));
}

TEST_P(FleetContract, AnOlderPositionNeverOverwritesANewerOne) {
  Put({At("ada", North(100), 10)});
  Put({At("ada", North(4'000), 9)});
  auto all = All();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_THAT(*all, SizeIs(1));
  EXPECT_EQ((*all)[0].recorded_at, absl::FromUnixSeconds(1'800'000'010));
  EXPECT_EQ((*all)[0].point, North(100));
  EXPECT_THAT(Nearest(500, 16), ElementsAre("ada"));
}

TEST_P(FleetContract, InOneCallTheNewestPositionOfADriverWins) {
  Put({At("ada", North(100), 2), At("ada", North(200), 3), At("ada", North(300), 1)});
  auto all = All();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_THAT(*all, SizeIs(1));
  EXPECT_EQ((*all)[0].point, North(200));
}

TEST_P(FleetContract, PuttingTheSamePositionAgainExtendsItsLife) {
  Put({At("ada", North(100))}, absl::Seconds(10));
  Put({At("ada", North(100))}, absl::Hours(1));
  harness_->PassTime(absl::Seconds(20));
  EXPECT_THAT(Nearest(5'000, 16), ElementsAre("ada"));
}

TEST_P(FleetContract, ListsEveryFieldAsItWasPut) {
  domain::DriverPosition whole = At("whole", {-33.8568, 151.2153});
  whole.recorded_at += absl::Microseconds(123'456);
  whole.accuracy_m = 4.25;
  whole.heading_deg = 271.5;
  whole.speed_mps = 0.0;
  Put({whole});
  auto all = All();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_THAT(*all, SizeIs(1));
  const domain::DriverPosition& read = (*all)[0];
  EXPECT_EQ(read.driver_id, whole.driver_id);
  EXPECT_EQ(read.point, whole.point);
  EXPECT_EQ(read.recorded_at, whole.recorded_at);
  EXPECT_EQ(read.accuracy_m, whole.accuracy_m);
  EXPECT_EQ(read.heading_deg, whole.heading_deg);
  EXPECT_EQ(read.speed_mps, whole.speed_mps);

  Put({At("whole", {-33.8568, 151.2153}, 60)});  // says nothing of accuracy, heading and speed
  all = All();
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_THAT(*all, SizeIs(1));
  EXPECT_EQ((*all)[0].accuracy_m, std::nullopt);
  EXPECT_EQ((*all)[0].speed_mps, std::nullopt);
}

TEST_P(FleetContract, TellsWhereTheDriversAreThatItIsAskedFor) {
  Put({At("ada", North(100)), At("bob", North(200))});
  Put({At("stale", North(300))}, absl::Seconds(1));
  harness_->PassTime(absl::Seconds(2));
  auto positions = fleet().Get({"bob", "nobody", "ada", "stale", "bob"});
  ASSERT_TRUE(positions.ok()) << positions.status();
  EXPECT_THAT(*positions, ElementsAre(At("bob", North(200)), std::nullopt, At("ada", North(100)), std::nullopt,
                                      At("bob", North(200))));
  EXPECT_THAT(*fleet().Get({}), IsEmpty());
}

TEST_P(FleetContract, ScansTheWholeFleetInPages) {
  std::vector<domain::DriverPosition> positions;
  std::vector<std::string> ids;
  for (int i = 0; i < 1'000; ++i) {
    ids.push_back(fmt::format("driver-{:04}", i));
    positions.push_back(At(ids.back(), North(i)));
  }
  Put(positions);
  EXPECT_EQ(ScanAll(50), ids);
  // From anywhere: a part of the fleet, and another part from elsewhere. Redis walks by the low bits, the lowest first:
  // from each of these numbers on there is a quarter of the fleet at least.
  std::set<std::string> first_pages;
  for (uint64_t anywhere : {0xabcd'0001u, 0xabcd'0002u, 0xabcd'0003u, 0xabcd'0004u}) {
    auto page = fleet().Scan(anywhere, 50);
    ASSERT_TRUE(page.ok()) << page.status();
    ASSERT_THAT(page->driver_ids, ::testing::Not(IsEmpty()));
    first_pages.insert(page->driver_ids.front());
    int pages = 1;
    for (; page->cursor != 0; ++pages) {
      ASSERT_LT(pages, 100);
      page = fleet().Scan(page->cursor, 50);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const std::string& id : page->driver_ids) EXPECT_TRUE(std::binary_search(ids.begin(), ids.end(), id)) << id;
    }
  }
  EXPECT_GT(first_pages.size(), 1u);
}

TEST_P(FleetContract, TheOddIdIsAnIdLikeAnyOther) {
  const std::string id = "';DROP/**/TABLE:drivers;--*3\\r\\n$:{}[]";
  Put({At(id, North(100)), At("*", North(200)), At("geo", North(300))});
  EXPECT_THAT(Nearest(5'000, 16), ElementsAre(id, "*", "geo"));
}

TEST_P(FleetContract, RefusesPositionsThatAreNone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::pair<std::string, domain::DriverPosition>> bad = {{"driver_id", At("", North(0))},
                                                                     {"driver_id", At("two words", North(0))},
                                                                     {"driver_id", At(std::string(129, 'x'), North(0))},
                                                                     {"latitude", At("ada", {nan, 0})},
                                                                     {"latitude", At("ada", {90.1, 0})},
                                                                     {"longitude", At("ada", {0, -180.5})}};
  bad.emplace_back("accuracy_m", At("ada", North(0)));
  bad.back().second.accuracy_m = -1;
  bad.emplace_back("heading_deg", At("ada", North(0)));
  bad.back().second.heading_deg = nan;
  bad.emplace_back("speed_mps", At("ada", North(0)));
  bad.back().second.speed_mps = std::numeric_limits<double>::infinity();
  for (const auto& [field, position] : bad) {
    absl::Status status = fleet().Put({At("good", North(0)), position}, absl::Hours(1));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
    ErrorDetail detail = GetErrorDetail(status);
    ASSERT_THAT(detail.violations, SizeIs(1)) << field;
    EXPECT_EQ(detail.violations[0].first, field);
  }
  EXPECT_THAT(ScanAll(10), IsEmpty());
}

TEST_P(FleetContract, ServesThePolesAndTheDateLine) {
  Put({At("pole", {89.9, 10}), At("fiji", {-17, 179.99})});
  EXPECT_THAT(Around({-17, -179.99}, 10'000), ElementsAre("fiji"));
  EXPECT_THAT(Around({90, 10}, 50'000), ElementsAre("pole"));
}

TEST_P(FleetContract, FindsWhoStandsOnAnEdgeOfTheMapFromBeside) {
  Put({At("taveuni", {-16.8, 180}), At("west", {52.5, -180}), At("ship", {85.2, 20}), At("edge", {85.05112878, -60}),
       At("south", {-90, 0})});
  for (double longitude : {179.9999, 180.0, -180.0, -179.9999}) {
    EXPECT_THAT(Around({-16.8, longitude}, 50'000), ElementsAre("taveuni")) << longitude;
    EXPECT_THAT(Around({52.5, longitude}, 50'000), ElementsAre("west")) << longitude;
  }
  EXPECT_THAT(Around({85.05, 20}, 50'000), ElementsAre("ship"));
  EXPECT_THAT(Around({85.0, -60}, 50'000), ElementsAre("edge"));
  EXPECT_THAT(Around({-89.9, 100}, 50'000), ElementsAre("south"));
}

TEST_P(FleetContract, TellsDistancesNearThePole) {
  Put({At("ice", {89.1, 10})});
  NearestQuery query;
  query.point = {89.2, 10};
  query.radius_m = 50'000;
  auto found = Search(query);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_THAT(*found, SizeIs(1));
  EXPECT_NEAR((*found)[0].distance_m, 11'122, 5);
  EXPECT_THAT(Around({89.2, 10}, 11'000), IsEmpty());
}

TEST_P(FleetContract, ADriverIsInOnePlaceOnly) {
  const domain::GeoPoint places[] = {{89, 10}, {67.5, 20}, {66.9, 20}, {80, 20}, {40, 180}, {-89, 10}, {0, 0}};
  for (int i = 0; i < 7; ++i) {
    Put({At("arctic-tern", places[i], i)}, absl::Minutes(i + 1));
    for (int j = 0; j < 7; ++j) EXPECT_EQ(Around(places[j], 1'000).size(), i == j ? 1 : 0) << i << " " << j;
  }
  Put({At("arctic-tern", {89, 10}, 10)}, absl::Seconds(1));
  harness_->PassTime(absl::Seconds(2));
  Put({At("arctic-tern", {0, 0}, 11)});  // from nowhere, as far as the store knows
  EXPECT_THAT(Around({89, 10}, 1'000), IsEmpty());
}

TEST_P(FleetContract, RefusesARadiusOutOfRange) {
  for (double radius_m : {-1.0, kNearestRadiusMaxM + 1, std::numeric_limits<double>::quiet_NaN()}) {
    NearestQuery query;
    query.radius_m = radius_m;
    EXPECT_EQ(GetErrorDetail(Search(query).status()).reason, "BAD_REQUEST") << radius_m;
  }
}

// From `from`, so many metres in that direction (radians).
inline domain::GeoPoint Travel(const domain::GeoPoint& from, double direction, double distance_m) {
  constexpr double kRadians = std::numbers::pi / 180;
  const double latitude = from.latitude * kRadians, angle = distance_m / 6372797.560856;
  const double there =
      std::asin(std::sin(latitude) * std::cos(angle) + std::cos(latitude) * std::sin(angle) * std::cos(direction));
  const double turn = std::atan2(std::sin(direction) * std::sin(angle) * std::cos(latitude),
                                 std::cos(angle) - std::sin(latitude) * std::sin(there));
  return {std::clamp(there / kRadians, -90.0, 90.0), std::remainder(from.longitude + turn / kRadians, 360.0)};
}

// Against a comparison with everybody: clusters on, beside and far from where a map has edges.
TEST_P(FleetContract, FindsExactlyThoseWithinTheRadiusAnywhereOnTheGlobe) {
  constexpr double kLatitudes[] = {90, 89.99, 86, 85.06, 85.05112878, 85.05, 84.9, 81, 76, 72, 67, 60, 45, 0};
  constexpr double kLongitudes[] = {180, -180, 179.9999, -179.9999, 90, 45, 0, 13.4, -91};
  EXPECT_TRUE(rc::check([&] {
    auto random = [](int below) { return *rc::gen::noShrink(waybill::testing::Below(below)); };
    auto metres = [&] { return std::pow(10.0, random(6'000) / 1'000.0); };  // 1 m to 1,000 km
    auto direction = [&] { return random(10'000) / 10'000.0 * 2 * std::numbers::pi; };
    harness_.reset();
    harness_ = GetParam()();
    std::vector<domain::GeoPoint> centres;
    std::vector<domain::DriverPosition> drivers;
    for (int cluster = 0; cluster < 4; ++cluster) {
      const double latitude = kLatitudes[random(std::size(kLatitudes))] * (random(3) == 0 ? -1 : 1);
      centres.push_back({latitude, kLongitudes[random(std::size(kLongitudes))]});
      const double spread_m = metres();
      for (int i = 0; i < 15; ++i) {
        const domain::GeoPoint place =
            i == 0 ? centres.back() : Travel(centres.back(), direction(), spread_m * (i % 5 + 1) / 5);
        drivers.push_back(At(fmt::format("{}-{}", cluster, i), place));
      }
    }
    RC_ASSERT(fleet().Put(drivers, absl::Hours(1)).ok());
    for (int search = 0; search < 24; ++search) {
      NearestQuery query;
      query.point = centres[static_cast<size_t>(random(4))];
      if (search % 2 == 1) query.point = Travel(query.point, direction(), metres());
      query.radius_m = metres();
      query.limit = search % 3 == 0 ? 5 : 1'000;
      auto found = Search(query);
      RC_ASSERT(found.ok());
      constexpr double kTolerance = 1;
      std::map<std::string, double> distances;
      std::vector<double> within;
      size_t surely = 0, perhaps = 0;
      for (const domain::DriverPosition& driver : drivers) {
        const double distance_m = domain::DistanceM(query.point, driver.point);
        distances[driver.driver_id] = distance_m;
        surely += distance_m <= query.radius_m - kTolerance;
        perhaps += distance_m <= query.radius_m + kTolerance;
        within.push_back(distance_m);
      }
      std::sort(within.begin(), within.end());
      const size_t limit = static_cast<size_t>(query.limit);
      RC_LOG() << fmt::format("from {},{} within {} m, limit {}: {} of {} to {}\n", query.point.latitude,
                              query.point.longitude, query.radius_m, limit, found->size(), surely, perhaps);
      RC_ASSERT(found->size() >= std::min(surely, limit));
      RC_ASSERT(found->size() <= std::min(perhaps, limit));
      std::set<std::string> ids;
      for (size_t i = 0; i < found->size(); ++i) {
        const NearbyDriver& driver = (*found)[i];
        RC_ASSERT(ids.insert(driver.driver_id).second);
        RC_ASSERT(std::abs(driver.distance_m - distances[driver.driver_id]) <= kTolerance);
        RC_ASSERT(std::abs(driver.distance_m - within[i]) <= kTolerance);
        if (i > 0) RC_ASSERT(driver.distance_m >= (*found)[i - 1].distance_m);
      }
    }
  }));
}

}  // namespace waybill::storage
