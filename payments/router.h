// Which gateway a payment goes to. Rules say which may; of these the one is taken that answers, is not slow, costs
// least, and by chance, in proportion to weights, where several are as good.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "payments/gateway.h"
#include "payments/health.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "storage/gateway_probes.h"
#include "storage/gateway_store.h"

namespace waybill::payments {

struct RouterOptions {
  HealthOptions health;
  // Slow is a gateway whose median is more than this above the fastest candidate's, and more than twice as long.
  absl::Duration slower_by = absl::Milliseconds(50);
};

// Thread-safe; calls nobody. The same calls with the same clock and random choose the same.
class Router {
 public:
  // Both outlive it.
  Router(const Clock& clock, Random& random, RouterOptions options = {});

  // From now on. What is known of a gateway that stays is kept.
  void Use(Routes routes);
  // What operators have said of gateways, in place of what was said before; of unknown ones, nothing.
  void Use(const std::vector<storage::GatewaySetting>& settings);
  // What gateways have said of themselves; what was heard before is nothing new.
  void Use(const std::vector<storage::GatewayProbe>& probes);

  // For a new order: nullopt when no gateway may have it (rules, or all are drained). One that is out is chosen to
  // explore it, or when all are; `exploring` hears the number of its turn, in the first case alone, and else 0.
  std::optional<std::string> Choose(const Payment& payment, int64_t* exploring = nullptr);
  // Instead of those that were `tried`: nullopt also when all others are out.
  std::optional<std::string> ChooseOther(const Payment& payment, std::span<const std::string> tried);

  // For a payment that is in doubt there: false while it is out, but for one at a time that explores it.
  bool MayAskAgain(const std::string& gateway);

  // An order that Choose sent there in this turn does not ask it: another may explore it at once.
  void NotAsked(const std::string& gateway, int64_t exploring);

  bool IsOut(const std::string& gateway) const;
  bool IsDrained(const std::string& gateway) const;   // by an operator; false: there is no such gateway
  int64_t CostPpm(const std::string& gateway) const;  // of an amount; 0: there is no such gateway
  bool CapturesLater(const std::string& gateway) const;
  void Answered(const std::string& gateway, absl::Duration latency);
  void Failed(const std::string& gateway);
  // It is there, and what it said is about this payment alone.
  void Spoke(const std::string& gateway);

  struct View {
    Gateway gateway;  // with the weight that counts
    bool drained = false;
    std::optional<absl::Duration> out_for;
    absl::Duration median_latency;
    int64_t answers = 0;  // of this process
    int64_t failures = 0;
    std::optional<storage::GatewayProbe> probe;  // as of now
  };
  std::vector<View> List() const;  // as the file has them
  // What it has said of itself, as of now; nothing: it was never asked, or there is no such gateway.
  std::optional<storage::GatewayProbe> Probe(const std::string& gateway) const;

 private:
  struct Known {
    Gateway gateway;
    Health health;
    bool drained = false;
    std::optional<int> weight;
    std::optional<storage::GatewayProbe> probe;
    SteadyTime probe_read_at;

    int CountingWeight() const { return weight.value_or(gateway.weight); }
    std::optional<storage::GatewayProbe> ProbeAt(SteadyTime now) const;
  };

  std::vector<Known*> Candidates(const Payment& payment, std::span<const std::string> tried);
  std::string Best(std::vector<Known*> candidates);
  // Those that take much longer than the fastest, by what `time_of` says of each, or nothing.
  template <typename TimeOf>
  void EraseSlow(std::vector<Known*>& candidates, TimeOf time_of) const;
  Known* Find(const std::string& gateway);
  const Known* Find(const std::string& gateway) const { return const_cast<Router*>(this)->Find(gateway); }

  const Clock& clock_;
  Random& random_;
  const RouterOptions options_;
  mutable std::mutex mutex_;  // over all below
  std::vector<Known> known_;
  std::vector<Rule> rules_;
  std::map<std::string, storage::GatewaySetting> settings_;
};

}  // namespace waybill::payments
