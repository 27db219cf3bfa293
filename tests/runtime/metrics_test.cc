#include "runtime/metrics.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace waybill {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

nlohmann::json Snapshot(const Metrics& metrics) { return nlohmann::json::parse(metrics.ToJson()); }

double Value(const Metrics& metrics, const std::string& name) {
  return Snapshot(metrics).at(name).at("samples").at(0).at("value").get<double>();
}

TEST(Metrics, CountersAndGaugesAppearInTextWithTypeHelpAndLabels) {
  Metrics metrics;
  metrics.AddCounter("waybill_a_total", "Counts a.", {{"outcome", "ok"}}).Increment(3);
  metrics.AddGauge("waybill_b", "Is b.").Set(1.5);
  std::string text = metrics.ToText();
  EXPECT_THAT(text, HasSubstr("# HELP waybill_a_total Counts a.\n# TYPE waybill_a_total counter\n"
                              "waybill_a_total{outcome=\"ok\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE waybill_b gauge\nwaybill_b 1.5\n"));
}

TEST(Metrics, LabelValuesAreEscaped) {
  Metrics metrics;
  metrics.AddCounter("waybill_a_total", "a", {{"why", "quote \" newline \n"}}).Increment();
  EXPECT_THAT(metrics.ToText(), HasSubstr(R"(waybill_a_total{why="quote \" newline \n"} 1)"));
  EXPECT_EQ(Snapshot(metrics)["waybill_a_total"]["samples"][0]["labels"]["why"], "quote \" newline \n");
}

TEST(Metrics, SameNameAndLabelsAreTheSameObject) {
  Metrics metrics;
  prometheus::Counter& first = metrics.AddCounter("waybill_a_total", "a", {{"x", "1"}});
  EXPECT_EQ(&first, &metrics.AddCounter("waybill_a_total", "a", {{"x", "1"}}));
  EXPECT_NE(&first, &metrics.AddCounter("waybill_a_total", "a", {{"x", "2"}}));
  EXPECT_EQ(Snapshot(metrics)["waybill_a_total"]["samples"].size(), 2);
}

TEST(Metrics, ReferencesSurviveLaterAdditions) {
  Metrics metrics;
  prometheus::Counter& first = metrics.AddCounter("waybill_first_total", "a");
  for (int i = 0; i < 1000; ++i) metrics.AddCounter("waybill_n" + std::to_string(i) + "_total", "n");
  first.Increment();
  EXPECT_EQ(Value(metrics, "waybill_first_total"), 1);
}

TEST(Metrics, HistogramHasCumulativeBucketsSumAndCountInBothFormats) {
  Metrics metrics;
  prometheus::Histogram& histogram = metrics.AddHistogram("waybill_h_seconds", "h", {0.1, 1}, {{"step", "charge"}});
  histogram.Observe(0.05);
  histogram.Observe(0.5);
  histogram.Observe(7);
  EXPECT_THAT(metrics.ToText(), HasSubstr("waybill_h_seconds_bucket{step=\"charge\",le=\"1\"} 2\n"
                                          "waybill_h_seconds_bucket{step=\"charge\",le=\"+Inf\"} 3\n"));
  nlohmann::json family = Snapshot(metrics)["waybill_h_seconds"];
  EXPECT_EQ(family["type"], "histogram");
  nlohmann::json sample = family["samples"][0];
  EXPECT_EQ(sample["count"], 3);
  EXPECT_DOUBLE_EQ(sample["sum"], 7.55);
  EXPECT_EQ(sample["buckets"],
            nlohmann::json::parse(R"([{"le":0.1,"count":1},{"le":1.0,"count":2},{"le":"+Inf","count":3}])"));
}

TEST(Metrics, CallbacksAreComputedAtEachScrape) {
  Metrics metrics;
  int depth = 1;
  metrics.AddCallbackGauge("waybill_depth", "d", [&] { return depth; }, {{"pool", "read"}});
  metrics.AddCallbackGauge("waybill_depth", "d", [&] { return depth * 10; }, {{"pool", "write"}});
  EXPECT_THAT(metrics.ToText(), HasSubstr("waybill_depth{pool=\"read\"} 1\nwaybill_depth{pool=\"write\"} 10\n"));
  depth = 5;
  std::string text = metrics.ToText();
  EXPECT_THAT(text, HasSubstr("waybill_depth{pool=\"read\"} 5\n"));
  EXPECT_EQ(text.find("# TYPE waybill_depth"), text.rfind("# TYPE waybill_depth")) << "a family is announced once";
}

TEST(Metrics, OneCallbackMayGiveSeveralSamples) {
  Metrics metrics;
  metrics.AddCallbackGauges("waybill_unfinished", "u", [] {
    return std::vector<Metrics::Sample>{{{{"state", "running"}}, 2}, {{{"state", "compensating"}}, 3}};
  });
  EXPECT_EQ(Snapshot(metrics)["waybill_unfinished"]["samples"].size(), 2);
  EXPECT_THAT(metrics.ToText(), HasSubstr("waybill_unfinished{state=\"compensating\"} 3\n"));
}

TEST(Metrics, FamiliesAreSortedByName) {
  Metrics metrics;
  metrics.AddGauge("waybill_c", "c");
  metrics.AddCallbackGauge("waybill_b", "b", [] { return 0; });
  metrics.AddCounter("waybill_a_total", "a");
  std::vector<std::string> names;
  for (const auto& family : metrics.Collect()) names.push_back(family.name);
  EXPECT_THAT(names, ::testing::ElementsAre("waybill_a_total", "waybill_b", "waybill_c"));
}

TEST(Metrics, NotANumberDoesNotBreakTheJson) {
  Metrics metrics;
  metrics.AddCallbackGauge("waybill_nan", "n", [] { return std::numeric_limits<double>::quiet_NaN(); });
  metrics.AddGauge("waybill_inf", "n").Set(-std::numeric_limits<double>::infinity());
  EXPECT_EQ(Snapshot(metrics)["waybill_nan"]["samples"][0]["value"], "NaN");
  EXPECT_EQ(Snapshot(metrics)["waybill_inf"]["samples"][0]["value"], "-Inf");
}

TEST(Metrics, NameClashesAreBugs) {
  Metrics metrics;
  metrics.AddCounter("waybill_a_total", "a");
  EXPECT_THROW(metrics.AddGauge("waybill_a_total", "a"), std::invalid_argument);
  EXPECT_THROW(metrics.AddCallbackGauge("waybill_a_total", "a", [] { return 0; }), std::invalid_argument);
  metrics.AddCallbackGauge("waybill_b", "b", [] { return 0; });
  EXPECT_THROW(metrics.AddGauge("waybill_b", "b"), std::invalid_argument);
  EXPECT_THROW(metrics.AddCallbackCounter("waybill_b", "b", [] { return 0; }), std::invalid_argument);
  EXPECT_THROW(metrics.AddCounter("waybill a", "a"), std::invalid_argument);
  EXPECT_THROW(metrics.AddCallbackGauge("0bad", "a", [] { return 0; }), std::invalid_argument);
}

TEST(Metrics, HelpTextsThatWouldHaveToBeEscapedAreBugs) {
  Metrics metrics;
  for (const char* help : {"a\nb", "a\\b"}) {
    EXPECT_THROW(metrics.AddCounter("waybill_a_total", help), std::invalid_argument);
    EXPECT_THROW(metrics.AddGauge("waybill_a", help), std::invalid_argument);
    EXPECT_THROW(metrics.AddHistogram("waybill_a", help, LatencyBuckets()), std::invalid_argument);
    EXPECT_THROW(metrics.AddCallbackGauge("waybill_a", help, [] { return 0; }), std::invalid_argument);
    EXPECT_THROW(metrics.AddCallbackGauges("waybill_a", help, [] { return std::vector<Metrics::Sample>(); }),
                 std::invalid_argument);
    EXPECT_THROW(metrics.AddCallbackCounter("waybill_a_total", help, [] { return 0; }), std::invalid_argument);
  }
  EXPECT_EQ(metrics.ToText(), "");
}

TEST(Metrics, StandardBucketsAscendOverTheirRange) {
  for (const std::vector<double>& buckets : {LatencyBuckets(), SizeBuckets()}) {
    EXPECT_TRUE(std::is_sorted(buckets.begin(), buckets.end()));
  }
  EXPECT_EQ(LatencyBuckets().front(), 0.0005);
  EXPECT_EQ(LatencyBuckets().back(), 30);
}

TEST(ProcessMetrics, AreReadFromTheSystem) {
  Metrics metrics;
  AddProcessMetrics(metrics);
  EXPECT_GT(Value(metrics, "process_resident_memory_bytes"), 1e6);
  EXPECT_LT(Value(metrics, "process_resident_memory_bytes"), 1e11);
  EXPECT_GT(Value(metrics, "process_open_fds"), 2);
  EXPECT_GE(Value(metrics, "process_threads"), 1);
  EXPECT_NEAR(Value(metrics, "process_start_time_seconds"), static_cast<double>(std::time(nullptr)), 600);
  double before = Value(metrics, "process_cpu_seconds_total");
  volatile double sink = 0;
  while (Value(metrics, "process_cpu_seconds_total") == before) sink = sink + 1;
}

TEST(BuildInfo, NamesServiceVersionAndCommit) {
  Metrics metrics;
  AddBuildInfo(metrics, "waybill-order", {"1.2.3", "1a2b3c4d5e6f"});
  EXPECT_THAT(metrics.ToText(), HasSubstr("service=\"waybill-order\""));
  EXPECT_THAT(metrics.ToText(), HasSubstr("version=\"1.2.3\""));
  EXPECT_THAT(metrics.ToText(), HasSubstr("commit=\"1a2b3c4d5e6f\""));
}

}  // namespace
}  // namespace waybill
