#include "bench/order_scenarios.h"

#include <optional>
#include <string>
#include <utility>

#include "bench/delivery_scenario.h"
#include "bench/edge_scenarios.h"
#include "bench/order_stage.h"
#include "bench/payment_scenarios.h"
#include "bench/recovery_scenarios.h"
#include "bench/side_metrics.h"
#include "fmt/format.h"
#include "services/process/flags.h"

namespace waybill::bench {
namespace {

constexpr int kManyCores = 8;  // from here on a second process finds cores that the first leaves idle

absl::StatusOr<ScenarioResult> Confirmed(OrderStage& stage) {
  ScenarioResult result;
  CeilingAround ceilings(stage.rounds(), [&](const std::string& name) { return stage.Ceiling(name, result); });
  if (const absl::Status before = ceilings.Before(); !before.ok()) return before;
  Plan plan{.name = "confirmed"};
  plan.after_round = [&](int round) { return ceilings.After(round); };
  auto in_turns = stage.InTurns(plan, result);
  if (!in_turns.ok()) return in_turns.status();
  const double ceiling = ceilings.Mean();
  auto connections = stage.CeilingConnections();
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

absl::StatusOr<ScenarioResult> Gateway(OrderStage& stage) {
  ScenarioResult result;
  auto in_turns = stage.InTurns({.name = "gateway", .payments = Payments::kSandbox}, result);
  if (!in_turns.ok()) return in_turns.status();
  const Compared& orders = in_turns->front();
  orders.AddRate(AtLeast(1.25), result);
  orders.AddLatency(std::nullopt, std::nullopt, result);
  orders.AddCpu(std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Compensated(OrderStage& stage) {
  ScenarioResult result;
  auto in_turns = stage.InTurns({.name = "compensated", .fleet = Fleet::kEmpty, .fate = "FAILED"}, result);
  if (!in_turns.ok()) return in_turns.status();
  const Compared& orders = in_turns->front();
  orders.AddRate(AtLeast(1.25), result);
  orders.AddLatency(std::nullopt, std::nullopt, result);
  orders.AddCpu(std::nullopt, result);
  return result;
}

void BeLone(LoadOptions& load) { load.callers = 1; }

absl::StatusOr<ScenarioResult> Lone(OrderStage& stage) {
  ScenarioResult result;
  auto in_turns = stage.InTurns({.name = "lone", .loads = {BeLone}}, result);
  if (!in_turns.ok()) return in_turns.status();
  const Compared& orders = in_turns->front();
  orders.AddRate(std::nullopt, result);
  orders.AddLatency(AtMost(1.0), std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Idle(OrderStage& stage) {
  ScenarioResult result;
  const auto once_a_second = [&](LoadOptions& load) {
    load.rate = 1;
    load.duration = stage.options().idle_duration;
  };
  auto in_turns = stage.InTurns({.name = "idle", .loads = {once_a_second}}, result);
  if (!in_turns.ok()) return in_turns.status();
  in_turns->front().AddLatency(std::nullopt, AtMost(1.0), result);
  return result;
}

absl::StatusOr<ScenarioResult> Open(OrderStage& stage) {
  ScenarioResult result;
  const auto open = [](LoadOptions& load) {
    load.rate = 2'000;
    load.callers = 10'000;
  };
  auto in_turns = stage.InTurns({.name = "open", .loads = {BeLone, open}}, result);
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

absl::StatusOr<Measured> MeasureProcesses(OrderStage& stage, int processes, double& lost_claims,
                                          ScenarioResult& result) {
  auto set = stage.MakeSet(processes == 1 ? "one_process" : "two_processes", {});
  if (!set.ok()) return set.status();
  LoadOptions load = stage.DefaultLoad(*set);
  load.threads = 2 * ((stage.options().connections + 1) / 2);  // so that either process can have as many
  if (processes == 2) {
    if (const absl::Status started = stage.StartReplica(*set); !started.ok()) return started;
    load.other_target = set->replica.address;
  }
  auto measured = stage.Measure(*set, load);
  if (!measured.ok()) return measured.status();
  for (const Server* server : {&set->order, &set->replica}) {
    if (server->process == nullptr) continue;
    auto lost = ReadMetric(server->side_address, "waybill_dispatch_lost_claims_total");
    if (!lost.ok()) return lost.status();
    lost_claims += *lost;
  }
  ExpectFate(measured->load, "CONFIRMED", result);
  if (auto closed = stage.CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return measured;
}

absl::StatusOr<ScenarioResult> Replicas(OrderStage& stage) {
  ScenarioResult result;
  Measured one, two;
  double lost_by_one = 0, lost_by_two = 0;
  for (int round = 1; round <= stage.options().rounds; ++round) {
    for (const int processes : {1, 2}) {
      auto measured = MeasureProcesses(stage, processes, processes == 1 ? lost_by_one : lost_by_two, result);
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

struct OrderScenario {
  ScenarioInfo info;
  absl::StatusOr<ScenarioResult> (*run)(OrderStage& stage);
};

const OrderScenario kScenarios[] = {
    {{"confirmed", "every order charged by the builtin gateway and given a driver; --callers"}, Confirmed},
    {{"gateway", "the same, charged by the sandbox gateway over gRPC; --callers"}, Gateway},
    {{"compensated", "no driver: every order charged and refunded; --callers"}, Compensated},
    {{"lone", "one caller alone"}, Lone},
    {{"idle", "one call a second"}, Idle},
    {{"open", "2,000 orders/s whatever happens, after one caller alone; latency from the intended start"}, Open},
    {{"reads", "one order read by 64 callers, by gRPC and by the Connect protocol with JSON, in turns"}, Reads},
    {{"guarded",
      "confirmed orders over TLS with a key, a limit and 1 % traced, beside the same service open, in turns; "
      "--callers"},
     Guarded},
    {{"connections", "idle connections over TLS, by HTTP and by gRPC; --idle-connections"}, Connections},
    {{"routed", "charged through two sandbox gateways by rules, beside one fixed, in turns; --callers"}, Routed},
    {{"webhooks", "2,000 webhooks/s of a gateway, beside a server that only inserts and answers, in turns"}, Webhooks},
    {{"deliveries", "signed events to 64 endpoints of clients, beside a loop of libcurl that posts the same, in turns"},
     Deliveries},
    {{"replicas", "two services on one database beside one, in turns; --callers in all"}, Replicas},
    {{"recovery", "unfinished sagas after a kill -9, with 200 new orders/s meanwhile"}, Recovery},
    {{"waiting", "many sagas that wait for a signal; 200 signals/s"}, Waiting},
};

}  // namespace

std::vector<ScenarioInfo> OrderScenarios() {
  std::vector<ScenarioInfo> infos;
  for (const OrderScenario& scenario : kScenarios) infos.push_back(scenario.info);
  return infos;
}

absl::StatusOr<Report> RunOrderScenarios(const OrderBenchOptions& options, Timer& timer, const Progress& progress) {
  OrderStage stage(options, timer, progress);
  if (const absl::Status set_up = stage.SetUp("waybill-order", {"waybill-sandbox"}); !set_up.ok()) return set_up;
  if (const absl::Status seeded = stage.SeedFleet(); !seeded.ok()) return seeded;
  std::vector<Scenario> scenarios;
  for (const OrderScenario& scenario : kScenarios) {
    scenarios.push_back({scenario.info, [&stage, run = scenario.run] { return run(stage); }});
  }
  return stage.Run(scenarios);
}

}  // namespace waybill::bench
