// Points and distances on the globe.
#pragma once

namespace waybill::domain {

// WGS 84, degrees.
struct GeoPoint {
  double latitude = 0;
  double longitude = 0;
  friend bool operator==(const GeoPoint&, const GeoPoint&) = default;
};

// Metres along the great circle, on the sphere that Redis uses as well: what is within a radius there is within it
// here. Exactly 0 between a point and itself.
double DistanceM(const GeoPoint& a, const GeoPoint& b);

}  // namespace waybill::domain
