#include "bench/edge_scenarios.h"

#include <optional>
#include <string>
#include <utility>

#include "bench/guard.h"
#include "bench/idle_connections.h"
#include "bench/read_load.h"
#include "fmt/format.h"

namespace waybill::bench {
namespace {

constexpr int kFirstConnections = 10;
constexpr absl::Duration kMemorySettles = absl::Seconds(2);
constexpr double kKibi = 1024;

absl::StatusOr<Measured> MeasureGuarded(OrderStage& stage, const Guard* guard, ScenarioResult& result) {
  auto set = stage.MakeSet(guard == nullptr ? "open_edge" : "guarded_edge", {.guard = guard});
  if (!set.ok()) return set.status();
  auto measured = stage.Measure(*set, stage.DefaultLoad(*set));
  if (!measured.ok()) return measured.status();
  if (guard != nullptr) {
    for (std::string& doubt : guard->Doubts(set->order)) result.failures.push_back(std::move(doubt));
  }
  ExpectFate(measured->load, "CONFIRMED", result);
  if (auto closed = stage.CloseBooks(*set, measured->load.answered, &measured->load.outcomes, result); !closed.ok()) {
    return closed;
  }
  return measured;
}

absl::Status AddIdleConnections(OrderStage& stage, const Guard& guard, Protocol protocol, ScenarioResult& result) {
  const bool http = protocol == Protocol::kHttp;
  const std::string name = http ? "HTTP" : "gRPC";
  auto set = stage.MakeSet(http ? "idle_http" : "idle_grpc", {.guard = &guard, .http_over_tls = true});
  if (!set.ok()) return set.status();
  const std::string& target = http ? set->order.side_address : set->order.address;
  const auto open = [&](int count) { return IdleConnections::Open(target, protocol, count, guard.certificate_file()); };
  const auto memory = [&]() -> absl::StatusOr<double> {
    stage.timer().SleepUntil(stage.timer().Now() + kMemorySettles);
    auto resident = stage.ResidentMemory(set->order.process->pid());
    if (!resident.ok()) return resident.status();
    return static_cast<double>(resident->resident_bytes);
  };
  auto first = open(kFirstConnections);  // what the service makes for these is not the others' doing
  if (!first.ok()) return first.status();
  auto before = memory();
  if (!before.ok()) return before.status();
  const absl::Duration start = stage.timer().Now();
  auto connections = open(stage.options().idle_connections - kFirstConnections);
  if (!connections.ok()) return connections.status();
  const absl::Duration took = stage.timer().Now() - start;
  auto after = memory();
  if (!after.ok()) return after.status();
  const int standing = first->CountOpen() + connections->CountOpen();
  if (standing != stage.options().idle_connections) {
    result.failures.push_back(
        fmt::format("of {} connections by {} {} are open", stage.options().idle_connections, name, standing));
  }
  const double opened = stage.options().idle_connections - kFirstConnections;
  result.figures.push_back(
      {fmt::format("resident memory a connection, {}", name), (*after - *before) / opened / kKibi, "KiB", AtMost(30)});
  result.figures.push_back(
      {fmt::format("handshakes/s, {}, one at a time", name), opened / absl::ToDoubleSeconds(took), "1/s", {}});
  return stage.CloseBooks(*set, 0, nullptr, result);
}

}  // namespace

absl::StatusOr<ScenarioResult> Reads(OrderStage& stage) {
  ScenarioResult result;
  auto set = stage.MakeSet("reads", {});
  if (!set.ok()) return set.status();
  const auto order = MakeOrder(set->order.address);
  if (!order.ok()) return order.status();
  ReadOptions options;
  options.order_id = *order;
  options.warm_up = stage.options().warm_up;
  options.duration = stage.options().duration;
  double by_grpc = 0, by_connect = 0;
  for (int round = 1; round <= stage.options().rounds; ++round) {
    options.target = set->order.address;
    const auto grpc = ReadByGrpc(options, stage.timer());
    if (!grpc.ok()) return grpc.status();
    options.target = set->order.side_address;
    const auto connect = ReadByConnect(options, stage.timer());
    if (!connect.ok()) return connect.status();
    stage.Tell(fmt::format("reads: {:.0f} calls/s by gRPC, {:.0f} by Connect", *grpc, *connect));
    by_grpc += *grpc / stage.options().rounds;
    by_connect += *connect / stage.options().rounds;
  }
  result.figures.push_back({"calls/s by gRPC", by_grpc, "1/s", std::nullopt});
  result.figures.push_back({"calls/s by Connect, JSON", by_connect, "1/s", std::nullopt});
  result.figures.push_back({"Connect, times gRPC", by_connect / by_grpc, "", AtLeast(0.5)});
  if (auto closed = stage.CloseBooks(*set, 1, nullptr, result); !closed.ok()) return closed;
  return result;
}

absl::StatusOr<ScenarioResult> Guarded(OrderStage& stage) {
  ScenarioResult result;
  auto guard = Guard::Make(stage.options().folder);
  if (!guard.ok()) return guard.status();
  Measured open, guarded;
  for (int round = 1; round <= stage.options().rounds; ++round) {
    for (const bool with : {round % 2 == 0, round % 2 == 1}) {  // so that a drift of the machine flatters neither
      auto measured = MeasureGuarded(stage, with ? &*guard : nullptr, result);
      if (!measured.ok()) return measured.status();
      (with ? guarded : open).Add(*measured);
    }
  }
  AddBeside("orders/s", {"open", open.load.PerSecond()}, {"guarded", guarded.load.PerSecond()}, "1/s", AtLeast(0.85),
            result);
  const auto cpu = [](const Measured& measured) {
    return measured.AnOrder(absl::ToDoubleSeconds(measured.usage.service) * 1000);
  };
  AddBeside("CPU per 1,000 orders, service", {"open", cpu(open)}, {"guarded", cpu(guarded)}, "s", std::nullopt, result);
  const auto p99 = [](const Measured& measured) {
    return absl::ToDoubleMilliseconds(measured.load.latency.Quantile(0.99));
  };
  AddBeside("p99", {"open", p99(open)}, {"guarded", p99(guarded)}, "ms", std::nullopt, result);
  return result;
}

absl::StatusOr<ScenarioResult> Connections(OrderStage& stage) {
  ScenarioResult result;
  auto guard = Guard::Make(stage.options().folder);
  if (!guard.ok()) return guard.status();
  result.figures.push_back({"connections", static_cast<double>(stage.options().idle_connections), "", std::nullopt});
  for (const Protocol protocol : {Protocol::kHttp, Protocol::kGrpc}) {
    if (const absl::Status added = AddIdleConnections(stage, *guard, protocol, result); !added.ok()) return added;
  }
  return result;
}

}  // namespace waybill::bench
