// The hot view of the fleet: where the drivers with a fresh position are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "domain/driver.h"
#include "domain/geo.h"

namespace waybill::storage {

struct NearbyDriver {
  std::string driver_id;
  double distance_m = 0;  // along the great circle, to a metre
};

inline constexpr double kNearestRadiusMaxM = 1'000'000;

struct NearestQuery {
  domain::GeoPoint point;   // anywhere: the poles and the antimeridian are places like any other
  double radius_m = 5'000;  // 0 to kNearestRadiusMaxM
  int limit = 16;
};

absl::Status CheckQuery(const NearestQuery& query);  // BAD_REQUEST

// A page of the whole fleet in no particular order; `cursor` continues it, 0 starts and ends it. Any other number
// starts it anywhere: what comes before is left out, and numbers apart from each other leave out different drivers.
struct FleetPage {
  std::vector<std::string> driver_ids;
  uint64_t cursor = 0;
};

// Fresh means: the driver's position has not outlived its TTL. Thread-safe.
class Fleet {
 public:
  virtual ~Fleet() = default;

  // Fresh drivers, nearest first. Batched: calls that arrive together share round trips. `done` is called exactly once,
  // on any thread. STORE_UNAVAILABLE, QUEUE_FULL; BAD_REQUEST when the radius is out of range.
  virtual void Nearest(const NearestQuery& query,
                       absl::AnyInvocable<void(absl::StatusOr<std::vector<NearbyDriver>>)> done) = 0;
  // About `count` fresh drivers from `cursor` on; blocks.
  virtual absl::StatusOr<FleetPage> Scan(uint64_t cursor, int count) = 0;

  // Stores positions, each unless a newer one of the same driver is there; blocks. BAD_REQUEST (CheckPosition), and
  // then nothing is stored.
  virtual absl::Status Put(const std::vector<domain::DriverPosition>& positions, absl::Duration ttl) = 0;
  // The fresh ones, in the order asked for; blocks.
  virtual absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> Get(
      const std::vector<std::string>& driver_ids) = 0;
  // Whether it can be searched; blocks. STORE_UNAVAILABLE, with what is missing.
  virtual absl::Status Ping() = 0;
};

}  // namespace waybill::storage
