// The partitions of driver_locations: one a UTC day, attached before or when the first position of the day comes.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

// The UTC day whose partition holds `recorded_at`.
absl::CivilDay PartitionDay(absl::Time recorded_at);

// Makes those partitions that are missing. Reading and writing go on meanwhile, also when several processes do it.
absl::Status MakePartitions(Connection& connection, const std::vector<absl::CivilDay>& days);

// Drops the partitions that hold nothing at or after `oldest`, with all that is in them, and answers their days.
// Reading and writing go on meanwhile; queries that are under way are waited for.
absl::StatusOr<std::vector<absl::CivilDay>> DropPartitionsBefore(Connection& connection, absl::Time oldest);

// Those that are attached, oldest first.
absl::StatusOr<std::vector<absl::CivilDay>> ListPartitions(Connection& connection);

}  // namespace waybill::storage
