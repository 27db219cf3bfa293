// How the race contract's final counts: what a percentile is, what is inconsistent, and what a run is worth.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace waybill::bench {

// Of both processors, as their own books or ours say.
struct RaceCount {
  int64_t by_default = 0;
  int64_t by_fallback = 0;
};

// `backend` says what it paid by whom, `processors` what they booked, over the same time. Each payment too many or too
// few by either counts, so that one booked by the wrong one counts twice.
int64_t Inconsistencies(const RaceCount& backend, const RaceCount& processors);

// Of a sample by linear interpolation between its neighbours, as k6 takes it; 0 of nothing. `fraction`: 0..1. Sorts it.
double Percentile(std::vector<double>& sample, double fraction);

// What a processor's own books say at the end.
struct ProcessorTotals {
  int64_t payments = 0;
  double amount = 0;
  double fee_rate = 0;  // of the amount

  double fees() const { return amount * fee_rate; }
};

struct RaceScore {
  double gross = 0;
  double fees = 0;
  double net = 0;    // gross without fees
  double bonus = 0;  // share of the net: 0.02 for each millisecond that p99 is below 11, in hundredths
  double fine = 0;   // share of the net: 0.35 once anything is inconsistent
  double total = 0;  // the score: net × (1 + bonus − fine)
  int64_t lag = 0;   // payments that were taken and not booked; below 0: more were booked than taken
};

RaceScore Score(const ProcessorTotals& by_default, const ProcessorTotals& by_fallback, double p99_ms,
                int64_t inconsistencies, int64_t taken);

// {"default":{"totalRequests":…},"fallback":{"totalRequests":…}}. Nothing: it is not that.
std::optional<RaceCount> ParseBackendSummary(std::string_view json);
// {"totalRequests":…,"totalAmount":…,"totalFee":…,"feePerTransaction":…}
std::optional<ProcessorTotals> ParseProcessorSummary(std::string_view json);

}  // namespace waybill::bench
