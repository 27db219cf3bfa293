#include "bench/ledger_scenarios.h"

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "bench/ledger_ceiling.h"
#include "bench/ledger_load.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace v1 = ::waybill::ledger::v1;

constexpr char kService[] = "waybill-ledger";
constexpr char kPlain[] = "a transaction a transfer";
constexpr char kBare[] = "a bare GET";
constexpr char kOurs[] = "waybill-ledger";
constexpr double kHot = 0.9;  // share of the transfers that credit one account
constexpr absl::Duration kVerifyTimeout = absl::Seconds(120);

struct Measured {
  LedgerLoadResult load;
  Usage usage{.postgres = absl::ZeroDuration()};  // of rounds that were added; it is none as soon as one round's is
  Memory memory;                                  // of the service

  void Add(const Measured& round) {
    load.Merge(round.load);
    usage = usage + round.usage;
    memory = Larger(memory, round.memory);
  }
};

class Runner {
 public:
  Runner(const LedgerBenchOptions& options, const Stage& stage) : options_(options), stage_(stage) {}

  absl::StatusOr<ScenarioResult> Singles() const;
  absl::StatusOr<ScenarioResult> Batches() const;
  absl::StatusOr<ScenarioResult> Balances() const;

 private:
  // What a load runs on. Destroyed in reverse order.
  struct Set {
    std::string name;
    std::unique_ptr<FreshDatabase> database;
    Server server;
  };
  // With its accounts opened.
  absl::StatusOr<Set> SetUp(const std::string& name, bool plain) const;
  absl::StatusOr<Measured> Measure(const Set& set, LedgerLoadOptions options) const;
  // One load on a fresh database, its books closed; what is wrong goes into the result.
  absl::StatusOr<Measured> MeasureOne(const std::string& name, bool plain, const LedgerLoadOptions& options,
                                      ScenarioResult& result) const;
  absl::Status CloseBooks(Set& set, bool plain, int64_t created, ScenarioResult& result) const;

  const LedgerBenchOptions& options_;
  const Stage& stage_;
};

absl::StatusOr<Runner::Set> Runner::SetUp(const std::string& name, bool plain) const {
  Set set;
  set.name = name;
  auto database = plain ? stage_.EmptyDatabase(name) : stage_.MigratedDatabase(name);
  if (!database.ok()) return database.status();
  set.database = *std::move(database);
  const std::vector<std::string> url = {"--database-url", set.database->url()};
  absl::StatusOr<Server> server;
  if (plain) {
    std::vector<std::string> args = {"plain-ledger", "--connections", fmt::format("{}", options_.plain_connections)};
    args.insert(args.end(), url.begin(), url.end());
    server = stage_.Start("waybill-bench", name, "plain-ledger", std::move(args));
  } else {
    std::vector<std::string> args = url;
    args.insert(args.end(), {"--redis-url", options_.redis_url});
    server = stage_.StartService(Build::kToday, name, "ledger", std::move(args));
  }
  if (!server.ok()) return server.status();
  set.server = *std::move(server);
  if (absl::Status opened = OpenAccounts(set.server.address, options_.accounts); !opened.ok()) return opened;
  return set;
}

absl::StatusOr<Measured> Runner::Measure(const Set& set, LedgerLoadOptions options) const {
  options.target = set.server.address;
  options.run = set.name;
  options.accounts = options_.accounts;
  options.warm_up = options_.warm_up;
  options.duration = options_.duration;
  UsageOfWindow window(stage_, {set.server.process->pid()});
  LedgerLoad load(options, stage_.timer());
  LedgerLoad::Hooks hooks;
  hooks.window_starts = [&] { window.Start(); };
  hooks.window_ends = [&] { window.End(); };
  hooks.progress = [&, last = int64_t{0}](absl::Duration elapsed, int64_t created) mutable {
    stage_.Tell(fmt::format("{}: {:3.0f} s {:7} transfers/s", set.name, absl::ToDoubleSeconds(elapsed),
                            created - std::exchange(last, created)));
  };
  Measured measured;
  measured.load = load.Run(hooks);
  if (absl::Status sampled = window.status(); !sampled.ok()) return sampled;
  measured.usage = window.usage();
  measured.memory = window.memory();
  return measured;
}

absl::Status Runner::CloseBooks(Set& set, bool plain, int64_t created, ScenarioResult& result) const {
  const int64_t expected = created + FundingTransfers(options_.accounts);
  auto connection = storage::Connection::Open(set.database->url(), {.statement_timeout = kVerifyTimeout});
  if (!connection.ok()) return connection.status();
  auto rows =
      (*connection)->Execute(plain ? "SELECT count(*) FROM transfers" : "SELECT count(*) FROM ledger_transfers");
  if (!rows.ok()) return rows.status();
  if (rows->Int(0, 0) != expected) {
    result.failures.push_back(
        fmt::format("{}: {} transfers were answered, but {} are there", set.name, expected, rows->Int(0, 0)));
  }
  if (!plain) {
    auto stub = v1::LedgerAdmin::NewStub(grpc::CreateChannel(set.server.address, grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(kVerifyTimeout));
    auto reader = stub->Verify(&context, {});
    v1::VerifyResponse event;
    std::optional<v1::VerifyReport> report;
    while (reader->Read(&event)) {
      if (event.has_report()) report = event.report();
    }
    if (const grpc::Status ended = reader->Finish(); !ended.ok() || !report) {
      return absl::InternalError(
          fmt::format("{}: the ledger could not be verified: {}", set.name, ended.error_message()));
    }
    for (const std::string& fault : report->faults()) result.failures.push_back(fmt::format("{}: {}", set.name, fault));
  }
  return set.server.process->Stop(kStopTimeout);
}

absl::StatusOr<Measured> Runner::MeasureOne(const std::string& name, bool plain, const LedgerLoadOptions& options,
                                            ScenarioResult& result) const {
  auto set = SetUp(name, plain);
  if (!set.ok()) return set.status();
  auto measured = Measure(*set, options);
  if (!measured.ok()) return measured.status();
  for (const auto& [outcome, count] : measured->load.outcomes) {
    if (outcome != "CREATED") result.failures.push_back(fmt::format("{}: {} transfers: {}", name, count, outcome));
  }
  if (absl::Status closed = CloseBooks(*set, plain, measured->load.created(), result); !closed.ok()) return closed;
  return measured;
}

void AddCpu(const Measured& measured, ScenarioResult& result) {
  const auto add = [&](const std::string& whose, absl::Duration cpu) {
    result.figures.push_back({fmt::format("CPU per 1,000 transfers, {}", whose),
                              absl::ToDoubleSeconds(cpu) * 1'000 / static_cast<double>(measured.load.transfers),
                              "s",
                              {}});
  };
  add("service", measured.usage.service);
  if (measured.usage.postgres) add("Postgres", *measured.usage.postgres);
  add("load", measured.usage.generator);
}

void AddMemory(const Measured& measured, ScenarioResult& result) {
  result.figures.push_back(
      {"resident memory, peak", static_cast<double>(measured.memory.resident_bytes_peak) / kMega, "MB", AtMost(200)});
}

absl::StatusOr<ScenarioResult> Runner::Singles() const {
  ScenarioResult result;
  Measured plain, ours, plain_hot, ours_hot;
  struct Way {
    std::string name;
    bool plain;
    double hot;
    Measured* sum;
  };
  const std::vector<Way> ways = {{"plain_uniform", true, 0, &plain},
                                 {"ledger_uniform", false, 0, &ours},
                                 {"ledger_hot", false, kHot, &ours_hot},
                                 {"plain_hot", true, kHot, &plain_hot}};
  for (int round = 1; round <= options_.rounds; ++round) {
    for (size_t i = 0; i < ways.size(); ++i) {
      // Forth and back, so that a drift of the machine flatters none.
      const Way& way = ways[round % 2 == 1 ? i : ways.size() - 1 - i];
      LedgerLoadOptions load;
      load.callers = options_.callers;
      load.hot = way.hot;
      auto measured = MeasureOne(way.name, way.plain, load, result);
      if (!measured.ok()) return measured.status();
      way.sum->Add(*measured);
    }
  }
  AddBeside("transfers/s, uniform", {kPlain, plain.load.PerSecond()}, {kOurs, ours.load.PerSecond()}, "1/s",
            AtLeast(12), result);
  AddBeside("transfers/s, 90 % on one account", {kPlain, plain_hot.load.PerSecond()},
            {kOurs, ours_hot.load.PerSecond()}, "1/s", AtLeast(20), result);
  result.figures.push_back({"transfers/s, 90 % on one account times uniform",
                            ours_hot.load.PerSecond() / ours.load.PerSecond(), "", AtLeast(0.6)});
  const auto p99 = [](const Measured& measured) {
    return absl::ToDoubleMilliseconds(measured.load.latency.Quantile(0.99));
  };
  AddBeside("p99, uniform", {kPlain, p99(plain)}, {kOurs, p99(ours)}, "ms", std::nullopt, result);
  AddCpu(ours, result);
  AddMemory(ours, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Batches() const {
  ScenarioResult result;
  CeilingAround ceiling(options_.rounds, [&](const std::string& name) -> absl::StatusOr<double> {
    auto database = stage_.MigratedDatabase("ledger_ceiling");
    if (!database.ok()) return database.status();
    auto reached = MeasureLedgerCeiling({.database_url = (*database)->url(),
                                         .accounts = options_.accounts,
                                         .batch = options_.batch,
                                         .duration = options_.duration});
    if (reached.ok()) stage_.Tell(fmt::format("{}: {:7.0f} transfers/s", name, *reached));
    return reached;
  });
  if (absl::Status before = ceiling.Before(); !before.ok()) return before;
  Measured sum;
  for (int round = 1; round <= options_.rounds; ++round) {
    LedgerLoadOptions load;
    load.callers = options_.batch_callers;
    load.batch = options_.batch;
    auto measured = MeasureOne("ledger_batches", /*plain=*/false, load, result);
    if (!measured.ok()) return measured.status();
    sum.Add(*measured);
    if (absl::Status after = ceiling.After(round); !after.ok()) return after;
  }
  AddBeside("transfers/s", {"ceiling", ceiling.Mean()}, {kOurs, sum.load.PerSecond()}, "1/s", AtLeast(0.6), result);
  AddLatency(sum.load.latency, std::nullopt, std::nullopt, result);
  AddCpu(sum, result);
  AddMemory(sum, result);
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Balances() const {
  ScenarioResult result;
  absl::StatusOr<Set> set = SetUp("ledger_balances", /*plain=*/false);
  if (!set.ok()) return set.status();
  if (absl::Status read = ReadBalances(set->server.address, options_.accounts); !read.ok()) return read;
  absl::StatusOr<Server> bare =
      stage_.Start("waybill-bench", "ledger_balances", "bare", {"bare-balances", "--redis-url", options_.redis_url});
  if (!bare.ok()) return bare.status();
  BalanceLoadOptions load;
  load.accounts = options_.accounts;
  load.loop.rate = options_.balance_rate;
  load.loop.warm_up = options_.warm_up;
  load.loop.duration = options_.duration;
  Histogram ours, theirs;
  for (int round = 1; round <= options_.rounds; ++round) {
    for (int turn = 0; turn < 2; ++turn) {
      // Forth and back, so that a drift of the machine flatters none.
      load.from_cache = (turn == 0) == (round % 2 == 1);
      load.target = load.from_cache ? set->server.address : bare->address;
      stage_.Tell(fmt::format("balances: {} at {:.0f}/s", load.from_cache ? kOurs : kBare, options_.balance_rate));
      const QueryResult asked = AskBalances(load, stage_.timer());
      (load.from_cache ? ours : theirs).Merge(asked.latency);
      for (const auto& [outcome, count] : asked.outcomes) {
        if (outcome != "OK") {
          result.failures.push_back(fmt::format("{}: {} reads: {}", load.from_cache ? kOurs : kBare, count, outcome));
        }
      }
    }
  }
  for (const auto& [name, share, target] :
       {std::tuple("p50", 0.5, std::optional<Target>()), std::tuple("p99", 0.99, std::optional<Target>(AtMost(1.3)))}) {
    AddBeside(fmt::format("{}, cached balance", name), {kBare, absl::ToDoubleMilliseconds(theirs.Quantile(share))},
              {kOurs, absl::ToDoubleMilliseconds(ours.Quantile(share))}, "ms", target, result);
  }
  if (absl::Status stopped = bare->process->Stop(kStopTimeout); !stopped.ok()) return stopped;
  if (absl::Status stopped = set->server.process->Stop(kStopTimeout); !stopped.ok()) return stopped;
  return result;
}

struct Listed {
  ScenarioInfo info;
  absl::StatusOr<ScenarioResult> (Runner::*run)() const;
};

constexpr Listed kScenarios[] = {
    {{"singles",
      "one transfer a call, between any accounts and 90 % onto one, beside a server with a transaction for each; "
      "--callers, --accounts"},
     &Runner::Singles},
    {{"batches", "calls of many transfers, beside set-based rows straight into the same tables; --batch"},
     &Runner::Batches},
    {{"balances", "balances that the cache holds, beside a bare GET to Redis; --balance-rate, --accounts"},
     &Runner::Balances},
};

}  // namespace

std::vector<ScenarioInfo> LedgerScenarios() {
  std::vector<ScenarioInfo> infos;
  for (const Listed& scenario : kScenarios) infos.push_back(scenario.info);
  return infos;
}

absl::StatusOr<Report> RunLedgerScenarios(const LedgerBenchOptions& options, Timer& timer, const Progress& progress) {
  Stage stage(options, timer, progress);
  if (absl::Status ready = stage.SetUp(kService); !ready.ok()) return ready;
  const Runner runner(options, stage);
  std::vector<Scenario> scenarios;
  for (const Listed& scenario : kScenarios) {
    scenarios.push_back({scenario.info, [&runner, run = scenario.run] { return (runner.*run)(); }});
  }
  return stage.Run(scenarios);
}

}  // namespace waybill::bench
