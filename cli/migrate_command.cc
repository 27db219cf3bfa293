// waybill migrate: straight at Postgres. All other commands ask services.
#include <memory>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/table.h"
#include "cli/values.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "storage/postgres/connection.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/rights.h"
#include "storage/postgres/server_check.h"

namespace waybill::cli {
namespace {

ExitCode FailDatabase(const Context& context, const absl::Status& status) {
  return context.Fail(status, absl::IsUnavailable(status)
                                  ? "Is Postgres running there? Say where with --database-url or DATABASE_URL."
                                  : "");
}

std::string_view Name(storage::MigrationState::Kind kind) {
  constexpr std::string_view kNames[] = {"applied", "pending", "edited", "unknown"};
  return kNames[static_cast<size_t>(kind)];
}

ExitCode MigrationTable(const Context& context, storage::Connection& connection) {
  absl::StatusOr<std::vector<storage::MigrationState>> states = storage::MigrationStatus(connection);
  if (!states.ok()) return FailDatabase(context, states.status());
  Table table({{"version", Column::Align::kRight}, {"name"}, {"state"}, {"applied"}, {"checksum"}});
  bool sound = true;
  for (const storage::MigrationState& state : *states) {
    using Kind = storage::MigrationState::Kind;
    std::string applied = state.applied_at ? ShowTime(*state.applied_at) : "";
    sound = sound && state.kind != Kind::kEdited && state.kind != Kind::kUnknown;
    if (context.json) {
      nlohmann::ordered_json row{{"version", state.version},
                                 {"name", state.name},
                                 {"state", std::string(Name(state.kind))},
                                 {"checksum", state.checksum}};
      if (state.applied_at) row["applied_time"] = applied;
      context.PrintLine(row.dump());
      continue;
    }
    Style style = state.kind == Kind::kApplied   ? Style::kGood
                  : state.kind == Kind::kPending ? Style::kWaiting
                                                 : Style::kBad;
    table.Add({std::to_string(state.version), state.name, Cell(std::string(Name(state.kind)), style), applied,
               state.checksum.substr(0, 12)});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  return sound ? ExitCode::kOk : ExitCode::kRefused;
}

ExitCode ShowMigrations(const Context& context) {
  absl::StatusOr<std::unique_ptr<storage::Connection>> connection =
      storage::Connection::Open(context.database_url, storage::ReadConnectionOptions());
  if (!connection.ok()) return FailDatabase(context, connection.status());
  return MigrationTable(context, **connection);
}

ExitCode Grant(const Context& context, storage::Connection& connection, const std::string& role) {
  absl::StatusOr<std::vector<std::string>> granted = storage::GrantRights(connection, role);
  if (!granted.ok()) return context.Fail(granted.status(), "Is there such a role, and do the tables belong to yours?");
  for (const std::string& statement : *granted) {
    if (context.json) {
      context.PrintLine(nlohmann::ordered_json{{"granted", statement}}.dump());
    } else {
      context.PrintLine(statement);
    }
  }
  return ExitCode::kOk;
}

// `grant_to`: nobody when it is empty.
ExitCode Migrate(const Context& context, const std::string& grant_to) {
  // The lock that keeps two migrations apart is a session's.
  absl::Status ours = storage::CheckSessionsAreOurs(context.database_url);
  if (!ours.ok()) return FailDatabase(context, ours);
  absl::StatusOr<std::unique_ptr<storage::Connection>> connection =
      storage::Connection::Open(context.database_url, storage::MigrationConnectionOptions());
  if (!connection.ok()) return FailDatabase(context, connection.status());
  auto report = [&context](std::string_view name, absl::Duration took) {
    if (context.json) {
      context.PrintLine(
          nlohmann::ordered_json{{"applied", std::string(name)}, {"took_ms", absl::ToInt64Milliseconds(took)}}.dump());
    } else {
      context.PrintLine(fmt::format("applied {} in {}", name, ShowDuration(took)));
    }
  };
  absl::StatusOr<int> applied = storage::Migrate(**connection, report);
  if (!applied.ok()) return FailDatabase(context, applied.status());
  if (*applied == 0) context.Note("nothing to apply: the schema is current");
  return grant_to.empty() ? ExitCode::kOk : Grant(context, **connection, grant_to);
}

}  // namespace

void AddMigrateCommand(CLI::App& app, Context& context) {
  auto status_only = std::make_shared<bool>(false);
  auto grant_to = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("migrate", "Bring the database's schema up to this version");
  auto* status = command->add_flag("--status", *status_only, "Only show which migrations are applied; change nothing");
  command->add_option("--grant", *grant_to, "Then let this role do what the services need, and no more")
      ->excludes(status)
      ->type_name("ROLE");
  command->footer(
      "Examples:\n"
      "  waybill migrate\n"
      "  waybill migrate --status\n"
      "  waybill migrate --grant waybill_app\n"
      "\n"
      "Each migration is applied once, in order, in a transaction; several processes may try at once. One that was\n"
      "edited after it was applied, or a database newer than this version, is refused (exit code 4).");
  command->callback([&context, status_only, grant_to] {
    context.run = [&context, status_only, grant_to] {
      return *status_only ? ShowMigrations(context) : Migrate(context, *grant_to);
    };
  });
}

}  // namespace waybill::cli
