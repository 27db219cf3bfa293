// What scenarios of orders have in common: sets of servers on fresh databases, loads on them in turns, and the books
// at the end.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/guard.h"
#include "bench/order_load.h"
#include "bench/order_scenarios.h"
#include "bench/stage.h"

namespace waybill::bench {

// For what a killed process, or many signals, left to be settled.
inline constexpr absl::Duration kRecoveryTimeout = absl::Seconds(180);

enum class Fleet { kSeeded, kEmpty };
enum class Payments {
  kBuiltin,
  kSandbox,  // one, fixed
  kRouted,   // two that are as good, of one sandbox, by a file of gateways
};

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
  std::vector<std::string> gateways;  // the addresses of those that it plays
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
void ExpectFate(const LoadResult& load, const std::string& fate, ScenarioResult& result);

class OrderStage : public Stage {
 public:
  // All of them outlive the stage.
  OrderStage(const OrderBenchOptions& options, Timer& timer, const Progress& progress)
      : Stage(options, timer, progress), orders_(options) {}

  const OrderBenchOptions& options() const { return orders_; }

  absl::Status SeedFleet() const;

  absl::StatusOr<Set> MakeSet(const std::string& name, const SetOptions& options) const;
  absl::Status StartOrder(Set& set, const std::vector<std::string>& order_args = {}) const;
  absl::Status StartReplica(Set& set) const;

  LoadOptions DefaultLoad(const Set& set) const;
  absl::StatusOr<Measured> Measure(const Set& set, const LoadOptions& options) const;
  // Today's build and the earlier one in turns; the result has an entry for each load of the plan. What is wrong with
  // the answers or the books goes into `result`.
  absl::StatusOr<std::vector<Compared>> InTurns(const Plan& plan, ScenarioResult& result) const;

  // From `from` on: how long until every saga created until then is settled.
  absl::StatusOr<absl::Duration> AwaitSettled(const Set& set, absl::Duration from, absl::Time created_until) const;
  // Stops the services in good order and checks the books; what is wrong goes into the result. `answers`: of all calls,
  // by the order's status; null: whoever called did not wait for it.
  absl::Status CloseBooks(Set& set, int64_t orders, const std::map<std::string, int64_t>* answers,
                          ScenarioResult& result) const;

  // As many as today's service has connections that write sagas, or as were asked for.
  absl::StatusOr<int> CeilingConnections();
  absl::StatusOr<double> Ceiling(const std::string& name, ScenarioResult& result);

 private:
  absl::Status StartSandbox(Set& set, bool two_gateways) const;
  absl::StatusOr<std::vector<Measured>> MeasureRound(const Plan& plan, Build build, ScenarioResult& result) const;
  // As its service migrates it: with --against by the earlier build, so that the ceiling is the same whatever is
  // compared with it.
  absl::StatusOr<std::unique_ptr<FreshDatabase>> CeilingDatabase() const;

  const OrderBenchOptions& orders_;
  int ceiling_connections_ = 0;  // 0: not known yet
};

}  // namespace waybill::bench
