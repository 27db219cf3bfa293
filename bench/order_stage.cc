#include "bench/order_stage.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/time/clock.h"
#include "bench/books.h"
#include "bench/ceiling.h"
#include "bench/fleet.h"
#include "bench/sandbox_client.h"
#include "fmt/format.h"
#include "services/process/flags.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;

constexpr double kOrdersPerSecondMax = 40'000;      // more than a small machine confirms …
constexpr double kOrdersPerSecondMaxACore = 6'000;  // … and a large one for each of its cores

absl::StatusOr<PostgresWork> SamplePostgresWork(storage::Connection& connection) {
  auto rows = connection.Execute(
      "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint, xact_commit FROM pg_stat_database "
      "WHERE datname = current_database()");
  if (!rows.ok()) return rows.status();
  return PostgresWork{rows->Int(0, 0), rows->Int(0, 1)};
}

}  // namespace

// Every call has to be answered, with `fate`.
void ExpectFate(const LoadResult& load, const std::string& fate, ScenarioResult& result) {
  for (const auto& [outcome, count] : load.outcomes) {
    if (outcome != fate) result.failures.push_back(fmt::format("{} calls ended as {}, not {}", count, outcome, fate));
  }
  if (load.answered == 0) result.failures.push_back("no call was answered");
}

absl::Status OrderStage::SeedFleet() const {
  const double a_second = std::max(kOrdersPerSecondMax, process::Cores() * kOrdersPerSecondMaxACore);
  const auto by_rate = static_cast<int64_t>(absl::ToDoubleSeconds(orders_.warm_up + orders_.duration) * a_second);
  const int64_t drivers = orders_.drivers > 0 ? orders_.drivers : std::max(by_rate, orders_.unfinished + 50'000);
  Tell(fmt::format("seeding {} drivers", drivers));
  return bench::SeedFleet(WithDatabase(orders_.redis_url, "0"), drivers);
}

absl::StatusOr<Set> OrderStage::MakeSet(const std::string& name, const SetOptions& options) const {
  Set set;
  set.name = options.build == Build::kToday ? name : name + "_earlier";
  set.build = options.build;
  auto database = options.guard == nullptr ? EmptyDatabase(set.name) : MigratedDatabase(set.name);
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

  std::vector<std::string> payments = {"--payment-gateway", "builtin"};
  if (options.payments != Payments::kBuiltin) {
    const absl::Status started = StartSandbox(set, options.payments == Payments::kRouted);
    if (!started.ok()) return started;
    payments.back() = "grpc://" + set.gateways.front();
  }
  if (options.payments == Payments::kRouted) {
    const fs::path file = orders_.folder / (set.name + ".gateways.toml");
    std::ofstream text(file);
    for (size_t at = 0; at < set.gateways.size(); ++at) {
      text << fmt::format("[[gateway]]\nname = \"sandbox-{}\"\naddress = \"grpc://{}\"\n", at + 1, set.gateways[at]);
    }
    payments = {"--gateways-file", file};
  }
  const std::string redis_url = WithDatabase(orders_.redis_url, options.fleet == Fleet::kSeeded ? "0" : "1");
  // Flags that the earlier build knows, too.
  set.order_args = {"--side-listen", "127.0.0.1:0", "--database-url", set.database->url(), "--redis-url",
                    redis_url,       "--dispatch",  "builtin",        "--migrate"};
  set.order_args.insert(set.order_args.end(), payments.begin(), payments.end());
  if (const absl::Status started = StartOrder(set, order_args); !started.ok()) return started;
  return set;
}

absl::Status OrderStage::StartSandbox(Set& set, bool two_gateways) const {
  const fs::path log = orders_.folder / fmt::format("{}.sandbox.books.log", set.name);
  fs::remove(log);
  std::vector<std::string> args = {"--log", log, "--side-listen", "127.0.0.1:0"};
  if (two_gateways) {
    fs::remove(log.string() + ".second");
    args.insert(args.end(), {"--gateway", "second=127.0.0.1:0"});
  }
  auto sandbox = Start("waybill-sandbox", set.name, "sandbox", args);
  if (!sandbox.ok()) return sandbox.status();
  set.gateways.push_back(sandbox->address);
  if (two_gateways) set.gateways.push_back(AddressOf("gateway_second", sandbox->ports));
  set.sandbox = *std::move(sandbox);
  return absl::OkStatus();
}

absl::Status OrderStage::StartOrder(Set& set, const std::vector<std::string>& order_args) const {
  std::vector<std::string> args = set.order_args;
  // By its name a restart takes up what its earlier life left.
  args.insert(args.end(), {"--instance", "bench"});
  args.insert(args.end(), order_args.begin(), order_args.end());
  auto order = StartService(set.build, set.name, "order", args);
  if (!order.ok()) return order.status();
  set.order = *std::move(order);
  return absl::OkStatus();
}

absl::Status OrderStage::StartReplica(Set& set) const {
  std::vector<std::string> args = set.order_args;
  args.insert(args.end(), {"--instance", "bench-replica"});
  auto replica = StartService(set.build, set.name, "replica", args);
  if (!replica.ok()) return replica.status();
  set.replica = *std::move(replica);
  return absl::OkStatus();
}

LoadOptions OrderStage::DefaultLoad(const Set& set) const {
  LoadOptions load;
  load.target = set.order.address;
  load.pass = set.pass;
  load.run = fmt::format("{}-{}", set.name, absl::ToUnixMillis(absl::Now()));
  load.callers = orders_.callers;
  load.threads = orders_.connections;
  load.warm_up = orders_.warm_up;
  load.duration = orders_.duration;
  return load;
}

absl::StatusOr<Measured> OrderStage::Measure(const Set& set, const LoadOptions& options) const {
  Measured measured;
  std::vector<pid_t> services = {set.order.process->pid()};
  if (set.replica.process != nullptr) services.push_back(set.replica.process->pid());
  UsageOfWindow usage(*this, services);
  auto connection = storage::Connection::Open(set.database->url(), {});
  if (!connection.ok()) return connection.status();
  absl::StatusOr<PostgresWork> before = PostgresWork(), after = PostgresWork();
  OrderLoad load(options, timer());
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
    Tell(fmt::format("{}: {:3.0f} s  {:6.0f} orders/s{}", set.name, absl::ToDoubleSeconds(elapsed), rate,
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

absl::StatusOr<std::vector<Compared>> OrderStage::InTurns(const Plan& plan, ScenarioResult& result) const {
  std::vector<Compared> compared(plan.loads.size());
  for (int round = 1; round <= rounds(); ++round) {
    for (const Build build : builds()) {
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

absl::StatusOr<std::vector<Measured>> OrderStage::MeasureRound(const Plan& plan, Build build,
                                                               ScenarioResult& result) const {
  auto set = MakeSet(plan.name, {.payments = plan.payments, .fleet = plan.fleet, .build = build});
  if (!set.ok()) return set.status();
  std::vector<Measured> measured;
  LoadResult all;
  for (const auto& change : plan.loads) {
    LoadOptions load = DefaultLoad(*set);
    change(load);
    auto one = Measure(*set, load);
    if (!one.ok()) return one.status();
    Tell(fmt::format("{}: {:.0f} orders/s, p50 {:.2f} ms, p99 {:.2f} ms", set->name, one->load.PerSecond(),
                     absl::ToDoubleMilliseconds(one->load.latency.Quantile(0.5)),
                     absl::ToDoubleMilliseconds(one->load.latency.Quantile(0.99))));
    all.Merge(one->load);
    measured.push_back(*std::move(one));
  }
  ExpectFate(all, plan.fate, result);
  if (auto closed = CloseBooks(*set, all.answered, &all.outcomes, result); !closed.ok()) return closed;
  return measured;
}

absl::Status OrderStage::CloseBooks(Set& set, int64_t orders, const std::map<std::string, int64_t>* answers,
                                    ScenarioResult& result) const {
  Tell(fmt::format("{}: checking the books of {} orders", set.name, orders));
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
  std::vector<GatewayEntry> entries;
  for (const std::string& gateway : set.gateways) {
    auto books = SandboxClient(gateway).Books();
    if (!books.ok()) return books.status();
    entries.insert(entries.end(), books->begin(), books->end());
  }
  if (checked.ok() && !set.gateways.empty()) checked = add(CheckGateways(set.database->url(), entries));
  return checked;
}

absl::StatusOr<std::unique_ptr<FreshDatabase>> OrderStage::CeilingDatabase() const {
  if (orders_.against.empty()) return MigratedDatabase("ceiling");
  auto set = MakeSet("ceiling", {.fleet = Fleet::kEmpty, .build = Build::kEarlier});
  if (!set.ok()) return set.status();
  if (const absl::Status stopped = set->order.process->Stop(kStopTimeout); !stopped.ok()) return stopped;
  return std::move(set->database);
}

absl::StatusOr<int> OrderStage::CeilingConnections() {
  if (orders_.ceiling_connections > 0) return orders_.ceiling_connections;
  if (ceiling_connections_ > 0) return ceiling_connections_;
  // Asked of Postgres: so it does not matter whether a flag, a variable or the machine decided.
  auto set = MakeSet("writers", {.fleet = Fleet::kEmpty});
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

absl::StatusOr<double> OrderStage::Ceiling(const std::string& name, ScenarioResult& result) {
  auto connections = CeilingConnections();
  if (!connections.ok()) return connections.status();
  auto database = CeilingDatabase();
  if (!database.ok()) return database.status();
  CeilingOptions ceiling;
  ceiling.database_url = (*database)->url();
  ceiling.connections = *connections;
  ceiling.duration = orders_.duration / 2;
  auto measured = MeasureCeiling(ceiling);
  if (!measured.ok()) return measured.status();
  Tell(fmt::format("{}: {:6.0f} orders/s", name, measured->orders_per_second));
  result.figures.push_back({name, measured->orders_per_second, "1/s", std::nullopt});
  auto wrong = CheckBooks((*database)->url(), measured->orders);
  if (!wrong.ok()) return wrong.status();
  for (const std::string& sentence : *wrong) result.failures.push_back(fmt::format("{}: {}", name, sentence));
  return measured->orders_per_second;
}

absl::StatusOr<absl::Duration> OrderStage::AwaitSettled(const Set& set, absl::Duration from,
                                                        absl::Time created_until) const {
  auto connection = storage::Connection::Open(set.database->url(), {});
  if (!connection.ok()) return connection.status();
  const storage::Param until[] = {storage::Param::Time(created_until)};
  for (absl::Duration next_progress = from;;) {
    auto rows = (*connection)->Execute("SELECT count(*) FROM leased_sagas WHERE created_at <= $1", until);
    if (!rows.ok()) return rows.status();
    const absl::Duration now = timer().Now();
    if (rows->Int(0, 0) == 0) return now - from;
    if (now >= next_progress) {
      Tell(fmt::format("{}: {:3.0f} s  {} unfinished", set.name, absl::ToDoubleSeconds(now - from), rows->Int(0, 0)));
      next_progress += absl::Seconds(1);
    }
    if (now - from > kRecoveryTimeout) {
      return absl::DeadlineExceededError(fmt::format("{} sagas are still unfinished after {}", rows->Int(0, 0),
                                                     absl::FormatDuration(kRecoveryTimeout)));
    }
    timer().SleepUntil(now + absl::Milliseconds(200));
  }
}

}  // namespace waybill::bench
