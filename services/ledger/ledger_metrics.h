// What the ledger's service counts. Names are listed in docs/operations.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/time/time.h"
#include "ledger/result.h"
#include "ledger/transfer.h"
#include "runtime/metrics.h"

namespace waybill::ledger {

class LedgerMetrics {
 public:
  // `metrics` outlives this.
  explicit LedgerMetrics(Metrics& metrics);

  // What callers were answered.
  void Answered(std::span<const AccountResult> results);
  void Answered(std::span<const Outcome> outcomes);

  // What one commit of the store held, how long it took, and whether it had to lock its accounts first.
  void Committed(size_t transfers, absl::Duration took, bool careful);
  void Repeated() { repeated_.Increment(); }
  // Of what may be old: from the cache; from the store, since nothing there was fresh enough, or the cache was away.
  enum class Source : uint8_t { kCache, kMissed, kCacheAway };
  void BalanceRead(Source source) { balance_reads_.at(static_cast<size_t>(source))->Increment(); }
  void Expired(int transfers) { expired_.Increment(transfers); }
  void Sealed(int64_t transfers) { sealed_.Increment(static_cast<double>(transfers)); }
  void Verified(bool sound, absl::Time at);

 private:
  // Created, exists, and the other classes of results.
  using Counters = std::array<prometheus::Counter*, 5>;
  static Counters Add(Metrics& metrics, const char* name, const char* help);
  static void Count(const Counters& counters, const ResultRow& row, bool created);

  Counters accounts_;
  Counters transfers_;
  prometheus::Histogram& request_transfers_;
  prometheus::Histogram& batch_transfers_;
  prometheus::Histogram& commit_seconds_;
  std::array<prometheus::Counter*, 3> balance_reads_;
  prometheus::Counter& careful_;
  prometheus::Counter& repeated_;
  prometheus::Counter& expired_;
  prometheus::Counter& sealed_;
  prometheus::Gauge& sound_;
  prometheus::Gauge& verified_at_;
};

}  // namespace waybill::ledger
