#include "tracks/city_fleet.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "domain/geo.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::tracks {
namespace {

using ::testing::SizeIs;

CityFleetOptions SmallCity(uint64_t seed = 1) {
  CityFleetOptions options;
  options.seed = seed;
  options.drivers = 12;
  options.length = absl::Hours(1);
  return options;
}

CityFleetOptions Dirty(uint64_t seed = 1) {
  CityFleetOptions options = SmallCity(seed);
  options.jumps_per_fix = 0.01;
  options.gaps_per_hour = 1.5;
  options.spells_per_hour = 2;
  options.resends_per_fix = 0.02;
  options.bad_per_fix = 0.02;
  return options;
}

CityFleetOptions Clean(uint64_t seed = 1) {
  CityFleetOptions options = SmallCity(seed);
  options.jumps_per_fix = options.gaps_per_hour = options.spells_per_hour = 0;
  return options;
}

std::vector<Delivery> All(const CityFleetOptions& options) {
  CityFleet fleet(options);
  std::vector<Delivery> all;
  while (std::optional<Delivery> next = fleet.Next()) all.push_back(*std::move(next));
  return all;
}

std::string Show(const Delivery& delivery) {
  const domain::DriverPosition& position = delivery.position;
  return fmt::format("{} {} {} {},{} {} {} {} {}", absl::ToUnixMicros(delivery.delivered_at), position.driver_id,
                     absl::ToUnixMicros(position.recorded_at), position.point.latitude, position.point.longitude,
                     position.speed_mps.value_or(-1), position.heading_deg.value_or(-1),
                     position.accuracy_m.value_or(-1), static_cast<int>(delivery.kind));
}

std::vector<std::string> Shown(const std::vector<Delivery>& deliveries) {
  std::vector<std::string> lines;
  for (const Delivery& delivery : deliveries) lines.push_back(Show(delivery));
  return lines;
}

using Tracks = std::map<std::string, std::vector<domain::DriverPosition>>;

Tracks GoodTracks(const std::vector<Delivery>& deliveries) {
  Tracks tracks;
  for (const Delivery& delivery : deliveries) {
    if (delivery.kind == DeliveryKind::kPoint) tracks[delivery.position.driver_id].push_back(delivery.position);
  }
  return tracks;
}

class CityFleetSeeds : public ::testing::TestWithParam<uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Some, CityFleetSeeds, ::testing::Values(1, 2, 3, 42, 4711, 0, ~uint64_t{0}));

TEST_P(CityFleetSeeds, TheSameSeedGivesTheSameFleetAndAnotherAnother) {
  std::vector<std::string> fleet = Shown(All(Dirty(GetParam())));
  EXPECT_EQ(Shown(All(Dirty(GetParam()))), fleet);
  EXPECT_NE(Shown(All(Dirty(GetParam() + 1))), fleet);
}

// The figures of one build on one machine: any other has to find the same.
TEST(CityFleet, IsTheSameOnEveryMachine) {
  uint64_t hash = 0xcbf29ce484222325;
  std::vector<std::string> lines = Shown(All(Dirty()));
  for (const std::string& line : lines) {
    for (unsigned char c : line) hash = (hash ^ c) * 0x100000001b3;
  }
  EXPECT_EQ(lines.size(), 8333u);
  EXPECT_EQ(hash, 10878063146801116258u);
}

TEST_P(CityFleetSeeds, WhatIsYieldedIsWhatTheTruthSays) {
  CityFleetOptions options = Dirty(GetParam());
  CityFleet fleet(options);
  std::set<std::pair<std::string, absl::Time>> seen;
  CityFleetTruth counted;
  int64_t late_points = 0;
  while (std::optional<Delivery> next = fleet.Next()) {
    const domain::DriverPosition& position = next->position;
    bool fresh = seen.emplace(position.driver_id, position.recorded_at).second;
    switch (next->kind) {
      case DeliveryKind::kPoint:
        ++counted.points;
        EXPECT_TRUE(fresh) << Show(*next);
        EXPECT_LE(position.recorded_at, next->delivered_at);
        late_points += position.recorded_at < next->delivered_at;
        EXPECT_EQ(domain::CheckPosition(position), absl::OkStatus()) << Show(*next);
        break;
      case DeliveryKind::kDuplicate:
        ++counted.duplicates;
        EXPECT_FALSE(fresh) << Show(*next);
        break;
      case DeliveryKind::kBadCoordinate:
        ++counted.bad_coordinate;
        EXPECT_FALSE(domain::CheckPosition(position).ok()) << Show(*next);
        break;
      case DeliveryKind::kZeroCoordinate:
        ++counted.zero_coordinate;
        EXPECT_EQ(position.point, domain::GeoPoint());
        break;
      case DeliveryKind::kFuture:
        ++counted.future;
        EXPECT_GT(position.recorded_at, next->delivered_at + absl::Hours(24 * 365));
    }
  }
  const CityFleetTruth& truth = fleet.truth();
  EXPECT_EQ(truth.points, counted.points);
  EXPECT_EQ(truth.duplicates, counted.duplicates);
  EXPECT_EQ(truth.bad_coordinate, counted.bad_coordinate);
  EXPECT_EQ(truth.zero_coordinate, counted.zero_coordinate);
  EXPECT_EQ(truth.future, counted.future);
  EXPECT_EQ(truth.late_points, late_points);
  EXPECT_EQ(CityFleet::TruthOf(options), truth);
  // Every kind of trouble that was asked for comes up.
  EXPECT_GT(truth.duplicates, 0);
  EXPECT_GT(truth.bad_coordinate, 0);
  EXPECT_GT(truth.zero_coordinate, 0);
  EXPECT_GT(truth.future, 0);
  EXPECT_GT(truth.jumps, 0);
  EXPECT_GT(truth.gaps, 0);
  EXPECT_GT(truth.late_bursts, 0);
  EXPECT_GT(truth.late_points, truth.late_bursts);
}

TEST_P(CityFleetSeeds, DeliveriesComeInOrderAndEachDriversPointsToo) {
  std::vector<Delivery> all = All(Dirty(GetParam()));
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const Delivery& a, const Delivery& b) { return a.delivered_at < b.delivered_at; }));
  for (const auto& [driver, track] : GoodTracks(all)) {
    for (size_t i = 1; i < track.size(); ++i) ASSERT_LT(track[i - 1].recorded_at, track[i].recorded_at) << driver;
  }
}

TEST_P(CityFleetSeeds, AnOfflineSpellComesBackAsOneBurst) {
  std::vector<Delivery> all = All(Dirty(GetParam()));
  std::map<std::pair<std::string, absl::Time>, int> bursts;  // by driver and delivery
  absl::Duration oldest = absl::ZeroDuration();
  for (const Delivery& delivery : all) {
    if (delivery.kind != DeliveryKind::kPoint || delivery.delivered_at == delivery.position.recorded_at) continue;
    ++bursts[{delivery.position.driver_id, delivery.delivered_at}];
    oldest = std::max(oldest, delivery.delivered_at - delivery.position.recorded_at);
  }
  EXPECT_EQ(bursts.size(), static_cast<size_t>(CityFleet::TruthOf(Dirty(GetParam())).late_bursts));
  EXPECT_GT(oldest, absl::Minutes(1));
  EXPECT_GT(
      std::max_element(bursts.begin(), bursts.end(), [](auto& a, auto& b) { return a.second < b.second; })->second, 12)
      << "a minute at 5 s";
}

TEST_P(CityFleetSeeds, DriversStayInTheCityAndDriveLikeCars) {
  CityFleetOptions options = Clean(GetParam());
  options.radius_m = 2'000;
  Tracks tracks = GoodTracks(All(options));
  EXPECT_THAT(tracks, SizeIs(12));
  double farthest = 0;
  for (const auto& [driver, track] : tracks) {
    double driven = 0;
    double fastest = 0;
    for (size_t i = 0; i < track.size(); ++i) {
      double out = domain::DistanceM(options.centre, track[i].point);
      farthest = std::max(farthest, out);
      // Of the streets; the receiver errs by up to four standard deviations each way.
      ASSERT_LE(out, options.radius_m + 4 * options.noise_m * 1.5) << driver;
      ASSERT_LE(track[i].speed_mps.value(), 15);
      fastest = std::max(fastest, *track[i].speed_mps);
      if (i == 0) continue;
      double distance = domain::DistanceM(track[i - 1].point, track[i].point);
      driven += distance;
      double seconds = absl::ToDoubleSeconds(track[i].recorded_at - track[i - 1].recorded_at);
      ASSERT_LE(distance / seconds, 15 + 3 * options.noise_m) << driver << " at fix " << i;
      ASSERT_GT(seconds, 4);
      ASSERT_LT(seconds, 6);
    }
    EXPECT_GT(driven, 2'000) << driver << " has hardly moved in an hour";
    EXPECT_LT(driven, 40'000) << driver;
    EXPECT_GT(fastest, 6) << driver;
    EXPECT_EQ(track.size(), 720u) << driver;
  }
  EXPECT_GT(farthest, 800) << "the city is not used";
}

TEST(CityFleet, HeadingsAreThoseOfTheStreets) {
  Tracks tracks = GoodTracks(All(Clean()));
  std::set<double> headings;
  for (const auto& [driver, track] : tracks) {
    for (const auto& position : track) {
      if (position.heading_deg) headings.insert(*position.heading_deg);
    }
  }
  ASSERT_THAT(headings, SizeIs(4));
  double north = *headings.begin();
  EXPECT_EQ(headings, (std::set<double>{north, north + 90, north + 180, north + 270}));
  // And a driver that goes on in its street gets ahead in that direction.
  int checked = 0;
  for (const auto& [driver, track] : tracks) {
    for (size_t i = 3; i < track.size(); ++i) {
      bool straight = true;
      for (size_t j = i - 2; j <= i; ++j) straight = straight && track[j].heading_deg == track[i - 3].heading_deg;
      const domain::GeoPoint& from = track[i - 3].point;
      const domain::GeoPoint& to = track[i].point;
      if (!straight || !track[i].heading_deg || domain::DistanceM(from, to) < 100) continue;
      double east = (to.longitude - from.longitude) * std::cos(from.latitude * std::numbers::pi / 180);
      double course = std::atan2(east, to.latitude - from.latitude) * 180 / std::numbers::pi;
      EXPECT_LT(std::abs(std::remainder(course - *track[i].heading_deg, 360)), 60) << driver << " at fix " << i;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(CityFleet, AJumpIsOneFixSomeKilometresOff) {
  CityFleetOptions options = Clean();
  options.jumps_per_fix = 0.01;
  int64_t far = 0;
  for (const auto& [driver, track] : GoodTracks(All(options))) {
    for (size_t i = 1; i < track.size(); ++i) far += domain::DistanceM(track[i - 1].point, track[i].point) > 2'500;
  }
  int64_t jumps = CityFleet::TruthOf(options).jumps;
  EXPECT_GT(jumps, 50);
  EXPECT_LE(far, 2 * jumps);      // there and back
  EXPECT_GT(far, jumps * 3 / 2);  // less where one follows another, or stands at an end
}

TEST(CityFleet, AGapIsMinutesWithoutAFix) {
  CityFleetOptions options = Clean();
  options.gaps_per_hour = 2;
  int64_t gaps = 0;
  for (const auto& [driver, track] : GoodTracks(All(options))) {
    for (size_t i = 1; i < track.size(); ++i)
      gaps += track[i].recorded_at - track[i - 1].recorded_at >= absl::Minutes(2);
  }
  EXPECT_GT(gaps, 5);
  EXPECT_EQ(gaps, CityFleet::TruthOf(options).gaps);
}

TEST(CityFleet, TroubleComesOnTopOfTheSamePoints) {
  CityFleetOptions dirty = Dirty();
  CityFleetOptions quiet = Dirty();
  quiet.resends_per_fix = quiet.bad_per_fix = 0;
  std::vector<Delivery> of_dirty = All(dirty);
  of_dirty.erase(std::remove_if(of_dirty.begin(), of_dirty.end(),
                                [](const Delivery& delivery) { return delivery.kind != DeliveryKind::kPoint; }),
                 of_dirty.end());
  EXPECT_EQ(Shown(of_dirty), Shown(All(quiet)));
}

TEST(CityFleet, ALongerFleetBeginsLikeAShorterOneAndMayHaveNoEnd) {
  CityFleetOptions options = Clean();
  std::vector<std::string> hour = Shown(All(options));
  options.length = absl::InfiniteDuration();
  CityFleet endless(options);
  for (const std::string& line : hour) ASSERT_EQ(Show(*endless.Next()), line);
  EXPECT_TRUE(endless.Next().has_value());
}

TEST(CityFleet, StandsWhereItIsPut) {
  CityFleetOptions options = Clean();
  options.centre = {-17.7134, 179.999};  // the streets cross the antimeridian
  options.start = absl::FromUnixSeconds(1'000'000'000);
  options.id_prefix = "van-";
  std::set<bool> sides;
  for (const Delivery& delivery : All(options)) {
    EXPECT_LE(domain::DistanceM(options.centre, delivery.position.point), options.radius_m + 25);
    EXPECT_EQ(domain::CheckPosition(delivery.position), absl::OkStatus());
    EXPECT_EQ(delivery.position.driver_id.compare(0, 4, "van-"), 0);
    EXPECT_GE(delivery.position.recorded_at, options.start);
    EXPECT_LT(delivery.position.recorded_at, options.start + options.length);
    sides.insert(delivery.position.point.longitude > 0);
  }
  EXPECT_THAT(sides, SizeIs(2));
}

TEST(CityFleet, ASmallCityAndAnEmptyFleetAreNoProblem) {
  CityFleetOptions options = Dirty();
  options.radius_m = 10;
  EXPECT_GT(All(options).size(), 1000u);
  options.drivers = 0;
  EXPECT_THAT(All(options), SizeIs(0));
}

}  // namespace
}  // namespace waybill::tracks
