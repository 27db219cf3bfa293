#include "bench/recovery_scenarios.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "bench/pacer.h"
#include "bench/saga_client.h"
#include "bench/sandbox_client.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"

namespace waybill::bench {
namespace {

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

}  // namespace

absl::StatusOr<ScenarioResult> Recovery(OrderStage& stage) {
  ScenarioResult result;
  // Charges that hang instead of being tried again and again, so that every saga is still at its first attempt when …
  auto set = stage.MakeSet("recovery", {.payments = Payments::kSandbox, .order_args = {"--attempt-timeout", "600s"}});
  if (!set.ok()) return set.status();
  SandboxClient sandbox(set->gateways.front());

  // What recovery is measured by: new orders through the same gateway on the same machine, just before.
  LoadOptions ordinary = stage.DefaultLoad(*set);
  ordinary.duration = stage.options().duration / 2;
  auto before = stage.Measure(*set, ordinary);
  if (!before.ok()) return before.status();
  ExpectFate(before->load, "CONFIRMED", result);

  if (auto told = sandbox.LoseCharges(true); !told.ok()) return told;
  LoadOptions fill = stage.DefaultLoad(*set);
  fill.until_accepted = true;
  fill.orders_max = stage.options().unfinished;
  fill.warm_up = absl::ZeroDuration();
  fill.duration = kRecoveryTimeout;
  auto accepted = stage.Measure(*set, fill);
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
  if (rows->Int(0, 0) < stage.options().unfinished) {
    result.failures.push_back(fmt::format("only {} sagas were unfinished at the kill", rows->Int(0, 0)));
  }

  const absl::Duration start = stage.timer().Now();
  if (auto started = stage.StartOrder(*set); !started.ok()) return started;
  const absl::Duration ready = stage.timer().Now() - start;
  LoadOptions meanwhile = stage.DefaultLoad(*set);
  meanwhile.rate = 200;
  meanwhile.callers = 10'000;
  meanwhile.warm_up = absl::ZeroDuration();
  meanwhile.duration = kRecoveryTimeout * 2;  // until it is stopped
  OrderLoad new_orders(meanwhile, stage.timer());
  LoadResult served;
  std::thread serving([&] { served = new_orders.Run({}); });
  auto settled = stage.AwaitSettled(*set, start, killed);
  new_orders.Stop();
  serving.join();
  if (!settled.ok()) return settled.status();

  result.figures.push_back({"ready to serve", absl::ToDoubleSeconds(ready), "s", std::nullopt});
  result.figures.push_back({"all settled", absl::ToDoubleSeconds(*settled), "s", std::nullopt});
  const double recovered = static_cast<double>(stage.options().unfinished) / absl::ToDoubleSeconds(*settled);
  result.figures.push_back({"settled orders/s", recovered, "1/s", std::nullopt});
  result.figures.push_back({"new orders/s before the kill", before->load.PerSecond(), "1/s", std::nullopt});
  result.figures.push_back(
      {"settled, times new orders before", recovered / before->load.PerSecond(), "", AtLeast(0.5)});
  result.figures.push_back({"new orders meanwhile", static_cast<double>(served.answered), "", std::nullopt});
  AddLatency(served.latency, std::nullopt, std::nullopt, result);
  ExpectFate(served, "CONFIRMED", result);
  if (auto closed =
          stage.CloseBooks(*set, before->load.answered + accepted->load.answered + served.answered, nullptr, result);
      !closed.ok()) {
    return closed;
  }
  return result;
}

absl::StatusOr<ScenarioResult> Waiting(OrderStage& stage) {
  ScenarioResult result;
  auto set = stage.MakeSet("waiting", {});
  if (!set.ok()) return set.status();
  storage::ConnectionOptions patient;
  patient.statement_timeout = absl::Minutes(10);
  auto connection = storage::Connection::Open(set->database->url(), patient);
  if (!connection.ok()) return connection.status();

  LoadOptions warm = stage.DefaultLoad(*set);
  warm.rate = 200;
  auto warmed = stage.Measure(*set, warm);
  if (!warmed.ok()) return warmed.status();
  const int64_t idle_bytes = warmed->memory.resident_bytes;

  for (int64_t from = 1; from <= stage.options().waiting; from += kFillAtOnce) {
    const int64_t to = std::min(from + kFillAtOnce - 1, stage.options().waiting);
    auto filled = (*connection)->Execute(kFillWaiting, {storage::Param::Int8(from), storage::Param::Int8(to)});
    if (!filled.ok()) return filled.status();
    stage.Tell(fmt::format("waiting: {} orders wait", to));
  }
  stage.Tell("waiting: tidying up");
  for (const char* statement : kTidyUp) {
    if (auto tidied = (*connection)->Execute(statement); !tidied.ok()) return tidied.status();
  }
  const int64_t signals =
      std::min(stage.options().waiting, static_cast<int64_t>(absl::ToDoubleSeconds(stage.options().duration) * 200));
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
  const absl::Duration start = stage.timer().Now();
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      Pacer pacer(stage.timer(), start + absl::Milliseconds(5) * thread, 200.0 / kThreads);
      for (size_t at = static_cast<size_t>(thread); at < ids.size(); at += kThreads) {
        pacer.Next();
        sent[at] = absl::Now();
        const absl::Status said = client.SignalSuccess(ids[at], "charge_payment", "t-1");
        if (!said.ok()) failed[static_cast<size_t>(thread)] = said;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto memory = stage.ResidentMemory(set->order.process->pid());
  if (!memory.ok()) return memory.status();
  auto settled = stage.AwaitSettled(*set, stage.timer().Now(), absl::Now());
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
  if (left->Int(0, 0) != stage.options().waiting - signals) {
    result.failures.push_back(
        fmt::format("{} orders wait untouched, not {}", left->Int(0, 0), stage.options().waiting - signals));
  }
  result.figures.push_back({"sagas that wait", static_cast<double>(stage.options().waiting), "", std::nullopt});
  result.figures.push_back({"resident memory, idle", static_cast<double>(idle_bytes) / kMega, "MB", std::nullopt});
  result.figures.push_back({"resident memory, more than idle",
                            static_cast<double>(memory->resident_bytes - idle_bytes) / kMega, "MB", AtMost(10)});
  AddLatency(acted_on, std::nullopt, AtMost(50), result);
  if (const absl::Status stopped = set->order.process->Stop(kStopTimeout); !stopped.ok()) {
    result.failures.emplace_back(stopped.message());
  }
  return result;
}

}  // namespace waybill::bench
