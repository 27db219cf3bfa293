// What this Postgres and this Redis can take at most together: the rows, and the commands for the hot view and the
// events, of positions, with nothing else in the way. The product's figures are read as a share of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/location_message.h"

namespace waybill::bench {

struct LocationCeilingOptions {
  std::string database_url;  // freshly migrated
  std::string redis_url;     // an empty database
  int connections = 2;       // to Postgres; one more goes to Redis
  int drivers = 512;
  int batch = 4'096;                     // points a commit, and a pipeline
  absl::Time epoch = absl::UnixEpoch();  // when the first points are recorded
  absl::Duration warm_up = absl::Seconds(1);
  absl::Duration duration = absl::Seconds(5);
};

struct LocationCeilingResult {
  double points_per_second = 0;      // in Postgres and in Redis, in the window after the warm-up
  int64_t points = 0;                // all, for the books
  std::vector<DriverTally> drivers;  // the same, by driver
};

absl::StatusOr<LocationCeilingResult> MeasureLocationCeiling(const LocationCeilingOptions& options);

}  // namespace waybill::bench
