// What the ingest service does besides serving: partitions ahead of time, retention, and a geo set without the gone.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/chores.h"
#include "services/ingest/clock_check.h"
#include "services/ingest/partition_keeper.h"
#include "storage/fleet.h"

namespace waybill::ingest {

struct HousekeepingOptions {
  absl::Duration partitions = absl::Minutes(10);
  absl::Duration partitions_retry = absl::Seconds(30);  // after a failure
  absl::Duration clocks = absl::Seconds(10);
  absl::Duration sweep = absl::Seconds(10);
};

// On a thread of its own: a drop may wait for a long query. All outlive the chores.
Chore KeepPartitionsChore(PartitionKeeper& partitions, HousekeepingOptions options);
// `store_now` asks the store what time it is.
Chore CompareClocksChore(std::function<absl::StatusOr<absl::Time>()> store_now, ClockCheck& clocks, const Clock& clock,
                         HousekeepingOptions options);
Chore SweepChore(storage::Fleet& fleet, HousekeepingOptions options);

}  // namespace waybill::ingest
