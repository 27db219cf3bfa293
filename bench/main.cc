// waybill-bench: what Waybill does on this machine, beside what its servers could do at most.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "bench/bare_balances.h"
#include "bench/fleet.h"
#include "bench/ledger_scenarios.h"
#include "bench/location_scenarios.h"
#include "bench/order_load.h"
#include "bench/order_scenarios.h"
#include "bench/pacer.h"
#include "bench/plain_ledger.h"
#include "bench/plain_race.h"
#include "bench/process_stats.h"
#include "bench/race_scenarios.h"
#include "bench/report.h"
#include "fmt/format.h"
#include "runtime/build.h"
#include "runtime/shutdown.h"
#include "services/process/flags.h"

namespace {

using namespace waybill::bench;  // NOLINT(google-build-using-namespace): this file is the bench's own main

constexpr int kExitBooks = 1;    // the books do not balance, or calls failed
constexpr int kExitFailure = 2;  // the bench could not run

constexpr int64_t kHistoryRowsShort = 10'000'000;
constexpr int64_t kHistoryRowsLong = 100'000'000;

int WriteReport(const Report& report, const std::string& json_file) {
  if (json_file == "-") {
    std::cout << RenderJson(report);
    std::cerr << RenderTable(report);
  } else {
    std::cout << RenderTable(report);
    if (!json_file.empty()) {
      std::ofstream file(json_file);
      file << RenderJson(report) << std::flush;
      if (!file) {
        std::cerr << "cannot write " << json_file << "\n";
        return kExitFailure;
      }
    }
  }
  return report.BooksBalance() ? 0 : kExitBooks;
}

void TellStderr(const std::string& line) { std::cerr << line << std::endl; }

int FinishRun(absl::StatusOr<Report> report, const std::string& json_file) {
  if (!report.ok()) {
    std::cerr << "the bench could not run: " << report.status() << "\n";
    return kExitFailure;
  }
  report->version = waybill::ThisBuild().version;
  return WriteReport(*report, json_file);
}

int RunSeed(const std::string& redis_url, int64_t drivers) {
  const absl::Status seeded = SeedFleet(redis_url, drivers);
  if (seeded.ok()) return 0;
  std::cerr << seeded << "\n";
  return kExitFailure;
}

int RunLoad(const LoadOptions& options, const std::string& json_file) {
  SteadyTimer timer;
  OrderLoad load(options, timer);
  OrderLoad::Hooks hooks;
  hooks.progress = [](absl::Duration elapsed, int64_t answered, int64_t failed) {
    std::cerr << fmt::format("{:3.0f} s  {} answered  {} failed", absl::ToDoubleSeconds(elapsed), answered, failed)
              << std::endl;
  };
  const LoadResult result = load.Run(hooks);
  ScenarioResult scenario{"load", "CreateOrder on " + options.target, {}, {}};
  scenario.figures.push_back({"orders/s", result.PerSecond(), "1/s", {}});
  AddLatency(result.latency, std::nullopt, std::nullopt, scenario);
  for (const auto& [outcome, count] : result.outcomes) {
    scenario.figures.push_back({outcome, static_cast<double>(count), "", {}});
  }
  if (result.failed > 0) scenario.failures.push_back(fmt::format("{} calls failed", result.failed));
  return WriteReport({waybill::ThisBuild().version, DescribeMachine(), {scenario}, {}}, json_file);
}

// The flags of a service, as one argument: separated by blanks, which no value can hold.
std::vector<std::string> SplitFlags(const std::string& flags) {
  std::istringstream words(flags);
  return {std::istream_iterator<std::string>(words), std::istream_iterator<std::string>()};
}

// What a subcommand that runs scenarios takes, whatever they measure.
struct StageArguments {
  std::vector<std::string> only;
  double seconds = 10;
  double warm_up = 2;
  std::string service_flags;
  std::string against_flags;

  void MoveInto(StageOptions& options) const {
    options.only = {only.begin(), only.end()};
    options.service_flags = SplitFlags(service_flags);
    options.against_flags = SplitFlags(against_flags);
    options.duration = absl::Seconds(seconds);
    options.warm_up = absl::Seconds(warm_up);
  }
};

// Where a run finds its servers, and leaves what it has to say.
void AddPlaces(CLI::App& app, const std::string& redis_help, const std::string& binaries, StageOptions& options,
               std::string& json_file) {
  options.binaries = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  options.folder = "waybill-bench";
  app.add_option("--database-url", options.database_url, "Postgres server, of a user who may create databases")
      ->envname("DATABASE_URL")
      ->required();
  app.add_option("--redis-url", options.redis_url, redis_help)->envname("REDIS_URL")->required();
  app.add_option("--bin", options.binaries, "Where " + binaries)->capture_default_str();
  app.add_option("--folder", options.folder, "Where logs go")->capture_default_str();
  app.add_option("--json", json_file, "Write the figures as JSON to this file; -: to stdout")->take_last();
}

// `service` is measured; `binaries` says what has to be there besides. `compared`: which scenarios take an earlier
// build.
void AddStageOptions(CLI::App& app, const std::vector<ScenarioInfo>& scenarios, const std::string& redis_help,
                     const std::string& service, const std::string& binaries, const std::string& compared,
                     StageOptions& options, StageArguments& arguments, std::string& json_file) {
  AddPlaces(app, redis_help, binaries, options, json_file);
  CLI::Option* against =
      app.add_option("--against", options.against,
                     fmt::format("Where {} of an earlier build is, to compare with: both are measured in turns by this "
                                 "load, each on a database that it migrated, and the targets are of ratios ({})",
                                 service, compared))
          ->check(CLI::ExistingDirectory);
  waybill::process::AddInteger(app, "--rounds", options.rounds, "How often each of those that are compared is measured")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_option(
      "--service-flags", arguments.service_flags,
      fmt::format("For {}, besides the bench's own, separated by blanks: \"--queues 4 --workers 8\"", service));
  app.add_option("--against-flags", arguments.against_flags, "The same for the earlier build's")->needs(against);
  std::set<std::string> names;
  std::string scenario_help = "Only these scenarios:";
  for (const ScenarioInfo& scenario : scenarios) {
    names.emplace(scenario.name);
    scenario_help += fmt::format("\n  {}: {}", scenario.name, scenario.description);
  }
  app.add_option("--only", arguments.only, scenario_help)->check(CLI::IsMember(names))->delimiter(',');
  app.add_option("--seconds", arguments.seconds, "Length of each measured window")
      ->capture_default_str()
      ->check(waybill::process::NumberBetween(1.0, 600.0));
  app.add_option("--warm-up", arguments.warm_up, "Seconds of load before that")
      ->capture_default_str()
      ->check(waybill::process::NumberBetween(0.0, 600.0));
}

// An instance of what ours is measured by, which scenarios start; `port` names its port in the port file.
template <typename Plain, typename Options>
int RunPlain(const Options& options, const std::string& port, const std::string& port_file) {
  waybill::ShutdownSignals signals;
  auto plain = Plain::Start(options);
  if (!plain.ok()) {
    std::cerr << plain.status() << "\n";
    return kExitFailure;
  }
  std::ofstream(port_file) << fmt::format("{}={}\n", port, (*plain)->port()) << std::flush;
  signals.Wait();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // Debian's build of Abseil looks for deadlocks at every lock, also in what ships.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  CLI::App app{
      "Measures Waybill under load. Exit code 0: the figures can be trusted, whether or not they reach their\n"
      "targets; 1: calls failed or the books do not balance; 2: the bench could not run."};
  app.require_subcommand(1);
  app.set_version_flag("--version", waybill::Describe("waybill-bench", waybill::ThisBuild()),
                       "Print version and commit, and exit");
  std::string json_file;

  CLI::App* orders = app.add_subcommand(
      "orders", "Starts waybill-order (and waybill-sandbox) per scenario on a fresh database, and measures them");
  OrderBenchOptions bench;
  StageArguments order_arguments;
  double idle_seconds = 60;
  AddStageOptions(*orders, OrderScenarios(), "Redis server for this run alone: its databases 0 and 1 are used",
                  "waybill-order", "waybill-order and waybill-sandbox are",
                  "confirmed, gateway, compensated, lone, idle, open", bench, order_arguments, json_file);
  waybill::process::AddInteger(*orders, "--callers", bench.callers,
                               "Calls in flight (confirmed, gateway, compensated, replicas, recovery)")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  waybill::process::AddInteger(*orders, "--connections", bench.connections, "Of the load, each with a thread")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  waybill::process::AddInteger(*orders, "--ceiling-connections", bench.ceiling_connections,
                               "Of the ceiling (confirmed); 0: as many as the service has that write sagas")
      ->capture_default_str()
      ->check(CLI::Range(0, 64));
  orders->add_option("--idle-seconds", idle_seconds, "The same as --seconds, for the scenario idle")
      ->capture_default_str()
      ->check(waybill::process::NumberBetween(1.0, 3'600.0));
  waybill::process::AddInteger(*orders, "--unfinished", bench.unfinished,
                               "Sagas in flight when the service is killed (recovery)")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));

  waybill::process::AddInteger(*orders, "--waiting", bench.waiting, "Sagas that wait for a signal (waiting)")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000'000));
  waybill::process::AddInteger(*orders, "--idle-connections", bench.idle_connections, "Over TLS (connections)")
      ->capture_default_str()
      ->check(CLI::Range(11, 10'000));

  CLI::App* locations = app.add_subcommand(
      "locations", "Starts waybill-ingest per scenario on a fresh database and an emptied Redis, and measures them");
  LocationBenchOptions location_bench;
  StageArguments location_arguments;
  AddStageOptions(*locations, LocationScenarios(),
                  "Redis server for this run alone: its database 2 is emptied, again and again", "waybill-ingest",
                  "waybill-ingest is", "batches, singles, open, streams, near", location_bench, location_arguments,
                  json_file);
  waybill::process::AddInteger(*locations, "--window", location_bench.batches_window,
                               "Messages of a stream that are not yet acked, at most (batches)")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  waybill::process::AddInteger(*locations, "--singles-window", location_bench.singles_window, "The same (singles)")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  waybill::process::AddInteger(*locations, "--connections", location_bench.connections,
                               "Of the load (batches, singles, open)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000));
  waybill::process::AddInteger(*locations, "--streams", location_bench.open_streams,
                               "How many are open (streams, idle)")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  locations->add_option("--radius", location_bench.radius_m, "Metres (near)")
      ->capture_default_str()
      ->check(waybill::process::NumberBetween(50.0, 100'000.0));
  std::optional<int64_t> history_rows;
  waybill::process::AddInteger(
      *locations, "--history-rows", history_rows,
      fmt::format("Rows of history (track); default: {}, or {} when track is named in --only or --long "
                  "is given",
                  kHistoryRowsShort, kHistoryRowsLong))
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}));
  bool long_history = false;
  locations->add_flag("--long", long_history, "The long history, though it takes minutes to fill (track)");
  waybill::process::AddInteger(*locations, "--tracks", location_bench.tracks, "Tracks that are asked for (track)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));

  CLI::App* ledger =
      app.add_subcommand("ledger", "Starts waybill-ledger per scenario on a fresh database, and measures it");
  LedgerBenchOptions ledger_bench;
  StageArguments ledger_arguments;
  AddStageOptions(*ledger, LedgerScenarios(), "Redis server for this run alone, which nothing is kept in",
                  "waybill-ledger", "waybill-ledger is", "none yet", ledger_bench, ledger_arguments, json_file);
  waybill::process::AddInteger(*ledger, "--callers", ledger_bench.callers, "Calls in flight (singles)")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  waybill::process::AddInteger(*ledger, "--accounts", ledger_bench.accounts, "Between which transfers go")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{2}, int64_t{100'000'000}));
  waybill::process::AddInteger(*ledger, "--batch", ledger_bench.batch, "Transfers of a call (batches)")
      ->capture_default_str()
      ->check(CLI::Range(1, 8'000));
  waybill::process::AddInteger(*ledger, "--batch-callers", ledger_bench.batch_callers, "Calls in flight (batches)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000));
  ledger->add_option("--balance-rate", ledger_bench.balance_rate, "Reads a second (balances)")
      ->capture_default_str()
      ->check(waybill::process::NumberBetween(1.0, 100'000.0));
  waybill::process::AddInteger(*ledger, "--plain-connections", ledger_bench.plain_connections,
                               "To Postgres, of the server with a transaction a transfer")
      ->capture_default_str()
      ->check(CLI::Range(1, 90));

  CLI::App* race = app.add_subcommand(
      "race",
      "The race contract's official load on waybill-race and on a plain queue with workers, one after the other");
  RaceBenchOptions race_bench;
  AddPlaces(*race, "Redis server for this run alone: its databases 1 and 3 are used",
            "waybill-race, waybill-order and waybill-sandbox are", race_bench, json_file);
  std::vector<std::string> contenders;
  race->add_option("--only", contenders, "Only these: plain, ours")
      ->check(CLI::IsMember(std::set<std::string>{kPlain, kOurs}))
      ->delimiter(',');
  double race_seconds = absl::ToDoubleSeconds(race_bench.length);
  CLI::Option* race_length =
      race->add_option("--seconds", race_seconds, "Length of the load; its stages and its clients come so much sooner")
          ->capture_default_str()
          ->check(waybill::process::NumberBetween(1.0, 300.0));
  race->add_flag_callback(
          "--long", [&race_seconds] { race_seconds = 300; }, "The official 300 s")
      ->excludes(race_length);
  double drain_seconds = absl::ToDoubleSeconds(race_bench.drain);
  race->add_option("--drain-seconds", drain_seconds, "After the load, at most, for what was taken to be paid")
      ->capture_default_str()
      ->check(waybill::process::NumberBetween(0.0, 600.0));
  race->add_flag(
      "--kill", race_bench.kill,
      "Kill an instance by SIGKILL in the midst, and waybill-order later (of the plain one: the other instance)");
  race->add_option("--balancer", race_bench.balancer, "Debian's haproxy")->capture_default_str();
  std::string race_service_flags;
  race->add_option("--service-flags", race_service_flags, "For waybill-order, besides the bench's own");

  CLI::App* plain_race = app.add_subcommand("plain-race", "One instance of the plain queue with workers, for race");
  PlainRaceOptions plain;
  std::string plain_port_file;
  plain_race->add_option("--listen", plain.listen, "host:port")->capture_default_str();
  plain_race->add_option("--port-file", plain_port_file, "Written once it serves")->required();
  plain_race->add_option("--redis-url", plain.redis_url, "redis://host:port/database")->required();
  waybill::process::AddInteger(*plain_race, "--default-port", plain.default_port, "Of that processor")->required();
  waybill::process::AddInteger(*plain_race, "--fallback-port", plain.fallback_port, "The same")->required();
  waybill::process::AddInteger(*plain_race, "--workers", plain.workers, "Payments that are under way at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 4'000));

  CLI::App* plain_ledger = app.add_subcommand("plain-ledger", "The ledger with a transaction a transfer, for ledger");
  PlainLedgerOptions plain_books;
  std::string plain_ledger_port_file;
  plain_ledger->add_option("--listen", plain_books.listen, "host:port")->capture_default_str();
  plain_ledger->add_option("--port-file", plain_ledger_port_file, "Written once it serves")->required();
  plain_ledger->add_option("--database-url", plain_books.database_url, "An empty database")->required();
  waybill::process::AddInteger(*plain_ledger, "--connections", plain_books.connections, "To Postgres")
      ->capture_default_str()
      ->check(CLI::Range(1, 90));

  CLI::App* bare_balances = app.add_subcommand("bare-balances", "Balances by a bare GET to Redis, for ledger");
  BareBalancesOptions bare;
  std::string bare_port_file;
  bare_balances->add_option("--listen", bare.listen, "host:port")->capture_default_str();
  bare_balances->add_option("--port-file", bare_port_file, "Written once it serves")->required();
  bare_balances->add_option("--redis-url", bare.redis_url, "Where the balances are")->required();

  CLI::App* seed = app.add_subcommand("seed-fleet", "Puts drivers with fresh positions into Redis");
  std::string seed_redis_url;
  int64_t drivers = 100'000;
  seed->add_option("--redis-url", seed_redis_url, "redis://host:port/database")->envname("REDIS_URL")->required();
  waybill::process::AddInteger(*seed, "--drivers", drivers, "How many")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));

  CLI::App* load = app.add_subcommand("load", "CreateOrder on a service that runs already");
  LoadOptions options;
  double load_seconds = 10, warm_up_seconds = 2;
  load->add_option("--target", options.target, "host:port")->required();
  waybill::process::AddInteger(*load, "--callers", options.callers, "Calls in flight")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  load->add_option("--rate", options.rate, "Calls a second, whatever happens to them; 0: callers wait for answers")
      ->capture_default_str()
      ->check(waybill::process::NumberBetween(0.0, 1e6));
  waybill::process::AddInteger(*load, "--threads", options.threads, "Threads, each with a connection")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  load->add_option("--seconds", load_seconds, "Length of the measured window")->capture_default_str();
  load->add_option("--warm-up", warm_up_seconds, "Seconds before that")->capture_default_str();
  load->add_flag("--until-accepted", options.until_accepted, "Do not wait until orders are settled");
  load->add_option("--run", options.run, "Prefix of the idempotency keys; default: the time");
  load->add_option("--json", json_file, "Write the figures as JSON to this file; -: to stdout");

  CLI11_PARSE(app, argc, argv);
  if (load->parsed()) {
    if (options.run.empty()) options.run = fmt::format("load-{}", absl::ToUnixMillis(absl::Now()));
    options.duration = absl::Seconds(load_seconds);
    options.warm_up = absl::Seconds(warm_up_seconds);
    return RunLoad(options, json_file);
  }
  if (seed->parsed()) return RunSeed(seed_redis_url, drivers);
  if (plain_race->parsed()) return RunPlain<PlainRace>(plain, "race", plain_port_file);
  if (plain_ledger->parsed()) return RunPlain<PlainLedger>(plain_books, "grpc", plain_ledger_port_file);
  if (bare_balances->parsed()) return RunPlain<BareBalances>(bare, "grpc", bare_port_file);
  SteadyTimer timer;
  if (race->parsed()) {
    race_bench.contenders = {contenders.begin(), contenders.end()};
    race_bench.service_flags = SplitFlags(race_service_flags);
    race_bench.length = absl::Seconds(race_seconds);
    race_bench.drain = absl::Seconds(drain_seconds);
    return FinishRun(RunRace(race_bench, timer, TellStderr), json_file);
  }
  if (locations->parsed()) {
    location_arguments.MoveInto(location_bench);
    const bool named = location_bench.only.contains("track");
    location_bench.history_rows = history_rows.value_or(named || long_history ? kHistoryRowsLong : kHistoryRowsShort);
    return FinishRun(RunLocationScenarios(location_bench, timer, TellStderr), json_file);
  }
  if (ledger->parsed()) {
    ledger_arguments.MoveInto(ledger_bench);
    return FinishRun(RunLedgerScenarios(ledger_bench, timer, TellStderr), json_file);
  }
  order_arguments.MoveInto(bench);
  bench.idle_duration = absl::Seconds(idle_seconds);
  return FinishRun(RunOrderScenarios(bench, timer, TellStderr), json_file);
}
