// waybill migrate, waybill driver put | list: straight at Postgres and Redis, no service needed.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/table.h"
#include "cli/values.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "runtime/executor.h"
#include "services/process/flags.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/order_store.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/rights.h"
#include "storage/postgres/server_check.h"
#include "storage/redis/redis_fleet.h"

namespace waybill::cli {
namespace {

constexpr char kDatabaseHint[] = "Is Postgres running there? Say where with --database-url or DATABASE_URL.";
constexpr char kRedisHint[] = "Is Redis running there? Say where with --redis-url or REDIS_URL.";

std::string_view Name(storage::MigrationState::Kind kind) {
  constexpr std::string_view kNames[] = {"applied", "pending", "edited", "unknown"};
  return kNames[static_cast<size_t>(kind)];
}

ExitCode MigrationTable(const Context& context, storage::Connection& connection) {
  absl::StatusOr<std::vector<storage::MigrationState>> states = storage::MigrationStatus(connection);
  if (!states.ok()) return context.Fail(states.status(), kDatabaseHint);
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
  if (!connection.ok()) return context.Fail(connection.status(), kDatabaseHint);
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
  if (!ours.ok()) return context.Fail(ours, kDatabaseHint);
  absl::StatusOr<std::unique_ptr<storage::Connection>> connection =
      storage::Connection::Open(context.database_url, storage::MigrationConnectionOptions());
  if (!connection.ok()) return context.Fail(connection.status(), kDatabaseHint);
  auto report = [&context](std::string_view name, absl::Duration took) {
    if (context.json) {
      context.PrintLine(
          nlohmann::ordered_json{{"applied", std::string(name)}, {"took_ms", absl::ToInt64Milliseconds(took)}}.dump());
    } else {
      context.PrintLine(fmt::format("applied {} in {}", name, ShowDuration(took)));
    }
  };
  absl::StatusOr<int> applied = storage::Migrate(**connection, report);
  if (!applied.ok()) return context.Fail(applied.status(), kDatabaseHint);
  if (*applied == 0) context.Note("nothing to apply: the schema is current");
  return grant_to.empty() ? ExitCode::kOk : Grant(context, **connection, grant_to);
}

struct Driver {
  domain::DriverPosition position;
  std::optional<int> capacity;
};

struct PutArgs {
  std::string id;
  std::string at;
  std::optional<double> heading;
  std::optional<double> speed;
  std::optional<int> capacity;
  std::string file;
  std::string ttl = "5m";
};

std::vector<std::string> Split(const std::string& line) {
  std::vector<std::string> fields(1);
  for (char c : line) {
    if (c == ',') {
      fields.emplace_back();
    } else if (c != ' ' && c != '\t' && c != '\r') {
      fields.back() += c;
    }
  }
  return fields;
}

// ID,LAT,LONG[,CAPACITY]
absl::StatusOr<Driver> ParseDriver(const std::string& line) {
  std::vector<std::string> fields = Split(line);
  Driver driver;
  absl::Status wrong =
      absl::InvalidArgumentError(fmt::format("\"{}\" is not ID,LAT,LONG or ID,LAT,LONG,CAPACITY", line));
  if (fields.size() < 3 || fields.size() > 4 || fields[0].empty()) return wrong;
  driver.position.driver_id = fields[0];
  absl::StatusOr<domain::GeoPoint> point = ParsePoint(fields[1] + "," + fields[2]);
  if (!point.ok()) return point.status();
  driver.position.point = *point;
  if (fields.size() == 4) {
    int capacity = 0;
    if (!CLI::detail::lexical_cast(fields[3], capacity)) return wrong;
    driver.capacity = capacity;
  }
  return driver;
}

absl::StatusOr<std::vector<Driver>> ReadDrivers(std::istream& in, const std::string& name) {
  std::vector<Driver> drivers;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos || line[0] == '#') continue;
    absl::StatusOr<Driver> driver = ParseDriver(line);
    if (!driver.ok()) {
      return absl::InvalidArgumentError(fmt::format("{}:{}: {}", name, number, std::string(driver.status().message())));
    }
    drivers.push_back(*std::move(driver));
  }
  return drivers;
}

absl::StatusOr<std::vector<Driver>> DriversOf(const PutArgs& args) {
  if (args.file == "-") return ReadDrivers(std::cin, "standard input");
  if (!args.file.empty()) {
    std::ifstream in(args.file);
    if (!in) return absl::NotFoundError("cannot read " + args.file);
    return ReadDrivers(in, args.file);
  }
  absl::StatusOr<domain::GeoPoint> point = ParsePoint(args.at);
  if (!point.ok()) return point.status();
  Driver driver;
  driver.position.driver_id = args.id;
  driver.position.point = *point;
  driver.position.heading_deg = args.heading;
  driver.position.speed_mps = args.speed;
  driver.capacity = args.capacity;
  return std::vector<Driver>{driver};
}

ExitCode SetCapacities(const Context& context, const std::vector<Driver>& drivers) {
  storage::Pool pool(context.database_url, storage::WriteConnectionOptions(), {});
  storage::PostgresOrderStore store(pool);
  for (const Driver& driver : drivers) {
    if (!driver.capacity) continue;
    absl::Status status = store.SetCapacity(driver.position.driver_id, *driver.capacity);
    if (!status.ok()) return context.Fail(status, kDatabaseHint);
  }
  return ExitCode::kOk;
}

absl::StatusOr<std::unique_ptr<storage::RedisFleet>> OpenFleet(const Context& context) {
  absl::StatusOr<storage::RedisUrl> url = storage::RedisUrl::Parse(context.redis_url);
  if (!url.ok()) return url.status();
  return std::make_unique<storage::RedisFleet>(*url, storage::RedisFleetOptions{}, ThreadLoops());
}

ExitCode PutDrivers(const Context& context, const PutArgs& args) {
  absl::StatusOr<std::vector<Driver>> drivers = DriversOf(args);
  if (!drivers.ok()) return context.Fail(drivers.status());
  absl::StatusOr<absl::Duration> ttl = ParseDuration(args.ttl);
  if (!ttl.ok()) return context.Fail(ttl.status());
  // Capacities first: a driver that is seen may be given an order.
  if (ExitCode code = SetCapacities(context, *drivers); code != ExitCode::kOk) return code;
  auto fleet = OpenFleet(context);
  if (!fleet.ok()) return context.Fail(fleet.status(), kRedisHint);
  std::vector<domain::DriverPosition> positions;
  for (Driver& driver : *drivers) {
    driver.position.recorded_at = context.clock.Now();
    positions.push_back(std::move(driver.position));
  }
  absl::Status status = (*fleet)->Put(positions, *ttl);
  if (!status.ok()) return context.Fail(status, kRedisHint);
  if (context.json) {
    context.PrintLine(nlohmann::ordered_json{{"put", positions.size()}}.dump());
  } else {
    context.PrintLine(fmt::format("{} driver{}, fresh for {}", positions.size(), positions.size() == 1 ? "" : "s",
                                  ShowDuration(*ttl)));
  }
  return ExitCode::kOk;
}

ExitCode ListDrivers(const Context& context, size_t limit) {
  auto fleet = OpenFleet(context);
  if (!fleet.ok()) return context.Fail(fleet.status(), kRedisHint);
  absl::StatusOr<std::vector<domain::DriverPosition>> positions = (*fleet)->List(limit);
  if (!positions.ok()) return context.Fail(positions.status(), kRedisHint);
  std::sort(positions->begin(), positions->end(),
            [](const auto& a, const auto& b) { return a.driver_id < b.driver_id; });
  Table table({{"driver", Column::Align::kLeft, Column::Overflow::kCut},
               {"position"},
               {"age", Column::Align::kRight},
               {"heading", Column::Align::kRight},
               {"speed", Column::Align::kRight}});
  for (const domain::DriverPosition& position : *positions) {
    if (context.json) {
      nlohmann::ordered_json row{{"driver_id", position.driver_id},
                                 {"latitude", position.point.latitude},
                                 {"longitude", position.point.longitude},
                                 {"recorded_time", ShowTime(position.recorded_at)}};
      if (position.accuracy_m) row["accuracy_m"] = *position.accuracy_m;
      if (position.heading_deg) row["heading_deg"] = *position.heading_deg;
      if (position.speed_mps) row["speed_mps"] = *position.speed_mps;
      context.PrintLine(row.dump());
      continue;
    }
    table.Add({position.driver_id, ShowPoint(position.point), ShowDuration(context.clock.Now() - position.recorded_at),
               position.heading_deg ? fmt::format("{:.0f}°", *position.heading_deg) : "",
               position.speed_mps ? fmt::format("{:.1f} m/s", *position.speed_mps) : ""});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (positions->empty()) context.Note("no driver has a fresh position");
  return ExitCode::kOk;
}

void AddMigrate(CLI::App& app, Context& context) {
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

void AddPut(CLI::App& group, Context& context) {
  auto args = std::make_shared<PutArgs>();
  CLI::App* command = group.add_subcommand("put", "Put drivers on the map by hand, straight into Redis");
  auto* id = command->add_option("id", args->id, "The driver")->type_name("ID");
  auto* at = command->add_option("--at", args->at, "Where it is")->type_name("LAT,LONG");
  command->add_option("--heading", args->heading, "Clockwise from north")
      ->check(process::NumberBetween(0.0, 360.0))
      ->type_name("DEGREES");
  command->add_option("--speed", args->speed, "Metres a second")
      ->check(process::NumberBetween(0.0, 1000.0))
      ->type_name("MPS");
  process::AddInteger(*command, "--capacity", args->capacity, "Active orders it may hold at once, kept in Postgres")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  auto* file =
      command->add_option("--file", args->file, "Many: lines of ID,LAT,LONG or ID,LAT,LONG,CAPACITY; - reads stdin")
          ->type_name("FILE");
  command->add_option("--ttl", args->ttl, "How long the position counts as fresh")
      ->capture_default_str()
      ->type_name("DURATION");
  at->needs(id);
  id->needs(at);
  file->excludes(id);
  command->footer(
      "Examples:\n"
      "  waybill driver put d-7 --at 52.52,13.405\n"
      "  waybill driver put van-1 --at 52.51,13.39 --capacity 12 --ttl 1h\n"
      "  printf 'd-1,52.52,13.40\\nd-2,52.50,13.42\\n' | waybill driver put --file -");
  command->callback([&context, args, id, file] {
    if (id->empty() && file->empty()) throw CLI::RequiredError("id with --at, or --file");
    context.run = [&context, args] { return PutDrivers(context, *args); };
  });
}

}  // namespace

void AddStoreCommands(CLI::App& app, Context& context) {
  AddMigrate(app, context);
  CLI::App* group = app.add_subcommand("driver", "Where drivers are: as the ingest service says, or straight in Redis");
  group->require_subcommand(1);
  group->footer("`waybill driver COMMAND --help` explains each command with examples.");
  AddPut(*group, context);
  auto limit = std::make_shared<size_t>(100);
  CLI::App* list = group->add_subcommand("list", "List drivers with a fresh position, straight from Redis");
  list->footer("Examples:\n  waybill driver list\n  waybill driver list --json | jq -r .driver_id");
  process::AddInteger(*list, "--limit", *limit, "At most so many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  list->callback([&context, limit] { context.run = [&context, limit] { return ListDrivers(context, *limit); }; });
}

}  // namespace waybill::cli
