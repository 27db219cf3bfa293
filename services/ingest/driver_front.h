// The newest position this process has taken of each driver: what tells a move from a latecomer, and a jump from a
// drive. A bounded memory: of drivers that were silent for long it forgets, and then answers "unknown".
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/time/time.h"
#include "services/ingest/recent_drivers.h"
#include "storage/location_log.h"

namespace waybill::ingest {

struct SanityOptions {
  bool enabled = true;
  double speed_max_mps = 70;    // 252 km/h: faster means SPEED_JUMP
  double accuracy_max_m = 100;  // worse means POOR_ACCURACY
};

// Thread-safe.
class DriverFront {
 public:
  // Remembers between `drivers_max` / 2 and `drivers_max` of the drivers that were seen last.
  DriverFront(SanityOptions sanity, size_t drivers_max) : sanity_(sanity), drivers_(drivers_max) {}

  // How the location stands to what was taken before; a newer one becomes the front. Marks what looks wrong with it.
  void Take(storage::Location& location);

  // What was taken last was not stored.
  void Forget(const std::string& driver_id);

 private:
  struct Newest {
    int64_t recorded_us = INT64_MIN;
    domain::GeoPoint point;
  };

  const SanityOptions sanity_;
  std::mutex mutex_;
  RecentDrivers<Newest> drivers_;
};

}  // namespace waybill::ingest
