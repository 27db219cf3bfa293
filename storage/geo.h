// Distances on the globe.
#pragma once

#include "storage/order.h"

namespace waybill::storage {

// Metres along the great circle, on the sphere that Redis uses as well: what is within a radius there is within it
// here. Exactly 0 between a point and itself.
double DistanceM(const GeoPoint& a, const GeoPoint& b);

}  // namespace waybill::storage
