#include "bench/order_scenarios.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "bench/books.h"
#include "bench/ceiling.h"
#include "bench/fleet.h"
#include "bench/order_load.h"
#include "bench/saga_client.h"
#include "bench/sandbox_client.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;
using Bound = Target::Bound;

constexpr absl::Duration kRecoveryTimeout = absl::Seconds(180);
constexpr int kCallers = 256;
constexpr double kOrdersPerSecondMax = 40'000;  // more than any machine this is meant for confirms

// What a scenario runs on. Destroyed in reverse order: the service, the sandbox, the database.
struct Set {
  std::string name;
  std::unique_ptr<FreshDatabase> database;
  Server sandbox;
  std::vector<std::string> order_args;
  Server order;
};

struct Measured {
  LoadResult load;
  Usage usage;
  Memory memory;  // of the service
};

void AddCpu(const Measured& measured, ScenarioResult& result, std::optional<Target> target) {
  const double thousands = static_cast<double>(measured.load.latency.count()) / 1000;
  const double service = absl::ToDoubleSeconds(measured.usage.service) / thousands;
  result.figures.push_back({"CPU per 1,000 orders, service", service, "s", std::nullopt});
  if (!measured.usage.postgres) return;
  const double postgres = absl::ToDoubleSeconds(*measured.usage.postgres) / thousands;
  result.figures.push_back({"CPU per 1,000 orders, Postgres", postgres, "s", std::nullopt});
  result.figures.push_back({"CPU per 1,000 orders, both", service + postgres, "s", target});
  // Not the bench's doing, but what its figures are worth.
  result.figures.push_back({"CPUs busy with something else",
                            absl::FDivDuration(measured.usage.others, measured.load.window), "", std::nullopt});
}

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
  absl::StatusOr<ScenarioResult> Recovery();
  absl::StatusOr<ScenarioResult> Waiting();

 private:
  enum class Fleet { kSeeded, kEmpty };
  enum class Payments { kBuiltin, kSandbox };

  // `order_args`: for the service, besides the usual ones.
  absl::StatusOr<Set> SetUp(const std::string& name, Payments payments, Fleet fleet,
                            const std::vector<std::string>& order_args = {});
  absl::Status StartOrder(Set& set, const std::vector<std::string>& order_args = {});
  LoadOptions DefaultLoad(const Set& set) const;
  absl::StatusOr<Measured> Measure(const Set& set, const LoadOptions& options);
  // Stops the service in good order and checks the books; what is wrong goes into the result.
  absl::Status CloseBooks(Set& set, int64_t orders, const std::map<std::string, int64_t>* answers,
                          ScenarioResult& result);
  absl::StatusOr<double> Ceiling(const std::string& name, ScenarioResult& result);
  absl::StatusOr<absl::Duration> AwaitSettled(const Set& set, absl::Duration from, absl::Time created_until);

  const OrderBenchOptions& options_;
  const Stage& stage_;
};

absl::Status Runner::SeedFleet() {
  const int64_t by_rate =
      static_cast<int64_t>(absl::ToDoubleSeconds(options_.warm_up + options_.duration) * kOrdersPerSecondMax);
  const int64_t drivers = options_.drivers > 0 ? options_.drivers : std::max(by_rate, options_.unfinished + 50'000);
  stage_.Tell(fmt::format("seeding {} drivers", drivers));
  return bench::SeedFleet(WithDatabase(options_.redis_url, "0"), drivers);
}

absl::StatusOr<Set> Runner::SetUp(const std::string& name, Payments payments, Fleet fleet,
                                  const std::vector<std::string>& order_args) {
  Set set;
  set.name = name;
  auto database = stage_.EmptyDatabase(name);
  if (!database.ok()) return database.status();
  set.database = *std::move(database);

  std::string gateway = "builtin";
  if (payments == Payments::kSandbox) {
    const fs::path log = options_.folder / (name + ".gateway.log");
    fs::remove(log);
    auto sandbox = stage_.Start("waybill-sandbox", name, "sandbox", {"--log", log});
    if (!sandbox.ok()) return sandbox.status();
    set.sandbox = *std::move(sandbox);
    gateway = "grpc://" + set.sandbox.address;
  }
  const std::string redis_url = WithDatabase(options_.redis_url, fleet == Fleet::kSeeded ? "0" : "1");
  // By its name a restart takes up what its earlier life left.
  set.order_args = {"--side-listen",     "127.0.0.1:0", "--database-url", set.database->url(), "--redis-url", redis_url,
                    "--payment-gateway", gateway,       "--dispatch",     "builtin",           "--instance",  "bench",
                    "--migrate"};
  if (const absl::Status started = StartOrder(set, order_args); !started.ok()) return started;
  return set;
}

absl::Status Runner::StartOrder(Set& set, const std::vector<std::string>& order_args) {
  std::vector<std::string> args = set.order_args;
  args.insert(args.end(), order_args.begin(), order_args.end());
  auto order = stage_.Start("waybill-order", set.name, "order", args);
  if (!order.ok()) return order.status();
  set.order = *std::move(order);
  return absl::OkStatus();
}

LoadOptions Runner::DefaultLoad(const Set& set) const {
  LoadOptions load;
  load.target = set.order.address;
  load.run = fmt::format("{}-{}", set.name, absl::ToUnixMillis(absl::Now()));
  load.callers = kCallers;
  load.warm_up = options_.warm_up;
  load.duration = options_.duration;
  return load;
}

absl::StatusOr<Measured> Runner::Measure(const Set& set, const LoadOptions& options) {
  Measured measured;
  UsageOfWindow usage(stage_, set.order.process->pid());
  OrderLoad load(options, stage_.timer());
  OrderLoad::Hooks hooks;
  hooks.window_starts = [&] { usage.Start(); };
  hooks.window_ends = [&] { usage.End(); };
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
  measured.usage = usage.usage();
  measured.memory = usage.memory();
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
  if (const absl::Status stopped = set.order.process->Stop(kStopTimeout); !stopped.ok()) {
    result.failures.emplace_back(stopped.message());
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

absl::StatusOr<double> Runner::Ceiling(const std::string& name, ScenarioResult& result) {
  auto database = stage_.MigratedDatabase("ceiling");
  if (!database.ok()) return database.status();
  CeilingOptions ceiling;
  ceiling.database_url = (*database)->url();
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
  // Before and after, so that a drift of the machine shows instead of flattering either side.
  auto ceiling_before = Ceiling("ceiling before", result);
  if (!ceiling_before.ok()) return ceiling_before.status();
  auto set = SetUp("confirmed", Payments::kBuiltin, Fleet::kSeeded);
  if (!set.ok()) return set.status();
  auto measured = Measure(*set, DefaultLoad(*set));
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  set = Set();
  auto ceiling_after = Ceiling("ceiling after", result);
  if (!ceiling_after.ok()) return ceiling_after.status();

  const double rate = measured->load.PerSecond();
  result.figures.push_back({"orders/s", rate, "1/s", Target{Bound::kAtLeast, 15'000}});
  result.figures.push_back(
      {"share of the ceiling", rate / ((*ceiling_before + *ceiling_after) / 2), "", Target{Bound::kAtLeast, 0.35}});
  AddLatency(measured->load.latency, std::nullopt, std::nullopt, result);
  AddCpu(*measured, result, Target{Bound::kAtMost, 0.10});
  const Memory& memory = measured->memory;
  result.figures.push_back({"resident memory", memory.resident_bytes / kMega, "MB", std::nullopt});
  result.figures.push_back(
      {"resident memory, peak", memory.resident_bytes_peak / kMega, "MB", Target{Bound::kAtMost, 100}});
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Gateway() {
  ScenarioResult result;
  auto set = SetUp("gateway", Payments::kSandbox, Fleet::kSeeded);
  if (!set.ok()) return set.status();
  auto measured = Measure(*set, DefaultLoad(*set));
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", Target{Bound::kAtLeast, 7'000}});
  AddLatency(measured->load.latency, std::nullopt, std::nullopt, result);
  AddCpu(*measured, result, std::nullopt);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Compensated() {
  ScenarioResult result;
  auto set = SetUp("compensated", Payments::kBuiltin, Fleet::kEmpty);
  if (!set.ok()) return set.status();
  auto measured = Measure(*set, DefaultLoad(*set));
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "FAILED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", Target{Bound::kAtLeast, 10'000}});
  AddLatency(measured->load.latency, std::nullopt, std::nullopt, result);
  AddCpu(*measured, result, std::nullopt);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Lone() {
  ScenarioResult result;
  auto set = SetUp("lone", Payments::kBuiltin, Fleet::kSeeded);
  if (!set.ok()) return set.status();
  LoadOptions load = DefaultLoad(*set);
  load.callers = 1;
  auto measured = Measure(*set, load);
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", std::nullopt});
  AddLatency(measured->load.latency, Target{Bound::kAtMost, 1.5}, std::nullopt, result);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Idle() {
  ScenarioResult result;
  auto set = SetUp("idle", Payments::kBuiltin, Fleet::kSeeded);
  if (!set.ok()) return set.status();
  LoadOptions load = DefaultLoad(*set);
  load.rate = 1;
  load.duration = options_.idle_duration;
  auto measured = Measure(*set, load);
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  AddLatency(measured->load.latency, std::nullopt, Target{Bound::kAtMost, 6}, result);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Runner::Open() {
  ScenarioResult result;
  auto set = SetUp("open", Payments::kBuiltin, Fleet::kSeeded);
  if (!set.ok()) return set.status();
  LoadOptions load = DefaultLoad(*set);
  load.rate = 2'000;
  load.callers = 10'000;
  auto measured = Measure(*set, load);
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  result.figures.push_back({"orders/s", measured->load.PerSecond(), "1/s", std::nullopt});
  AddLatency(measured->load.latency, std::nullopt, Target{Bound::kAtMost, 6}, result);
  AddCpu(*measured, result, std::nullopt);
  if (auto closed = CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return result;
}

// From `from` on: how long until every saga created until then is settled.
absl::StatusOr<absl::Duration> Runner::AwaitSettled(const Set& set, absl::Duration from, absl::Time created_until) {
  auto connection = storage::Connection::Open(set.database->url(), {});
  if (!connection.ok()) return connection.status();
  const storage::Param until[] = {storage::Param::Time(created_until)};
  for (absl::Duration next_progress = from;;) {
    auto rows =
        (*connection)
            ->Execute("SELECT count(*) FROM order_sagas WHERE lease_until IS NOT NULL AND created_at <= $1", until);
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
  auto set = SetUp("recovery", Payments::kSandbox, Fleet::kSeeded, {"--attempt-timeout", "600s"});
  if (!set.ok()) return set.status();
  SandboxClient sandbox(set->sandbox.address);

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
  auto rows = (*connection)->Execute("SELECT count(*) FROM order_sagas WHERE lease_until IS NOT NULL");
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
  result.figures.push_back({"all settled", absl::ToDoubleSeconds(*settled), "s", Target{Bound::kAtMost, 20}});
  result.figures.push_back({"new orders meanwhile", static_cast<double>(served.answered), "", std::nullopt});
  AddLatency(served.latency, std::nullopt, std::nullopt, result);
  ExpectFate(served, "CONFIRMED", result);
  if (auto closed = CloseBooks(*set, accepted->load.answered + served.answered, nullptr, result); !closed.ok()) {
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
  auto set = SetUp("waiting", Payments::kBuiltin, Fleet::kSeeded);
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
                            static_cast<double>(memory->resident_bytes - idle_bytes) / kMega, "MB",
                            Target{Bound::kAtMost, 10}});
  AddLatency(acted_on, std::nullopt, Target{Bound::kAtMost, 50}, result);
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
    {{"confirmed", "every order charged by the builtin gateway and given a driver; 256 callers"}, &Runner::Confirmed},
    {{"gateway", "the same, charged by the sandbox gateway over gRPC; 256 callers"}, &Runner::Gateway},
    {{"compensated", "no driver: every order charged and refunded; 256 callers"}, &Runner::Compensated},
    {{"lone", "one caller alone"}, &Runner::Lone},
    {{"idle", "one call a second"}, &Runner::Idle},
    {{"open", "2,000 orders/s whatever happens; latency from the intended start"}, &Runner::Open},
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
  if (const absl::Status set_up = stage.SetUp({"waybill-order", "waybill-sandbox"}); !set_up.ok()) return set_up;
  Runner runner(options, stage);
  if (const absl::Status seeded = runner.SeedFleet(); !seeded.ok()) return seeded;
  std::vector<Scenario> scenarios;
  for (const OrderScenario& scenario : kScenarios) {
    scenarios.push_back({scenario.info, [&runner, run = scenario.run] { return (runner.*run)(); }});
  }
  return stage.Run(scenarios);
}

}  // namespace waybill::bench
