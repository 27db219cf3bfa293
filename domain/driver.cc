#include "domain/driver.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"

namespace waybill::domain {
namespace {

using Kind = PositionFault::Kind;

bool IsMeasure(const std::optional<double>& value) { return !value || (std::isfinite(*value) && *value >= 0); }

// Calls `found` with each fault until it answers false. NaN fails every comparison, and so every check.
template <typename Found>
void Examine(const DriverPosition& position, Found found) {
  auto fine = [&](bool is_fine, Kind kind, const char* field, const char* what) {
    return is_fine || found(PositionFault{kind, field, what});
  };
  const std::optional<double>& heading = position.heading_deg;
  (void)(fine(IsDriverId(position.driver_id), Kind::kDriverId, "driver_id",
              "has to be 1-128 visible ASCII characters") &&
         fine(std::abs(position.point.latitude) <= 90, Kind::kCoordinate, "latitude",
              "has to be within -90 and 90 degrees") &&
         fine(std::abs(position.point.longitude) <= 180, Kind::kCoordinate, "longitude",
              "has to be within -180 and 180 degrees") &&
         fine(IsMeasure(position.accuracy_m), Kind::kMeasurement, "accuracy_m", "has to be at least 0") &&
         fine(!heading || (*heading >= 0 && *heading <= 360), Kind::kMeasurement, "heading_deg",
              "has to be within 0 and 360") &&
         fine(IsMeasure(position.speed_mps), Kind::kMeasurement, "speed_mps", "has to be at least 0"));
}

}  // namespace

absl::Status CheckCapacity(int capacity) {
  if (capacity >= 1 && capacity <= kDriverCapacityMax) return absl::OkStatus();
  return BadField("capacity", fmt::format("is {}; must be 1 to {}", capacity, kDriverCapacityMax));
}

bool IsDriverId(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

std::optional<PositionFault> FindFault(const DriverPosition& position) {
  std::optional<PositionFault> first;
  Examine(position, [&first](const PositionFault& fault) {
    first = fault;
    return false;
  });
  return first;
}

absl::Status CheckPosition(const DriverPosition& position) {
  ErrorDetail detail;
  Examine(position, [&detail](const PositionFault& fault) {
    detail.violations.emplace_back(fault.field, fault.what);
    return true;
  });
  if (detail.violations.empty()) return absl::OkStatus();
  return ReasonError("BAD_REQUEST", "bad driver position", std::move(detail));
}

}  // namespace waybill::domain
