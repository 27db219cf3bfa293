// Tracks that were really driven. They are no part of the project, so these tests run where the data are at hand:
// in the folder that WAYBILL_REAL_TRACKS names, or in shared/data beside the checkout.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>

#include "domain/driver.h"
#include "gtest/gtest.h"
#include "tracks/downsample.h"
#include "tracks/track_file.h"

namespace waybill::tracks {
namespace {

class RealTracks : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("WAYBILL_REAL_TRACKS");
    folder_ = named != nullptr ? std::filesystem::path(named)
                               : std::filesystem::path(WAYBILL_SOURCE_DIR).parent_path() / "shared" / "data";
    ASSERT_TRUE(named == nullptr || std::filesystem::exists(folder_)) << "WAYBILL_REAL_TRACKS names " << folder_;
    if (!std::filesystem::exists(folder_)) {
      GTEST_SKIP() << "ran WITHOUT real tracks: they are not at hand; WAYBILL_REAL_TRACKS names their folder";
    }
  }

  std::filesystem::path folder_;
};

TEST_F(RealTracks, ADayOfAFleetIsReadPointByPoint) {
  auto reader = TrackReader::Open(folder_ / "fleet.csv.gz", {});
  ASSERT_TRUE(reader.ok()) << reader.status();
  std::set<std::string> drivers;
  int64_t points = 0;
  absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  while (true) {
    auto point = (*reader)->Next();
    ASSERT_TRUE(point.ok()) << point.status();
    if (!*point) break;
    ASSERT_EQ(domain::CheckPosition(**point), absl::OkStatus());
    EXPECT_FALSE((*point)->speed_mps.has_value());
    drivers.insert((*point)->driver_id);
    first = std::min(first, (*point)->recorded_at);
    last = std::max(last, (*point)->recorded_at);
    ++points;
  }
  EXPECT_EQ(points, 506'190);
  EXPECT_EQ(drivers.size(), 489u);
  EXPECT_EQ(absl::FormatTime(absl::RFC3339_sec, first, absl::UTCTimeZone()), "2008-05-30T07:00:00+00:00");
  EXPECT_EQ(absl::FormatTime(absl::RFC3339_sec, last, absl::UTCTimeZone()), "2008-05-31T06:59:59+00:00");
}

TEST_F(RealTracks, EveryRecordersGpxIsRead) {
  struct Expected {
    size_t points;
    bool accuracy;
  };
  const std::map<std::string, Expected> files = {{"android-google-my-tracks.gpx", {413, false}},
                                                 {"garmin-etrex10.gpx", {479, false}},
                                                 {"ios-open-gpx-tracker.gpx", {4142, false}},
                                                 {"maemo-mapper-nokia.gpx", {2747, true}},
                                                 {"oruxmaps-android.gpx", {158, false}}};
  for (const auto& [name, expected] : files) {
    TrackReadOptions options;
    options.default_driver_id = "recorder";
    auto points = ReadTrackFile(folder_ / "gpx" / name, options);
    ASSERT_TRUE(points.ok()) << points.status();
    EXPECT_EQ(points->size(), expected.points) << name;
    for (const auto& point : *points) {
      ASSERT_EQ(domain::CheckPosition(point), absl::OkStatus()) << name;
      ASSERT_EQ(point.accuracy_m.has_value(), expected.accuracy) << name;
      ASSERT_GT(point.recorded_at, absl::FromUnixSeconds(1'200'000'000)) << name;
    }
    ThinnerOptions minute;
    minute.min_interval = absl::Minutes(1);
    EXPECT_LT(Downsample(*points, minute).size(), points->size() / 2) << name;
  }
}

}  // namespace
}  // namespace waybill::tracks
