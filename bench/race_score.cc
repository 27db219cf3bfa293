#include "bench/race_score.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "nlohmann/json.hpp"

namespace waybill::bench {
namespace {

using Json = nlohmann::json;

double Hundredths(double value) { return std::round(value * 100) / 100; }

// Of a member that is an object.
std::optional<int64_t> RequestsIn(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  const auto found = json.find("totalRequests");
  if (found == json.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

}  // namespace

int64_t Inconsistencies(const RaceCount& backend, const RaceCount& processors) {
  return std::abs(backend.by_default - processors.by_default) + std::abs(backend.by_fallback - processors.by_fallback);
}

double Percentile(std::vector<double>& sample, double fraction) {
  if (sample.empty()) return 0;
  std::sort(sample.begin(), sample.end());
  const double place = fraction * static_cast<double>(sample.size() - 1);
  const auto below = static_cast<size_t>(std::floor(place));
  const auto above = static_cast<size_t>(std::ceil(place));
  return sample[below] + (sample[above] - sample[below]) * (place - std::floor(place));
}

RaceScore Score(const ProcessorTotals& by_default, const ProcessorTotals& by_fallback, double p99_ms,
                int64_t inconsistencies, int64_t taken) {
  constexpr double kBonusBelowMs = 11, kBonusAMs = 0.02, kFine = 0.35;
  RaceScore score;
  score.gross = by_default.amount + by_fallback.amount;
  score.fees = by_default.fees() + by_fallback.fees();
  score.net = score.gross - score.fees;
  score.bonus = std::max(Hundredths((kBonusBelowMs - Hundredths(p99_ms)) * kBonusAMs), 0.0);
  score.fine = inconsistencies > 0 ? kFine : 0;
  score.total = score.net * (1 + score.bonus - score.fine);
  score.lag = taken - by_default.payments - by_fallback.payments;
  return score;
}

std::optional<RaceCount> ParseBackendSummary(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("default") || !parsed.contains("fallback")) return std::nullopt;
  const auto by_default = RequestsIn(parsed["default"]), by_fallback = RequestsIn(parsed["fallback"]);
  if (!by_default || !by_fallback) return std::nullopt;
  return RaceCount{*by_default, *by_fallback};
}

std::optional<ProcessorTotals> ParseProcessorSummary(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto payments = RequestsIn(parsed);
  if (!payments) return std::nullopt;
  const auto amount = parsed.find("totalAmount"), fee_rate = parsed.find("feePerTransaction");
  if (amount == parsed.end() || !amount->is_number() || fee_rate == parsed.end() || !fee_rate->is_number()) {
    return std::nullopt;
  }
  return ProcessorTotals{*payments, amount->get<double>(), fee_rate->get<double>()};
}

}  // namespace waybill::bench
