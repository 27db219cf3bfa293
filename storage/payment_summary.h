// What each gateway took and gave back, over any time (ADR 0048).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::storage {

// Lengths of the spans over which there are sums, in seconds. Each holds whole ones of the level below. Persisted: they
// never change.
inline constexpr std::array<int64_t, 9> kSpanSeconds = {1,      10,          60,           600,           3'600,
                                                        86'400, 10 * 86'400, 100 * 86'400, 1'000 * 86'400};

// A time as whole spans, and seconds of which only a part is asked for.
struct SummaryCover {
  struct Run {
    int level;            // of kSpanSeconds
    absl::Time from, to;  // starts of spans, exclusive of `to`
  };
  std::vector<Run> runs;          // two a level at most
  std::vector<absl::Time> edges;  // starts of seconds; two at most
};
// Of [from, to), in whole microseconds.
SummaryCover Cover(absl::Time from, absl::Time to);

// [from, to)
struct SummaryQuery {
  absl::Time from = absl::InfinitePast();
  absl::Time to = absl::InfiniteFuture();
  std::string gateway;  // empty: all
};

inline constexpr int64_t kUnsummedCounted = 10'000;

// Of one gateway and currency.
struct PaymentTotals {
  std::string gateway;  // empty: of orders that are not routed
  std::string currency;
  int64_t charges = 0;  // by when they were charged
  int64_t amount_minor = 0;
  int64_t fee_minor = 0;
  int64_t refunds = 0;  // by when they were given back
  int64_t refund_minor = 0;

  friend bool operator==(const PaymentTotals&, const PaymentTotals&) = default;
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class PaymentSummaryStore {
 public:
  virtual ~PaymentSummaryStore() = default;

  // By gateway and currency: all that was committed when it was called, and nothing else. SUM_TOO_LARGE.
  virtual absl::StatusOr<std::vector<PaymentTotals>> Summarize(const SummaryQuery& query) = 0;

  // What is booked and not in the sums yet, of kUnsummedCounted entries at most.
  struct Unsummed {
    int64_t entries = 0;
    absl::Duration oldest;  // since the first movement of the one that was entered first
  };
  virtual absl::StatusOr<Unsummed> CountUnsummed() = 0;

  // Brings the sums nearer to what is booked, a bounded part; false: there is no more to do, or somebody else does it.
  // What Summarize answers does not change, only how long it takes.
  virtual absl::StatusOr<bool> Fold() = 0;
};

}  // namespace waybill::storage
