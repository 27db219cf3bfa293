#include "storage/postgres/migrate.h"

#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "fmt/format.h"
#include "runtime/sha256.h"

namespace waybill::storage {
namespace {

std::string Checksum(std::string_view text) { return absl::BytesToHexString(Sha256(text)); }

struct AppliedMigration {
  std::string name;
  std::string checksum;
  absl::Time at;
};
using AppliedMigrations = std::map<int, AppliedMigration>;

// Where a role may use no schema of its search_path it finds no table either.
constexpr char kTableExists[] =
    "SELECT to_regclass('schema_migrations') IS NOT NULL, current_schema() IS NOT NULL, current_user::text";
constexpr char kSelectApplied[] = "SELECT version, name, checksum, applied_at FROM schema_migrations";

absl::StatusOr<AppliedMigrations> LoadApplied(Connection& connection) {
  absl::StatusOr<Rows> exists = connection.Execute(kTableExists);
  if (!exists.ok()) return exists.status();
  if (!exists->Bool(0, 1)) {
    return absl::FailedPreconditionError(
        fmt::format("role {} may use no schema of its search_path: GRANT USAGE ON SCHEMA", exists->Text(0, 2)));
  }
  AppliedMigrations applied;
  if (!exists->Bool(0, 0)) return applied;
  absl::StatusOr<Rows> rows = connection.Execute(kSelectApplied);
  if (!rows.ok()) return rows.status();
  for (int row = 0; row < rows->size(); ++row) {
    applied[static_cast<int>(rows->Int(row, 0))] = {std::string(rows->Text(row, 1)), std::string(rows->Text(row, 2)),
                                                    rows->Time(row, 3)};
  }
  return applied;
}

absl::Status Edited(std::string_view name, std::string_view applied_checksum, std::string_view checksum) {
  return absl::FailedPreconditionError(
      fmt::format("migration {} was edited after it had been applied: applied with SHA-256 {}, this binary has {}; "
                  "restore the file "
                  "and put the change into a new migration",
                  name, applied_checksum, checksum));
}

// Whether what is applied is a beginning of what this binary has.
absl::Status CheckHistory(const AppliedMigrations& applied, std::span<const Migration> migrations) {
  int expected = 1;
  for (const auto& [version, migration] : applied) {
    if (version > static_cast<int>(migrations.size())) {
      return absl::FailedPreconditionError(
          fmt::format("the database is newer than this binary: it has migration {} ({}), this binary ends at {}",
                      version, migration.name, migrations.size()));
    }
    if (version != expected) {
      return absl::FailedPreconditionError(fmt::format("gap in schema_migrations: {} is missing, though {} is applied",
                                                       migrations[static_cast<size_t>(expected) - 1].name,
                                                       migration.name));
    }
    const Migration& ours = migrations[static_cast<size_t>(version) - 1];
    std::string checksum = Checksum(ours.sql);
    if (checksum != migration.checksum) return Edited(ours.name, migration.checksum, checksum);
    ++expected;
  }
  return absl::OkStatus();
}

absl::Status CheckNumbers(std::span<const Migration> migrations) {
  for (size_t i = 0; i < migrations.size(); ++i) {
    if (migrations[i].version != static_cast<int>(i) + 1) {
      return absl::FailedPreconditionError(fmt::format(
          "migrations have to be numbered from 1 without gaps: {} follows number {}", migrations[i].name, i));
    }
  }
  return absl::OkStatus();
}

constexpr char kRecord[] =
    "INSERT INTO schema_migrations (version, name, checksum, duration_ms) "
    "VALUES ($1, $2, $3, (extract(epoch FROM clock_timestamp() - transaction_timestamp()) * 1000)::int8) "
    "RETURNING duration_ms";

absl::StatusOr<absl::Duration> ApplyInTransaction(Connection& connection, const Migration& migration) {
  absl::Status status = connection.ExecuteScript("BEGIN");
  if (status.ok()) status = connection.ExecuteScript(std::string(migration.sql));
  if (!status.ok()) return status;
  std::string checksum = Checksum(migration.sql);
  absl::StatusOr<Rows> recorded =
      connection.Execute(kRecord, {Param::Int4(migration.version), Param::Text(migration.name), Param::Text(checksum)});
  if (!recorded.ok()) return recorded.status();
  status = connection.ExecuteScript("COMMIT");
  if (!status.ok()) return status;
  return absl::Milliseconds(recorded->Int(0, 0));
}

absl::StatusOr<absl::Duration> Apply(Connection& connection, const Migration& migration) {
  absl::StatusOr<absl::Duration> took = ApplyInTransaction(connection, migration);
  if (took.ok()) return took;
  // Without an answer to this, the connection is broken, and the server rolls back by itself.
  if (!connection.Broken()) connection.ExecuteScript("ROLLBACK").IgnoreError();
  absl::Status why(took.status().code(),
                   fmt::format("migration {}: {}", migration.name, std::string(took.status().message())));
  took.status().ForEachPayload([&why](auto url, const absl::Cord& payload) { why.SetPayload(url, payload); });
  return why;
}

constexpr char kCreateTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "    version      integer     NOT NULL,"
    "    name         text        NOT NULL,"
    "    checksum     text        NOT NULL,"
    "    applied_at   timestamptz NOT NULL DEFAULT now(),"
    "    duration_ms  bigint      NOT NULL,"
    "    CONSTRAINT schema_migrations_pkey PRIMARY KEY (version))";

absl::StatusOr<int> MigrateLocked(Connection& connection,
                                  const std::function<void(std::string_view, absl::Duration)>& applied,
                                  std::span<const Migration> migrations) {
  absl::Status status = connection.ExecuteScript(kCreateTable);
  if (!status.ok()) return status;
  absl::StatusOr<AppliedMigrations> before = LoadApplied(connection);
  if (!before.ok()) return before.status();
  status = CheckHistory(*before, migrations);
  if (!status.ok()) return status;
  int count = 0;
  for (const Migration& migration : migrations.subspan(before->size())) {
    absl::StatusOr<absl::Duration> took = Apply(connection, migration);
    if (!took.ok()) return took.status();
    if (applied) applied(migration.name, *took);
    ++count;
  }
  return count;
}

// Any number that no other user of the database takes: "waybill" in ASCII.
constexpr int64_t kLock = 0x77617962696c6c;
constexpr char kTakeLock[] = "SELECT pg_advisory_lock($1)";
constexpr char kReleaseLock[] = "SELECT pg_advisory_unlock($1)";

}  // namespace

ConnectionOptions MigrationConnectionOptions() {
  ConnectionOptions options;
  options.application_name = "waybill-migrate";
  options.statement_timeout = absl::InfiniteDuration();
  options.commits = true;
  return options;
}

absl::StatusOr<int> Migrate(Connection& connection,
                            const std::function<void(std::string_view, absl::Duration)>& applied,
                            std::span<const Migration> migrations) {
  absl::Status status = CheckNumbers(migrations);
  if (status.ok()) status = connection.Execute(kTakeLock, {Param::Int8(kLock)}).status();
  if (!status.ok()) return status;
  absl::StatusOr<int> count = MigrateLocked(connection, applied, migrations);
  // A lost connection has lost the lock as well.
  if (!connection.Broken()) connection.Execute(kReleaseLock, {Param::Int8(kLock)}).status().IgnoreError();
  return count;
}

absl::StatusOr<std::vector<MigrationState>> MigrationStatus(Connection& connection,
                                                            std::span<const Migration> migrations) {
  absl::StatusOr<AppliedMigrations> applied = LoadApplied(connection);
  if (!applied.ok()) return applied.status();
  std::vector<MigrationState> states;
  for (const Migration& migration : migrations) {
    MigrationState state;
    state.version = migration.version;
    state.name = std::string(migration.name);
    state.checksum = Checksum(migration.sql);
    auto it = applied->find(migration.version);
    if (it != applied->end()) {
      state.kind =
          it->second.checksum == state.checksum ? MigrationState::Kind::kApplied : MigrationState::Kind::kEdited;
      state.checksum = it->second.checksum;
      state.applied_at = it->second.at;
      applied->erase(it);
    }
    states.push_back(std::move(state));
  }
  for (const auto& [version, migration] : *applied) {
    states.push_back({MigrationState::Kind::kUnknown, version, migration.name, migration.checksum, migration.at});
  }
  return states;
}

absl::Status CheckSchema(Connection& connection, std::span<const Migration> migrations) {
  absl::StatusOr<AppliedMigrations> applied = LoadApplied(connection);
  if (!applied.ok()) return applied.status();
  for (const Migration& migration : migrations) {
    auto it = applied->find(migration.version);
    if (it == applied->end()) {
      return absl::FailedPreconditionError(
          fmt::format("migration {} is not applied: run `waybill migrate`", migration.name));
    }
    std::string checksum = Checksum(migration.sql);
    if (it->second.checksum != checksum) return Edited(migration.name, it->second.checksum, checksum);
  }
  return absl::OkStatus();
}

}  // namespace waybill::storage
