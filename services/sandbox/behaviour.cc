#include "services/sandbox/behaviour.h"

#include <algorithm>
#include <cmath>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "fmt/ranges.h"

namespace waybill::sandbox {
namespace {

constexpr int64_t kDelayMsMax = 3'600'000;
constexpr int64_t kPendingMsMax = 30 * 24 * 3'600'000LL;
constexpr double kNormalQuantile99 = 2.3263478740408408;

// Log-normal with the given median and 99th percentile.
absl::Duration DrawLatency(const Behaviour& behaviour, Random& random) {
  if (behaviour.latency_ms_p50 <= 0) return absl::ZeroDuration();
  double p50 = static_cast<double>(behaviour.latency_ms_p50);
  double sigma = std::log(static_cast<double>(behaviour.latency_ms_p99) / p50) / kNormalQuantile99;
  // Box and Muller; 1 - Uniform() is never 0.
  double normal = std::sqrt(-2 * std::log(1 - random.Uniform())) * std::cos(2 * M_PI * random.Uniform());
  double millis = std::min(p50 * std::exp(sigma * normal), static_cast<double>(kDelayMsMax));
  return absl::Milliseconds(millis);
}

}  // namespace

absl::Status Check(const Behaviour& behaviour, const std::vector<std::string>& known_methods) {
  domain::Violations violations;
  auto bad = [&](std::string field, std::string what) { violations.Add(std::move(field), std::move(what)); };
  auto share = [&](const char* field, double value) {
    if (!(value >= 0 && value <= 1)) bad(field, "is not within 0..1");  // NaN included
  };
  share("unavailable_rate", behaviour.unavailable_rate);
  share("lost_before_rate", behaviour.lost_before_rate);
  share("lost_after_rate", behaviour.lost_after_rate);
  share("late_rate", behaviour.late_rate);
  share("slow_rate", behaviour.slow_rate);
  share("decline_rate", behaviour.decline_rate);
  share("pending_rate", behaviour.pending_rate);
  share("webhook_lost_rate", behaviour.webhook_lost_rate);
  share("webhook_twice_rate", behaviour.webhook_twice_rate);
  share("webhook_late_rate", behaviour.webhook_late_rate);
  share("webhook_wrong_amount_rate", behaviour.webhook_wrong_amount_rate);
  share("webhook_out_of_order_rate", behaviour.webhook_out_of_order_rate);
  if (behaviour.repetition < Repetition::kByContract || behaviour.repetition > Repetition::kDeclined) {
    bad("repetition", "is none that is known");
  }
  auto millis = [&](const char* field, int64_t value, int64_t max = kDelayMsMax) {
    if (value < 0 || value > max) bad(field, fmt::format("is not within 0..{}", max));
  };
  millis("latency_ms_p50", behaviour.latency_ms_p50);
  millis("latency_ms_p99", behaviour.latency_ms_p99);
  millis("late_ms", behaviour.late_ms);
  millis("pending_for_ms", behaviour.pending_for_ms, kPendingMsMax);
  millis("expires_ms", behaviour.expires_ms, kPendingMsMax);
  millis("held_ms", behaviour.held_ms, kPendingMsMax);
  if (behaviour.latency_ms_p99 < behaviour.latency_ms_p50) bad("latency_ms_p99", "is below latency_ms_p50");
  if (behaviour.latency_ms_p50 == 0 && behaviour.latency_ms_p99 > 0) bad("latency_ms_p50", "is 0, but p99 is not");
  for (const std::string& method : behaviour.methods) {
    if (std::find(known_methods.begin(), known_methods.end(), method) == known_methods.end()) {
      bad("methods", fmt::format("has '{}', which is none of {}", method, fmt::join(known_methods, ", ")));
    }
  }
  return std::move(violations).ToStatus();
}

const char* NameOf(Fate::Kind kind) {
  switch (kind) {
    case Fate::Kind::kOrdinary:
      return "ordinary";
    case Fate::Kind::kUnavailable:
      return "unavailable";
    case Fate::Kind::kLostBefore:
      return "lost_before";
    case Fate::Kind::kLostAfter:
      return "lost_after";
    case Fate::Kind::kLate:
      return "late";
    case Fate::Kind::kSlow:
      return "slow";
    case Fate::Kind::kDecline:
      return "decline";
    case Fate::Kind::kPending:
      return "pending";
  }
  return "";
}

Fate Draw(const Behaviour& behaviour, std::string_view method, Random& random) {
  Fate fate;
  const auto& methods = behaviour.methods;
  if (methods.empty() || std::find(methods.begin(), methods.end(), method) != methods.end()) {
    // No draw for a share of 0, so that a well-behaved sandbox costs none.
    auto hits = [&](double share) { return share > 0 && random.Uniform() < share; };
    if (hits(behaviour.unavailable_rate)) {
      fate.kind = Fate::Kind::kUnavailable;
    } else if (hits(behaviour.lost_before_rate)) {
      fate.kind = Fate::Kind::kLostBefore;
    } else if (hits(behaviour.lost_after_rate)) {
      fate.kind = Fate::Kind::kLostAfter;
    } else if (hits(behaviour.late_rate)) {
      fate.kind = Fate::Kind::kLate;
    } else if (hits(behaviour.slow_rate)) {
      fate.kind = Fate::Kind::kSlow;
    } else if (hits(behaviour.decline_rate)) {
      fate.kind = Fate::Kind::kDecline;
    } else if ((method == "Charge" || method == "Authorize" || method == "Pay") && hits(behaviour.pending_rate)) {
      fate.kind = Fate::Kind::kPending;
      fate.pending_for = absl::Milliseconds(behaviour.pending_for_ms);
      if (behaviour.expires_ms > 0) fate.expires_in = absl::Milliseconds(behaviour.expires_ms);
    }
  }
  if (fate.kind == Fate::Kind::kLate || fate.kind == Fate::Kind::kSlow) {
    fate.delay = absl::Milliseconds(behaviour.late_ms);
  } else if (fate.kind == Fate::Kind::kOrdinary || fate.kind == Fate::Kind::kDecline ||
             fate.kind == Fate::Kind::kPending) {
    fate.delay = DrawLatency(behaviour, random);
  }
  return fate;
}

}  // namespace waybill::sandbox
