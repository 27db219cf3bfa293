#include "storage/postgres/server_check.h"

#include <memory>
#include <set>
#include <utility>

#include "fmt/format.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

// Two sessions at once: one server process each, and it stays the same. Where others use the pooler as well, it gives
// us the same ones again now and then by chance, so they are asked more than once.
constexpr char kProcess[] = "SELECT pg_backend_pid()";
constexpr int kTimesAsked = 16;

// Waits of this moment are how a synchronous standby works; those of others' roles are hidden unless we may see them.
constexpr char kServing[] =
    "SELECT current_setting('transaction_read_only')::bool, count(pid), "
    "COALESCE(extract(epoch FROM now() - min(query_start)), 0)::int8 "
    "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query_start < now() - interval '2 seconds'";

constexpr char kCareless[] =
    "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off' ORDER BY name";

absl::StatusOr<bool> TakesWrites(Connection& connection, absl::Status& waiting) {
  absl::StatusOr<Rows> rows = connection.Execute(kServing);
  if (!rows.ok()) return rows.status();
  if (rows->Int(0, 1) > 0) {
    waiting = ConnectionError(fmt::format("commits wait for a synchronous standby: {} of them, one for {} s",
                                          rows->Int(0, 1), rows->Int(0, 2)));
  }
  return !rows->Bool(0, 0);
}

}  // namespace

absl::Status CheckSessionsAreOurs(const std::string& url) {
  auto one = Connection::Open(url, {});
  if (!one.ok()) return one.status();
  auto two = Connection::Open(url, {});
  if (!two.ok()) return two.status();
  std::set<int64_t> ones, twos;
  for (int i = 0; i < kTimesAsked; ++i) {
    for (auto& [session, processes] : {std::pair(one->get(), &ones), std::pair(two->get(), &twos)}) {
      absl::StatusOr<Rows> rows = session->Execute(kProcess);
      if (!rows.ok()) return rows.status();
      processes->insert(rows->Int(0, 0));
    }
    if (ones.size() > 1 || twos.size() > 1 || ones == twos) {
      return absl::FailedPreconditionError(
          "a pooler between Waybill and Postgres pools transactions: let it pool sessions (pool_mode = session), or "
          "connect to Postgres itself");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SettingsThatLoseData(Connection& connection) {
  absl::StatusOr<Rows> rows = connection.Execute(kCareless);
  if (!rows.ok()) return rows.status();
  std::vector<std::string> names;
  for (int row = 0; row < rows->size(); ++row) names.emplace_back(rows->Text(row, 0));
  return names;
}

absl::Status CheckServing(Pool& pool) {
  absl::StatusOr<Pool::Lease> lease = pool.Acquire();
  if (!lease.ok()) return lease.status();
  Connection& connection = **lease;
  absl::Status waiting;
  absl::StatusOr<bool> takes_writes = TakesWrites(connection, waiting);
  if (takes_writes.ok() && !*takes_writes) {  // a new session may lead elsewhere
    if (absl::Status reset = connection.Reset(); !reset.ok()) return reset;
    takes_writes = TakesWrites(connection, waiting);
  }
  if (!takes_writes.ok()) return takes_writes.status();
  if (!*takes_writes) return ConnectionError(kTakesNoWrites);
  if (!waiting.ok()) return waiting;
  return CheckSchema(connection);
}

}  // namespace waybill::storage
