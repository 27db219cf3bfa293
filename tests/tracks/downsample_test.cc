#include "tracks/downsample.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <vector>

#include "domain/geo.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "tests/support/even_ranges.h"

namespace waybill::tracks {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kStart = absl::FromUnixMicros(1'800'000'000'000'000);

domain::DriverPosition At(double seconds, double latitude = 52.5, double longitude = 13.4) {
  domain::DriverPosition position;
  position.driver_id = "d-1";
  position.recorded_at = kStart + absl::Seconds(seconds);
  position.point = {latitude, longitude};
  return position;
}

std::vector<double> Seconds(const std::vector<domain::DriverPosition>& track) {
  std::vector<double> seconds;
  for (const auto& position : track) seconds.push_back(absl::ToDoubleSeconds(position.recorded_at - kStart));
  return seconds;
}

ThinnerOptions Every(absl::Duration interval) {
  ThinnerOptions options;
  options.min_interval = interval;
  return options;
}

ThinnerOptions Apart(double metres) {
  ThinnerOptions options;
  options.min_distance_m = metres;
  return options;
}

TEST(Downsample, MeasuresTimeFromTheLastKeptPoint) {
  std::vector<domain::DriverPosition> track = {At(0), At(4), At(8), At(10), At(19.999), At(20), At(25)};
  EXPECT_THAT(Seconds(Downsample(track, Every(absl::Seconds(10)))), ElementsAre(0, 10, 20, 25));
  EXPECT_THAT(Seconds(Downsample(track, Every(absl::Seconds(8)))), ElementsAre(0, 8, 19.999, 25));
}

TEST(Downsample, MeasuresDistanceFromTheLastKeptPoint) {
  // 0.001 degrees of latitude are about 111 m. The driver turns back before it is far enough for the third time.
  std::vector<domain::DriverPosition> track = {At(0, 52.5),   At(1, 52.5005), At(2, 52.501),
                                               At(3, 52.502), At(4, 52.5015), At(5, 52.5021)};
  EXPECT_THAT(Seconds(Downsample(track, Apart(100))), ElementsAre(0, 2, 3, 5));
}

TEST(Downsample, KeepsTheEndsOfATrackThatStandsStill) {
  EXPECT_THAT(Seconds(Downsample({At(0), At(1), At(2), At(3)}, Apart(5))), ElementsAre(0, 3));
  EXPECT_THAT(Seconds(Downsample({At(7)}, Apart(5))), ElementsAre(7));
  EXPECT_THAT(Downsample({}, Apart(5)), IsEmpty());
}

TEST(Thinner, TellsWhereToGoOn) {
  Thinner thinner(Every(absl::Seconds(10)));
  EXPECT_FALSE(thinner.last_kept().has_value());
  EXPECT_TRUE(thinner.Keep(At(0)));
  EXPECT_FALSE(thinner.Keep(At(9)));
  ASSERT_TRUE(thinner.last_kept().has_value());
  EXPECT_EQ(thinner.last_kept()->recorded_at, kStart);
  Thinner resumed(Every(absl::Seconds(10)), thinner.last_kept());
  EXPECT_FALSE(resumed.Keep(At(9.9)));
  EXPECT_TRUE(resumed.Keep(At(10)));
}

// Tracks in order of time, with standstills, repeated times and strides around the bounds.
std::vector<domain::DriverPosition> AnyTrack() {
  std::vector<domain::DriverPosition> track;
  double seconds = 0;
  domain::GeoPoint point{52.5, 13.4};
  for (const auto& [ms, north, east] : *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
           rc::gen::tuple(testing::Below(20'000), testing::Within(-30, 31), testing::Within(-30, 31)))) {
    seconds += ms / 1000.0;
    point.latitude += north * 1e-5;
    point.longitude += east * 1e-5;
    track.push_back(At(seconds, point.latitude, point.longitude));
  }
  return track;
}

ThinnerOptions AnyBound() {
  int size = *testing::Within(1, 60);
  return *rc::gen::arbitrary<bool>() ? Every(absl::Seconds(size)) : Apart(size);
}

bool Same(const domain::DriverPosition& a, const domain::DriverPosition& b) {
  return a.recorded_at == b.recorded_at && a.point == b.point;
}

bool Same(const std::vector<domain::DriverPosition>& a, const std::vector<domain::DriverPosition>& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](const auto& x, const auto& y) { return Same(x, y); });
}

TEST(DownsampleProperty, IsASubsequenceWithTheSameEnds) {
  EXPECT_TRUE(rc::check([] {
    std::vector<domain::DriverPosition> track = AnyTrack();
    std::vector<domain::DriverPosition> kept = Downsample(track, AnyBound());
    size_t at = 0;
    for (const domain::DriverPosition& position : kept) {
      while (at < track.size() && !Same(track[at], position)) ++at;
      RC_ASSERT(at++ < track.size());
    }
    RC_ASSERT(kept.empty() == track.empty());
    if (track.empty()) return;
    RC_ASSERT(Same(kept.front(), track.front()));
    RC_ASSERT(Same(kept.back(), track.back()));
  }));
}

TEST(DownsampleProperty, NeighboursLieTheBoundApartButForTheLast) {
  EXPECT_TRUE(rc::check([] {
    ThinnerOptions bound = AnyBound();
    std::vector<domain::DriverPosition> kept = Downsample(AnyTrack(), bound);
    for (size_t i = 1; i + 1 < kept.size(); ++i) {
      RC_ASSERT(kept[i].recorded_at - kept[i - 1].recorded_at >= bound.min_interval);
      RC_ASSERT(domain::DistanceM(kept[i - 1].point, kept[i].point) >= bound.min_distance_m);
    }
  }));
}

// Nothing that the bound would have kept was dropped.
TEST(DownsampleProperty, WhatIsDroppedLiesWithinTheBound) {
  EXPECT_TRUE(rc::check([] {
    ThinnerOptions bound = AnyBound();
    std::vector<domain::DriverPosition> track = AnyTrack();
    Thinner thinner(bound);
    for (const domain::DriverPosition& position : track) {
      std::optional<domain::DriverPosition> before = thinner.last_kept();
      if (thinner.Keep(position)) continue;
      bool soon = position.recorded_at - before->recorded_at < bound.min_interval;
      bool near = domain::DistanceM(before->point, position.point) < bound.min_distance_m;
      RC_ASSERT(soon || near);
    }
  }));
}

TEST(DownsampleProperty, ThinningTwiceIsThinningOnce) {
  EXPECT_TRUE(rc::check([] {
    ThinnerOptions bound = AnyBound();
    std::vector<domain::DriverPosition> once = Downsample(AnyTrack(), bound);
    RC_ASSERT(Same(Downsample(once, bound), once));
  }));
}

TEST(DownsampleProperty, PagesGiveWhatTheWholeGives) {
  EXPECT_TRUE(rc::check([] {
    ThinnerOptions bound = AnyBound();
    std::vector<domain::DriverPosition> track = AnyTrack();
    std::vector<domain::DriverPosition> kept;
    std::optional<domain::DriverPosition> last_kept;
    for (size_t at = 0; at < track.size();) {
      size_t end = std::min(track.size(), at + *testing::Within<size_t>(1, 6));
      Thinner page(bound, last_kept);
      for (; at < end; ++at) {
        if (page.Keep(track[at]) || at + 1 == track.size()) kept.push_back(track[at]);
      }
      last_kept = page.last_kept();
    }
    RC_ASSERT(Same(kept, Downsample(track, bound)));
  }));
}

TEST(DownsampleProperty, WithoutABoundEverythingIsKept) {
  EXPECT_TRUE(rc::check([] {
    std::vector<domain::DriverPosition> track = AnyTrack();
    RC_ASSERT(Same(Downsample(track, ThinnerOptions()), track));
  }));
}

}  // namespace
}  // namespace waybill::tracks
