#include "tracks/downsample.h"

#include "storage/geo.h"

namespace waybill::tracks {

bool Thinner::FarEnough(const storage::DriverPosition& position) const {
  if (!last_kept_) return true;
  if (options_.min_interval > absl::ZeroDuration()) {
    return position.recorded_at - last_kept_->recorded_at >= options_.min_interval;
  }
  if (options_.min_distance_m > 0) {
    return storage::DistanceM(last_kept_->point, position.point) >= options_.min_distance_m;
  }
  return true;
}

bool Thinner::Keep(const storage::DriverPosition& position) {
  if (!FarEnough(position)) return false;
  last_kept_ = position;
  return true;
}

std::vector<storage::DriverPosition> Downsample(const std::vector<storage::DriverPosition>& points,
                                                ThinnerOptions options) {
  std::vector<storage::DriverPosition> kept;
  Thinner thinner(options);
  bool last = true;
  for (const storage::DriverPosition& point : points) {
    last = thinner.Keep(point);
    if (last) kept.push_back(point);
  }
  if (!last) kept.push_back(points.back());
  return kept;
}

}  // namespace waybill::tracks
