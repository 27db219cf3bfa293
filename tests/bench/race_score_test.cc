#include "bench/race_score.h"

#include <cmath>
#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::bench {
namespace {

// 1,000 payments of 20.05 by the default at 7 %, 100 by the fallback at 10 %.
const ProcessorTotals kByDefault = {1'000, 20'050, 0.07};
const ProcessorTotals kByFallback = {100, 2'005, 0.10};
constexpr double kNet = 20'050 * 0.93 + 2'005 * 0.90;

TEST(RaceScore, EachPaymentTooManyOrTooFewCounts) {
  EXPECT_EQ(Inconsistencies({10, 5}, {10, 5}), 0);
  EXPECT_EQ(Inconsistencies({10, 5}, {8, 5}), 2);
  EXPECT_EQ(Inconsistencies({8, 5}, {10, 5}), 2);
  EXPECT_EQ(Inconsistencies({9, 6}, {10, 5}), 2) << "what is too many here does not make up for what is missing there";
}

TEST(RaceScore, APercentileLiesBetweenItsNeighbours) {
  std::vector<double> none, one = {7}, four = {4, 1, 3, 2}, hundred_and_one;
  for (int i = 100; i >= 0; --i) hundred_and_one.push_back(i);
  EXPECT_EQ(Percentile(none, 0.99), 0);
  EXPECT_EQ(Percentile(one, 0.99), 7);
  EXPECT_DOUBLE_EQ(Percentile(four, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(Percentile(four, 0), 1);
  EXPECT_DOUBLE_EQ(Percentile(four, 1), 4);
  EXPECT_DOUBLE_EQ(Percentile(four, 0.99), 3.97);
  EXPECT_DOUBLE_EQ(Percentile(hundred_and_one, 0.99), 99);
}

TEST(RaceScore, FeesAreTakenFromWhatWasBooked) {
  const RaceScore score = Score(kByDefault, kByFallback, /*p99_ms=*/50, /*inconsistencies=*/0, /*taken=*/1'103);
  EXPECT_DOUBLE_EQ(score.gross, 22'055);
  EXPECT_DOUBLE_EQ(score.fees, 1'604);
  EXPECT_DOUBLE_EQ(score.net, kNet);
  EXPECT_EQ(score.bonus, 0) << "never below none";
  EXPECT_EQ(score.fine, 0);
  EXPECT_DOUBLE_EQ(score.total, kNet);
  EXPECT_EQ(score.lag, 3);
}

TEST(RaceScore, EachMillisecondBelowElevenIsTwoPercentInHundredths) {
  const auto bonus = [](double p99_ms) { return Score(kByDefault, kByFallback, p99_ms, 0, 1'100).bonus; };
  EXPECT_DOUBLE_EQ(bonus(11), 0);
  EXPECT_DOUBLE_EQ(bonus(10), 0.02);
  EXPECT_DOUBLE_EQ(bonus(5), 0.12);
  EXPECT_DOUBLE_EQ(bonus(1), 0.20);
  EXPECT_DOUBLE_EQ(bonus(2.55), 0.17);  // 0.169
  EXPECT_DOUBLE_EQ(bonus(2.75), 0.17);  // 0.165, halves go up
  EXPECT_DOUBLE_EQ(bonus(10.80), 0);    // 0.004
  EXPECT_DOUBLE_EQ(Score(kByDefault, kByFallback, 5, 0, 1'100).total, kNet * 1.12);
}

TEST(RaceScore, AnyInconsistencyCostsAThirdAndMore) {
  EXPECT_DOUBLE_EQ(Score(kByDefault, kByFallback, 50, 1, 1'100).total, kNet * 0.65);
  EXPECT_DOUBLE_EQ(Score(kByDefault, kByFallback, 1, 30'000, 1'100).total, kNet * 0.85);
}

TEST(RaceScore, MoreBookedThanTakenShows) { EXPECT_EQ(Score(kByDefault, kByFallback, 1, 0, 1'090).lag, -10); }

TEST(RaceScore, SummariesAreReadAsTheContractHasThem) {
  const auto backend = ParseBackendSummary(
      R"({"default":{"totalRequests":43236,"totalAmount":415542345.98},"fallback":{"totalRequests":5,"totalAmount":1}})");
  ASSERT_TRUE(backend.has_value());
  EXPECT_EQ(backend->by_default, 43'236);
  EXPECT_EQ(backend->by_fallback, 5);
  const auto processor =
      ParseProcessorSummary(R"({"totalRequests":3,"totalAmount":60.15,"totalFee":4.2105,"feePerTransaction":0.07})");
  ASSERT_TRUE(processor.has_value());
  EXPECT_EQ(processor->payments, 3);
  EXPECT_DOUBLE_EQ(processor->amount, 60.15);
  EXPECT_DOUBLE_EQ(processor->fee_rate, 0.07);
}

TEST(RaceScore, WhatIsNoSummaryIsNone) {
  for (const char* text : {"", "{", "[]", "{}", R"({"default":{"totalRequests":1}})", R"({"default":1,"fallback":2})",
                           R"({"default":{"totalRequests":"1"},"fallback":{"totalRequests":1}})"}) {
    EXPECT_FALSE(ParseBackendSummary(text).has_value()) << text;
  }
  for (const char* text : {"", "[]", "{}", R"({"totalRequests":1})", R"({"totalRequests":1,"totalAmount":1})",
                           R"({"totalRequests":1,"totalAmount":"1","feePerTransaction":0})"}) {
    EXPECT_FALSE(ParseProcessorSummary(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace waybill::bench
