#include "services/ingest/partition_keeper.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::ingest {
namespace {

using storage::DayText;
using storage::Partition;

constexpr int kTrimsMax = 50;  // of the DEFAULT partition a round

bool IsLeftAlone(const absl::Status& status) { return storage::Sqlstate(status) == "55000"; }

}  // namespace

absl::Status PartitionKeeper::Keep() {
  const auto stopping = [this] { return stopping_.load(std::memory_order_relaxed); };
  if (stopping()) return absl::OkStatus();
  storage::ConnectionOptions connection_options = storage::MigrationConnectionOptions();
  connection_options.application_name = "waybill-partitions";
  connection_options.statement_timeout = options_.statement_timeout;
  // A connection for each time: it is needed a few times an hour.
  auto connection = storage::Connection::Open(database_url_, connection_options);
  if (!connection.ok()) {
    metrics_.PartitionsKept(1);
    return connection.status();
  }
  absl::StatusOr<storage::PartitionList> list = storage::ListPartitions(**connection);
  absl::StatusOr<storage::Rows> server_now = (*connection)->Execute("SELECT now()");
  if (!list.ok() || !server_now.ok()) {
    metrics_.PartitionsKept(1);
    return list.ok() ? server_now.status() : list.status();
  }

  std::vector<std::string> failures;
  auto done = [&](std::string_view what, absl::CivilDay day, absl::Status status) {
    if (!status.ok()) failures.push_back(fmt::format("{} {}: {}", what, DayText(day), std::string(status.message())));
    // What broke the connection is not to cost the others theirs.
    if ((*connection)->Broken()) (void)(*connection)->EnsureConnected();
    return status.ok();
  };

  // A clock that is ahead would drop what is still wanted.
  const absl::Time now = clock_.Now();
  const absl::Time oldest = std::min(now, server_now->Time(0, 0)) - options_.retention;
  const absl::CivilDay today = storage::PartitionDay(now);
  const absl::CivilDay last_wanted = storage::PartitionDay(oldest);
  std::set<absl::CivilDay> missing;
  for (int ahead = -1; ahead <= options_.ahead; ++ahead)
    missing.insert(today + ahead);  // yesterday's: points come late
  for (const Partition& partition : list->days) {
    const bool whole = partition.attached && !partition.detaching && !partition.doomed;
    if (whole) missing.erase(partition.day);
    // It was to be dropped, and is wanted after all: retention was raised.
    if (partition.doomed && partition.day >= last_wanted) missing.insert(partition.day);
  }
  std::set<absl::CivilDay> left_alone;
  for (absl::CivilDay day : missing) {
    if (stopping()) return absl::OkStatus();
    absl::Status made = storage::MakePartition(**connection, day);
    if (IsLeftAlone(made)) {
      left_alone.insert(day);
      if (left_alone_.count(day) == 0) {
        log_.Warn("a day of history is left alone", {{"day", DayText(day)}, {"error", std::string(made.message())}});
      }
      continue;
    }
    done("making", day, std::move(made));
  }
  left_alone_ = std::move(left_alone);

  for (const Partition& partition : list->days) {
    if (stopping()) return absl::OkStatus();
    if (partition.day >= last_wanted) break;
    if (!done("dropping", partition.day, storage::DropPartition(**connection, *list, partition))) continue;
    log_.Info("history dropped", {{"day", DayText(partition.day)}});
  }

  if (!list->rest.empty()) {
    if (!std::exchange(told_of_rest_, true)) {
      log_.Warn("driver_locations has a DEFAULT partition", {{"table", list->rest}});
    }
    for (int trims = 0; trims < kTrimsMax && !stopping(); ++trims) {
      auto trimmed = storage::TrimRest(**connection, oldest);
      if (!done("trimming the DEFAULT partition before", last_wanted, trimmed.status())) break;
      if (*trimmed < storage::kTrimMax) break;
    }
  } else {
    told_of_rest_ = false;
  }
  metrics_.DefaultPartition(!list->rest.empty());
  metrics_.PartitionsKept(failures.size());
  if (failures.empty()) return absl::OkStatus();
  return absl::UnavailableError(fmt::format("{}", fmt::join(failures, "; ")));
}

}  // namespace waybill::ingest
