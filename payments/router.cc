#include "payments/router.h"

#include <algorithm>
#include <utility>

namespace waybill::payments {

bool Scope::Holds(const Payment& payment) const {
  return payment.amount_minor >= amount_min && payment.amount_minor <= amount_max &&
         (currencies.empty() || std::find(currencies.begin(), currencies.end(), payment.currency) != currencies.end());
}

Router::Router(const Clock& clock, Random& random, RouterOptions options)
    : clock_(clock), random_(random), options_(options) {}

void Router::Use(Routes routes) {
  std::lock_guard lock(mutex_);
  std::vector<Known> known;
  for (Gateway& gateway : routes.gateways) {
    const Known* before = Find(gateway.name);
    Known now{std::move(gateway), before != nullptr ? before->health : Health(options_.health)};
    if (before != nullptr) {
      now.probe = before->probe;
      now.probe_read_at = before->probe_read_at;
    }
    if (const auto setting = settings_.find(now.gateway.name); setting != settings_.end()) {
      now.drained = setting->second.drained;
      now.weight = setting->second.weight;
    }
    known.push_back(std::move(now));
  }
  known_.swap(known);
  rules_ = std::move(routes.rules);
}

void Router::Use(const std::vector<storage::GatewaySetting>& settings) {
  std::lock_guard lock(mutex_);
  settings_.clear();
  for (const storage::GatewaySetting& setting : settings) settings_[setting.gateway] = setting;
  for (Known& known : known_) {
    const auto setting = settings_.find(known.gateway.name);
    known.drained = setting != settings_.end() && setting->second.drained;
    known.weight = setting != settings_.end() ? setting->second.weight : std::nullopt;
  }
}

void Router::Use(const std::vector<storage::GatewayProbe>& probes) {
  std::lock_guard lock(mutex_);
  const SteadyTime now = clock_.Steady();
  for (const storage::GatewayProbe& probe : probes) {
    Known* const known = Find(probe.gateway);
    if (known == nullptr) continue;
    const bool heard = known->probe && known->probe->answer && known->probe->asked_at == probe.asked_at;
    known->probe = probe;
    known->probe_read_at = now;
    if (heard || !probe.answer) continue;
    const bool failing = probe.answer->outcome == storage::ProbeOutcome::kFailing;
    if (!failing && probe.answer->outcome != storage::ProbeOutcome::kHealthy) continue;
    known->health.Says(now, {now - probe.age, failing, probe.answer->min_response});
  }
}

Router::Known* Router::Find(const std::string& gateway) {
  const auto found =
      std::find_if(known_.begin(), known_.end(), [&](const Known& known) { return known.gateway.name == gateway; });
  return found == known_.end() ? nullptr : &*found;
}

std::vector<Router::Known*> Router::Candidates(const Payment& payment, std::span<const std::string> tried) {
  const auto rule = std::find_if(rules_.begin(), rules_.end(), [&](const Rule& one) {
    return (one.client.empty() || one.client == payment.client) && one.scope.Holds(payment);
  });
  const auto among = [](const auto& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  std::vector<Known*> candidates;
  for (Known& known : known_) {
    const std::string& name = known.gateway.name;
    if (known.drained || among(tried, name) || !known.gateway.takes.Holds(payment)) continue;
    if (rule == rules_.end() || among(rule->gateways, name)) candidates.push_back(&known);
  }
  return candidates;
}

std::optional<std::string> Router::Choose(const Payment& payment, int64_t* exploring) {
  if (exploring != nullptr) *exploring = 0;
  std::lock_guard lock(mutex_);
  const std::vector<Known*> candidates = Candidates(payment, {});
  if (candidates.empty()) return std::nullopt;
  const SteadyTime now = clock_.Steady();
  std::vector<Known*> up;
  for (Known* candidate : candidates) {
    if (candidate->health.MayExplore(now)) {
      const int64_t turn = candidate->health.Explores(now);
      if (exploring != nullptr) *exploring = turn;
      return candidate->gateway.name;
    }
    if (!candidate->health.out()) up.push_back(candidate);
  }
  return Best(up.empty() ? candidates : std::move(up));
}

std::optional<std::string> Router::ChooseOther(const Payment& payment, std::span<const std::string> tried) {
  std::lock_guard lock(mutex_);
  std::vector<Known*> up = Candidates(payment, tried);
  std::erase_if(up, [](const Known* candidate) { return candidate->health.out(); });
  if (up.empty()) return std::nullopt;
  return Best(std::move(up));
}

template <typename TimeOf>
void Router::EraseSlow(std::vector<Known*>& candidates, TimeOf time_of) const {
  absl::Duration fastest = absl::InfiniteDuration();
  for (const Known* one : candidates) fastest = std::min(fastest, time_of(one).value_or(absl::InfiniteDuration()));
  std::erase_if(candidates, [&](const Known* one) {
    const std::optional<absl::Duration> time = time_of(one);
    return time && *time > 2 * fastest && *time > fastest + options_.slower_by;
  });
}

// Each thing that makes a gateway better leaves those that are best by it.
std::string Router::Best(std::vector<Known*> candidates) {
  if (std::any_of(candidates.begin(), candidates.end(), [](const Known* one) { return !one->gateway.fallback; })) {
    std::erase_if(candidates, [](const Known* one) { return one->gateway.fallback; });
  }
  const SteadyTime now = clock_.Steady();
  const auto time_of = [now](const Known* one) {
    return std::max(one->health.MedianLatency(now), one->health.MinResponse(now).value_or(absl::ZeroDuration()));
  };
  // That one says it takes no time counts against others that say how long they take, not against what was measured.
  EraseSlow(candidates, [&](const Known* one) -> std::optional<absl::Duration> {
    if (!one->health.MinResponse(now)) return std::nullopt;
    return time_of(one);
  });
  EraseSlow(candidates, [&](const Known* one) -> std::optional<absl::Duration> {
    // One of which nothing is known is neither slow nor fast.
    if (time_of(one) == absl::ZeroDuration()) return std::nullopt;
    return time_of(one);
  });
  int64_t cheapest = candidates.front()->gateway.cost_ppm;
  for (const Known* one : candidates) cheapest = std::min(cheapest, one->gateway.cost_ppm);
  std::erase_if(candidates, [&](const Known* one) { return one->gateway.cost_ppm > cheapest; });
  if (candidates.size() == 1) return candidates.front()->gateway.name;
  int64_t all = 0;
  for (const Known* one : candidates) all += one->CountingWeight();
  auto drawn = static_cast<int64_t>(random_.Uniform() * static_cast<double>(all));
  for (const Known* one : candidates) {
    drawn -= one->CountingWeight();
    if (drawn < 0) return one->gateway.name;
  }
  return candidates.back()->gateway.name;
}

bool Router::MayAskAgain(const std::string& gateway) {
  std::lock_guard lock(mutex_);
  Known* known = Find(gateway);
  if (known == nullptr || !known->health.out()) return true;
  const SteadyTime now = clock_.Steady();
  if (!known->health.MayExplore(now)) return false;
  known->health.Explores(now);
  return true;
}

void Router::NotAsked(const std::string& gateway, int64_t exploring) {
  std::lock_guard lock(mutex_);
  if (Known* known = Find(gateway)) known->health.NotExplored(clock_.Steady(), exploring);
}

bool Router::IsOut(const std::string& gateway) const {
  std::lock_guard lock(mutex_);
  const Known* known = Find(gateway);
  return known != nullptr && known->health.out();
}

bool Router::IsDrained(const std::string& gateway) const {
  std::lock_guard lock(mutex_);
  const Known* known = Find(gateway);
  return known != nullptr && known->drained;
}

int64_t Router::CostPpm(const std::string& gateway) const {
  std::lock_guard lock(mutex_);
  const Known* known = Find(gateway);
  return known == nullptr ? 0 : known->gateway.cost_ppm;
}

bool Router::CapturesLater(const std::string& gateway) const {
  std::lock_guard lock(mutex_);
  const Known* known = Find(gateway);
  return known != nullptr && known->gateway.capture_later;
}

void Router::Answered(const std::string& gateway, absl::Duration latency) {
  std::lock_guard lock(mutex_);
  if (Known* known = Find(gateway)) known->health.Answered(clock_.Steady(), latency);
}

void Router::Failed(const std::string& gateway) {
  std::lock_guard lock(mutex_);
  if (Known* known = Find(gateway)) known->health.Failed(clock_.Steady());
}

void Router::Spoke(const std::string& gateway) {
  std::lock_guard lock(mutex_);
  if (Known* known = Find(gateway)) known->health.Spoke(clock_.Steady());
}

std::optional<storage::GatewayProbe> Router::Known::ProbeAt(SteadyTime now) const {
  std::optional<storage::GatewayProbe> aged = probe;
  if (aged) aged->age += now - probe_read_at;
  return aged;
}

std::optional<storage::GatewayProbe> Router::Probe(const std::string& gateway) const {
  std::lock_guard lock(mutex_);
  const Known* known = Find(gateway);
  return known == nullptr ? std::nullopt : known->ProbeAt(clock_.Steady());
}

std::vector<Router::View> Router::List() const {
  std::lock_guard lock(mutex_);
  const SteadyTime now = clock_.Steady();
  std::vector<View> views;
  for (const Known& known : known_) {
    View view{known.gateway, known.drained};
    view.gateway.weight = known.CountingWeight();
    if (const auto since = known.health.out_since()) view.out_for = now - *since;
    view.median_latency = known.health.MedianLatency(now);
    view.answers = known.health.answers();
    view.failures = known.health.failures();
    view.probe = known.ProbeAt(now);
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace waybill::payments
