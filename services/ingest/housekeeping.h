// What the ingest service does besides serving: partitions ahead of time, retention, and a geo set without the gone.
#pragma once

#include "absl/time/time.h"
#include "runtime/chores.h"
#include "services/ingest/partition_keeper.h"
#include "storage/fleet.h"

namespace waybill::ingest {

struct HousekeepingOptions {
  absl::Duration partitions = absl::Minutes(10);
  absl::Duration partitions_retry = absl::Seconds(30);  // after a failure
  absl::Duration sweep = absl::Seconds(10);
};

// Each runs on a thread of its own: a drop may wait for a long query. All outlive the chores.
Chore KeepPartitionsChore(PartitionKeeper& partitions, HousekeepingOptions options);
Chore SweepChore(storage::Fleet& fleet, HousekeepingOptions options);

}  // namespace waybill::ingest
