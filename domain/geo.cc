#include "domain/geo.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace waybill::domain {

double DistanceM(const GeoPoint& a, const GeoPoint& b) {
  constexpr double kEarthRadiusM = 6372797.560856;
  constexpr double kRadians = std::numbers::pi / 180;
  double u = std::sin((b.latitude - a.latitude) * kRadians / 2);
  double v = std::sin((b.longitude - a.longitude) * kRadians / 2);
  double chord = u * u + std::cos(a.latitude * kRadians) * std::cos(b.latitude * kRadians) * v * v;
  // Between antipodes rounding may leave a hair more than 1, and asin would answer that it is not a number.
  return 2 * kEarthRadiusM * std::asin(std::min(1.0, std::sqrt(chord)));
}

}  // namespace waybill::domain
