#include "bench/side_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "edge/http/probes.h"
#include "edge/http/server.h"
#include "fmt/format.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/readiness.h"

namespace waybill::bench {
namespace {

constexpr std::string_view kPage =
    "# HELP lost_total Claims that were lost.\n"
    "# TYPE lost_total counter\n"
    "lost_total 41\n"
    "lost_total_of_others 7\n"
    "calls_total{code=\"OK\"} 3\n"
    "calls_total{code=\"so called\"} 1.5e1\n";

TEST(SideMetrics, FindsAMetricByItsWholeName) {
  EXPECT_EQ(*MetricOnPage(kPage, "lost_total"), 41);
  EXPECT_EQ(*MetricOnPage(kPage, "lost_total_of_others"), 7);
}

TEST(SideMetrics, AddsUpWhatIsCountedByLabel) { EXPECT_EQ(*MetricOnPage(kPage, "calls_total"), 18); }

TEST(SideMetrics, AMetricThatIsNotThereIsNoZero) {
  EXPECT_EQ(MetricOnPage(kPage, "lost").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MetricOnPage("", "lost_total").status().code(), absl::StatusCode::kNotFound);
}

TEST(SideMetrics, ReadsTheSidePortOfAService) {
  Metrics metrics;
  metrics.AddCounter("waybill_tries_total", "Tries.").Increment(5);
  const SystemClock clock;
  Readiness readiness(clock);
  const Logger log(LogFormat::kJson, LogLevel::kError, clock);
  auto port = http::Server::Start({}, metrics, log);
  ASSERT_TRUE(port.ok()) << port.status();
  http::AddProbes(**port, metrics, readiness);
  const std::string address = fmt::format("127.0.0.1:{}", (*port)->port());
  EXPECT_EQ(*ReadMetric(address, "waybill_tries_total"), 5);
  port->reset();
  EXPECT_EQ(ReadMetric(address, "waybill_tries_total").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReadMetric("nowhere", "waybill_tries_total").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace waybill::bench
