// Counts of durations in log-linear buckets, as HdrHistogram does it: every value is kept to within 1/128 of itself, in
// 64 KiB, whatever the range.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace waybill::bench {

// Not thread-safe: one a thread, merged at the end.
class Histogram {
 public:
  Histogram();

  // Negative durations count as 0, those beyond 2^62 ns as that.
  void Record(absl::Duration value);
  void Merge(const Histogram& other);

  int64_t count() const { return count_; }
  absl::Duration max() const { return absl::Nanoseconds(max_ns_); }  // exact; 0 when empty
  absl::Duration Mean() const;                                       // 0 when empty

  // The smallest recorded duration that at least `fraction` (0..1) of all do not exceed; at most 1/128 too long, never
  // too short. 0 when empty.
  absl::Duration Quantile(double fraction) const;

 private:
  std::vector<int64_t> buckets_;
  int64_t count_ = 0;
  int64_t max_ns_ = 0;
  double sum_ns_ = 0;
};

}  // namespace waybill::bench
