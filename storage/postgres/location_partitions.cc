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

// Nothing when it is not the name of a day's partition.
bool ParseName(std::string_view name, absl::CivilDay& day) {
  if (name.size() != kPrefix.size() + 8 || name.substr(0, kPrefix.size()) != kPrefix) return false;
  int number = 0;
  const char* end = name.data() + name.size();
  if (std::from_chars(name.data() + kPrefix.size(), end, number).ptr != end) return false;
  day = absl::CivilDay(number / 10'000, number / 100 % 100, number % 100);
  return PartitionName(day) == name;
}

// Says of a table that is detached, or about to be, that it is on its way out; one that somebody detached by hand lacks
// it. migrations/0003 knows it too.
constexpr char kDoomed[] = "waybill: to be dropped";

// Those that are attached, and what an interrupted drop left behind. What is no plain table (an archive's, say) is
// somebody else's to drop.
constexpr char kList[] =
    "SELECT c.relname::text, i.inhrelid IS NOT NULL, COALESCE(i.inhdetachpending, false), "
    "COALESCE(obj_description(c.oid, 'pg_class') = $1, false) "
    "FROM pg_class c LEFT JOIN pg_inherits i ON c.oid = i.inhrelid AND i.inhparent = 'driver_locations'::regclass "
    "WHERE c.relkind IN ('r', 'p') AND c.relname LIKE 'driver\\_locations\\_%' AND c.relnamespace = "
    "(SELECT relnamespace FROM pg_class WHERE oid = 'driver_locations'::regclass) "
    "AND (i.inhrelid IS NOT NULL OR obj_description(c.oid, 'pg_class') = $1)";

constexpr char kParent[] =
    "SELECT COALESCE(d.relname::text, ''), pg_has_role(c.relowner, 'USAGE') FROM pg_class c "
    "JOIN pg_partitioned_table p ON p.partrelid = c.oid LEFT JOIN pg_class d ON d.oid = p.partdefid "
    "WHERE c.oid = 'driver_locations'::regclass";

}  // namespace

absl::CivilDay PartitionDay(absl::Time recorded_at) { return absl::ToCivilDay(recorded_at, absl::UTCTimeZone()); }

std::string DayText(absl::CivilDay day) { return fmt::format("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()); }

absl::Status MakePartition(Connection& connection, absl::CivilDay day) {
  WAYBILL_FAILPOINT("ingest.before_partition");
  return connection.Execute(fmt::format("SELECT waybill_attach_day('{}')", DayText(day))).status();
}

absl::StatusOr<PartitionList> ListPartitions(Connection& connection) {
  absl::StatusOr<Rows> parent = connection.Execute(kParent);
  if (!parent.ok()) return parent.status();
  absl::StatusOr<Rows> rows = connection.Execute(kList, {Param::Text(kDoomed)});
  if (!rows.ok()) return rows.status();
  PartitionList list;
  if (!parent->empty()) {
    list.rest = std::string(parent->Text(0, 0));
    list.owned = parent->Bool(0, 1);
  }
  for (int row = 0; row < rows->size(); ++row) {
    absl::CivilDay day;
    if (!ParseName(rows->Text(row, 0), day)) continue;
    list.days.push_back({day, rows->Bool(row, 1), rows->Bool(row, 2), rows->Bool(row, 3)});
  }
  std::sort(list.days.begin(), list.days.end(), [](const auto& a, const auto& b) { return a.day < b.day; });
  return list;
}

absl::Status DropPartition(Connection& connection, const PartitionList& list, const Partition& partition) {
  if (!list.owned || !list.rest.empty()) {
    return connection.Execute(fmt::format("SELECT waybill_drop_day('{}')", DayText(partition.day))).status();
  }
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
  return absl::OkStatus();
}

absl::StatusOr<int64_t> TrimRest(Connection& connection, absl::Time oldest) {
  absl::StatusOr<Rows> rows =
      connection.Execute("SELECT waybill_trim_default($1, $2)", {Param::Time(oldest), Param::Int4(kTrimMax)});
  if (!rows.ok()) return rows.status();
  return rows->Int(0, 0);
}

}  // namespace waybill::storage
