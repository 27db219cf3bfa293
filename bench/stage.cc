#include "bench/stage.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/migrate.h"
#include "storage/redis/connection.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kReadyTimeout = absl::Seconds(30);

// What a process of this machine is called; "" when there is none.
std::string CommandOf(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/comm", pid));
  std::string command;
  file >> command;
  return command;
}

std::optional<absl::Duration> Sum(std::optional<absl::Duration> one, std::optional<absl::Duration> other) {
  if (!one || !other) return std::nullopt;
  return *one + *other;
}

std::optional<absl::Duration> Difference(std::optional<absl::Duration> later, std::optional<absl::Duration> earlier) {
  if (!later || !earlier) return std::nullopt;
  return *later - *earlier;
}

}  // namespace

Usage Usage::operator-(const Usage& earlier) const {
  Usage difference;
  difference.service = service - earlier.service;
  difference.generator = generator - earlier.generator;
  difference.postgres = Difference(postgres, earlier.postgres);
  difference.redis = Difference(redis, earlier.redis);
  difference.others = others - earlier.others;
  return difference;
}

Usage Usage::operator+(const Usage& other) const {
  Usage sum;
  sum.service = service + other.service;
  sum.generator = generator + other.generator;
  sum.postgres = Sum(postgres, other.postgres);
  sum.redis = Sum(redis, other.redis);
  sum.others = others + other.others;
  return sum;
}

Memory Larger(const Memory& one, const Memory& other) {
  return {std::max(one.resident_bytes, other.resident_bytes),
          std::max(one.resident_bytes_peak, other.resident_bytes_peak)};
}

std::vector<Build> Stage::builds() const {
  if (options_.against.empty()) return {Build::kToday};
  return {Build::kToday, Build::kEarlier};
}

absl::Status CeilingAround::After(int round) {
  return Measure(round == rounds_ ? "ceiling after" : fmt::format("ceiling after round {}", round));
}

absl::Status CeilingAround::Measure(const std::string& name) {
  absl::StatusOr<double> reached = measure_(name);
  if (reached.ok()) sum_ += *reached;
  return reached.status();
}

absl::Status Stage::SetUp(const std::string& service, const std::vector<std::string>& others) {
  service_ = service;
  std::error_code error;
  fs::create_directories(options_.folder, error);
  if (error) return absl::InternalError(fmt::format("{}: {}", options_.folder.string(), error.message()));
  std::vector<std::string> binaries = {service};
  binaries.insert(binaries.end(), others.begin(), others.end());
  for (const std::string& binary : binaries) {
    if (!fs::exists(options_.binaries / binary)) {
      return absl::NotFoundError(fmt::format("no {} in {}", binary, options_.binaries.string()));
    }
  }
  if (!options_.against.empty() && !fs::exists(options_.against / service)) {
    return absl::NotFoundError(fmt::format("--against: no {} in {}", service, options_.against.string()));
  }
  auto connection = storage::Connection::Open(options_.database_url, {});
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)->Execute("SELECT pg_backend_pid()");
  if (!rows.ok()) return rows.status();
  const auto backend = static_cast<pid_t>(rows->Int(0, 0));
  if (CommandOf(backend) != "postgres") {
    Tell("Postgres does not run on this machine: its CPU time is not counted");
    return absl::OkStatus();
  }
  absl::StatusOr<pid_t> parent = processes_.Parent(backend);
  if (!parent.ok()) return parent.status();
  postgres_ = *parent;
  return absl::OkStatus();
}

absl::Status Stage::FindRedis() {
  auto url = storage::RedisUrl::Parse(options_.redis_url);
  if (!url.ok()) return url.status();
  storage::RedisConnection connection(*url, {});
  auto replies = connection.Run({"INFO", "server"});
  if (!replies.ok()) return replies.status();
  constexpr std::string_view kField = "process_id:";
  std::string_view info = (*replies)[0].Text();
  const size_t at = info.find(kField);
  int pid = 0;
  if (at != std::string_view::npos) {
    info.remove_prefix(at + kField.size());
    if (!absl::SimpleAtoi(std::string(info.substr(0, info.find('\r'))), &pid)) pid = 0;
  }
  if (CommandOf(pid) == "redis-server") {
    redis_ = pid;
  } else {
    Tell("Redis does not run on this machine: its CPU time is not counted");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<FreshDatabase>> Stage::EmptyDatabase(const std::string& scenario) const {
  return FreshDatabase::Create(options_.database_url, "waybill_bench_" + scenario);
}

absl::StatusOr<std::unique_ptr<FreshDatabase>> Stage::MigratedDatabase(const std::string& scenario) const {
  auto database = EmptyDatabase(scenario);
  if (!database.ok()) return database.status();
  auto connection = storage::Connection::Open((*database)->url(), storage::MigrationConnectionOptions());
  if (!connection.ok()) return connection.status();
  auto migrated = storage::Migrate(**connection, [](std::string_view, absl::Duration) {});
  if (!migrated.ok()) return migrated.status();
  return database;
}

std::string AddressOf(const std::string& port, const std::string& ports) {
  const std::optional<int> bound = PortIn(ports, port);
  return bound ? fmt::format("127.0.0.1:{}", *bound) : "";
}

absl::StatusOr<Server> Stage::Start(const std::string& binary, const std::string& scenario, const std::string& name,
                                    std::vector<std::string> args) const {
  return StartFrom(options_.binaries / binary, scenario, name, std::move(args));
}

absl::StatusOr<Server> Stage::StartService(Build build, const std::string& scenario, const std::string& name,
                                           std::vector<std::string> args) const {
  const bool today = build == Build::kToday;
  const std::vector<std::string>& flags = today ? options_.service_flags : options_.against_flags;
  args.insert(args.end(), flags.begin(), flags.end());
  return StartFrom((today ? options_.binaries : options_.against) / service_, scenario, name, std::move(args));
}

absl::StatusOr<Server> Stage::StartFrom(const fs::path& binary, const std::string& scenario, const std::string& name,
                                        std::vector<std::string> args) const {
  const fs::path port_file = options_.folder / fmt::format("{}.{}.port", scenario, name);
  fs::remove(port_file);
  args.insert(args.end(), {"--listen", "127.0.0.1:0", "--port-file", port_file});
  auto process = Child::Start(binary, args, options_.folder / fmt::format("{}.{}.log", scenario, name));
  if (!process.ok()) return process.status();
  auto ports = (*process)->WaitForFile(port_file, kReadyTimeout);
  if (!ports.ok()) return ports.status();
  return Server{*std::move(process), AddressOf("grpc", *ports), AddressOf("side", *ports), *ports};
}

absl::StatusOr<Usage> Stage::SampleUsage(const std::vector<pid_t>& services) const {
  Usage usage;
  for (const pid_t service : services) {
    const absl::StatusOr<absl::Duration> cpu = processes_.TreeCpu(service);
    if (!cpu.ok()) return cpu.status();
    usage.service += *cpu;
  }
  const absl::StatusOr<absl::Duration> ours = processes_.TreeCpu(getpid());
  const absl::StatusOr<absl::Duration> machine = processes_.MachineCpu();
  for (const auto* sample : {&ours, &machine}) {
    if (!sample->ok()) return sample->status();
  }
  usage.generator = *ours - usage.service;
  usage.others = *machine - *ours;
  for (const auto& [pid, cpu] : {std::pair(postgres_, &usage.postgres), std::pair(redis_, &usage.redis)}) {
    if (pid == 0) continue;
    const absl::StatusOr<absl::Duration> sample = processes_.TreeCpu(pid);
    if (!sample.ok()) return sample.status();
    *cpu = *sample;
    usage.others -= *sample;
  }
  return usage;
}

absl::StatusOr<Report> Stage::Run(const std::vector<Scenario>& scenarios) const {
  Report report;
  report.machine = DescribeMachine();
  for (const Scenario& scenario : scenarios) {
    if (!options_.only.empty() && !options_.only.contains(std::string(scenario.info.name))) continue;
    Tell(fmt::format("{}: {}", scenario.info.name, scenario.info.description));
    absl::StatusOr<ScenarioResult> result = scenario.run();
    if (!result.ok()) {
      return absl::Status(result.status().code(),
                          fmt::format("{}: {}", scenario.info.name, std::string(result.status().message())));
    }
    result->name = scenario.info.name;
    result->description = scenario.info.description;
    report.scenarios.push_back(*std::move(result));
  }
  if (options_.against.empty()) {
    report.notes.push_back(
        "What depends on the machine has no target by itself: --against compares with an earlier build, in ratios.");
  } else {
    report.notes.push_back(fmt::format(
        "Compared with the build in {}. Both were measured in turns, {} round(s) each; a figure is of all calls of all "
        "its rounds together.",
        options_.against.string(), options_.rounds));
  }
  return report;
}

absl::Status UsageOfWindow::status() const {
  for (const absl::Status& status : {before_.status(), after_.status(), memory_.status()}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace waybill::bench
