// Positions as the contract of locations has them, and as files and people do.
#pragma once

#include <charconv>
#include <optional>
#include <string>

#include "cli/remote.h"
#include "cli/values.h"
#include "domain/driver.h"
#include "fmt/format.h"
#include "waybill/location/v1/location.pb.h"

namespace waybill::cli {

// The contract carries measurements as floats. As doubles they would show digits that nobody measured: 12.3 as
// 12.300000190734863.
inline double Widen(float value) {
  std::string shortest = fmt::format("{}", value);
  double wide = value;
  std::from_chars(shortest.data(), shortest.data() + shortest.size(), wide);
  return wide;
}

inline domain::DriverPosition ToPosition(const location::v1::Point& point) {
  domain::DriverPosition position;
  position.driver_id = point.driver_id();
  position.point = {point.latitude(), point.longitude()};
  position.recorded_at = ToTime(point.recorded_at());
  if (point.has_accuracy_m()) position.accuracy_m = Widen(point.accuracy_m());
  if (point.has_heading_deg()) position.heading_deg = Widen(point.heading_deg());
  if (point.has_speed_mps()) position.speed_mps = Widen(point.speed_mps());
  return position;
}

inline location::v1::Point FromPosition(const domain::DriverPosition& position, absl::Time recorded_at) {
  location::v1::Point point;
  point.set_driver_id(position.driver_id);
  point.set_latitude(position.point.latitude);
  point.set_longitude(position.point.longitude);
  *point.mutable_recorded_at() = FromTime(recorded_at);
  if (position.accuracy_m) point.set_accuracy_m(static_cast<float>(*position.accuracy_m));
  if (position.heading_deg) point.set_heading_deg(static_cast<float>(*position.heading_deg));
  if (position.speed_mps) point.set_speed_mps(static_cast<float>(*position.speed_mps));
  return point;
}

inline google::protobuf::Duration FromDuration(absl::Duration duration) {
  google::protobuf::Duration out;
  const int64_t seconds = absl::ToInt64Seconds(duration);
  out.set_seconds(seconds);
  out.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration - absl::Seconds(seconds))));
  return out;
}

inline absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

// Of a point or position of either contract.
template <typename Point>
std::string ShowHeading(const Point& point) {
  return point.has_heading_deg() ? fmt::format("{:.0f}°", point.heading_deg()) : "";
}

template <typename Point>
std::string ShowSpeed(const Point& point) {
  return point.has_speed_mps() ? fmt::format("{:.1f} m/s", point.speed_mps()) : "";
}

// "SPEED_JUMP, POOR_ACCURACY"
inline std::string ShowMarks(const location::v1::Point& point) {
  std::string text;
  for (int mark : point.marks()) {
    if (!text.empty()) text += ", ";
    text += location::v1::Mark_IsValid(mark) ? location::v1::Mark_Name(mark) : fmt::format("mark {}", mark);
  }
  return text;
}

}  // namespace waybill::cli
