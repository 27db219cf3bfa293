// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"
#include "waybill/location/v1/location.pb.h"

namespace waybill::location::v1 {
namespace {

Point At(const std::string& driver_id, int64_t seconds) {
  Point point;
  point.set_driver_id(driver_id);
  point.set_latitude(52.5);
  point.set_longitude(13.4);
  point.mutable_recorded_at()->set_seconds(seconds);
  return point;
}

std::vector<std::string> Seeds() {
  LocationBatch batch;
  batch.set_sequence(1);
  *batch.add_points() = At("ann", 1'800'000'000);
  *batch.add_points() = At("ann", 1'799'999'999);
  *batch.add_points() = At("bob", 0);
  *batch.add_points() = At("", 1'800'000'000);
  Point full = At("ann", 1'800'000'000);
  full.mutable_recorded_at()->set_nanos(123'456'789);
  full.set_accuracy_m(500);
  full.set_heading_deg(359.5F);
  full.set_speed_mps(33);
  full.add_marks(SPEED_JUMP);
  *batch.add_points() = full;
  full.set_accuracy_m(std::numeric_limits<float>::quiet_NaN());
  *batch.add_points() = full;
  Point zero = At("ann", 1'800'000'060);
  zero.clear_latitude();
  zero.clear_longitude();
  *batch.add_points() = zero;
  Point timeless = At("ann", 0);
  timeless.clear_recorded_at();
  *batch.add_points() = timeless;
  *batch.add_points() = At("ann", std::numeric_limits<int64_t>::max());
  *batch.add_points() = At("ann", std::numeric_limits<int64_t>::min());
  ReportLocationsRequest report;
  *report.mutable_points() = batch.points();
  GetDriverRequest get;
  get.set_driver_id("ann");
  BatchGetDriversRequest many, bad;
  for (int i = 0; i < 20; ++i) many.add_driver_ids("driver-" + std::to_string(i));
  for (int i = 0; i < 500; ++i) bad.add_driver_ids(std::string(130, 'x'));
  NearbyDriversRequest near;
  near.set_latitude(52.5);
  near.set_longitude(13.4);
  near.set_radius_m(1'000);
  near.set_limit(10);
  GetTrackRequest track;
  track.set_driver_id("ann");
  track.mutable_start_time()->set_seconds(1'799'999'000);
  track.mutable_end_time()->set_seconds(1'800'000'000);
  track.set_page_size(100);
  track.set_page_token(std::string(80, 'a'));
  GetTrackRequest thinned = track;
  thinned.mutable_min_interval()->set_seconds(5);
  thinned.mutable_min_interval()->set_nanos(500'000'000);
  GetTrackRequest odd = track;
  odd.set_min_distance_m(std::numeric_limits<double>::infinity());
  odd.mutable_min_interval()->set_seconds(std::numeric_limits<int64_t>::min());
  odd.mutable_min_interval()->set_nanos(-1);
  WatchLocationsRequest watch;
  watch.add_driver_ids("ann");
  watch.mutable_area()->set_south(-20);
  watch.mutable_area()->set_north(-15);
  watch.mutable_area()->set_west(177);
  watch.mutable_area()->set_east(-178);
  watch.set_resume_after("0");
  return {"",
          '\0' + batch.SerializeAsString(),
          '\1' + report.SerializeAsString(),
          std::string(1, '\1'),
          '\2' + get.SerializeAsString(),
          '\3' + many.SerializeAsString(),
          '\3' + bad.SerializeAsString(),
          '\4' + near.SerializeAsString(),
          '\5' + track.SerializeAsString(),
          '\5' + thinned.SerializeAsString(),
          '\5' + odd.SerializeAsString(),
          '\6' + watch.SerializeAsString()};
}

TEST(LocationRequestFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) testing::RunTarget(seed);
}

TEST(LocationRequestFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(Seeds(), 30'000, 20'240'602); }

}  // namespace
}  // namespace waybill::location::v1
