#include "bench/order_scenarios.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "bench/books.h"
#include "bench/ceiling.h"
#include "bench/fleet.h"
#include "bench/guard.h"
#include "bench/idle_connections.h"
#include "bench/order_load.h"
#include "bench/read_load.h"
#include "bench/saga_client.h"
#include "bench/sandbox_client.h"
#include "bench/side_metrics.h"
#include "fmt/format.h"
#include "services/process/flags.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kRecoveryTimeout = absl::Seconds(180);
constexpr double kOrdersPerSecondMax = 40'000;      // more than a small machine confirms …
constexpr double kOrdersPerSecondMaxACore = 6'000;  // … and a large one for each of its cores
constexpr int kFirstConnections = 10;
constexpr absl::Duration kMemorySettles = absl::Seconds(2);
constexpr double kKibi = 1024;
constexpr int kManyCores = 8;  // from here on a second process finds cores that the first leaves idle

enum class Fleet { kSeeded, kEmpty };
enum class Payments { kBuiltin, kSandbox };

// What makes a scenario's set.
struct SetOptions {
  Payments payments = Payments::kBuiltin;
  Fleet fleet = Fleet::kSeeded;
  std::vector<std::string> order_args = {};  // for the service, besides the usual ones
  Build build = Build::kToday;
  const Guard* guard = nullptr;  // null: the service runs open
  bool http_over_tls = false;    // of a guarded one; else it is plain, for scrapes
};

// What a scenario runs on. Destroyed in reverse order: the services, the sandbox, the database.
struct Set {
  std::string name;
  Build build = Build::kToday;
  Pass pass;  // of callers
  std::unique_ptr<FreshDatabase> database;
  Server sandbox;  // today's, whatever the build: what a service is measured with is the same for both
  std::vector<std::string> order_args;
  Server order;
  Server replica;  // of the order service, if there is one
};

// What Postgres did since it started.
struct PostgresWork {
  int64_t wal_bytes = 0;  // of the whole server
  int64_t commits = 0;    // of the database; up to a second old
};

struct Measured {
  LoadResult load;
  Usage usage;
  Memory memory;  // of the service
  PostgresWork work;

  void Add(const Measured& round) {
    load.Merge(round.load);
    usage = usage + round.usage;
    memory = Larger(memory, round.memory);
    work.wal_bytes += round.work.wal_bytes;
    work.commits += round.work.commits;
  }
  double AnOrder(double amount) const { return amount / static_cast<double>(load.latency.count()); }
};

// A load of all rounds, today's build beside the earlier one where there is one.
struct Compared : ByBuild<Measured> {
  // One figure of both.
  void Add(const std::string& name, const std::string& unit, const std::function<double(const Measured&)>& figure,
           std::optional<Target> ratio, ScenarioResult& result) const {
    AddCompared(name, figure(*today), earlier ? std::optional(figure(*earlier)) : std::nullopt, unit, ratio, result);
  }
  void AddRate(std::optional<Target> ratio, ScenarioResult& result) const {
    Add(
        "orders/s", "1/s", [](const Measured& measured) { return measured.load.PerSecond(); }, ratio, result);
  }
  void AddLatency(std::optional<Target> p50_ratio, std::optional<Target> p99_ratio, ScenarioResult& result) const {
    AddComparedLatency(today->load.latency, earlier ? &earlier->load.latency : nullptr, p50_ratio, p99_ratio, result);
  }
  void AddCpu(std::optional<Target> postgres_ratio, ScenarioResult& result) const {
    const auto service = [](const Measured& measured) {
      return measured.AnOrder(absl::ToDoubleSeconds(measured.usage.service) * 1000);
    };
    const auto postgres = [](const Measured& measured) {
      return measured.AnOrder(absl::ToDoubleSeconds(*measured.usage.postgres) * 1000);
    };
    Add("CPU per 1,000 orders, service", "s", service, std::nullopt, result);
    if (today->usage.postgres) Add("CPU per 1,000 orders, Postgres", "s", postgres, postgres_ratio, result);
    // Not the bench's doing, but what its figures are worth.
    const auto others = [](const Measured& measured) {
      return absl::FDivDuration(measured.usage.others, measured.load.window);
    };
    result.figures.push_back({"CPUs busy with something else", others(*today), "", std::nullopt});
    if (!earlier) return;
    result.figures.push_back({"CPUs busy with something else, earlier", others(*earlier), "", std::nullopt});
  }
  // Of all that were measured in it, how many wrote what.
  void AddPostgresWork(ScenarioResult& result) const {
    const auto wal = [](const Measured& measured) {
      return measured.AnOrder(static_cast<double>(measured.work.wal_bytes));
    };
    const auto commits = [](const Measured& measured) {
      return measured.AnOrder(static_cast<double>(measured.work.commits));
    };
    Add("WAL an order", "bytes", wal, std::nullopt, result);
    Add("commits an order", "", commits, std::nullopt, result);
  }
};

// What is measured of each build in each round, on a fresh database: one load after the other, each made of the
// default by its function.
struct Plan {
  std::string name;
  Payments payments = Payments::kBuiltin;
  Fleet fleet = Fleet::kSeeded;
  std::string fate = "CONFIRMED";  // of every order
  std::vector<std::function<void(LoadOptions&)>> loads = {[](LoadOptions&) {}};
  std::function<absl::Status(int round)> after_round = [](int) { return absl::OkStatus(); };
};

// Every call has to be answered, with `fate`.
void ExpectFate(const LoadResult& load, const std::string& fate, ScenarioResult& result) {
  for (const auto& [outcome, count] : load.outcomes) {
    if (outcome != fate) result.failures.push_back(fmt::format("{} calls ended as {}, not {}", count, outcome, fate));
  }
  if (load.answered == 0) result.failures.push_back("no call was answered");
}

class Runner {
 public:
  Runner(const OrderBenchOptions& options, const Stage& stage) : options_(options), stage_(stage) {}

  absl::Status SeedFleet();

  absl::StatusOr<ScenarioResult> Confirmed();
  absl::StatusOr<ScenarioResult> Gateway();
  absl::StatusOr<ScenarioResult> Compensated();
  absl::StatusOr<ScenarioResult> Lone();
  absl::StatusOr<ScenarioResult> Idle();
  absl::StatusOr<ScenarioResult> Open();
  absl::StatusOr<ScenarioResult> Reads();
  absl::StatusOr<ScenarioResult> Guarded();
  absl::StatusOr<ScenarioResult> Connections();
  absl::StatusOr<ScenarioResult> Replicas();
  absl::StatusOr<ScenarioResult> Recovery();
  absl::StatusOr<ScenarioResult> Waiting();

 private:
  absl::StatusOr<Set> SetUp(const std::string& name, const SetOptions& options);
  absl::Status StartOrder(Set& set, const std::vector<std::string>& order_args = {});
  absl::Status StartReplica(Set& set);
  LoadOptions DefaultLoad(const Set& set) const;
  absl::StatusOr<Measured> Measure(const Set& set, const LoadOptions& options);
  // Today's build and the earlier one in turns; the result has an entry for each load of the plan. What is wrong with
  // the answers or the books goes into `result`.
  absl::StatusOr<std::vector<Compared>> InTurns(const Plan& plan, ScenarioResult& result);
  absl::StatusOr<std::vector<Measured>> MeasureRound(const Plan& plan, Build build, ScenarioResult& result);
  // Stops the services in good order and checks the books; what is wrong goes into the result.
  absl::Status CloseBooks(Set& set, int64_t orders, const std::map<std::string, int64_t>* answers,
                          ScenarioResult& result);
  // As its service migrates it: with --against by the earlier build, so that the ceiling is the same whatever is
  // compared with it.
  absl::StatusOr<std::unique_ptr<FreshDatabase>> CeilingDatabase();
  // As many as today's service has connections that write sagas, or as were asked for.
  absl::StatusOr<int> CeilingConnections();
  absl::StatusOr<double> Ceiling(const std::string& name, ScenarioResult& result);
  absl::Status AddIdleConnections(const Guard& guard, Protocol protocol, ScenarioResult& result);
  // Orders/s of a service that runs open, or is guarded.
  absl::StatusOr<Measured> MeasureGuarded(const Guard* guard, ScenarioResult& result);
  // Orders/s by one process or by two on a database of their own. The claims they lost are added up.
  absl::StatusOr<Measured> MeasureProcesses(int processes, double& lost_claims, ScenarioResult& result);
  absl::StatusOr<absl::Duration> AwaitSettled(const Set& set, absl::Duration from, absl::Time created_until);

  const OrderBenchOptions& options_;
  const Stage& stage_;
  int ceiling_connections_ = 0;  // 0: not known yet
};

absl::Status Runner::SeedFleet() {
  const double a_second = std::max(kOrdersPerSecondMax, process::Cores() * kOrdersPerSecondMaxACore);
  const auto by_rate = static_cast<int64_t>(absl::ToDoubleSeconds(options_.warm_up + options_.duration) * a_second);
  const int64_t drivers = options_.drivers > 0 ? options_.drivers : std::max(by_rate, options_.unfinished + 50'000);
  stage_.Tell(fmt::format("seeding {} drivers", drivers));
  return bench::SeedFleet(WithDatabase(options_.redis_url, "0"), drivers);
}

absl::StatusOr<Set> Runner::SetUp(const std::string& name, const SetOptions& options) {
  Set set;
  set.name = options.build == Build::kToday ? name : name + "_earlier";
  set.build = options.build;
  auto database = options.guard == nullptr ? stage_.EmptyDatabase(set.name) : stage_.MigratedDatabase(set.name);
  if (!database.ok()) return database.status();
  set.database = *std::move(database);
  std::vector<std::string> order_args = options.order_args;
  if (options.guard != nullptr) {
    auto pass = options.guard->IssuePass(set.database->url());
    if (!pass.ok()) return pass.status();
    set.pass = *std::move(pass);
    const std::vector<std::string> flags = options.guard->flags(/*plain_http=*/!options.http_over_tls);
    order_args.insert(order_args.end(), flags.begin(), flags.end());
  }

  std::string gateway = "builtin";
  if (options.payments == Payments::kSandbox) {
    const fs::path log = options_.folder / (set.name + ".gateway.log");
    fs::remove(log);
    auto sandbox = stage_.Start("waybill-sandbox", set.name, "sandbox", {"--log", log});
    if (!sandbox.ok()) return sandbox.status();
    set.sandbox = *std::move(sandbox);
    gateway = "grpc://" + set.sandbox.address;
  }
  const std::string redis_url = WithDatabase(options_.redis_url, options.fleet == Fleet::kSeeded ? "0" : "1");
  // Flags that the earlier build knows, too.
  set.order_args = {"--side-listen", "127.0.0.1:0", "--database-url", set.database->url(), "--redis-url", redis_url,
                    "--dispatch",    "builtin",     "--migrate",      "--payment-gateway", gateway};
  if (const absl::Status started = StartOrder(set, order_args); !started.ok()) return started;
  return set;
}

absl::Status Runner::StartOrder(Set& set, const std::vector<std::string>& order_args) {
  std::vector<std::string> args = set.order_args;
  // By its name a restart takes up what its earlier life left.
  args.insert(args.end(), {"--instance", "bench"});
  args.insert(args.end(), order_args.begin(), order_args.end());
  auto order = stage_.StartService(set.build, set.name, "order", args);
  if (!order.ok()) return order.status();
  set.order = *std::move(order);
  return absl::OkStatus();
}

absl::Status Runner::StartReplica(Set& set) {
  std::vector<std::string> args = set.order_args;
  args.insert(args.end(), {"--instance", "bench-replica"});
  auto replica = stage_.StartService(set.build, set.name, "replica", args);
  if (!replica.ok()) return replica.status();
  set.replica = *std::move(replica);
  return absl::OkStatus();
}

LoadOptions Runner::DefaultLoad(const Set& set) const {
  LoadOptions load;
  load.target = set.order.address;
  load.pass = set.pass;
  load.run = fmt::format("{}-{}", set.name, absl::ToUnixMillis(absl::Now()));
  load.callers = options_.callers;
  load.threads = options_.connections;
  load.warm_up = options_.warm_up;
  load.duration = options_.duration;
  return load;
}

absl::StatusOr<PostgresWork> SamplePostgresWork(storage::Connection& connection) {
  auto rows = connection.Execute(
      "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, xact_commit FROM pg_stat_database "
      "WHERE datname = current_database()");
  if (!rows.ok()) return rows.status();
  return PostgresWork{rows->Int(0, 0), rows->Int(0, 1)};
}

absl::StatusOr<Measured> Runner::Measure(const Set& set, const LoadOptions& options) {
  Measured measured;
  std::vector<pid_t> services = {set.order.process->pid()};
  if (set.replica.process != nullptr) services.push_back(set.replica.process->pid());
  UsageOfWindow usage(stage_, services);
  auto connection = storage::Connection::Open(set.database->url(), {});
  if (!connection.ok()) return connection.status();
  absl::StatusOr<PostgresWork> before = PostgresWork(), after = PostgresWork();
  OrderLoad load(options, stage_.timer());
  OrderLoad::Hooks hooks;
  hooks.window_starts = [&] {
    usage.Start();
    before = SamplePostgresWork(**connection);
  };
  hooks.window_ends = [&] {
    usage.End();
    after = SamplePostgresWork(**connection);
  };
  int64_t answered_before = 0;
  absl::Duration elapsed_before;
  hooks.progress = [&](absl::Duration elapsed, int64_t answered, int64_t failed) {
    const double rate =
        static_cast<double>(answered - answered_before) / absl::ToDoubleSeconds(elapsed - elapsed_before);
    stage_.Tell(fmt::format("{}: {:3.0f} s  {:6.0f} orders/s{}", set.name, absl::ToDoubleSeconds(elapsed), rate,
                            failed == 0 ? "" : fmt::format("  {} failed", failed)));
    answered_before = answered;
    elapsed_before = elapsed;
  };
  measured.load = load.Run(hooks);
  if (!usage.status().ok()) return usage.status();
  if (!before.ok()) return before.status();
  if (!after.ok()) return after.status();
  measured.usage = usage.usage();
  measured.memory = usage.memory();
  measured.work = {after->wal_bytes - before->wal_bytes, after->commits - before->commits};
  return measured;
}

absl::StatusOr<std::vector<Compared>> Runner::InTurns(const Plan& plan, ScenarioResult& result) {
  std::vector<Compared> compared(plan.loads.size());
  for (int round = 1; round <= stage_.rounds(); ++round) {
    for (const Build build : stage_.builds()) {
      ScenarioResult wrong;
      auto measured = MeasureRound(plan, build, wrong);
      if (!measured.ok()) return measured.status();
      for (const std::string& failure : wrong.failures) {
        result.failures.push_back((build == Build::kToday ? "" : "the earlier build: ") + failure);
      }
      for (size_t i = 0; i < compared.size(); ++i) {
        std::optional<Measured>& sum = compared[i].of(build);
        if (sum) {
          sum->Add((*measured)[i]);
        } else {
          sum = std::move((*measured)[i]);
        }
      }
    }
    if (const absl::Status done = plan.after_round(round); !done.ok()) return done;
  }
  return compared;
}

absl::StatusOr<std::vector<Measured>> Runner::MeasureRound(const Plan& plan, Build build, ScenarioResult& result) {
  auto set = SetUp(plan.name, {.payments = plan.payments, .fleet = plan.fleet, .build = build});
  if (!set.ok()) return set.status();
  std::vector<Measured> measured;
  LoadResult all;
  for (const auto& change : plan.loads) {
    LoadOptions load = DefaultLoad(*set);
    change(load);
    auto one = Measure(*set, load);
    if (!one.ok()) return one.status();
    stage_.Tell(fmt::format("{}: {:.0f} orders/s, p50 {:.2f} ms, p99 {:.2f} ms", set->name, one->load.PerSecond(),
                            absl::ToDoubleMilliseconds(one->load.latency.Quantile(0.5)),
                            absl::ToDoubleMilliseconds(one->load.latency.Quantile(0.99))));
    all.Merge(one->load);
    measured.push_back(*std::move(one));
  }
  ExpectFate(all, plan.fate, result);
  if (auto closed = CloseBooks(*set, all.answered, &all.outcomes, result); !closed.ok()) return closed;
  return measured;
}

absl::Status Runner::CloseBooks(Set& set, int64_t orders, const std::map<std::string, int64_t>* answers,
                                ScenarioResult& result) {
  stage_.Tell(fmt::format("{}: checking the books of {} orders", set.name, orders));
  const auto add = [&](absl::StatusOr<std::vector<std::string>> wrong) {
    if (!wrong.ok()) return wrong.status();
    result.failures.insert(result.failures.end(), wrong->begin(), wrong->end());
    return absl::OkStatus();
  };
  for (const Server* server : {&set.order, &set.replica}) {
    if (server->process == nullptr) continue;
    if (const absl::Status stopped = server->process->Stop(kStopTimeout); !stopped.ok()) {
      result.failures.emplace_back(stopped.message());
    }
  }
  absl::Status checked = add(CheckBooks(set.database->url(), orders));
  if (checked.ok() && answers != nullptr) checked = add(CheckAnswers(set.database->url(), *answers));
  if (checked.ok() && set.sandbox.process != nullptr) {
    auto entries = SandboxClient(set.sandbox.address).Books();
    if (!entries.ok()) return entries.status();
    checked = add(CheckGateway(set.database->url(), *entries));
  }
  return checked;
}

absl::StatusOr<std::unique_ptr<FreshDatabase>> Runner::CeilingDatabase() {
  if (options_.against.empty()) return stage_.MigratedDatabase("ceiling");
  auto set = SetUp("ceiling", {.fleet = Fleet::kEmpty, .build = Build::kEarlier});
  if (!set.ok()) return set.status();
  if (const absl::Status stopped = set->order.process->Stop(kStopTimeout); !stopped.ok()) return stopped;
  return std::move(set->database);
}

absl::StatusOr<int> Runner::CeilingConnections() {
  if (options_.ceiling_connections > 0) return options_.ceiling_connections;
  if (ceiling_connections_ > 0) return ceiling_connections_;
  // Asked of Postgres: so it does not matter whether a flag, a variable or the machine decided.
  auto set = SetUp("writers", {.fleet = Fleet::kEmpty});
  if (!set.ok()) return set.status();
  auto connection = storage::Connection::Open(set->database->url(), {});
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)
                  ->Execute(
                      "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'waybill-journal' AND "
                      "datname = current_database()");
  if (!rows.ok()) return rows.status();
  ceiling_connections_ = static_cast<int>(rows->Int(0, 0));
  if (ceiling_connections_ == 0) {
    return absl::InternalError("no connection of waybill-order is named waybill-journal: give --ceiling-connections");
  }
  return ceiling_connections_;
}

absl::StatusOr<double> Runner::Ceiling(const std::string& name, ScenarioResult& result) {
  auto connections = CeilingConnections();
  if (!connections.ok()) return connections.status();
  auto database = CeilingDatabase();
  if (!database.ok()) return database.status();
  CeilingOptions ceiling;
  ceiling.database_url = (*database)->url();
  ceiling.connections = *connections;
  ceiling.duration = options_.duration / 2;
  auto measured = MeasureCeiling(ceiling);
  if (!measured.ok()) return measured.status();
  stage_.Tell(fmt::format("{}: {:6.0f} orders/s", name, measured->orders_per_second));
  result.figures.push_back({name, measured->orders_per_second, "1/s", std::nullopt});
  auto wrong = CheckBooks((*database)->url(), measured->orders);
  if (!wrong.ok()) return wrong.status();
  for (const std::string& sentence : *wrong) result.failures.push_back(fmt::format("{}: {}", name, sentence));
  return measured->orders_per_second;
}

absl::StatusOr<ScenarioResult> Runner::Confirmed() {
  ScenarioResult result;
  CeilingAround ceilings(stage_.rounds(), [&](const std::string& name) { return Ceiling(name, result); });
  if (const absl::Status before = ceilings.Before(); !before.ok()) return before;
  Plan plan{.name = "confirmed"};
  plan.after_round = [&](int round) { return ceilings.After(round); };
  auto in_turns = InTurns(plan, result);
  if (!in_turns.ok()) return in_turns.status();
  const double ceiling = ceilings.Mean();
  auto connections = CeilingConnections();
  if (!connections.ok()) return connections.status();
  result.figures.push_back({"ceiling, connections", static_cast<double>(*connections), "", std::nullopt});

  const Compared& orders = in_turns->front();
  orders.AddRate(AtLeast(1.35), result);
  result.figures.push_back({"share of the ceiling", orders.today->load.PerSecond() / ceiling, "", AtLeast(0.45)});
  if (orders.earlier) {
    result.figures.push_back(
        {"share of the ceiling, earlier", orders.earlier->load.PerSecond() / ceiling, "", std::nullopt});
  }
  orders.AddLatency(std::nullopt, std::nullopt, result);
  orders.AddCpu(AtMost(0.70), result);
  orders.AddPostgresWork(result);
  const Memory& memory = orders.today->memory;
  result.figures.push_back({"resident memory", memory.resident_bytes / kMega, "MB", std::nullopt});
  result.figures.push_back({"resident memory, peak", memory.resident_bytes_peak / kMega, "MB", AtMost(100)});
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Gateway() {
  ScenarioResult result;
  auto in_turns = InTurns({.name = "gateway", .payments = Payments::kSandbox}, result);
  if (!in_turns.ok()) return in_turns.status();
  const Compared& orders = in_turns->front();
  orders.AddRate(AtLeast(1.25), result);
  orders.AddLatency(std::nullopt, std::nullopt, result);
  orders.AddCpu(std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Compensated() {
  ScenarioResult result;
  auto in_turns = InTurns({.name = "compensated", .fleet = Fleet::kEmpty, .fate = "FAILED"}, result);
  if (!in_turns.ok()) return in_turns.status();
  const Compared& orders = in_turns->front();
  orders.AddRate(AtLeast(1.25), result);
  orders.AddLatency(std::nullopt, std::nullopt, result);
  orders.AddCpu(std::nullopt, result);
  return result;
}

void BeLone(LoadOptions& load) { load.callers = 1; }

absl::StatusOr<ScenarioResult> Runner::Lone() {
  ScenarioResult result;
  auto in_turns = InTurns({.name = "lone", .loads = {BeLone}}, result);
  if (!in_turns.ok()) return in_turns.status();
  const Compared& orders = in_turns->front();
  orders.AddRate(std::nullopt, result);
  orders.AddLatency(AtMost(1.0), std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Idle() {
  ScenarioResult result;
  const auto once_a_second = [&](LoadOptions& load) {
    load.rate = 1;
    load.duration = options_.idle_duration;
  };
  auto in_turns = InTurns({.name = "idle", .loads = {once_a_second}}, result);
  if (!in_turns.ok()) return in_turns.status();
  in_turns->front().AddLatency(std::nullopt, AtMost(1.0), result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Open() {
  ScenarioResult result;
  const auto open = [](LoadOptions& load) {
    load.rate = 2'000;
    load.callers = 10'000;
  };
  auto in_turns = InTurns({.name = "open", .loads = {BeLone, open}}, result);
  if (!in_turns.ok()) return in_turns.status();
  const Compared& lone = in_turns->front();
  const Compared& orders = in_turns->back();
  const auto p50 = [](const std::optional<Measured>& measured) {
    return absl::ToDoubleMilliseconds(measured->load.latency.Quantile(0.5));
  };
  orders.AddRate(std::nullopt, result);
  orders.AddLatency(std::nullopt, std::nullopt, result);
  result.figures.push_back({"p50 of a lone caller before", p50(lone.today), "ms", std::nullopt});
  result.figures.push_back({"p50, times a lone caller's", p50(orders.today) / p50(lone.today), "", AtMost(1.5)});
  if (orders.earlier) {
    result.figures.push_back(
        {"p50, times a lone caller's, earlier", p50(orders.earlier) / p50(lone.earlier), "", std::nullopt});
  }
  orders.AddCpu(std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Reads() {
  ScenarioResult result;
  auto set = SetUp("reads", {});
  if (!set.ok()) return set.status();
  const auto order = MakeOrder(set->order.address);
  if (!order.ok()) return order.status();
  ReadOptions options;
  options.order_id = *order;
  options.warm_up = options_.warm_up;
  options.duration = options_.duration;
  double by_grpc = 0, by_connect = 0;
  for (int round = 1; round <= options_.rounds; ++round) {
    options.target = set->order.address;
    const auto grpc = ReadByGrpc(options, stage_.timer());
    if (!grpc.ok()) return grpc.status();
    options.target = set->order.side_address;
    const auto connect = ReadByConnect(options, stage_.timer());
    if (!connect.ok()) return connect.status();
    stage_.Tell(fmt::format("reads: {:.0f} calls/s by gRPC, {:.0f} by Connect", *grpc, *connect));
    by_grpc += *grpc / options_.rounds;
    by_connect += *connect / options_.rounds;
  }
  result.figures.push_back({"calls/s by gRPC", by_grpc, "1/s", std::nullopt});
  result.figures.push_back({"calls/s by Connect, JSON", by_connect, "1/s", std::nullopt});
  result.figures.push_back({"Connect, times gRPC", by_connect / by_grpc, "", AtLeast(0.5)});
  if (auto closed = CloseBooks(*set, 1, nullptr, result); !closed.ok()) return closed;
  return result;
}

absl::StatusOr<Measured> Runner::MeasureGuarded(const Guard* guard, ScenarioResult& result) {
  auto set = SetUp(guard == nullptr ? "open_edge" : "guarded_edge", {.guard = guard});
  if (!set.ok()) return set.status();
  auto measured = Measure(*set, DefaultLoad(*set));
  if (!measured.ok()) return measured.status();
  if (guard != nullptr) {
    for (std::string& doubt : guard->Doubts(set->order)) result.failures.push_back(std::move(doubt));
  }
  ExpectFate(measured->load, "CONFIRMED", result);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return measured;
}

absl::StatusOr<ScenarioResult> Runner::Guarded() {
  ScenarioResult result;
  auto guard = Guard::Make(options_.folder);
  if (!guard.ok()) return guard.status();
  Measured open, guarded;
  for (int round = 1; round <= options_.rounds; ++round) {
    for (const bool with : {round % 2 == 0, round % 2 == 1}) {  // so that a drift of the machine flatters neither
      auto measured = MeasureGuarded(with ? &*guard : nullptr, result);
      if (!measured.ok()) return measured.status();
      (with ? guarded : open).Add(*measured);
    }
  }
  AddGuarded("orders/s", open.load.PerSecond(), guarded.load.PerSecond(), "1/s", AtLeast(0.85), result);
  const auto cpu = [](const Measured& measured) {
    return measured.AnOrder(absl::ToDoubleSeconds(measured.usage.service) * 1000);
  };
  AddGuarded("CPU per 1,000 orders, service", cpu(open), cpu(guarded), "s", std::nullopt, result);
  const auto p99 = [](const Measured& measured) {
    return absl::ToDoubleMilliseconds(measured.load.latency.Quantile(0.99));
  };
  AddGuarded("p99", p99(open), p99(guarded), "ms", std::nullopt, result);
  return result;
}

absl::Status Runner::AddIdleConnections(const Guard& guard, Protocol protocol, ScenarioResult& result) {
  const bool http = protocol == Protocol::kHttp;
  const std::string name = http ? "HTTP" : "gRPC";
  auto set = SetUp(http ? "idle_http" : "idle_grpc", {.guard = &guard, .http_over_tls = true});
  if (!set.ok()) return set.status();
  const std::string& target = http ? set->order.side_address : set->order.address;
  const auto open = [&](int count) { return IdleConnections::Open(target, protocol, count, guard.certificate_file()); };
  const auto memory = [&]() -> absl::StatusOr<double> {
    stage_.timer().SleepUntil(stage_.timer().Now() + kMemorySettles);
    auto resident = stage_.ResidentMemory(set->order.process->pid());
    if (!resident.ok()) return resident.status();
    return static_cast<double>(resident->resident_bytes);
  };
  auto first = open(kFirstConnections);  // what the service makes for these is not the others' doing
  if (!first.ok()) return first.status();
  auto before = memory();
  if (!before.ok()) return before.status();
  const absl::Duration start = stage_.timer().Now();
  auto connections = open(options_.idle_connections - kFirstConnections);
  if (!connections.ok()) return connections.status();
  const absl::Duration took = stage_.timer().Now() - start;
  auto after = memory();
  if (!after.ok()) return after.status();
  const int standing = first->CountOpen() + connections->CountOpen();
  if (standing != options_.idle_connections) {
    result.failures.push_back(
        fmt::format("of {} connections by {} {} are open", options_.idle_connections, name, standing));
  }
  const double opened = options_.idle_connections - kFirstConnections;
  result.figures.push_back(
      {fmt::format("resident memory a connection, {}", name), (*after - *before) / opened / kKibi, "KiB", AtMost(30)});
  result.figures.push_back(
      {fmt::format("handshakes/s, {}, one at a time", name), opened / absl::ToDoubleSeconds(took), "1/s", {}});
  return CloseBooks(*set, 0, nullptr, result);
}

absl::StatusOr<ScenarioResult> Runner::Connections() {
  ScenarioResult result;
  auto guard = Guard::Make(options_.folder);
  if (!guard.ok()) return guard.status();
  result.figures.push_back({"connections", static_cast<double>(options_.idle_connections), "", std::nullopt});
  for (const Protocol protocol : {Protocol::kHttp, Protocol::kGrpc}) {
    if (const absl::Status added = AddIdleConnections(*guard, protocol, result); !added.ok()) return added;
  }
  return result;
}

absl::StatusOr<Measured> Runner::MeasureProcesses(int processes, double& lost_claims, ScenarioResult& result) {
  auto set = SetUp(processes == 1 ? "one_process" : "two_processes", {});
  if (!set.ok()) return set.status();
  LoadOptions load = DefaultLoad(*set);
  load.threads = 2 * ((options_.connections + 1) / 2);  // so that either process can have as many
  if (processes == 2) {
    if (const absl::Status started = StartReplica(*set); !started.ok()) return started;
    load.other_target = set->replica.address;
  }
  auto measured = Measure(*set, load);
  if (!measured.ok()) return measured.status();
  for (const Server* server : {&set->order, &set->replica}) {
    if (server->process == nullptr) continue;
    auto lost = ReadMetric(server->side_address, "waybill_dispatch_lost_claims_total");
    if (!lost.ok()) return lost.status();
    lost_claims += *lost;
  }
  ExpectFate(measured->load, "CONFIRMED", result);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return measured;
}

absl::StatusOr<ScenarioResult> Runner::Replicas() {
  ScenarioResult result;
  Measured one, two;
  double lost_by_one = 0, lost_by_two = 0;
  for (int round = 1; round <= options_.rounds; ++round) {
    for (const int processes : {1, 2}) {
      auto measured = MeasureProcesses(processes, processes == 1 ? lost_by_one : lost_by_two, result);
      if (!measured.ok()) return measured.status();
      (processes == 1 ? one : two).Add(*measured);
    }
  }
  const double more = process::Cores() >= kManyCores ? 1.3 : 0.95;
  result.figures.push_back({"orders/s, one process", one.load.PerSecond(), "1/s", std::nullopt});
  result.figures.push_back({"orders/s, two processes", two.load.PerSecond(), "1/s", std::nullopt});
  result.figures.push_back({"two, times one", two.load.PerSecond() / one.load.PerSecond(), "", AtLeast(more)});
  // Those of the warm-up, too: each process counts since it started.
  const auto a_claim = [](double lost, const Measured& measured) {
    return lost / static_cast<double>(measured.load.answered);
  };
  result.figures.push_back({"lost claims an order, one process", a_claim(lost_by_one, one), "", std::nullopt});
  result.figures.push_back({"lost claims an order, two processes", a_claim(lost_by_two, two), "", AtMost(0.05)});
  const auto add_p99 = [&](const char* name, const Measured& measured) {
    result.figures.push_back(
        {name, absl::ToDoubleMilliseconds(measured.load.latency.Quantile(0.99)), "ms", std::nullopt});
  };
  add_p99("p99, one process", one);
  add_p99("p99, two processes", two);
  return result;
}

// From `from` on: how long until every saga created until then is settled.
absl::StatusOr<absl::Duration> Runner::AwaitSettled(const Set& set, absl::Duration from, absl::Time created_until) {
  auto connection = storage::Connection::Open(set.database->url(), {});
  if (!connection.ok()) return connection.status();
  const storage::Param until[] = {storage::Param::Time(created_until)};
  for (absl::Duration next_progress = from;;) {
    auto rows = (*connection)->Execute("SELECT count(*) FROM leased_sagas WHERE created_at <= $1", until);
    if (!rows.ok()) return rows.status();
    const absl::Duration now = stage_.timer().Now();
    if (rows->Int(0, 0) == 0) return now - from;
    if (now >= next_progress) {
      stage_.Tell(
          fmt::format("{}: {:3.0f} s  {} unfinished", set.name, absl::ToDoubleSeconds(now - from), rows->Int(0, 0)));
      next_progress += absl::Seconds(1);
    }
    if (now - from > kRecoveryTimeout) {
      return absl::DeadlineExceededError(fmt::format("{} sagas are still unfinished after {}", rows->Int(0, 0),
                                                     absl::FormatDuration(kRecoveryTimeout)));
    }
    stage_.timer().SleepUntil(now + absl::Milliseconds(200));
  }
}

absl::StatusOr<ScenarioResult> Runner::Recovery() {
  ScenarioResult result;
  // Charges that hang instead of being tried again and again, so that every saga is still at its first attempt when …
  auto set = SetUp("recovery", {.payments = Payments::kSandbox, .order_args = {"--attempt-timeout", "600s"}});
  if (!set.ok()) return set.status();
  SandboxClient sandbox(set->sandbox.address);

  // What recovery is measured by: new orders through the same gateway on the same machine, just before.
  LoadOptions ordinary = DefaultLoad(*set);
  ordinary.duration = options_.duration / 2;
  auto before = Measure(*set, ordinary);
  if (!before.ok()) return before.status();
  ExpectFate(before->load, "CONFIRMED", result);

  if (auto told = sandbox.LoseCharges(true); !told.ok()) return told;
  LoadOptions fill = DefaultLoad(*set);
  fill.until_accepted = true;
  fill.orders_max = options_.unfinished;
  fill.warm_up = absl::ZeroDuration();
  fill.duration = kRecoveryTimeout;
  auto accepted = Measure(*set, fill);
  if (!accepted.ok()) return accepted.status();
  ExpectFate(accepted->load, "PENDING", result);

  // … the process that drives them dies.
  set->order.process->Kill();
  const absl::Time killed = absl::Now();
  if (auto told = sandbox.LoseCharges(false); !told.ok()) return told;
  auto connection = storage::Connection::Open(set->database->url(), {});
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)->Execute("SELECT count(*) FROM leased_sagas");
  if (!rows.ok()) return rows.status();
  result.figures.push_back({"unfinished at the kill", static_cast<double>(rows->Int(0, 0)), "", std::nullopt});
  if (rows->Int(0, 0) < options_.unfinished) {
    result.failures.push_back(fmt::format("only {} sagas were unfinished at the kill", rows->Int(0, 0)));
  }

  const absl::Duration start = stage_.timer().Now();
  if (auto started = StartOrder(*set); !started.ok()) return started;
  const absl::Duration ready = stage_.timer().Now() - start;
  LoadOptions meanwhile = DefaultLoad(*set);
  meanwhile.rate = 200;
  meanwhile.callers = 10'000;
  meanwhile.warm_up = absl::ZeroDuration();
  meanwhile.duration = kRecoveryTimeout * 2;  // until it is stopped
  OrderLoad new_orders(meanwhile, stage_.timer());
  LoadResult served;
  std::thread serving([&] { served = new_orders.Run({}); });
  auto settled = AwaitSettled(*set, start, killed);
  new_orders.Stop();
  serving.join();
  if (!settled.ok()) return settled.status();

  result.figures.push_back({"ready to serve", absl::ToDoubleSeconds(ready), "s", std::nullopt});
  result.figures.push_back({"all settled", absl::ToDoubleSeconds(*settled), "s", std::nullopt});
  const double recovered = static_cast<double>(options_.unfinished) / absl::ToDoubleSeconds(*settled);
  result.figures.push_back({"settled orders/s", recovered, "1/s", std::nullopt});
  result.figures.push_back({"new orders/s before the kill", before->load.PerSecond(), "1/s", std::nullopt});
  result.figures.push_back(
      {"settled, times new orders before", recovered / before->load.PerSecond(), "", AtLeast(0.5)});
  result.figures.push_back({"new orders meanwhile", static_cast<double>(served.answered), "", std::nullopt});
  AddLatency(served.latency, std::nullopt, std::nullopt, result);
  ExpectFate(served, "CONFIRMED", result);
  if (auto closed =
          CloseBooks(*set, before->load.answered + accepted->load.answered + served.answered, nullptr, result);
      !closed.ok()) {
    return closed;
  }
  return result;
}

// Orders whose charges were answered "later", so many to a statement: what the service would have written of them.
constexpr char kFillWaiting[] =
    "WITH orders AS (INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, "
    "currency, state, step, attempt, seq, epoch, created_at, updated_at, waits_for, wakes_at) "
    "SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, "
    "'0'))::uuid, 'bench', 'waiting-' || n, decode(repeat('00', 32), 'hex'), 'ada', 1250, 'EUR', "
    "'running', 0, 1, 1, 1, now(), now(), 'charge_payment/do/t-1', now() + interval '1 day' "
    "FROM generate_series($1::bigint, $2::bigint) AS n RETURNING order_id) "
    "INSERT INTO order_saga_steps (order_id, seq, step, attempt, outcome, state, at) "
    "SELECT order_id, 1, 'charge_payment', 1, 'waiting', 'running', now() FROM orders";
constexpr int64_t kFillAtOnce = 50'000;

// What has become of the signalled orders.
constexpr char kSignalled[] =
    "SELECT s.order_id, s.state = 'succeeded' AND p.order_id IS NOT NULL AND a.order_id IS NOT NULL, s.updated_at "
    "FROM order_sagas s LEFT JOIN payments p USING (order_id) LEFT JOIN order_assignments a USING (order_id) "
    "WHERE s.order_id = ANY($1)";

// What filling left to be done, which takes minutes in the background and is none of what is measured.
constexpr const char* kTidyUp[] = {"VACUUM ANALYZE order_sagas", "VACUUM ANALYZE order_saga_steps", "CHECKPOINT"};

absl::StatusOr<ScenarioResult> Runner::Waiting() {
  ScenarioResult result;
  auto set = SetUp("waiting", {});
  if (!set.ok()) return set.status();
  storage::ConnectionOptions patient;
  patient.statement_timeout = absl::Minutes(10);
  auto connection = storage::Connection::Open(set->database->url(), patient);
  if (!connection.ok()) return connection.status();

  LoadOptions warm = DefaultLoad(*set);
  warm.rate = 200;
  auto warmed = Measure(*set, warm);
  if (!warmed.ok()) return warmed.status();
  const int64_t idle_bytes = warmed->memory.resident_bytes;

  for (int64_t from = 1; from <= options_.waiting; from += kFillAtOnce) {
    const int64_t to = std::min(from + kFillAtOnce - 1, options_.waiting);
    auto filled = (*connection)->Execute(kFillWaiting, {storage::Param::Int8(from), storage::Param::Int8(to)});
    if (!filled.ok()) return filled.status();
    stage_.Tell(fmt::format("waiting: {} orders wait", to));
  }
  stage_.Tell("waiting: tidying up");
  for (const char* statement : kTidyUp) {
    if (auto tidied = (*connection)->Execute(statement); !tidied.ok()) return tidied.status();
  }
  const int64_t signals =
      std::min(options_.waiting, static_cast<int64_t>(absl::ToDoubleSeconds(options_.duration) * 200));
  auto rows = (*connection)
                  ->Execute("SELECT order_id FROM order_sagas WHERE wakes_at IS NOT NULL LIMIT $1",
                            {storage::Param::Int8(signals)});
  if (!rows.ok()) return rows.status();
  std::vector<std::string> ids;
  storage::ArrayParam signalled(storage::kOidUuid);
  for (int row = 0; row < rows->size(); ++row) {
    ids.push_back(rows->Id(row, 0).ToString());
    signalled.AddId(rows->Id(row, 0));
  }

  constexpr int kThreads = 20;  // each at a twentieth of the rate: a call may take long without holding up the others
  SagaClient client(set->order.address);
  std::vector<absl::Time> sent(ids.size());
  std::vector<absl::Status> failed(kThreads);
  std::vector<std::thread> threads;
  const absl::Duration start = stage_.timer().Now();
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      Pacer pacer(stage_.timer(), start + absl::Milliseconds(5) * thread, 200.0 / kThreads);
      for (size_t at = static_cast<size_t>(thread); at < ids.size(); at += kThreads) {
        pacer.Next();
        sent[at] = absl::Now();
        const absl::Status said = client.SignalSuccess(ids[at], "charge_payment", "t-1");
        if (!said.ok()) failed[static_cast<size_t>(thread)] = said;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto memory = stage_.ResidentMemory(set->order.process->pid());
  if (!memory.ok()) return memory.status();
  auto settled = AwaitSettled(*set, stage_.timer().Now(), absl::Now());
  if (!settled.ok()) return settled.status();

  for (const absl::Status& status : failed) {
    if (!status.ok()) result.failures.emplace_back(status.message());
  }
  auto ended = (*connection)->Execute(kSignalled, {signalled});
  if (!ended.ok()) return ended.status();
  absl::flat_hash_map<std::string, int> row_of;
  for (int row = 0; row < ended->size(); ++row) row_of[ended->Id(row, 0).ToString()] = row;
  Histogram acted_on;  // from before the call to the order's newest write; the service has this machine's clock
  int64_t confirmed = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    const int row = row_of.at(ids[i]);
    confirmed += ended->Bool(row, 1) ? 1 : 0;
    acted_on.Record(ended->Time(row, 2) - sent[i]);
  }
  if (confirmed != signals) {
    result.failures.push_back(fmt::format("of {} signalled orders {} are paid and have a driver", signals, confirmed));
  }
  auto left = (*connection)->Execute("SELECT count(*) FROM order_sagas WHERE waits_for IS NOT NULL AND epoch = 1");
  if (!left.ok()) return left.status();
  if (left->Int(0, 0) != options_.waiting - signals) {
    result.failures.push_back(
        fmt::format("{} orders wait untouched, not {}", left->Int(0, 0), options_.waiting - signals));
  }
  result.figures.push_back({"sagas that wait", static_cast<double>(options_.waiting), "", std::nullopt});
  result.figures.push_back({"resident memory, idle", static_cast<double>(idle_bytes) / kMega, "MB", std::nullopt});
  result.figures.push_back({"resident memory, more than idle",
                            static_cast<double>(memory->resident_bytes - idle_bytes) / kMega, "MB", AtMost(10)});
  AddLatency(acted_on, std::nullopt, AtMost(50), result);
  if (const absl::Status stopped = set->order.process->Stop(kStopTimeout); !stopped.ok()) {
    result.failures.emplace_back(stopped.message());
  }
  return result;
}

struct OrderScenario {
  ScenarioInfo info;
  absl::StatusOr<ScenarioResult> (Runner::*run)();
};

const OrderScenario kScenarios[] = {
    {{"confirmed", "every order charged by the builtin gateway and given a driver; --callers"}, &Runner::Confirmed},
    {{"gateway", "the same, charged by the sandbox gateway over gRPC; --callers"}, &Runner::Gateway},
    {{"compensated", "no driver: every order charged and refunded; --callers"}, &Runner::Compensated},
    {{"lone", "one caller alone"}, &Runner::Lone},
    {{"idle", "one call a second"}, &Runner::Idle},
    {{"open", "2,000 orders/s whatever happens, after one caller alone; latency from the intended start"},
     &Runner::Open},
    {{"reads", "one order read by 64 callers, by gRPC and by the Connect protocol with JSON, in turns"},
     &Runner::Reads},
    {{"guarded",
      "confirmed orders over TLS with a key, a limit and 1 % traced, beside the same service open, in turns; "
      "--callers"},
     &Runner::Guarded},
    {{"connections", "idle connections over TLS, by HTTP and by gRPC; --idle-connections"}, &Runner::Connections},
    {{"replicas", "two services on one database beside one, in turns; --callers in all"}, &Runner::Replicas},
    {{"recovery", "unfinished sagas after a kill -9, with 200 new orders/s meanwhile"}, &Runner::Recovery},
    {{"waiting", "many sagas that wait for a signal; 200 signals/s"}, &Runner::Waiting},
};

}  // namespace

std::vector<ScenarioInfo> OrderScenarios() {
  std::vector<ScenarioInfo> infos;
  for (const OrderScenario& scenario : kScenarios) infos.push_back(scenario.info);
  return infos;
}

absl::StatusOr<Report> RunOrderScenarios(const OrderBenchOptions& options, Timer& timer, const Progress& progress) {
  Stage stage(options, timer, progress);
  if (const absl::Status set_up = stage.SetUp("waybill-order", {"waybill-sandbox"}); !set_up.ok()) return set_up;
  Runner runner(options, stage);
  if (const absl::Status seeded = runner.SeedFleet(); !seeded.ok()) return seeded;
  std::vector<Scenario> scenarios;
  for (const OrderScenario& scenario : kScenarios) {
    scenarios.push_back({scenario.info, [&runner, run = scenario.run] { return (runner.*run)(); }});
  }
  return stage.Run(scenarios);
}

}  // namespace waybill::bench
