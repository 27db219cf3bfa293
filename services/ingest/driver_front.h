// The newest position this process has taken of each driver: what tells a move from a latecomer, and a jump from a
// drive. A bounded memory: of drivers that were silent for long it forgets, and then answers "unknown".
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
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
  DriverFront(SanityOptions sanity, size_t drivers_max) : sanity_(sanity), generation_max_(drivers_max / 2) {}

  // How the location stands to what was taken before; a newer one becomes the front. Marks what looks wrong with it.
  void Take(storage::Location& location);

 private:
  struct Newest {
    int64_t recorded_us = INT64_MIN;
    storage::GeoPoint point;
  };
  using Drivers = absl::flat_hash_map<std::string, Newest>;

  Newest& Find(const std::string& driver_id, bool& known);

  const SanityOptions sanity_;
  const size_t generation_max_;
  std::mutex mutex_;
  // Two generations: who is seen moves to the young one, and when that is full the old one is forgotten.
  Drivers young_;
  Drivers old_;
};

}  // namespace waybill::ingest
