#include "storage/postgres/location_partitions.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "fmt/format.h"
#include "runtime/failpoint.h"

namespace waybill::storage {
namespace {

constexpr std::string_view kPrefix = "driver_locations_";

std::string PartitionName(absl::CivilDay day) {
  return fmt::format("{}{:04}{:02}{:02}", kPrefix, day.year(), day.month(), day.day());
}

std::string Midnight(absl::CivilDay day) {
  return fmt::format("{:04}-{:02}-{:02} 00:00:00+00", day.year(), day.month(), day.day());
}

// Nothing when it is not the name of a day's partition.
bool ParseName(std::string_view name, absl::CivilDay& day) {
  if (name.size() != kPrefix.size() + 8 || name.substr(0, kPrefix.size()) != kPrefix) return false;
  int number = 0;
  const char* end = name.data() + name.size();
  if (std::from_chars(name.data() + kPrefix.size(), end, number).ptr != end) return false;
  day = absl::CivilDay(number / 10'000, number / 100 % 100, number % 100);
  return PartitionName(day) == name;
}

// CREATE TABLE … PARTITION OF would lock the whole table against writers; ATTACH does not. The advisory lock is for
// processes that make the same partition at the same time. Vacuuming follows the inserts closely, since reads by the
// key alone need its note that a page is visible to all. {0}: the partition, {1}, {2}: its bounds.
constexpr char kMake[] = R"sql(
DO $make$ BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('waybill driver_locations partitions'));
  IF to_regclass('{0}') IS NULL THEN
    CREATE TABLE {0} (LIKE driver_locations INCLUDING ALL) WITH (autovacuum_vacuum_insert_scale_factor = 0.02);
  END IF;
  IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = '{0}'::regclass) THEN
    ALTER TABLE driver_locations ATTACH PARTITION {0} FOR VALUES FROM ('{1}') TO ('{2}');
  END IF;
END $make$)sql";

struct Partition {
  absl::CivilDay day;
  bool attached;
  bool detaching;  // an earlier DETACH was interrupted
};

// Says of a table that is detached, or about to be, that it is on its way out; one that somebody detached by hand lacks
// it.
constexpr char kDoomed[] = "waybill: to be dropped";

// Those that are attached, and what an interrupted drop left behind.
constexpr char kList[] =
    "SELECT c.relname::text, i.inhrelid IS NOT NULL, COALESCE(i.inhdetachpending, false) "
    "FROM pg_class c LEFT JOIN pg_inherits i ON c.oid = i.inhrelid AND i.inhparent = 'driver_locations'::regclass "
    "WHERE c.relkind = 'r' AND c.relname LIKE 'driver\\_locations\\_%' AND c.relnamespace = "
    "(SELECT relnamespace FROM pg_class WHERE oid = 'driver_locations'::regclass) "
    "AND (i.inhrelid IS NOT NULL OR obj_description(c.oid, 'pg_class') = $1)";

absl::StatusOr<std::vector<Partition>> List(Connection& connection) {
  absl::StatusOr<Rows> rows = connection.Execute(kList, {Param::Text(kDoomed)});
  if (!rows.ok()) return rows.status();
  std::vector<Partition> partitions;
  for (int row = 0; row < rows->size(); ++row) {
    absl::CivilDay day;
    if (ParseName(rows->Text(row, 0), day)) partitions.push_back({day, rows->Bool(row, 1), rows->Bool(row, 2)});
  }
  std::sort(partitions.begin(), partitions.end(), [](const auto& a, const auto& b) { return a.day < b.day; });
  return partitions;
}

}  // namespace

absl::CivilDay PartitionDay(absl::Time recorded_at) { return absl::ToCivilDay(recorded_at, absl::UTCTimeZone()); }

absl::Status MakePartitions(Connection& connection, const std::vector<absl::CivilDay>& days) {
  absl::StatusOr<std::vector<absl::CivilDay>> attached = ListPartitions(connection);
  if (!attached.ok()) return attached.status();
  for (absl::CivilDay day : days) {
    if (std::binary_search(attached->begin(), attached->end(), day)) continue;
    WAYBILL_FAILPOINT("ingest.before_partition");
    absl::Status made =
        connection.ExecuteScript(fmt::format(kMake, PartitionName(day), Midnight(day), Midnight(day + 1)));
    if (!made.ok()) return made;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<absl::CivilDay>> DropPartitionsBefore(Connection& connection, absl::Time oldest) {
  absl::StatusOr<std::vector<Partition>> partitions = List(connection);
  if (!partitions.ok()) return partitions.status();
  std::vector<absl::CivilDay> dropped;
  for (const Partition& partition : *partitions) {
    if (absl::FromCivil(partition.day + 1, absl::UTCTimeZone()) > oldest) break;
    const std::string name = PartitionName(partition.day);
    // Each by itself: DETACH may not stand in a transaction with others. An interrupted one is gone on with next time.
    std::vector<std::string> statements;
    if (partition.attached) {
      statements.push_back(fmt::format("COMMENT ON TABLE {} IS '{}'", name, kDoomed));
      statements.push_back(fmt::format("ALTER TABLE driver_locations DETACH PARTITION {} {}", name,
                                       partition.detaching ? "FINALIZE" : "CONCURRENTLY"));
    }
    statements.push_back(fmt::format("DROP TABLE {}", name));
    for (const std::string& statement : statements) {
      if (absl::Status done = connection.Execute(statement).status(); !done.ok()) return done;
    }
    dropped.push_back(partition.day);
  }
  return dropped;
}

absl::StatusOr<std::vector<absl::CivilDay>> ListPartitions(Connection& connection) {
  absl::StatusOr<std::vector<Partition>> partitions = List(connection);
  if (!partitions.ok()) return partitions.status();
  std::vector<absl::CivilDay> days;
  for (const Partition& partition : *partitions) {
    if (partition.attached) days.push_back(partition.day);
  }
  return days;
}

}  // namespace waybill::storage
