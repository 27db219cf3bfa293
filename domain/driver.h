// A driver: who it is, where it is, and how many orders it may hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "domain/geo.h"

namespace waybill::domain {

inline constexpr int kDriverCapacityMax = 1'000;

// A driver is free for as many active orders as it has capacity; each takes one slot, from 1.
struct DriverSlot {
  std::string driver_id;
  int slot = 1;
};

// What a driver may hold and holds.
struct DriverLoad {
  int capacity = 1;        // 0: it is off duty
  std::vector<int> taken;  // slots
};

struct DriverPosition {
  std::string driver_id;  // 1-128 visible ASCII characters
  GeoPoint point;
  absl::Time recorded_at;
  std::optional<double> accuracy_m;
  std::optional<double> heading_deg;
  std::optional<double> speed_mps;
  uint16_t marks = 0;  // Mark bits

  friend bool operator==(const DriverPosition&, const DriverPosition&) = default;
};

// BAD_REQUEST (capacity) when it is not within 1 and kDriverCapacityMax.
absl::Status CheckCapacity(int capacity);

bool IsDriverId(std::string_view text);  // 1-128 visible ASCII characters

// What looks wrong with a position that is kept all the same.
enum Mark : uint16_t {
  kSpeedJump = 1,     // farther from the driver's previous position than anything drives in that time
  kPoorAccuracy = 2,  // the receiver itself says it may be far off
};

// What makes a position unusable.
struct PositionFault {
  enum class Kind { kDriverId, kCoordinate, kMeasurement };
  Kind kind;
  const char* field;  // of DriverPosition, or "latitude", "longitude"
  const char* what;   // "has to be …"
};

// The first fault, if any.
std::optional<PositionFault> FindFault(const DriverPosition& position);
// BAD_REQUEST naming each field that is out of range.
absl::Status CheckPosition(const DriverPosition& position);

}  // namespace waybill::domain
