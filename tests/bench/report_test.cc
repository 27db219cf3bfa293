#include "bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nlohmann/json.hpp"

namespace waybill::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Bound = Target::Bound;

Report Example() {
  return {"0.1.0",
          "2 cores",
          {{"confirmed",
            "every order confirmed",
            {{"orders/s", 15'342.4, "1/s", Target{Bound::kAtLeast, 15'000}},
             {"p50", 11.27, "ms", std::nullopt},
             {"of the ceiling", 0.3456, "", Target{Bound::kAtLeast, 0.35}}},
            {}},
           {"idle", "a call a second", {{"p99", 6.0, "ms", Target{Bound::kAtMost, 6}}}, {}}},
          {}};
}

TEST(Report, TableHoldsEveryFigureWithItsTargetAndVerdict) {
  EXPECT_EQ(RenderTable(Example()),
            "scenario   figure            measured         target\n"
            "------------------------------------------------------------------\n"
            "confirmed  orders/s        15,342 1/s  >= 15,000 1/s  reached\n"
            "           p50                11.3 ms\n"
            "           of the ceiling       0.346       >= 0.350  FALLS SHORT\n"
            "idle       p99                6.00 ms     <= 6.00 ms  reached\n"
            "\n"
            "1 target(s) NOT reached\n");
}

TEST(Report, AFailedCheckIsNamedAndOutweighsGoodFigures) {
  Report report = Example();
  report.scenarios[1].failures = {"3 orders are missing"};
  EXPECT_FALSE(report.BooksBalance());
  EXPECT_THAT(RenderTable(report), HasSubstr("FAILED idle: 3 orders are missing\n"));
  EXPECT_THAT(RenderTable(report), HasSubstr("THE BOOKS DO NOT BALANCE"));
  EXPECT_TRUE(Example().BooksBalance());
}

TEST(Report, SaysWhenEveryTargetIsReached) {
  Report report = Example();
  report.scenarios[0].figures.pop_back();
  EXPECT_EQ(report.TargetsMissed(), 0);
  EXPECT_THAT(RenderTable(report), HasSubstr("every target reached"));
  EXPECT_THAT(RenderTable(report), Not(HasSubstr("NOT")));
}

TEST(Report, NotesStandBelowTheTable) {
  Report report = Example();
  report.notes = {"Read it with care."};
  EXPECT_THAT(RenderTable(report), HasSubstr("reached\n\nRead it with care.\n1 target(s) NOT reached\n"));
}

TEST(Compared, WithoutAnEarlierBuildThereIsNoTarget) {
  ScenarioResult result;
  AddCompared("orders/s", 15'000, std::nullopt, "1/s", Target{Bound::kAtLeast, 1.35}, result);
  ASSERT_EQ(result.figures.size(), 1u);
  EXPECT_EQ(result.figures[0].name, "orders/s");
  EXPECT_EQ(result.figures[0].unit, "1/s");
  EXPECT_FALSE(result.figures[0].target.has_value());
}

TEST(Compared, TheTargetIsOfHowManyTimesTheEarlierFigureItIs) {
  ScenarioResult result;
  AddCompared("orders/s", 15'000, 10'000, "1/s", Target{Bound::kAtLeast, 1.35}, result);
  ASSERT_EQ(result.figures.size(), 3u);
  EXPECT_FALSE(result.figures[0].target.has_value());
  EXPECT_EQ(result.figures[1].name, "orders/s, earlier");
  EXPECT_EQ(result.figures[1].value, 10'000);
  EXPECT_FALSE(result.figures[1].target.has_value());
  EXPECT_EQ(result.figures[2].name, "orders/s, ratio");
  EXPECT_DOUBLE_EQ(result.figures[2].value, 1.5);
  EXPECT_EQ(result.figures[2].unit, "");
  ASSERT_TRUE(result.figures[2].target.has_value());
  EXPECT_TRUE(result.figures[2].target->Met(result.figures[2].value));
  EXPECT_THAT(result.failures, IsEmpty());
}

TEST(Compared, NothingToCompareWithIsAFailureAndNoGoodRatio) {
  ScenarioResult result;
  AddCompared("orders/s", 15'000, 0, "1/s", Target{Bound::kAtLeast, 1.35}, result);
  EXPECT_EQ(result.figures.size(), 2u);
  EXPECT_THAT(result.failures, ElementsAre("orders/s: the earlier build has none to compare with"));
}

TEST(Compared, LatencyIsComparedAtItsMedianAndItsTail) {
  Histogram today, earlier;
  for (int i = 1; i <= 100; ++i) {
    today.Record(absl::Milliseconds(i));
    earlier.Record(absl::Milliseconds(2 * i));
  }
  ScenarioResult result;
  AddComparedLatency(today, &earlier, Target{Bound::kAtMost, 1.0}, std::nullopt, result);
  std::vector<std::string> names;
  for (const Figure& figure : result.figures) names.push_back(figure.name);
  EXPECT_THAT(names, ElementsAre("p50", "p50, earlier", "p50, ratio", "p90", "p99", "p99, earlier", "p99, ratio",
                                 "p99.9", "max"));
  EXPECT_NEAR(result.figures[2].value, 0.5, 0.01);
  EXPECT_TRUE(result.figures[2].target->Met(result.figures[2].value));
  EXPECT_FALSE(result.figures[6].target.has_value());
  result.figures.clear();
  AddComparedLatency(today, nullptr, Target{Bound::kAtMost, 1.0}, std::nullopt, result);
  EXPECT_EQ(result.figures.size(), 5u);
}

TEST(Report, JsonHoldsTheSame) {
  Report report = Example();
  report.notes = {"Read it with care."};
  report.scenarios[1].failures = {"\xff not UTF-8"};
  const auto json = nlohmann::json::parse(RenderJson(report));
  EXPECT_EQ(json["version"], "0.1.0");
  EXPECT_EQ(json["notes"][0], "Read it with care.");
  EXPECT_EQ(json["books_balance"], false);
  EXPECT_EQ(json["targets_missed"], 1);
  const auto& figures = json["scenarios"][0]["figures"];
  EXPECT_EQ(figures[0]["name"], "orders/s");
  EXPECT_DOUBLE_EQ(figures[0]["value"], 15'342.4);
  EXPECT_EQ(figures[0]["target"]["bound"], "at_least");
  EXPECT_EQ(figures[0]["target"]["met"], true);
  EXPECT_FALSE(figures[1].contains("target"));
  EXPECT_EQ(figures[2]["target"]["met"], false);
  EXPECT_EQ(json["scenarios"][1]["figures"][0]["target"]["bound"], "at_most");
  EXPECT_EQ(json["scenarios"][1]["failures"].size(), 1u);
}

TEST(Target, BoundsAreInclusive) {
  EXPECT_TRUE((Target{Bound::kAtMost, 6}).Met(6));
  EXPECT_FALSE((Target{Bound::kAtMost, 6}).Met(6.001));
  EXPECT_TRUE((Target{Bound::kAtLeast, 6}).Met(6));
  EXPECT_FALSE((Target{Bound::kAtLeast, 6}).Met(5.999));
}

}  // namespace
}  // namespace waybill::bench
