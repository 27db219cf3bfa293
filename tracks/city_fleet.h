// Tracks of a fleet that does not exist: a seeded city whose drivers drive along its streets, stop at lights and for
// customers, and whose receivers and connections are as bad as real ones. The same options give the same fleet on every
// machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "domain/driver.h"
#include "domain/geo.h"

namespace waybill::tracks {

struct CityFleetOptions {
  uint64_t seed = 1;
  int drivers = 50;
  std::string id_prefix = "driver-";                        // driver-1, driver-2, ...
  absl::Time start = absl::FromUnixSeconds(1'767'225'600);  // 2026-01-01, midnight UTC
  absl::Duration length = absl::Hours(1);                   // InfiniteDuration: without end
  absl::Duration interval = absl::Seconds(5);               // between two fixes of a driver; at least 10 ms
  domain::GeoPoint centre{52.5219, 13.4132};                // Alexanderplatz, Berlin; within 80 degrees of the equator
  double radius_m = 6'000;                                  // no street lies farther out
  double noise_m = 4;                                       // of the receivers: standard deviation north and east

  double jumps_per_fix = 0.0005;  // a fix some kilometres off, alone
  double gaps_per_hour = 0.2;     // of a driver: no fix for 2-10 minutes
  double spells_per_hour = 0.3;   // of a driver: offline for 1-6 minutes, and then all fixes at once

  // On top of the fleet's own points, which stay the same whatever these are.
  double resends_per_fix = 0;  // the last 1-5 points that were delivered, again
  double bad_per_fix = 0;      // a point that has to be rejected
};

enum class DeliveryKind {
  kPoint,
  kDuplicate,       // of a kPoint delivered before
  kBadCoordinate,   // out of range
  kZeroCoordinate,  // 0,0
  kFuture,          // recorded in the year 2100
};

struct Delivery {
  absl::Time delivered_at;  // at or after position.recorded_at, but for kFuture
  domain::DriverPosition position;
  DeliveryKind kind = DeliveryKind::kPoint;
};

// What was yielded: what whoever received it should have found.
struct CityFleetTruth {
  int64_t points = 0;  // distinct ones that are good; late ones and jumps are among them
  int64_t duplicates = 0;
  int64_t bad_coordinate = 0;
  int64_t zero_coordinate = 0;
  int64_t future = 0;
  int64_t jumps = 0;
  int64_t late_bursts = 0;
  int64_t late_points = 0;
  int64_t gaps = 0;  // that a driver has come back from

  int64_t bad() const { return bad_coordinate + zero_coordinate + future; }
  int64_t deliveries() const { return points + duplicates + bad(); }
  friend bool operator==(const CityFleetTruth&, const CityFleetTruth&) = default;
};

// Memory is constant for each driver, but for the points of an offline spell. Not thread-safe.
class CityFleet {
 public:
  explicit CityFleet(CityFleetOptions options);
  ~CityFleet();

  // In order of delivered_at, each driver's own points in order of recorded_at; nullopt behind the last.
  std::optional<Delivery> Next();

  // Of all that Next has given so far.
  const CityFleetTruth& truth() const { return truth_; }

  // Of the whole fleet, known in advance: runs another one of the same options to its end, which `length` has to set.
  static CityFleetTruth TruthOf(const CityFleetOptions& options);

 private:
  class City;
  class Driver;
  struct Ready {
    Delivery delivery;
    bool jump = false;
    bool late = false;
    bool begins_burst = false;
    bool ends_gap = false;
  };
  using Turn = std::pair<absl::Time, size_t>;  // when a driver is next, and which

  CityFleetOptions options_;
  std::unique_ptr<const City> city_;
  std::vector<std::unique_ptr<Driver>> drivers_;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns_;
  std::deque<Ready> ready_;
  CityFleetTruth truth_;
};

}  // namespace waybill::tracks
