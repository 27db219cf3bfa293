#include "services/ingest/requests.h"

#include <cmath>
#include <optional>
#include <utility>

#include "domain/reasons.h"
#include "edge/rpc/proto_time.h"
#include "fmt/format.h"
#include "services/ingest/location_stream.h"

namespace waybill::ingest {
namespace {

namespace pb = location::v1;
using domain::Violations;

constexpr int kBatchGetMax = 500;
constexpr int kWatchedDriversMax = 1'000;
constexpr int kTrackPageMax = 10'000;
constexpr int kNearbyDefault = 20;
constexpr int kNearbyMax = 500;
constexpr double kRadiusDefaultM = 5'000;
constexpr double kRadiusMaxM = 100'000;

void CheckDriverId(const std::string& id, const std::string& field, Violations& violations) {
  domain::DriverPosition position;
  position.driver_id = id;
  if (auto fault = domain::FindFault(position)) violations.Add(field, fault->what);
}

void CheckWithin(double value, double low, double high, const std::string& field, Violations& violations) {
  if (!(value >= low && value <= high)) violations.Add(field, fmt::format("has to be within {} and {}", low, high));
}

std::optional<absl::Time> TakeOptionalTime(bool there, const google::protobuf::Timestamp& time, const char* field,
                                           Violations& violations) {
  if (!there) return std::nullopt;
  auto taken = rpc::TakeTime(time);
  if (!taken) violations.Add(field, "is not a valid timestamp");
  return taken;
}

void SetDuration(absl::Duration duration, google::protobuf::Duration& out) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(seconds))));
}

}  // namespace

std::vector<domain::DriverPosition> TakePoints(Points& points) {
  std::vector<domain::DriverPosition> positions;
  positions.reserve(static_cast<size_t>(points.size()));
  for (pb::Point& point : points) {
    domain::DriverPosition& position = positions.emplace_back();
    position.driver_id = std::move(*point.mutable_driver_id());
    position.point = {point.latitude(), point.longitude()};
    position.recorded_at = absl::InfinitePast();
    if (point.has_recorded_at())
      position.recorded_at = rpc::TakeTime(point.recorded_at()).value_or(absl::InfinitePast());
    // 0 is what phones and trackers say when they do not know: taken at its word it would beat every real fix.
    if (point.has_accuracy_m() && point.accuracy_m() != 0) position.accuracy_m = point.accuracy_m();
    if (point.has_heading_deg()) position.heading_deg = point.heading_deg();
    if (point.has_speed_mps()) position.speed_mps = point.speed_mps();
  }
  return positions;
}

void Fill(const domain::DriverPosition& position, pb::Point& out) {
  out.set_driver_id(position.driver_id);
  out.set_latitude(position.point.latitude);
  out.set_longitude(position.point.longitude);
  rpc::SetTime(position.recorded_at, *out.mutable_recorded_at());
  if (position.accuracy_m) out.set_accuracy_m(static_cast<float>(*position.accuracy_m));
  if (position.heading_deg) out.set_heading_deg(static_cast<float>(*position.heading_deg));
  if (position.speed_mps) out.set_speed_mps(static_cast<float>(*position.speed_mps));
  if (position.marks & domain::kSpeedJump) out.add_marks(pb::SPEED_JUMP);
  if (position.marks & domain::kPoorAccuracy) out.add_marks(pb::POOR_ACCURACY);
}

void Fill(const Rejection& rejection, pb::RejectedPoint& out) {
  out.set_sequence(rejection.sequence);
  out.set_index(rejection.index);
  out.set_reason(static_cast<pb::RejectReason>(rejection.reason));
  out.set_field(rejection.field.data(), rejection.field.size());
  out.set_detail(rejection.detail.data(), rejection.detail.size());
}

void Fill(const DriverLocation& driver, pb::DriverLocation& out) {
  Fill(driver.position, *out.mutable_point());
  SetDuration(driver.age, *out.mutable_age());
  out.set_source(driver.fresh ? pb::DriverLocation::HOT_VIEW : pb::DriverLocation::HISTORY);
}

void Fill(const NearbyLocation& driver, pb::NearbyDriver& out) {
  Fill(driver.position, *out.mutable_point());
  out.set_distance_m(driver.distance_m);
  SetDuration(driver.age, *out.mutable_age());
}

absl::Status CheckReport(const pb::ReportLocationsRequest& request) {
  Violations violations;
  if (request.points_size() == 0 || request.points_size() > kPointsMax) {
    violations.Add("points", fmt::format("have to be 1 to {}", kPointsMax));
  }
  return std::move(violations).ToStatus();
}

absl::StatusOr<std::vector<std::string>> TakeDriverIds(const pb::GetDriverRequest& request) {
  Violations violations;
  CheckDriverId(request.driver_id(), "driver_id", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return std::vector<std::string>{request.driver_id()};
}

absl::StatusOr<std::vector<std::string>> TakeDriverIds(const pb::BatchGetDriversRequest& request) {
  Violations violations;
  if (request.driver_ids_size() == 0 || request.driver_ids_size() > kBatchGetMax) {
    violations.Add("driver_ids", fmt::format("have to be 1 to {}", kBatchGetMax));
  } else {
    for (int i = 0; i < request.driver_ids_size(); ++i) {
      CheckDriverId(request.driver_ids(i), fmt::format("driver_ids[{}]", i), violations);
    }
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return std::vector<std::string>(request.driver_ids().begin(), request.driver_ids().end());
}

absl::StatusOr<storage::NearestQuery> TakeNearby(const pb::NearbyDriversRequest& request) {
  Violations violations;
  storage::NearestQuery query;
  query.point = {request.latitude(), request.longitude()};
  query.radius_m = request.radius_m() == 0 ? kRadiusDefaultM : request.radius_m();
  query.limit = request.limit() == 0 ? kNearbyDefault : request.limit();
  CheckWithin(query.point.latitude, -90, 90, "latitude", violations);
  CheckWithin(query.point.longitude, -180, 180, "longitude", violations);
  CheckWithin(query.radius_m, 0, kRadiusMaxM, "radius_m", violations);
  CheckWithin(query.limit, 1, kNearbyMax, "limit", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return query;
}

absl::StatusOr<TrackRequest> TakeTrack(const pb::GetTrackRequest& request) {
  Violations violations;
  TrackRequest track;
  track.driver_id = request.driver_id();
  CheckDriverId(track.driver_id, "driver_id", violations);
  track.from = TakeOptionalTime(request.has_start_time(), request.start_time(), "start_time", violations);
  track.to = TakeOptionalTime(request.has_end_time(), request.end_time(), "end_time", violations);
  if (track.from && track.to) rpc::CheckSpan(*track.from, *track.to, "start_time", "end_time", violations);
  if (request.page_size() != 0) track.page_size = request.page_size();
  CheckWithin(track.page_size, 1, kTrackPageMax, "page_size", violations);
  track.page_token = request.page_token();
  if (request.has_min_interval()) {
    const google::protobuf::Duration& interval = request.min_interval();
    constexpr int64_t kIntervalMaxS = 366 * 86'400;
    CheckWithin(static_cast<double>(interval.seconds()), 0, kIntervalMaxS, "min_interval.seconds", violations);
    CheckWithin(interval.nanos(), 0, 999'999'999, "min_interval.nanos", violations);
    track.thinner.min_interval = absl::Seconds(interval.seconds()) + absl::Nanoseconds(interval.nanos());
  }
  constexpr double kDistanceMaxM = 1e7;
  CheckWithin(request.min_distance_m(), 0, kDistanceMaxM, "min_distance_m", violations);
  track.thinner.min_distance_m = request.min_distance_m();
  if (track.thinner.min_interval > absl::ZeroDuration() && track.thinner.min_distance_m > 0) {
    violations.Add("min_distance_m", "does not go together with min_interval");
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return track;
}

absl::StatusOr<WatchFilter> TakeWatch(const pb::WatchLocationsRequest& request) {
  Violations violations;
  WatchFilter filter;
  if (request.driver_ids_size() > kWatchedDriversMax) {
    violations.Add("driver_ids", fmt::format("have to be at most {}", kWatchedDriversMax));
  } else {
    for (int i = 0; i < request.driver_ids_size(); ++i) {
      CheckDriverId(request.driver_ids(i), fmt::format("driver_ids[{}]", i), violations);
      filter.driver_ids.insert(request.driver_ids(i));
    }
  }
  if (request.has_area()) {
    const pb::BoundingBox& area = request.area();
    CheckWithin(area.south(), -90, 90, "area.south", violations);
    CheckWithin(area.north(), -90, 90, "area.north", violations);
    CheckWithin(area.west(), -180, 180, "area.west", violations);
    CheckWithin(area.east(), -180, 180, "area.east", violations);
    if (area.south() > area.north()) violations.Add("area.north", "is south of area.south");
    filter.area = BoundingBox{area.south(), area.west(), area.north(), area.east()};
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  return filter;
}

}  // namespace waybill::ingest
