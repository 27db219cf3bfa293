#include "bench/stage.h"

#include <unistd.h>

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

// From a port file's "grpc=PORT" line.
std::string GrpcAddress(const std::string& ports) {
  const size_t at = ports.find("grpc=");
  return at == std::string::npos ? "" : "127.0.0.1:" + ports.substr(at + 5, ports.find('\n', at) - at - 5);
}

// What a process of this machine is called; "" when there is none.
std::string CommandOf(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/comm", pid));
  std::string command;
  file >> command;
  return command;
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

absl::Status Stage::SetUp(const std::vector<std::string>& binaries) {
  std::error_code error;
  fs::create_directories(options_.folder, error);
  if (error) return absl::InternalError(fmt::format("{}: {}", options_.folder.string(), error.message()));
  for (const std::string& binary : binaries) {
    if (!fs::exists(options_.binaries / binary)) {
      return absl::NotFoundError(fmt::format("no {} in {}", binary, options_.binaries.string()));
    }
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

absl::StatusOr<Server> Stage::Start(const std::string& binary, const std::string& scenario, const std::string& name,
                                    std::vector<std::string> args) const {
  const fs::path port_file = options_.folder / fmt::format("{}.{}.port", scenario, name);
  fs::remove(port_file);
  args.insert(args.end(), {"--listen", "127.0.0.1:0", "--port-file", port_file});
  auto process =
      Child::Start(options_.binaries / binary, args, options_.folder / fmt::format("{}.{}.log", scenario, name));
  if (!process.ok()) return process.status();
  auto ports = (*process)->WaitForFile(port_file, kReadyTimeout);
  if (!ports.ok()) return ports.status();
  return Server{*std::move(process), GrpcAddress(*ports)};
}

absl::StatusOr<Usage> Stage::SampleUsage(pid_t service) const {
  const absl::StatusOr<absl::Duration> service_cpu = processes_.TreeCpu(service);
  const absl::StatusOr<absl::Duration> ours = processes_.TreeCpu(getpid());
  const absl::StatusOr<absl::Duration> machine = processes_.MachineCpu();
  for (const auto* sample : {&service_cpu, &ours, &machine}) {
    if (!sample->ok()) return sample->status();
  }
  Usage usage;
  usage.service = *service_cpu;
  usage.generator = *ours - *service_cpu;
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
  return report;
}

absl::Status UsageOfWindow::status() const {
  for (const absl::Status& status : {before_.status(), after_.status(), memory_.status()}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace waybill::bench
