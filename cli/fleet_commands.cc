// waybill driver put | list | show | capacity | duty: drivers as the order service has them.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/position.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "domain/driver.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "services/process/flags.h"
#include "waybill/fleet/v1/fleet.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace fleet_v1 = waybill::fleet::v1;
using Fleet = fleet_v1::FleetService::StubInterface;

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
absl::StatusOr<fleet_v1::PutDriver> ParseDriver(const std::string& line) {
  std::vector<std::string> fields = Split(line);
  fleet_v1::PutDriver driver;
  absl::Status wrong =
      absl::InvalidArgumentError(fmt::format("\"{}\" is not ID,LAT,LONG or ID,LAT,LONG,CAPACITY", line));
  if (fields.size() < 3 || fields.size() > 4 || fields[0].empty()) return wrong;
  driver.set_driver_id(fields[0]);
  absl::StatusOr<domain::GeoPoint> point = ParsePoint(fields[1] + "," + fields[2]);
  if (!point.ok()) return point.status();
  driver.set_latitude(point->latitude);
  driver.set_longitude(point->longitude);
  if (fields.size() == 4) {
    int capacity = 0;
    if (!CLI::detail::lexical_cast(fields[3], capacity)) return wrong;
    driver.set_capacity(capacity);
  }
  return driver;
}

absl::StatusOr<std::vector<fleet_v1::PutDriver>> ReadDrivers(std::istream& in, const std::string& name) {
  std::vector<fleet_v1::PutDriver> drivers;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos || line[0] == '#') continue;
    absl::StatusOr<fleet_v1::PutDriver> driver = ParseDriver(line);
    if (!driver.ok()) {
      return absl::InvalidArgumentError(fmt::format("{}:{}: {}", name, number, std::string(driver.status().message())));
    }
    drivers.push_back(*std::move(driver));
  }
  return drivers;
}

absl::StatusOr<std::vector<fleet_v1::PutDriver>> DriversOf(const PutArgs& args) {
  if (args.file == "-") return ReadDrivers(std::cin, "standard input");
  if (!args.file.empty()) {
    std::ifstream in(args.file);
    if (!in) return absl::NotFoundError("cannot read " + args.file);
    return ReadDrivers(in, args.file);
  }
  absl::StatusOr<domain::GeoPoint> point = ForOption("--at", ParsePoint(args.at));
  if (!point.ok()) return point.status();
  fleet_v1::PutDriver driver;
  driver.set_driver_id(args.id);
  driver.set_latitude(point->latitude);
  driver.set_longitude(point->longitude);
  if (args.heading) driver.set_heading_deg(*args.heading);
  if (args.speed) driver.set_speed_mps(*args.speed);
  if (args.capacity) driver.set_capacity(*args.capacity);
  return std::vector<fleet_v1::PutDriver>{driver};
}

ExitCode PutDrivers(const Context& context, const PutArgs& args) {
  constexpr size_t kDriversMax = 1'000;  // of one call
  absl::StatusOr<std::vector<fleet_v1::PutDriver>> drivers = DriversOf(args);
  if (!drivers.ok()) return context.Fail(drivers.status());
  absl::StatusOr<absl::Duration> ttl = ForOption("--ttl", ParseDuration(args.ttl));
  if (!ttl.ok()) return context.Fail(ttl.status());
  for (size_t from = 0; from < drivers->size(); from += kDriversMax) {
    fleet_v1::PutDriversRequest request;
    *request.mutable_ttl() = FromDuration(*ttl);
    for (size_t i = from; i < std::min(from + kDriversMax, drivers->size()); ++i) {
      *request.add_drivers() = std::move((*drivers)[i]);
    }
    absl::StatusOr<fleet_v1::PutDriversResponse> put =
        Call<fleet_v1::FleetService>(context, context.server, &Fleet::PutDrivers, request);
    if (put.ok()) continue;
    if (from > 0) context.Note(fmt::format("the first {} drivers were put, the others were not", from));
    return FailServer(context, put.status());
  }
  if (context.json) {
    context.PrintLine(nlohmann::ordered_json{{"put", drivers->size()}}.dump());
  } else {
    context.PrintLine(
        fmt::format("{} driver{}, fresh for {}", drivers->size(), drivers->size() == 1 ? "" : "s", ShowDuration(*ttl)));
  }
  return ExitCode::kOk;
}

// `limit` drivers with a fresh position at most, each once.
absl::StatusOr<std::vector<fleet_v1::Driver>> FetchDrivers(const Context& context, size_t limit) {
  std::unordered_set<std::string> seen;
  bool more = false;
  auto list_page = [&](const fleet_v1::ListDriversRequest& request, std::vector<fleet_v1::Driver>& drivers,
                       std::string& next) {
    absl::StatusOr<fleet_v1::ListDriversResponse> page =
        Call<fleet_v1::FleetService>(context, context.server, &Fleet::ListDrivers, request);
    if (!page.ok()) return page.status();
    for (fleet_v1::Driver& driver : *page->mutable_drivers()) {
      if (drivers.size() < limit && seen.insert(driver.driver_id()).second) drivers.push_back(std::move(driver));
    }
    next = page->next_page_token();
    return absl::OkStatus();
  };
  return CallPages<fleet_v1::Driver>(fleet_v1::ListDriversRequest(), limit, more, list_page);
}

bool IsOff(const fleet_v1::Driver& driver) { return driver.duty() == fleet_v1::OFF_DUTY; }

Cell ShowDuty(const fleet_v1::Driver& driver) {
  return IsOff(driver) ? Cell("off", Style::kWaiting) : Cell("on", Style::kGood);
}

// "2 of 8"
std::string ShowLoad(const fleet_v1::Driver& driver) {
  return fmt::format("{} of {}", driver.orders_held(), driver.capacity());
}

ExitCode ListDrivers(const Context& context, size_t limit) {
  absl::StatusOr<std::vector<fleet_v1::Driver>> drivers = FetchDrivers(context, limit);
  if (!drivers.ok()) return FailServer(context, drivers.status());
  std::sort(drivers->begin(), drivers->end(),
            [](const auto& a, const auto& b) { return a.driver_id() < b.driver_id(); });
  Table table({{"driver", Column::Align::kLeft, Column::Overflow::kCut},
               {"position"},
               {"age", Column::Align::kRight},
               {"heading", Column::Align::kRight},
               {"speed", Column::Align::kRight},
               {"duty"},
               {"orders", Column::Align::kRight}});
  for (const fleet_v1::Driver& driver : *drivers) {
    if (context.json) {
      context.PrintLine(ToJson(driver));
      continue;
    }
    const fleet_v1::Position& position = driver.position();
    table.Add({driver.driver_id(), ShowPoint({position.latitude(), position.longitude()}),
               ShowDuration(context.clock.Now() - ToTime(position.recorded_at())), ShowHeading(position),
               ShowSpeed(position), ShowDuty(driver), ShowLoad(driver)});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (drivers->empty()) context.Note("no driver has a fresh position");
  return ExitCode::kOk;
}

// What a call answered of one driver.
ExitCode TellOf(const Context& context, const absl::StatusOr<fleet_v1::Driver>& driver) {
  if (!driver.ok()) return FailServer(context, driver.status());
  if (context.json) {
    context.PrintLine(ToJson(*driver));
    return ExitCode::kOk;
  }
  context.PrintLine(fmt::format("{} is {} duty and holds {} order{}; its capacity is {}.",
                                Printable(driver->driver_id()), IsOff(*driver) ? "off" : "on",
                                driver->orders_held() == 0 ? "no" : std::to_string(driver->orders_held()),
                                driver->orders_held() == 1 ? "" : "s", driver->capacity()));
  for (const std::string& order_id : driver->order_ids()) context.PrintLine(fmt::format("  order {}", order_id));
  return ExitCode::kOk;
}

ExitCode ShowDriver(const Context& context, const std::string& driver_id) {
  fleet_v1::GetDriverRequest request;
  request.set_driver_id(driver_id);
  absl::StatusOr<fleet_v1::Driver> driver =
      Call<fleet_v1::FleetService>(context, context.server, &Fleet::GetDriver, request);
  const ExitCode code = TellOf(context, driver);
  if (!driver.ok() || context.json) return code;
  if (!driver->has_position()) {
    context.PrintLine("  no fresh position");
    return code;
  }
  const fleet_v1::Position& position = driver->position();
  std::string line = fmt::format("  at {}, {} ago", ShowPoint({position.latitude(), position.longitude()}),
                                 ShowDuration(context.clock.Now() - ToTime(position.recorded_at())));
  for (const std::string& more : {ShowHeading(position), ShowSpeed(position)}) {
    if (!more.empty()) line += ", " + more;
  }
  context.PrintLine(line);
  return code;
}

ExitCode SetCapacity(const Context& context, const std::string& driver_id, int capacity) {
  fleet_v1::SetCapacityRequest request;
  request.set_driver_id(driver_id);
  request.set_capacity(capacity);
  return TellOf(context, Call<fleet_v1::FleetService>(context, context.server, &Fleet::SetCapacity, request));
}

ExitCode SetDuty(const Context& context, const std::string& driver_id, const std::string& duty) {
  fleet_v1::SetDutyRequest request;
  request.set_driver_id(driver_id);
  request.set_duty(duty == "on" ? fleet_v1::ON_DUTY : fleet_v1::OFF_DUTY);
  return TellOf(context, Call<fleet_v1::FleetService>(context, context.server, &Fleet::SetDuty, request));
}

void AddPut(CLI::App& group, Context& context) {
  auto args = std::make_shared<PutArgs>();
  CLI::App* command = group.add_subcommand("put", "Put drivers on the map by hand");
  auto* id = command->add_option("id", args->id, "The driver")->type_name("ID");
  auto* at = command->add_option("--at", args->at, "Where it is")->type_name("LAT,LONG");
  command->add_option("--heading", args->heading, "Clockwise from north")
      ->check(process::NumberBetween(0.0, 360.0))
      ->type_name("DEGREES");
  command->add_option("--speed", args->speed, "Metres a second")
      ->check(process::NumberBetween(0.0, 1000.0))
      ->type_name("MPS");
  process::AddInteger(*command, "--capacity", args->capacity, "Active orders it may hold at once")
      ->check(CLI::Range(1, domain::kDriverCapacityMax))
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

void AddList(CLI::App& group, Context& context) {
  auto limit = std::make_shared<size_t>(100);
  CLI::App* list = group.add_subcommand("list", "List drivers with a fresh position, and what they hold");
  list->footer("Examples:\n  waybill driver list\n  waybill driver list --json | jq -r .driver_id");
  process::AddInteger(*list, "--limit", *limit, "At most so many")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  list->callback([&context, limit] { context.run = [&context, limit] { return ListDrivers(context, *limit); }; });
}

void AddShow(CLI::App& group, Context& context) {
  auto driver = std::make_shared<std::string>();
  CLI::App* show = group.add_subcommand("show", "Show a driver as dispatch sees it: duty, capacity, orders, position");
  show->add_option("driver", *driver, "Which")->required()->type_name("DRIVER");
  show->footer("Examples:\n  waybill driver show d-7\n  waybill driver show d-7 --json | jq -r '.order_ids[]'");
  show->callback([&context, driver] { context.run = [&context, driver] { return ShowDriver(context, *driver); }; });
}

void AddCapacity(CLI::App& group, Context& context) {
  auto driver = std::make_shared<std::string>();
  auto orders = std::make_shared<int>(1);
  CLI::App* capacity = group.add_subcommand("capacity", "Set how many active orders a driver may hold at once");
  capacity->add_option("driver", *driver, "Whose")->required()->type_name("DRIVER");
  process::AddInteger(*capacity, "orders", *orders, "So many")
      ->required()
      ->check(CLI::Range(1, domain::kDriverCapacityMax))
      ->type_name("N");
  capacity->footer(
      "Examples:\n"
      "  waybill driver capacity van-1 12\n"
      "  waybill driver capacity van-1 1 --json\n"
      "\n"
      "Orders beyond a lowered capacity stay; no new one comes until there are fewer.");
  capacity->callback([&context, driver, orders] {
    context.run = [&context, driver, orders] { return SetCapacity(context, *driver, *orders); };
  });
}

void AddDuty(CLI::App& group, Context& context) {
  auto driver = std::make_shared<std::string>();
  auto duty = std::make_shared<std::string>();
  CLI::App* command =
      group.add_subcommand("duty", "Send a driver off duty, where it is given no order, or on duty again");
  command->add_option("driver", *driver, "Which")->required()->type_name("DRIVER");
  command->add_option("duty", *duty, "on or off")->required()->check(CLI::IsMember({"on", "off"}));
  command->footer(
      "Examples:\n"
      "  waybill driver duty d-7 off\n"
      "  waybill driver duty d-7 on\n"
      "\n"
      "From the answer on, no order is given to a driver off duty; those that it holds stay its.");
  command->callback([&context, driver, duty] {
    context.run = [&context, driver, duty] { return SetDuty(context, *driver, *duty); };
  });
}

}  // namespace

void AddFleetCommands(CLI::App& app, Context& context) {
  CLI::App* group =
      app.add_subcommand("driver", "Drivers: as orders need them, and where they are as the ingest service says");
  group->require_subcommand(1);
  group->footer("`waybill driver COMMAND --help` explains each command with examples.");
  AddPut(*group, context);
  AddList(*group, context);
  AddShow(*group, context);
  AddCapacity(*group, context);
  AddDuty(*group, context);
}

}  // namespace waybill::cli
