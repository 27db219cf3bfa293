#include "services/ledger/ledger_metrics.h"

namespace waybill::ledger {
namespace {

constexpr std::array<const char*, 5> kResults = {"created", "exists", "conflict", "malformed", "refused"};

std::array<prometheus::Counter*, 3> AddReads(Metrics& metrics) {
  std::array<prometheus::Counter*, 3> reads{};
  constexpr std::array<const char*, 3> kSources = {"cache", "store", "cache_away"};  // as LedgerMetrics::Source
  for (size_t i = 0; i < kSources.size(); ++i) {
    reads[i] = &metrics.AddCounter("waybill_ledger_balance_reads_total",
                                   "Balances that were asked for as no older than something, by where they came from.",
                                   {{"source", kSources[i]}});
  }
  return reads;
}

}  // namespace

LedgerMetrics::Counters LedgerMetrics::Add(Metrics& metrics, const char* name, const char* help) {
  Counters counters{};
  for (size_t i = 0; i < kResults.size(); ++i) {
    counters[i] = &metrics.AddCounter(name, help, {{"result", kResults[i]}});
  }
  return counters;
}

void LedgerMetrics::Count(const Counters& counters, const ResultRow& row, bool created) {
  const size_t place = row.of == ResultClass::kDone ? (created ? 0 : 1) : static_cast<size_t>(row.of) + 1;
  counters.at(place)->Increment();
}

LedgerMetrics::LedgerMetrics(Metrics& metrics)
    : accounts_(Add(metrics, "waybill_ledger_accounts_total", "Accounts that callers asked for, by what came of it.")),
      transfers_(
          Add(metrics, "waybill_ledger_transfers_total", "Transfers that callers asked for, by what came of it.")),
      request_transfers_(
          metrics.AddHistogram("waybill_ledger_request_transfers", "Transfers of one CreateTransfers.", SizeBuckets())),
      batch_transfers_(
          metrics.AddHistogram("waybill_ledger_batch_transfers", "Transfers of one commit.", SizeBuckets())),
      commit_seconds_(
          metrics.AddHistogram("waybill_ledger_commit_seconds", "How long a commit took.", LatencyBuckets())),
      balance_reads_(AddReads(metrics)),
      careful_(
          metrics.AddCounter("waybill_ledger_careful_commits_total",
                             "Commits that locked their accounts first, since what was in memory was not enough.")),
      repeated_(
          metrics.AddCounter("waybill_ledger_repeated_commits_total", "Commits that failed, and were tried again.")),
      expired_(metrics.AddCounter("waybill_ledger_expired_total", "Pending transfers whose timeout was over.")),
      sealed_(metrics.AddCounter("waybill_ledger_sealed_total", "Transfers that were hashed into the chain.")),
      sound_(metrics.AddGauge("waybill_ledger_sound",
                              "Whether the last verification of this process found all well; 1 before the first.")),
      verified_at_(metrics.AddGauge("waybill_ledger_verified_timestamp_seconds",
                                    "When the last verification of this process ended; 0: there was none.")) {
  sound_.Set(1);
}

void LedgerMetrics::Answered(std::span<const AccountResult> results) {
  for (const AccountResult result : results) Count(accounts_, Row(result), result == AccountResult::kCreated);
}

void LedgerMetrics::Answered(std::span<const Outcome> outcomes) {
  request_transfers_.Observe(static_cast<double>(outcomes.size()));
  for (const Outcome& outcome : outcomes) {
    Count(transfers_, Row(outcome.result), outcome.result == TransferResult::kCreated);
  }
}

void LedgerMetrics::Committed(size_t transfers, absl::Duration took, bool careful) {
  if (careful) careful_.Increment();
  batch_transfers_.Observe(static_cast<double>(transfers));
  commit_seconds_.Observe(absl::ToDoubleSeconds(took));
}

void LedgerMetrics::Verified(bool sound, absl::Time at) {
  sound_.Set(sound ? 1 : 0);
  verified_at_.Set(absl::ToDoubleSeconds(at - absl::UnixEpoch()));
}

}  // namespace waybill::ledger
