#include "services/ingest/housekeeping.h"

#include "fmt/format.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/migrate.h"

namespace waybill::ingest {
namespace {

// Dropping a day waits for the queries that read it. Not for long at a time: it is gone on with the next time, and
// nothing else is to wait for it meanwhile.
constexpr absl::Duration kStatementTimeout = absl::Seconds(8);

// A connection for each time: it is needed a few times an hour.
absl::Status KeepPartitions(const std::string& database_url, const Clock& clock, const Logger& log,
                            const HousekeepingOptions& options) {
  storage::ConnectionOptions connection_options = storage::MigrationConnectionOptions();
  connection_options.application_name = "waybill-partitions";
  connection_options.statement_timeout = kStatementTimeout;
  auto connection = storage::Connection::Open(database_url, connection_options);
  if (!connection.ok()) return connection.status();
  const absl::Time now = clock.Now();
  // Yesterday's too: points come late.
  std::vector<absl::CivilDay> days;
  const absl::CivilDay today = storage::PartitionDay(now);
  for (int ahead = -1; ahead <= options.partitions_ahead; ++ahead) days.push_back(today + ahead);
  if (absl::Status made = storage::MakePartitions(**connection, days); !made.ok()) return made;
  auto dropped = storage::DropPartitionsBefore(**connection, now - options.retention);
  if (!dropped.ok()) return dropped.status();
  for (absl::CivilDay day : *dropped) {
    log.Info("history dropped", {{"day", fmt::format("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())}});
  }
  return absl::OkStatus();
}

// Reading a page removes those whose hash has expired.
absl::Status Sweep(storage::Fleet& fleet) {
  constexpr int kPage = 1'000;
  uint64_t cursor = 0;
  do {
    auto page = fleet.Scan(cursor, kPage);
    if (!page.ok()) return page.status();
    cursor = page->cursor;
  } while (cursor != 0);
  return absl::OkStatus();
}

}  // namespace

std::vector<Chore> HousekeepingChores(const std::string& database_url, storage::Fleet& fleet, const Clock& clock,
                                      const Logger& log, HousekeepingOptions options) {
  std::vector<Chore> chores;
  chores.push_back(EveryChore(options.partitions, "keeping partitions",
                              [=, &clock, &log] { return KeepPartitions(database_url, clock, log, options); }));
  chores.back().retry = absl::Seconds(10);
  chores.push_back(EveryChore(options.sweep, "sweeping the hot view", [&fleet] { return Sweep(fleet); }));
  return chores;
}

}  // namespace waybill::ingest
