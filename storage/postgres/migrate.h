// The schema, as numbered SQL files that are applied once, in order.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/postgres/connection.h"

namespace waybill::storage {

struct Migration {
  int version = 0;        // from 1, without gaps
  std::string_view name;  // the file's name: 0001_orders.sql
  std::string_view sql;   // runs inside a transaction, so nothing that refuses to (CREATE INDEX CONCURRENTLY)
};

// The files under migrations/, in order; part of the binary.
std::span<const Migration> EmbeddedMigrations();

// For the connection given to Migrate: a migration may take its time.
ConnectionOptions MigrationConnectionOptions();

// Applies what is missing, each in its own transaction, and records it in the table schema_migrations. Several
// processes may call it at once: all but one wait. `applied` is told each migration's name and how long it took.
// Answers how many were applied. FAILED_PRECONDITION, with nothing applied: an applied migration was edited since,
// there is a gap among the applied ones, or the database is newer than this binary. Other errors: the failing
// migration's, which left nothing behind; those before it stay applied.
absl::StatusOr<int> Migrate(Connection& connection,
                            const std::function<void(std::string_view name, absl::Duration took)>& applied,
                            std::span<const Migration> migrations = EmbeddedMigrations());

// One migration as this binary and the database know it.
struct MigrationState {
  enum class Kind {
    kApplied,
    kPending,
    kEdited,   // applied, but from another text than this binary's
    kUnknown,  // applied, but not part of this binary: the database is newer
  };
  Kind kind = Kind::kPending;
  int version = 0;
  std::string name;
  std::string checksum;                  // SHA-256 in hex: the applied text's, or this binary's if pending
  std::optional<absl::Time> applied_at;  // none: pending
};

// In the order of versions. Changes nothing, and works on an empty database.
absl::StatusOr<std::vector<MigrationState>> MigrationStatus(
    Connection& connection, std::span<const Migration> migrations = EmbeddedMigrations());

// For readiness: OK when all that this binary needs is applied, unedited; else FAILED_PRECONDITION, naming what is not.
// A newer database is fine, so that the old replicas keep serving while the new ones roll out.
absl::Status CheckSchema(Connection& connection, std::span<const Migration> migrations = EmbeddedMigrations());

}  // namespace waybill::storage
