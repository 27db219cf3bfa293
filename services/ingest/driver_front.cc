#include "services/ingest/driver_front.h"

#include "domain/geo.h"

namespace waybill::ingest {

void DriverFront::Take(storage::Location& location) {
  domain::DriverPosition& position = location.position;
  const int64_t recorded_us = absl::ToUnixMicros(position.recorded_at);
  if (sanity_.enabled && position.accuracy_m > sanity_.accuracy_max_m) position.marks |= domain::kPoorAccuracy;
  std::lock_guard lock(mutex_);
  bool known = false;
  Newest& newest = drivers_.See(position.driver_id, known);
  location.standing = !known                             ? storage::Standing::kUnknown
                      : recorded_us > newest.recorded_us ? storage::Standing::kAhead
                                                         : storage::Standing::kBehind;
  if (location.standing == storage::Standing::kBehind) return;
  if (known && sanity_.enabled) {
    const double seconds = static_cast<double>(recorded_us - newest.recorded_us) / 1e6;
    if (domain::DistanceM(newest.point, position.point) > sanity_.speed_max_mps * seconds) {
      position.marks |= domain::kSpeedJump;
    }
  }
  newest = {recorded_us, position.point};
}

void DriverFront::Forget(const std::string& driver_id) {
  std::lock_guard lock(mutex_);
  drivers_.Forget(driver_id);
}

}  // namespace waybill::ingest
