#include "storage/fleet.h"

#include <cmath>

#include "storage/reasons.h"

namespace waybill::storage {

absl::Status CheckPosition(const DriverPosition& position) {
  ErrorDetail detail;
  auto check = [&detail](bool fine, const char* field, const char* what) {
    if (!fine) detail.violations.emplace_back(field, what);
  };
  const std::string& id = position.driver_id;
  bool visible = !id.empty() && id.size() <= 128;
  for (char c : id) visible = visible && c > ' ' && c <= '~';
  check(visible, "driver_id", "has to be 1-128 visible ASCII characters");
  check(std::abs(position.point.latitude) <= 90, "latitude", "has to be within -90 and 90 degrees");
  check(std::abs(position.point.longitude) <= 180, "longitude", "has to be within -180 and 180 degrees");
  check(!position.accuracy_m || (std::isfinite(*position.accuracy_m) && *position.accuracy_m >= 0), "accuracy_m",
        "has to be at least 0");
  check(!position.heading_deg || (*position.heading_deg >= 0 && *position.heading_deg <= 360), "heading_deg",
        "has to be within 0 and 360");
  check(!position.speed_mps || (std::isfinite(*position.speed_mps) && *position.speed_mps >= 0), "speed_mps",
        "has to be at least 0");
  if (detail.violations.empty()) return absl::OkStatus();
  return ReasonError("BAD_REQUEST", "bad driver position", std::move(detail));
}

}  // namespace waybill::storage
