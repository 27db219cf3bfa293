#include "bench/payment_scenarios.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "bench/bare_inbox.h"
#include "bench/webhook_load.h"
#include "fmt/format.h"
#include "storage/postgres/connection.h"

namespace waybill::bench {
namespace {

constexpr int kPaidOrders = 1'000;  // that webhooks are about
constexpr int kBareConnections = 16;
// Of nobody but this run.
constexpr char kSecret[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

absl::StatusOr<Measured> MeasurePayments(OrderStage& stage, Payments payments, ScenarioResult& result) {
  auto set = stage.MakeSet(payments == Payments::kRouted ? "routed" : "fixed", {.payments = payments});
  if (!set.ok()) return set.status();
  auto measured = stage.Measure(*set, stage.DefaultLoad(*set));
  if (!measured.ok()) return measured.status();
  ExpectFate(measured->load, "CONFIRMED", result);
  const int64_t answered = measured->load.answered;
  if (auto closed = stage.CloseBooks(*set, answered, &measured->load.outcomes, result); !closed.ok()) return closed;
  return measured;
}

// What gateways say of payments that were answered at once, which is most of what they say.
absl::StatusOr<std::vector<std::string>> BodiesOfPaidOrders(const Set& set) {
  auto connection = storage::Connection::Open(set.database->url(), {});
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)->Execute("SELECT order_id, amount_minor, currency FROM payments");
  if (!rows.ok()) return rows.status();
  std::vector<std::string> bodies;
  for (int row = 0; row < rows->size(); ++row) {
    bodies.push_back(fmt::format(
        R"({{"type":"payment.succeeded","data":{{"idempotency_key":"{}/charge_payment","amount_minor":{},"currency":"{}"}}}})",
        rows->Id(row, 0).ToString(), rows->Int(row, 1), rows->Text(row, 2)));
  }
  if (bodies.empty()) return absl::InternalError("no order was paid");
  return bodies;
}

WebhookLoadOptions DefaultWebhooks(const OrderStage& stage, std::vector<std::string> bodies) {
  WebhookLoadOptions load;
  load.path = "/webhooks/bench";
  load.secret = kSecret;
  load.run = fmt::format("evt-{}", absl::ToUnixMillis(absl::Now()));
  load.bodies = std::move(bodies);
  load.warm_up = stage.options().warm_up;
  load.duration = stage.options().duration;
  return load;
}

void ExpectAllTaken(const WebhookLoadResult& sent, ScenarioResult& result) {
  for (const auto& [code, count] : sent.all) {
    if (code != 200) result.failures.push_back(fmt::format("{} webhooks were answered {}", count, code));
  }
}

// Each webhook that was answered is in the inbox, and what it is about was found.
absl::Status CheckInbox(const Set& set, int64_t taken, int64_t& not_looked_at, ScenarioResult& result) {
  auto connection = storage::Connection::Open(set.database->url(), {});
  if (!connection.ok()) return connection.status();
  auto rows = (*connection)
                  ->Execute(
                      "SELECT count(*), count(*) FILTER (WHERE state = 'new'), count(*) FILTER (WHERE state NOT IN "
                      "('new', 'late')) FROM webhook_inbox");
  if (!rows.ok()) return rows.status();
  if (rows->Int(0, 0) != taken) {
    result.failures.push_back(fmt::format("{} webhooks were taken, but {} are in the inbox", taken, rows->Int(0, 0)));
  }
  if (rows->Int(0, 2) != 0) {
    result.failures.push_back(fmt::format("{} webhooks of paid orders are not taken for late", rows->Int(0, 2)));
  }
  not_looked_at += rows->Int(0, 1);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ScenarioResult> Routed(OrderStage& stage) {
  ScenarioResult result;
  Measured fixed, routed;
  for (int round = 1; round <= stage.options().rounds; ++round) {
    for (const bool by_rules : {round % 2 == 0, round % 2 == 1}) {  // so that a drift of the machine flatters neither
      auto measured = MeasurePayments(stage, by_rules ? Payments::kRouted : Payments::kSandbox, result);
      if (!measured.ok()) return measured.status();
      (by_rules ? routed : fixed).Add(*measured);
    }
  }
  const auto beside = [&](const std::string& name, double one, double two, const std::string& unit,
                          std::optional<Target> ratio) {
    AddBeside(name, {"fixed", one}, {"routed", two}, unit, ratio, result);
  };
  beside("orders/s", fixed.load.PerSecond(), routed.load.PerSecond(), "1/s", AtLeast(0.90));
  const auto cpu = [](const Measured& measured) {
    return measured.AnOrder(absl::ToDoubleSeconds(measured.usage.service) * 1000);
  };
  beside("CPU per 1,000 orders, service", cpu(fixed), cpu(routed), "s", std::nullopt);
  const auto wal = [](const Measured& measured) {
    return measured.AnOrder(static_cast<double>(measured.work.wal_bytes));
  };
  beside("WAL an order", wal(fixed), wal(routed), "bytes", std::nullopt);
  const auto p99 = [](const Measured& measured) {
    return absl::ToDoubleMilliseconds(measured.load.latency.Quantile(0.99));
  };
  beside("p99", p99(fixed), p99(routed), "ms", std::nullopt);
  result.figures.push_back(
      {"resident memory, peak", static_cast<double>(routed.memory.resident_bytes_peak) / kMega, "MB", AtMost(200)});
  return result;
}

absl::StatusOr<ScenarioResult> Webhooks(OrderStage& stage) {
  ScenarioResult result;
  const std::filesystem::path file = stage.options().folder / "bench.webhooks.toml";
  std::ofstream(file) << fmt::format("[[gateway]]\nname = \"bench\"\nscheme = \"standard\"\nsecrets = [\"{}\"]\n",
                                     kSecret);
  Histogram bare, ours;
  Memory memory;
  int64_t not_looked_at = 0;  // when the load ended
  for (int round = 1; round <= stage.options().rounds; ++round) {
    auto set = stage.MakeSet("webhooks", {.order_args = {"--gateway-webhooks-file", file}});
    if (!set.ok()) return set.status();
    LoadOptions orders = stage.DefaultLoad(*set);
    orders.orders_max = kPaidOrders;
    orders.warm_up = absl::ZeroDuration();
    auto paid = stage.Measure(*set, orders);
    if (!paid.ok()) return paid.status();
    ExpectFate(paid->load, "CONFIRMED", result);
    auto bodies = BodiesOfPaidOrders(*set);
    if (!bodies.ok()) return bodies.status();

    auto database = stage.EmptyDatabase("bare_inbox");
    if (!database.ok()) return database.status();
    auto inbox = BareInbox::Start((*database)->url(), kBareConnections);
    if (!inbox.ok()) return inbox.status();
    for (const bool with : {round % 2 == 0, round % 2 == 1}) {
      WebhookLoadOptions load = DefaultWebhooks(stage, *bodies);
      load.target = with ? set->order.side_address : (*inbox)->target();
      auto sent = SendWebhooks(load, stage.timer());
      if (!sent.ok()) return sent.status();
      stage.Tell(fmt::format("webhooks: {}: p99 {:.2f} ms", with ? "waybill-order" : "bare",
                             absl::ToDoubleMilliseconds(sent->latency.Quantile(0.99))));
      ExpectAllTaken(*sent, result);
      (with ? ours : bare).Merge(sent->latency);
      if (!with) continue;
      auto resident = stage.ResidentMemory(set->order.process->pid());
      if (!resident.ok()) return resident.status();
      memory = Larger(memory, *resident);
      const auto taken = sent->all.find(200);
      const absl::Status checked =
          CheckInbox(*set, taken == sent->all.end() ? 0 : taken->second, not_looked_at, result);
      if (!checked.ok()) return checked;
    }
    if (auto closed = stage.CloseBooks(*set, paid->load.answered, &paid->load.outcomes, result); !closed.ok()) {
      return closed;
    }
  }
  for (const auto& [name, fraction] : {std::pair("p50", 0.5), std::pair("p99", 0.99)}) {
    const auto of = [&, fraction = fraction](const Histogram& latency) {
      return absl::ToDoubleMilliseconds(latency.Quantile(fraction));
    };
    AddBeside(name, {"bare", of(bare)}, {"waybill-order", of(ours)}, "ms",
              fraction == 0.99 ? std::optional(AtMost(2)) : std::nullopt, result);
  }
  result.figures.push_back({"not yet looked at", static_cast<double>(not_looked_at), "", std::nullopt});
  result.figures.push_back(
      {"resident memory, peak", static_cast<double>(memory.resident_bytes_peak) / kMega, "MB", AtMost(200)});
  return result;
}

}  // namespace waybill::bench
