#include "services/order/gateway_prober.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace waybill::order {
namespace {

constexpr absl::Duration kTurn = absl::Seconds(1);  // at least so often
constexpr absl::Duration kSoon = absl::Milliseconds(50);

}  // namespace

GatewayProber::GatewayProber(std::map<std::string, AskHealth> gateways, storage::GatewayProbeStore& store,
                             payments::Router& router, const Clock& clock, Metrics& metrics, ProberOptions options)
    : gateways_(std::move(gateways)), store_(store), router_(router), clock_(clock), options_(std::move(options)) {
  using storage::ProbeOutcome;
  for (const auto& [name, ask] : gateways_) {
    for (ProbeOutcome outcome : {ProbeOutcome::kHealthy, ProbeOutcome::kFailing, ProbeOutcome::kNoAnswer,
                                 ProbeOutcome::kLimited, ProbeOutcome::kNotServed}) {
      outcomes_[name][outcome] = &metrics.AddCounter("waybill_gateway_probes_total",
                                                     "Times that this process asked a payment gateway how it fares.",
                                                     {{"gateway", name}, {"outcome", std::string(ToString(outcome))}});
    }
    metrics.AddCallbackGauge("waybill_gateway_says_failing",
                             "1 while the newest answer of a payment gateway, to any replica, is that it fails.",
                             [&router, name = name] {
                               const std::optional<storage::GatewayProbe> probe = router.Probe(name);
                               return probe && probe->answer && probe->answer->outcome == ProbeOutcome::kFailing ? 1.0
                                                                                                                 : 0.0;
                             },
                             {{"gateway", name}});
    metrics.AddCallbackGauge(
        "waybill_gateway_probe_age_seconds", "Since the newest answer of a payment gateway, to any replica; NaN: none.",
        [&router, name = name] {
          const std::optional<storage::GatewayProbe> probe = router.Probe(name);
          return probe && probe->answer ? absl::ToDoubleSeconds(probe->age) : std::numeric_limits<double>::quiet_NaN();
        },
        {{"gateway", name}});
  }
}

Chore GatewayProber::TurnChore() {
  return {"asking gateways how they fare", [this] { return Turn(); }};
}

absl::StatusOr<absl::Duration> GatewayProber::Turn() {
  if (absl::Status written = WriteHeard(); !written.ok()) return written;
  absl::StatusOr<std::vector<storage::GatewayProbe>> probes = store_.Probes();
  if (!probes.ok()) return probes.status();
  router_.Use(*probes);
  absl::Duration next = kTurn;
  std::vector<std::string> due;
  for (const auto& [name, ask] : gateways_) {
    const auto probe =
        std::find_if(probes->begin(), probes->end(), [&name = name](const auto& one) { return one.gateway == name; });
    if (probe == probes->end() || probe->due_in <= absl::ZeroDuration()) {
      due.push_back(name);
    } else {
      next = std::min(next, probe->due_in);
    }
  }
  if (!due.empty()) {
    if (absl::Status asked = Ask(due); !asked.ok()) return asked;
  }
  std::lock_guard lock(mutex_);
  return asking_ > 0 || !heard_.empty() ? kSoon : std::max(next, kSoon);
}

// An answer that cannot be written is tried again, until somebody has asked anew.
absl::Status GatewayProber::WriteHeard() {
  std::vector<Heard> heard;
  {
    std::lock_guard lock(mutex_);
    heard.swap(heard_);
  }
  for (size_t i = 0; i < heard.size(); ++i) {
    absl::Status written = store_.Answered(heard[i].claim, heard[i].answer.answer, PauseAfter(heard[i].answer));
    if (written.ok()) continue;
    std::lock_guard lock(mutex_);
    heard_.insert(heard_.end(), std::make_move_iterator(heard.begin() + static_cast<std::ptrdiff_t>(i)),
                  std::make_move_iterator(heard.end()));
    return written;
  }
  return absl::OkStatus();
}

// Whoever has a claim asks before `timeout` is over, and the next may claim after `timeout` and `every`; or, when the
// answer is there, `every` after that. So two questions are never closer than `every` when they arrive, whoever dies.
absl::Status GatewayProber::Ask(const std::vector<std::string>& due) {
  const SteadyTime deadline = clock_.Steady() + options_.timeout;
  absl::StatusOr<std::vector<storage::GatewayProbeStore::Claim>> claims =
      store_.ClaimProbes(due, options_.instance, options_.timeout + options_.every);
  if (!claims.ok()) return claims.status();
  for (storage::GatewayProbeStore::Claim& claim : *claims) {
    const absl::Duration left = deadline - clock_.Steady();
    if (left <= absl::ZeroDuration()) break;  // it counts as asked
    {
      std::lock_guard lock(mutex_);
      ++asking_;
    }
    const AskHealth& ask = gateways_.at(claim.gateway);
    ask(left, [this, claim](HealthAnswer answer) mutable {
      outcomes_.at(claim.gateway).at(answer.answer.outcome)->Increment();
      std::lock_guard lock(mutex_);
      --asking_;
      heard_.push_back({std::move(claim), answer});
    });
  }
  return absl::OkStatus();
}

absl::Duration GatewayProber::PauseAfter(const HealthAnswer& answer) const {
  switch (answer.answer.outcome) {
    case storage::ProbeOutcome::kLimited:
      return std::max(options_.every, std::min(answer.retry_after, options_.retry_after_max));
    case storage::ProbeOutcome::kNotServed:
      return std::max(options_.every, options_.not_served_for);
    case storage::ProbeOutcome::kHealthy:
    case storage::ProbeOutcome::kFailing:
    case storage::ProbeOutcome::kNoAnswer:
      return options_.every;
  }
  return options_.every;
}

}  // namespace waybill::order
