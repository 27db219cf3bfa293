#include "tracks/downsample.h"

#include "domain/geo.h"

namespace waybill::tracks {

bool Thinner::FarEnough(const domain::DriverPosition& position) const {
  if (!last_kept_) return true;
  if (options_.min_interval > absl::ZeroDuration()) {
    return position.recorded_at - last_kept_->recorded_at >= options_.min_interval;
  }
  if (options_.min_distance_m > 0) {
    return domain::DistanceM(last_kept_->point, position.point) >= options_.min_distance_m;
  }
  return true;
}

bool Thinner::Keep(const domain::DriverPosition& position) {
  if (!FarEnough(position)) return false;
  last_kept_ = position;
  return true;
}

std::vector<domain::DriverPosition> Downsample(const std::vector<domain::DriverPosition>& points,
                                               ThinnerOptions options) {
  std::vector<domain::DriverPosition> kept;
  Thinner thinner(options);
  bool last = true;
  for (const domain::DriverPosition& point : points) {
    last = thinner.Keep(point);
    if (last) kept.push_back(point);
  }
  if (!last) kept.push_back(points.back());
  return kept;
}

}  // namespace waybill::tracks
