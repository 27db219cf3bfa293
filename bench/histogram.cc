#include "bench/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace waybill::bench {
namespace {

// Values below 2 * kLinear have a bucket each; from there on every power of two is cut into kLinear equal buckets.
constexpr int kLinearBits = 7;
constexpr int64_t kLinear = int64_t{1} << kLinearBits;
constexpr int64_t kValueNsMax = int64_t{1} << 62;

size_t BucketOf(int64_t value) {
  if (value < 2 * kLinear) return static_cast<size_t>(value);
  const int shift = std::bit_width(static_cast<uint64_t>(value)) - 1 - kLinearBits;
  return static_cast<size_t>(shift * kLinear + (value >> shift));
}

// The greatest value that falls into the bucket.
int64_t UpperEdge(size_t bucket) {
  const auto index = static_cast<int64_t>(bucket);
  if (index < 2 * kLinear) return index;
  const int64_t shift = index / kLinear - 1;
  return ((index - shift * kLinear + 1) << shift) - 1;
}

}  // namespace

Histogram::Histogram() : buckets_(BucketOf(kValueNsMax) + 1) {}

void Histogram::Record(absl::Duration value) {
  const int64_t ns = std::clamp<int64_t>(absl::ToInt64Nanoseconds(value), 0, kValueNsMax);
  ++buckets_[BucketOf(ns)];
  ++count_;
  max_ns_ = std::max(max_ns_, ns);
  sum_ns_ += static_cast<double>(ns);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ns_ = std::max(max_ns_, other.max_ns_);
  sum_ns_ += other.sum_ns_;
}

absl::Duration Histogram::Mean() const {
  return count_ == 0 ? absl::ZeroDuration() : absl::Nanoseconds(sum_ns_ / static_cast<double>(count_));
}

absl::Duration Histogram::Quantile(double fraction) const {
  // 0.007 * 20,000 is a little over 140 in binary, and still means the 140th.
  const auto exact = static_cast<int64_t>(std::ceil(fraction * static_cast<double>(count_) - 1e-6));
  const int64_t wanted = std::max<int64_t>(exact, 1);
  int64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted) return absl::Nanoseconds(std::min(UpperEdge(i), max_ns_));
  }
  return absl::ZeroDuration();
}

}  // namespace waybill::bench
