#include "bench/scenarios.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "bench/books.h"
#include "bench/ceiling.h"
#include "bench/child.h"
#include "bench/database.h"
#include "bench/fleet.h"
#include "bench/order_load.h"
#include "bench/process_stats.h"
#include "bench/sandbox_client.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/migrate.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;
using Bound = Target::Bound;

constexpr absl::Duration kReadyTimeout = absl::Seconds(30);
constexpr absl::Duration kStopTimeout = absl::Seconds(60);
constexpr absl::Duration kRecoveryTimeout = absl::Seconds(180);
constexpr int kCallers = 256;
constexpr double kOrdersPerSecondMax = 40'000;  // more than any machine this is meant for confirms
constexpr double kMega = 1e6;

// What a scenario runs on. Destroyed in reverse order: the service, the sandbox, the database.
struct Stage {
  std::string name;
  std::unique_ptr<FreshDatabase> database;
  std::unique_ptr<Child> sandbox;
  std::string sandbox_address;
  std::vector<std::string> order_args;
  std::unique_ptr<Child> order;
  std::string order_address;
};

// What the measured window cost.
struct Usage {
  absl::Duration service_cpu;
  std::optional<absl::Duration> postgres_cpu;  // none: Postgres runs elsewhere
  absl::Duration others_cpu;                   // of processes that have no part in the bench
  Memory service_memory;
};

struct Measured {
  LoadResult load;
  Usage usage;
};

void AddCpu(const Measured& measured, ScenarioResult& result, std::optional<Target> target) {
  const double thousands = static_cast<double>(measured.load.latency.count()) / 1000;
  const double service = absl::ToDoubleSeconds(measured.usage.service_cpu) / thousands;
  result.figures.push_back({"CPU per 1,000 orders, service", service, "s", std::nullopt});
  if (!measured.usage.postgres_cpu) return;
  const double postgres = absl::ToDoubleSeconds(*measured.usage.postgres_cpu) / thousands;
  result.figures.push_back({"CPU per 1,000 orders, Postgres", postgres, "s", std::nullopt});
  result.figures.push_back({"CPU per 1,000 orders, both", service + postgres, "s", target});
  // Not the bench's doing, but what its figures are worth.
  result.figures.push_back({"CPUs busy with something else",
                            absl::FDivDuration(measured.usage.others_cpu, measured.load.window), "", std::nullopt});
}

// Every call has to be answered, with `fate`.
void ExpectFate(const LoadResult& load, const std::string& fate, ScenarioResult& result) {
  for (const auto& [outcome, count] : load.outcomes) {
    if (outcome != fate) result.failures.push_back(fmt::format("{} calls ended as {}, not {}", count, outcome, fate));
  }
  if (load.answered == 0) result.failures.push_back("no call was answered");
}

// From a port file's "grpc=PORT" line.
std::string GrpcAddress(const std::string& ports) {
  const size_t at = ports.find("grpc=");
  return at == std::string::npos ? "" : "127.0.0.1:" + ports.substr(at + 5, ports.find('\n', at) - at - 5);
}

class Runner {
 public:
  Runner(const BenchOptions& options, Timer& timer, const std::function<void(const std::string&)>& progress)
      : options_(options), timer_(timer), progress_(progress) {}

  absl::Status FindPostgres();
  absl::Status SeedFleet();

  absl::StatusOr<ScenarioResult> Confirmed();
  absl::StatusOr<ScenarioResult> Gateway();
  absl::StatusOr<ScenarioResult> Compensated();
  absl::StatusOr<ScenarioResult> Lone();
  absl::StatusOr<ScenarioResult> Idle();
  absl::StatusOr<ScenarioResult> Open();
  absl::StatusOr<ScenarioResult> Recovery();

 private:
  enum class Fleet { kSeeded, kEmpty };
  enum class Payments { kBuiltin, kSandbox };

  // `order_args`: for the service, besides the usual ones.
  absl::StatusOr<Stage> SetUp(const std::string& name, Payments payments, Fleet fleet,
                              const std::vector<std::string>& order_args = {});
  absl::Status StartOrder(Stage& stage, const std::vector<std::string>& order_args = {});
  LoadOptions DefaultLoad(const Stage& stage) const;
  absl::StatusOr<Measured> Measure(const Stage& stage, const LoadOptions& options);
  absl::Status SampleCpu(const Stage& stage, Usage& usage) const;
  // Stops the service in good order and checks the books; what is wrong goes into the result.
  absl::Status CloseBooks(Stage& stage, int64_t orders, const std::map<std::string, int64_t>* answers,
                          ScenarioResult& result);
  absl::StatusOr<double> Ceiling(const std::string& name, ScenarioResult& result);
  absl::StatusOr<absl::Duration> AwaitSettled(const Stage& stage, absl::Duration from, absl::Time created_until);

  const BenchOptions& options_;
  Timer& timer_;
  const std::function<void(const std::string&)>& progress_;
  ProcessStats processes_;
  pid_t postgres_ = 0;  // the postmaster; 0: not on this machine
};

absl::Status Runner::FindPostgres() {
  auto connection = storage::Connection::Open(options_.database_url, {});
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)->Execute("SELECT pg_backend_pid()");
  if (!rows.ok()) return rows.status();
  const auto backend = static_cast<pid_t>(rows->Int(0, 0));
  std::ifstream name(fmt::format("/proc/{}/comm", backend));
  std::string comm;
  name >> comm;
  if (comm != "postgres") {
    progress_("Postgres does not run on this machine: its CPU time is not counted");
    return absl::OkStatus();
  }
  absl::StatusOr<pid_t> parent = processes_.Parent(backend);
  if (!parent.ok()) return parent.status();
  postgres_ = *parent;
  return absl::OkStatus();
}

absl::Status Runner::SeedFleet() {
  const int64_t by_rate =
      static_cast<int64_t>(absl::ToDoubleSeconds(options_.warm_up + options_.duration) * kOrdersPerSecondMax);
  const int64_t drivers = options_.drivers > 0 ? options_.drivers : std::max(by_rate, options_.unfinished + 50'000);
  progress_(fmt::format("seeding {} drivers", drivers));
  return bench::SeedFleet(WithDatabase(options_.redis_url, "0"), drivers);
}

absl::StatusOr<Stage> Runner::SetUp(const std::string& name, Payments payments, Fleet fleet,
                                    const std::vector<std::string>& order_args) {
  Stage stage;
  stage.name = name;
  auto database = FreshDatabase::Create(options_.database_url, "waybill_bench_" + name);
  if (!database.ok()) return database.status();
  stage.database = *std::move(database);

  std::string gateway = "builtin";
  if (payments == Payments::kSandbox) {
    const fs::path port_file = options_.folder / (name + ".sandbox.port");
    const fs::path log = options_.folder / (name + ".gateway.log");
    fs::remove(port_file);
    fs::remove(log);
    auto sandbox = Child::Start(options_.binaries / "waybill-sandbox",
                                {"--listen", "127.0.0.1:0", "--port-file", port_file, "--log", log},
                                options_.folder / (name + ".sandbox.log"));
    if (!sandbox.ok()) return sandbox.status();
    stage.sandbox = *std::move(sandbox);
    auto ports = stage.sandbox->WaitForFile(port_file, kReadyTimeout);
    if (!ports.ok()) return ports.status();
    stage.sandbox_address = GrpcAddress(*ports);
    gateway = "grpc://" + stage.sandbox_address;
  }
  stage.order_args = {"--listen",          "127.0.0.1:0",
                      "--side-listen",     "127.0.0.1:0",
                      "--port-file",       options_.folder / (name + ".order.port"),
                      "--database-url",    stage.database->url(),
                      "--redis-url",       WithDatabase(options_.redis_url, fleet == Fleet::kSeeded ? "0" : "1"),
                      "--payment-gateway", gateway,
                      "--dispatch",        "builtin",
                      "--instance",        "bench",  // a restart takes up what its earlier life left
                      "--migrate"};
  if (const absl::Status started = StartOrder(stage, order_args); !started.ok()) return started;
  return stage;
}

absl::Status Runner::StartOrder(Stage& stage, const std::vector<std::string>& order_args) {
  std::vector<std::string> args = stage.order_args;
  args.insert(args.end(), order_args.begin(), order_args.end());
  const fs::path port_file = options_.folder / (stage.name + ".order.port");
  fs::remove(port_file);
  auto order = Child::Start(options_.binaries / "waybill-order", args, options_.folder / (stage.name + ".order.log"));
  if (!order.ok()) return order.status();
  stage.order = *std::move(order);
  auto ports = stage.order->WaitForFile(port_file, kReadyTimeout);
  if (!ports.ok()) return ports.status();
  stage.order_address = GrpcAddress(*ports);
  return absl::OkStatus();
}

LoadOptions Runner::DefaultLoad(const Stage& stage) const {
  LoadOptions load;
  load.target = stage.order_address;
  load.run = fmt::format("{}-{}", stage.name, absl::ToUnixMillis(absl::Now()));
  load.callers = kCallers;
  load.warm_up = options_.warm_up;
  load.duration = options_.duration;
  return load;
}

absl::Status Runner::SampleCpu(const Stage& stage, Usage& usage) const {
  const absl::StatusOr<absl::Duration> service = processes_.TreeCpu(stage.order->pid());
  const absl::StatusOr<absl::Duration> ours = processes_.TreeCpu(getpid());
  const absl::StatusOr<absl::Duration> machine = processes_.MachineCpu();
  for (const auto* sample : {&service, &ours, &machine}) {
    if (!sample->ok()) return sample->status();
  }
  usage.service_cpu = *service;
  usage.others_cpu = *machine - *ours;
  if (postgres_ == 0) return absl::OkStatus();
  const absl::StatusOr<absl::Duration> postgres = processes_.TreeCpu(postgres_);
  if (!postgres.ok()) return postgres.status();
  usage.postgres_cpu = *postgres;
  usage.others_cpu -= *postgres;
  return absl::OkStatus();
}

absl::StatusOr<Measured> Runner::Measure(const Stage& stage, const LoadOptions& options) {
  Measured measured;
  Usage before;
  absl::Status sampled;
  OrderLoad load(options, timer_);
  OrderLoad::Hooks hooks;
  hooks.window_starts = [&] { sampled.Update(SampleCpu(stage, before)); };
  hooks.window_ends = [&] {
    sampled.Update(SampleCpu(stage, measured.usage));
    if (auto memory = processes_.ResidentMemory(stage.order->pid()); memory.ok()) {
      measured.usage.service_memory = *memory;
    } else {
      sampled.Update(memory.status());
    }
  };
  int64_t answered_before = 0;
  absl::Duration elapsed_before;
  hooks.progress = [&](absl::Duration elapsed, int64_t answered, int64_t failed) {
    const double rate =
        static_cast<double>(answered - answered_before) / absl::ToDoubleSeconds(elapsed - elapsed_before);
    progress_(fmt::format("{}: {:3.0f} s  {:6.0f} orders/s{}", stage.name, absl::ToDoubleSeconds(elapsed), rate,
                          failed == 0 ? "" : fmt::format("  {} failed", failed)));
    answered_before = answered;
    elapsed_before = elapsed;
  };
  measured.load = load.Run(hooks);
  if (!sampled.ok()) return sampled;
  measured.usage.service_cpu -= before.service_cpu;
  measured.usage.others_cpu -= before.others_cpu;
  if (measured.usage.postgres_cpu) *measured.usage.postgres_cpu -= *before.postgres_cpu;
  return measured;
}

absl::Status Runner::CloseBooks(Stage& stage, int64_t orders, const std::map<std::string, int64_t>* answers,
                                ScenarioResult& result) {
  progress_(fmt::format("{}: checking the books of {} orders", stage.name, orders));
  const auto add = [&](absl::StatusOr<std::vector<std::string>> wrong) {
    if (!wrong.ok()) return wrong.status();
    result.failures.insert(result.failures.end(), wrong->begin(), wrong->end());
    return absl::OkStatus();
  };
  if (const absl::Status stopped = stage.order->Stop(kStopTimeout); !stopped.ok()) {
    result.failures.emplace_back(stopped.message());
  }
  absl::Status checked = add(CheckBooks(stage.database->url(), orders));
  if (checked.ok() && answers != nullptr) checked = add(CheckAnswers(stage.database->url(), *answers));
  if (checked.ok() && stage.sandbox != nullptr) {
    auto entries = SandboxClient(stage.sandbox_address).Books();
    if (!entries.ok()) return entries.status();
    checked = add(CheckGateway(stage.database->url(), *entries));
  }
  return checked;
}

absl::StatusOr<double> Runner::Ceiling(const std::string& name, ScenarioResult& result) {
  auto database = FreshDatabase::Create(options_.database_url, "waybill_bench_ceiling");
  if (!database.ok()) return database.status();
  {
    auto connection = storage::Connection::Open((*database)->url(), storage::MigrationConnectionOptions());
    if (!connection.ok()) return connection.status();
    auto migrated = storage::Migrate(**connection, [](std::string_view, absl::Duration) {});
    if (!migrated.ok()) return migrated.status();
  }
  CeilingOptions ceiling;
  ceiling.database_url = (*database)->url();
  ceiling.duration = options_.duration / 2;
  auto measured = MeasureCeiling(ceiling);
  if (!measured.ok()) return measured.status();
  progress_(fmt::format("{}: {:6.0f} orders/s", name, measured->orders_per_second));
  result.figures.push_back({name, measured->orders_per_second, "1/s", std::nullopt});
  auto wrong = CheckBooks((*database)->url(), measured->orders);
  if (!wrong.ok()) return wrong.status();
  for (const std::string& sentence : *wrong) result.failures.push_back(fmt::format("{}: {}", name, sentence));
  return measured->orders_per_second;
}

absl::StatusOr<ScenarioResult> Runner::Confirmed() {
  ScenarioResult result;
  // Before and after, so that a drift of the machine shows instead of flattering either side.
  auto ceiling_before = Ceiling("ceiling before", result);
  if (!ceiling_before.ok()) return ceiling_before.status();
  auto stage = SetUp("confirmed", Payments::kBuiltin, Fleet::kSeeded);
  if (!stage.ok()) return stage.status();
  auto measured = Measure(*stage, DefaultLoad(*stage));
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  if (auto closed = CloseBooks(*stage, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  stage = Stage();
  auto ceiling_after = Ceiling("ceiling after", result);
  if (!ceiling_after.ok()) return ceiling_after.status();

  const double rate = measured->load.PerSecond();
  result.figures.push_back({"orders/s", rate, "1/s", Target{Bound::kAtLeast, 15'000}});
  result.figures.push_back(
      {"share of the ceiling", rate / ((*ceiling_before + *ceiling_after) / 2), "", Target{Bound::kAtLeast, 0.35}});
  AddLatency(measured->load.latency, std::nullopt, std::nullopt, result);
  AddCpu(*measured, result, Target{Bound::kAtMost, 0.10});
  const Memory& memory = measured->usage.service_memory;
  result.figures.push_back({"resident memory", memory.resident_bytes / kMega, "MB", std::nullopt});
  result.figures.push_back(
      {"resident memory, peak", memory.resident_bytes_peak / kMega, "MB", Target{Bound::kAtMost, 100}});
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Gateway() {
  ScenarioResult result;
  auto stage = SetUp("gateway", Payments::kSandbox, Fleet::kSeeded);
  if (!stage.ok()) return stage.status();
  auto measured = Measure(*stage, DefaultLoad(*stage));
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", Target{Bound::kAtLeast, 7'000}});
  AddLatency(measured->load.latency, std::nullopt, std::nullopt, result);
  AddCpu(*measured, result, std::nullopt);
  if (auto closed = CloseBooks(*stage, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Compensated() {
  ScenarioResult result;
  auto stage = SetUp("compensated", Payments::kBuiltin, Fleet::kEmpty);
  if (!stage.ok()) return stage.status();
  auto measured = Measure(*stage, DefaultLoad(*stage));
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "FAILED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", Target{Bound::kAtLeast, 10'000}});
  AddLatency(measured->load.latency, std::nullopt, std::nullopt, result);
  AddCpu(*measured, result, std::nullopt);
  if (auto closed = CloseBooks(*stage, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Lone() {
  ScenarioResult result;
  auto stage = SetUp("lone", Payments::kBuiltin, Fleet::kSeeded);
  if (!stage.ok()) return stage.status();
  LoadOptions load = DefaultLoad(*stage);
  load.callers = 1;
  auto measured = Measure(*stage, load);
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", std::nullopt});
  AddLatency(measured->load.latency, Target{Bound::kAtMost, 1.5}, std::nullopt, result);
  if (auto closed = CloseBooks(*stage, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Idle() {
  ScenarioResult result;
  auto stage = SetUp("idle", Payments::kBuiltin, Fleet::kSeeded);
  if (!stage.ok()) return stage.status();
  LoadOptions load = DefaultLoad(*stage);
  load.rate = 1;
  load.duration = options_.idle_duration;
  auto measured = Measure(*stage, load);
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  AddLatency(measured->load.latency, std::nullopt, Target{Bound::kAtMost, 6}, result);
  if (auto closed = CloseBooks(*stage, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Open() {
  ScenarioResult result;
  auto stage = SetUp("open", Payments::kBuiltin, Fleet::kSeeded);
  if (!stage.ok()) return stage.status();
  LoadOptions load = DefaultLoad(*stage);
  load.rate = 2'000;
  load.callers = 10'000;
  auto measured = Measure(*stage, load);
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", std::nullopt});
  AddLatency(measured->load.latency, std::nullopt, Target{Bound::kAtMost, 6}, result);
  AddCpu(*measured, result, std::nullopt);
  if (auto closed = CloseBooks(*stage, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

// From `from` on: how long until every saga created until then is settled.
absl::StatusOr<absl::Duration> Runner::AwaitSettled(const Stage& stage, absl::Duration from, absl::Time created_until) {
  auto connection = storage::Connection::Open(stage.database->url(), {});
  if (!connection.ok()) return connection.status();
  const storage::Param until[] = {storage::Param::Time(created_until)};
  for (absl::Duration next_progress = from;;) {
    auto rows =
        (*connection)
            ->Execute("SELECT count(*) FROM order_sagas WHERE lease_until IS NOT NULL AND created_at <= $1", until);
    if (!rows.ok()) return rows.status();
    const absl::Duration now = timer_.Now();
    if (rows->Int(0, 0) == 0) return now - from;
    if (now >= next_progress) {
      progress_(
          fmt::format("{}: {:3.0f} s  {} unfinished", stage.name, absl::ToDoubleSeconds(now - from), rows->Int(0, 0)));
      next_progress += absl::Seconds(1);
    }
    if (now - from > kRecoveryTimeout) {
      return absl::DeadlineExceededError(fmt::format("{} sagas are still unfinished after {}", rows->Int(0, 0),
                                                     absl::FormatDuration(kRecoveryTimeout)));
    }
    timer_.SleepUntil(now + absl::Milliseconds(200));
  }
}

absl::StatusOr<ScenarioResult> Runner::Recovery() {
  ScenarioResult result;
  // Charges that hang instead of being tried again and again, so that every saga is still at its first attempt when …
  auto stage = SetUp("recovery", Payments::kSandbox, Fleet::kSeeded, {"--attempt-timeout", "600s"});
  if (!stage.ok()) return stage.status();
  SandboxClient sandbox(stage->sandbox_address);

  if (auto set = sandbox.LoseCharges(true); !set.ok()) return set;
  LoadOptions fill = DefaultLoad(*stage);
  fill.until_accepted = true;
  fill.orders_max = options_.unfinished;
  fill.warm_up = absl::ZeroDuration();
  fill.duration = kRecoveryTimeout;
  auto accepted = Measure(*stage, fill);
  if (!accepted.ok()) return accepted.status();
  ExpectFate(accepted->load, "PENDING", result);

  // … the process that drives them dies.
  stage->order->Kill();
  const absl::Time killed = absl::Now();
  if (auto set = sandbox.LoseCharges(false); !set.ok()) return set;
  auto connection = storage::Connection::Open(stage->database->url(), {});
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)->Execute("SELECT count(*) FROM order_sagas WHERE lease_until IS NOT NULL");
  if (!rows.ok()) return rows.status();
  result.figures.push_back({"unfinished at the kill", static_cast<double>(rows->Int(0, 0)), "", std::nullopt});
  if (rows->Int(0, 0) < options_.unfinished) {
    result.failures.push_back(fmt::format("only {} sagas were unfinished at the kill", rows->Int(0, 0)));
  }

  const absl::Duration start = timer_.Now();
  if (auto started = StartOrder(*stage); !started.ok()) return started;
  const absl::Duration ready = timer_.Now() - start;
  LoadOptions meanwhile = DefaultLoad(*stage);
  meanwhile.rate = 200;
  meanwhile.callers = 10'000;
  meanwhile.warm_up = absl::ZeroDuration();
  meanwhile.duration = kRecoveryTimeout * 2;  // until it is stopped
  OrderLoad new_orders(meanwhile, timer_);
  LoadResult served;
  std::thread serving([&] { served = new_orders.Run({}); });
  auto settled = AwaitSettled(*stage, start, killed);
  new_orders.Stop();
  serving.join();
  if (!settled.ok()) return settled.status();

  result.figures.push_back({"ready to serve", absl::ToDoubleSeconds(ready), "s", std::nullopt});
  result.figures.push_back({"all settled", absl::ToDoubleSeconds(*settled), "s", Target{Bound::kAtMost, 20}});
  result.figures.push_back({"new orders meanwhile", static_cast<double>(served.answered), "", std::nullopt});
  AddLatency(served.latency, std::nullopt, std::nullopt, result);
  ExpectFate(served, "CONFIRMED", result);
  if (auto closed = CloseBooks(*stage, accepted->load.answered + served.answered, nullptr, result); !closed.ok()) {
    return closed;
  }
  return result;
}

struct Scenario {
  ScenarioInfo info;
  absl::StatusOr<ScenarioResult> (Runner::*run)();
};

const Scenario kScenarios[] = {
    {{"confirmed", "every order charged by the builtin gateway and given a driver; 256 callers"}, &Runner::Confirmed},
    {{"gateway", "the same, charged by the sandbox gateway over gRPC; 256 callers"}, &Runner::Gateway},
    {{"compensated", "no driver: every order charged and refunded; 256 callers"}, &Runner::Compensated},
    {{"lone", "one caller alone"}, &Runner::Lone},
    {{"idle", "one call a second"}, &Runner::Idle},
    {{"open", "2,000 orders/s whatever happens; latency from the intended start"}, &Runner::Open},
    {{"recovery", "unfinished sagas after a kill -9, with 200 new orders/s meanwhile"}, &Runner::Recovery},
};

}  // namespace

std::vector<ScenarioInfo> Scenarios() {
  std::vector<ScenarioInfo> infos;
  for (const Scenario& scenario : kScenarios) infos.push_back(scenario.info);
  return infos;
}

absl::StatusOr<Report> RunScenarios(const BenchOptions& options, Timer& timer,
                                    const std::function<void(const std::string&)>& progress) {
  std::error_code error;
  fs::create_directories(options.folder, error);
  if (error) return absl::InternalError(fmt::format("{}: {}", options.folder.string(), error.message()));
  for (const char* binary : {"waybill-order", "waybill-sandbox"}) {
    if (!fs::exists(options.binaries / binary)) {
      return absl::NotFoundError(fmt::format("no {} in {}", binary, options.binaries.string()));
    }
  }
  Runner runner(options, timer, progress);
  if (const absl::Status found = runner.FindPostgres(); !found.ok()) return found;
  if (const absl::Status seeded = runner.SeedFleet(); !seeded.ok()) return seeded;

  Report report;
  report.machine = DescribeMachine();
  for (const Scenario& scenario : kScenarios) {
    if (!options.only.empty() && !options.only.contains(std::string(scenario.info.name))) continue;
    progress(fmt::format("{}: {}", scenario.info.name, scenario.info.description));
    absl::StatusOr<ScenarioResult> result = (runner.*scenario.run)();
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

}  // namespace waybill::bench
