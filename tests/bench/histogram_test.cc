#include "bench/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/random.h"

namespace waybill::bench {
namespace {

TEST(Histogram, IsZeroWhenEmpty) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0);
  EXPECT_EQ(histogram.Quantile(0.5), absl::ZeroDuration());
  EXPECT_EQ(histogram.Mean(), absl::ZeroDuration());
  EXPECT_EQ(histogram.max(), absl::ZeroDuration());
}

TEST(Histogram, KeepsSmallValuesExactly) {
  Histogram histogram;
  for (int ns = 0; ns < 256; ++ns) histogram.Record(absl::Nanoseconds(ns));
  for (int ns = 0; ns < 256; ++ns) EXPECT_EQ(histogram.Quantile((ns + 1) / 256.0), absl::Nanoseconds(ns));
}

TEST(Histogram, OneOutlierInAThousandShowsBeyondP999Only) {
  Histogram histogram;
  for (int i = 1; i <= 999; ++i) histogram.Record(absl::Nanoseconds(10));
  histogram.Record(absl::Nanoseconds(123'456'789));
  EXPECT_EQ(histogram.Quantile(0.5), absl::Nanoseconds(10));
  EXPECT_EQ(histogram.Quantile(0.999), absl::Nanoseconds(10));
  EXPECT_EQ(histogram.Quantile(0.9991), absl::Nanoseconds(123'456'789));
  EXPECT_EQ(histogram.Quantile(1), absl::Nanoseconds(123'456'789));
  EXPECT_EQ(histogram.max(), absl::Nanoseconds(123'456'789));
}

// Against the exact answer, over nine decades.
TEST(Histogram, QuantilesAreNeverTooShortAndAtMostOne128thTooLong) {
  SeededRandom random(7);
  std::vector<int64_t> exact;
  Histogram histogram;
  for (int i = 0; i < 20'000; ++i) {
    const auto ns = static_cast<int64_t>(std::pow(10.0, 1 + 9 * random.Uniform()));
    exact.push_back(ns);
    histogram.Record(absl::Nanoseconds(ns));
  }
  std::sort(exact.begin(), exact.end());
  for (int permille = 1; permille <= 1000; ++permille) {
    const int64_t want = exact[static_cast<size_t>(permille) * exact.size() / 1000 - 1];
    const int64_t got = absl::ToInt64Nanoseconds(histogram.Quantile(permille / 1000.0));
    EXPECT_GE(got, want) << permille;
    EXPECT_LE(got, want + want / 128 + 1) << permille;
  }
}

TEST(Histogram, MergeIsTheSameAsRecordingTogether) {
  Histogram left, right, both;
  for (int i = 1; i < 1'000; ++i) {
    const absl::Duration value = absl::Microseconds(i * i);
    (i % 3 == 0 ? left : right).Record(value);
    both.Record(value);
  }
  left.Merge(right);
  EXPECT_EQ(left.count(), both.count());
  EXPECT_EQ(left.max(), both.max());
  EXPECT_EQ(left.Mean(), both.Mean());
  for (double fraction : {0.01, 0.5, 0.9, 0.99, 0.999}) EXPECT_EQ(left.Quantile(fraction), both.Quantile(fraction));
}

TEST(Histogram, TakesAnyDuration) {
  Histogram histogram;
  histogram.Record(absl::Nanoseconds(-1));
  histogram.Record(absl::InfiniteDuration());
  EXPECT_EQ(histogram.Quantile(0.5), absl::ZeroDuration());
  EXPECT_EQ(histogram.max(), absl::Nanoseconds(int64_t{1} << 62));
}

}  // namespace
}  // namespace waybill::bench
