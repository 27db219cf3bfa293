// What the ingest service does besides serving: partitions ahead of time, retention, and a geo set without the gone.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "runtime/chores.h"
#include "storage/fleet.h"

namespace waybill::ingest {

struct HousekeepingOptions {
  int partitions_ahead = 2;  // days after today
  absl::Duration retention = absl::Hours(24 * 30);
  absl::Duration partitions = absl::Minutes(10);
  absl::Duration sweep = absl::Seconds(10);
};

// All outlive the chores.
std::vector<Chore> HousekeepingChores(const std::string& database_url, storage::Fleet& fleet, const Clock& clock,
                                      const Logger& log, HousekeepingOptions options);

}  // namespace waybill::ingest
