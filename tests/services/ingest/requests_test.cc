#include "services/ingest/requests.h"

#include <cctype>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"

namespace waybill::ingest {
namespace {

namespace pb = location::v1;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<std::string> FieldsOf(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, what] : GetErrorDetail(status).violations) fields.push_back(field);
  return fields;
}

domain::DriverPosition Taken(const pb::Point& point) {
  Points points;
  *points.Add() = point;
  return TakePoints(points).at(0);
}

TEST(TakePoints, TakesEveryFieldAndNoMarks) {
  pb::Point point;
  point.set_driver_id("ann");
  point.set_latitude(52.5);
  point.set_longitude(13.4);
  point.mutable_recorded_at()->set_seconds(1'800'000'000);
  point.mutable_recorded_at()->set_nanos(1'500);
  point.set_accuracy_m(4.5F);
  point.set_heading_deg(90);
  point.set_speed_mps(0);
  point.add_marks(pb::SPEED_JUMP);
  const domain::DriverPosition position = Taken(point);
  EXPECT_EQ(position.driver_id, "ann");
  EXPECT_EQ(position.point, (domain::GeoPoint{52.5, 13.4}));
  EXPECT_EQ(position.recorded_at, absl::FromUnixSeconds(1'800'000'000) + absl::Nanoseconds(1'500));
  EXPECT_EQ(position.accuracy_m, 4.5);
  EXPECT_EQ(position.heading_deg, 90);
  EXPECT_EQ(position.speed_mps, 0);
  EXPECT_EQ(position.marks, 0);
}

TEST(TakePoints, AnAccuracyOfZeroIsNotKnown) {
  pb::Point point;
  point.set_accuracy_m(0);
  EXPECT_EQ(Taken(point).accuracy_m, std::nullopt);
  point.set_accuracy_m(-0.0F);
  EXPECT_EQ(Taken(point).accuracy_m, std::nullopt);
  point.set_accuracy_m(-1);
  EXPECT_EQ(Taken(point).accuracy_m, -1) << "refused further on";
}

TEST(TakePoints, WhatIsNotMeasuredIsNothing) {
  const domain::DriverPosition position = Taken(pb::Point());
  EXPECT_EQ(position.accuracy_m, std::nullopt);
  EXPECT_EQ(position.heading_deg, std::nullopt);
  EXPECT_EQ(position.speed_mps, std::nullopt);
}

TEST(TakePoints, ATimeThatIsMissingOrNoneIsInfinitePast) {
  EXPECT_EQ(Taken(pb::Point()).recorded_at, absl::InfinitePast());
  struct Case {
    int64_t seconds;
    int32_t nanos;
    bool valid;
  };
  for (const Case& one : {Case{0, 0, true}, Case{-62'135'596'800, 0, true}, Case{-62'135'596'801, 999'999'999, false},
                          Case{253'402'300'799, 999'999'999, true}, Case{253'402'300'800, 0, false}, Case{0, -1, false},
                          Case{0, 1'000'000'000, false}, Case{std::numeric_limits<int64_t>::max(), 0, false},
                          Case{std::numeric_limits<int64_t>::min(), 0, false}}) {
    pb::Point point;
    point.mutable_recorded_at()->set_seconds(one.seconds);
    point.mutable_recorded_at()->set_nanos(one.nanos);
    EXPECT_EQ(Taken(point).recorded_at != absl::InfinitePast(), one.valid) << one.seconds << " " << one.nanos;
  }
}

TEST(Fill, APointComesBackAsItWasTaken) {
  domain::DriverPosition position;
  position.driver_id = "ann";
  position.point = {-52.5, 179.9};
  position.recorded_at = absl::FromUnixMicros(-1);
  position.accuracy_m = 0.5;
  position.marks = domain::kSpeedJump | domain::kPoorAccuracy;
  pb::Point point;
  Fill(position, point);
  EXPECT_THAT(point.marks(), ElementsAre(pb::SPEED_JUMP, pb::POOR_ACCURACY));
  EXPECT_FALSE(point.has_speed_mps());
  EXPECT_GE(point.recorded_at().nanos(), 0);
  domain::DriverPosition back = Taken(point);
  back.marks = position.marks;
  EXPECT_EQ(back, position);
}

TEST(Fill, ReasonsAreThoseOfTheContract) {
  for (int reason = 1; reason <= kRejectReasons; ++reason) {
    pb::RejectedPoint out;
    Fill(Rejection{7, 3, static_cast<RejectReason>(reason), "field", "detail"}, out);
    EXPECT_EQ(out.sequence(), 7);
    EXPECT_EQ(out.index(), 3);
    EXPECT_EQ(out.field(), "field");
    EXPECT_EQ(out.detail(), "detail");
    std::string name = pb::RejectReason_Name(out.reason());
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    EXPECT_EQ(name, Name(static_cast<RejectReason>(reason)));
  }
  EXPECT_FALSE(pb::RejectReason_IsValid(kRejectReasons + 1));
}

TEST(Fill, DriversHaveTheirAgeAndSource) {
  pb::DriverLocation out;
  Fill(DriverLocation{{}, absl::Milliseconds(1'500), true}, out);
  EXPECT_EQ(out.source(), pb::DriverLocation::HOT_VIEW);
  EXPECT_EQ(out.age().seconds(), 1);
  EXPECT_EQ(out.age().nanos(), 500'000'000);
  Fill(DriverLocation{}, out);
  EXPECT_EQ(out.source(), pb::DriverLocation::HISTORY);
  pb::NearbyDriver near;
  Fill(NearbyLocation{{}, 12.5, absl::Seconds(3)}, near);
  EXPECT_EQ(near.distance_m(), 12.5);
  EXPECT_EQ(near.age().seconds(), 3);
}

TEST(CheckReport, HasOneToAThousandPoints) {
  pb::ReportLocationsRequest request;
  EXPECT_THAT(FieldsOf(CheckReport(request)), ElementsAre("points"));
  for (int i = 0; i < 1'000; ++i) request.add_points();
  EXPECT_TRUE(CheckReport(request).ok());
  request.add_points();
  EXPECT_THAT(FieldsOf(CheckReport(request)), ElementsAre("points"));
}

TEST(TakeDriverIds, AreOneTo500OfVisibleCharacters) {
  pb::GetDriverRequest get;
  EXPECT_THAT(FieldsOf(TakeDriverIds(get).status()), ElementsAre("driver_id"));
  get.set_driver_id("ann");
  EXPECT_THAT(*TakeDriverIds(get), ElementsAre("ann"));
  pb::BatchGetDriversRequest request;
  EXPECT_THAT(FieldsOf(TakeDriverIds(request).status()), ElementsAre("driver_ids"));
  for (const char* id : {"ann", "a b", "bob", ""}) request.add_driver_ids(id);
  EXPECT_THAT(FieldsOf(TakeDriverIds(request).status()), ElementsAre("driver_ids[1]", "driver_ids[3]"));
  request.clear_driver_ids();
  for (int i = 0; i < 500; ++i) request.add_driver_ids("ann");
  EXPECT_THAT(*TakeDriverIds(request), SizeIs(500));
  request.add_driver_ids("ann");
  EXPECT_THAT(FieldsOf(TakeDriverIds(request).status()), ElementsAre("driver_ids"));
}

TEST(TakeNearby, HasDefaultsAndBounds) {
  pb::NearbyDriversRequest request;
  auto query = TakeNearby(request);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->radius_m, 5'000);
  EXPECT_EQ(query->limit, 20);
  request.set_radius_m(100'000);
  request.set_limit(500);
  request.set_latitude(-90);
  request.set_longitude(180);
  query = TakeNearby(request);
  ASSERT_TRUE(query.ok());
  EXPECT_EQ(query->point, (domain::GeoPoint{-90, 180}));
  EXPECT_EQ(query->radius_m, 100'000);
  EXPECT_EQ(query->limit, 500);
  request.set_radius_m(100'000.1);
  request.set_limit(501);
  request.set_latitude(kNan);
  request.set_longitude(-180.1);
  EXPECT_THAT(FieldsOf(TakeNearby(request).status()),
              UnorderedElementsAre("latitude", "longitude", "radius_m", "limit"));
  request = {};
  request.set_radius_m(kNan);
  request.set_limit(-1);
  EXPECT_THAT(FieldsOf(TakeNearby(request).status()), UnorderedElementsAre("radius_m", "limit"));
}

TEST(TakeTrack, HasDefaultsAndBounds) {
  pb::GetTrackRequest request;
  request.set_driver_id("ann");
  auto track = TakeTrack(request);
  ASSERT_TRUE(track.ok());
  EXPECT_EQ(track->from, std::nullopt);
  EXPECT_EQ(track->to, std::nullopt);
  EXPECT_EQ(track->page_size, 1'000);
  EXPECT_EQ(track->thinner.min_interval, absl::ZeroDuration());
  request.mutable_start_time()->set_seconds(10);
  request.mutable_end_time()->set_seconds(20);
  request.set_page_size(10'000);
  request.set_page_token("token");
  request.mutable_min_interval()->set_seconds(1);
  request.mutable_min_interval()->set_nanos(500'000'000);
  track = TakeTrack(request);
  ASSERT_TRUE(track.ok());
  EXPECT_EQ(track->from, absl::FromUnixSeconds(10));
  EXPECT_EQ(track->to, absl::FromUnixSeconds(20));
  EXPECT_EQ(track->page_token, "token");
  EXPECT_EQ(track->thinner.min_interval, absl::Milliseconds(1'500));
  request.set_min_distance_m(5);
  EXPECT_THAT(FieldsOf(TakeTrack(request).status()), ElementsAre("min_distance_m"));
  request.clear_min_interval();
  EXPECT_EQ(TakeTrack(request)->thinner.min_distance_m, 5);
}

TEST(TakeTrack, NamesWhatIsWrong) {
  pb::GetTrackRequest request;
  request.mutable_start_time()->set_nanos(-1);
  request.mutable_end_time()->set_seconds(std::numeric_limits<int64_t>::max());
  request.set_page_size(10'001);
  request.mutable_min_interval()->set_seconds(-1);
  request.set_min_distance_m(kNan);
  EXPECT_THAT(FieldsOf(TakeTrack(request).status()),
              UnorderedElementsAre("driver_id", "start_time", "end_time", "page_size", "min_interval.seconds",
                                   "min_distance_m"));
  request = {};
  request.set_driver_id("ann");
  request.mutable_start_time()->set_seconds(2);
  request.mutable_end_time()->set_seconds(1);
  request.set_page_size(-1);
  EXPECT_THAT(FieldsOf(TakeTrack(request).status()), UnorderedElementsAre("end_time", "page_size"));
}

TEST(TakeWatch, TakesDriversAndAnArea) {
  pb::WatchLocationsRequest request;
  auto filter = TakeWatch(request);
  ASSERT_TRUE(filter.ok());
  EXPECT_THAT(filter->driver_ids, IsEmpty());
  EXPECT_EQ(filter->area, std::nullopt);
  request.add_driver_ids("ann");
  request.mutable_area()->set_south(-20);
  request.mutable_area()->set_west(170);
  request.mutable_area()->set_north(-10);
  request.mutable_area()->set_east(-170);
  filter = TakeWatch(request);
  ASSERT_TRUE(filter.ok());
  EXPECT_THAT(filter->driver_ids, ElementsAre("ann"));
  EXPECT_TRUE(filter->area->Holds({-15, 180}));
  request.add_driver_ids("");
  request.mutable_area()->set_south(0);
  request.mutable_area()->set_east(kNan);
  EXPECT_THAT(FieldsOf(TakeWatch(request).status()), UnorderedElementsAre("driver_ids[1]", "area.east", "area.north"));
  request.Clear();
  for (int i = 0; i < 1'001; ++i) request.add_driver_ids("ann");
  EXPECT_THAT(FieldsOf(TakeWatch(request).status()), ElementsAre("driver_ids"));
}

}  // namespace
}  // namespace waybill::ingest
