// The partitions of driver_locations: one a UTC day, attached before or when the first position of the day comes.
// A table of a day's name that is not attached, and has no comment of ours, was detached by hand: it is left alone.
// What is done here needs the rights to INSERT and DELETE, and no table of one's own (migrations/0003).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

// The UTC day whose partition holds `recorded_at`.
absl::CivilDay PartitionDay(absl::Time recorded_at);

// "2026-05-28".
std::string DayText(absl::CivilDay day);

// Makes the partition of a day, or attaches it again when it was about to be dropped. Rows of a DEFAULT partition move
// into it. Reading and writing go on meanwhile, also when several processes do it. Nothing is done where it is there.
// An error with SQLSTATE 55000: it is left alone.
absl::Status MakePartition(Connection& connection, absl::CivilDay day);

struct Partition {
  absl::CivilDay day;
  bool attached = false;   // or an earlier drop was interrupted, after it was detached
  bool detaching = false;  // attached, but an earlier DETACH was interrupted: nothing is read from it or written to it
  bool doomed = false;     // it was to be dropped: our comment says so
};

struct PartitionList {
  std::vector<Partition> days;  // oldest first
  std::string rest;             // the DEFAULT partition; empty: there is none
  bool owned = false;           // this role may alter the tables
};
absl::StatusOr<PartitionList> ListPartitions(Connection& connection);

// Drops a day with all that is in it. Reading and writing go on meanwhile; queries that are under way are waited for.
// Beside a DEFAULT partition, or without owning the tables, it has to stop everybody else for a moment, and gives up
// soon when a query is in the way.
absl::Status DropPartition(Connection& connection, const PartitionList& list, const Partition& partition);

// Deletes what the DEFAULT partition holds from before `oldest`; answers how many rows. Bounded: call it again when it
// answers kTrimMax.
inline constexpr int kTrimMax = 20'000;
absl::StatusOr<int64_t> TrimRest(Connection& connection, absl::Time oldest);

}  // namespace waybill::storage
