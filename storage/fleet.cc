#include "storage/fleet.h"

#include "domain/reasons.h"

namespace waybill::storage {

absl::Status CheckQuery(const NearestQuery& query) {
  if (query.radius_m >= 0 && query.radius_m <= kNearestRadiusMaxM) return absl::OkStatus();
  return domain::BadField("radius_m", "has to be within 0 and 1,000,000");
}

}  // namespace waybill::storage
