#include "runtime/readiness.h"

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kRequired = Readiness::Severity::kRequired;
constexpr auto kDegraded = Readiness::Severity::kDegraded;
constexpr absl::Duration kLong = absl::Minutes(5);

class ReadinessTest : public ::testing::Test {
 protected:
  // Checks run again and again: sooner or later the report is as it should be, or the test hangs.
  Readiness::Report Await(const std::function<bool(const Readiness::Report&)>& expected) {
    while (true) {
      Readiness::Report report = readiness_.Get();
      if (expected(report)) return report;
      std::this_thread::yield();
    }
  }
  Readiness::Report AwaitChecked() {
    return Await([](const Readiness::Report& report) {
      for (const auto& check : report.checks) {
        if (check.status.message() == "not checked yet") return false;
      }
      return true;
    });
  }

  testing::ManualTime time_;
  std::latch let_go_{1};  // outlives the checks that wait for it
  Readiness readiness_{time_, absl::Milliseconds(1)};
};

TEST_F(ReadinessTest, IsReadyWithoutChecks) {
  EXPECT_TRUE(readiness_.Get().ready);
  EXPECT_FALSE(readiness_.Get().degraded);
}

TEST_F(ReadinessTest, WhatStartsIsNotReadyUntilItServes) {
  readiness_.Add("postgres", kRequired, kLong, [] { return absl::OkStatus(); });
  readiness_.AwaitServing();
  Readiness::Report report = AwaitChecked();
  EXPECT_FALSE(report.ready);
  ASSERT_EQ(report.checks.size(), 2);
  EXPECT_TRUE(report.checks[0].status.ok());
  EXPECT_EQ(report.checks[1].name, "serving");
  EXPECT_TRUE(absl::IsUnavailable(report.checks[1].status));
  readiness_.SetServing();
  report = readiness_.Get();
  EXPECT_TRUE(report.ready);
  EXPECT_TRUE(report.checks[1].status.ok());
}

TEST_F(ReadinessTest, OneFailingRequiredCheckMakesTheWholeNotReadyAndIsNamed) {
  readiness_.Add("postgres", kRequired, kLong, [] { return absl::OkStatus(); });
  readiness_.Add("redis", kRequired, kLong, [] { return absl::UnavailableError("connection refused"); });
  const Readiness::Report report = AwaitChecked();
  EXPECT_FALSE(report.ready);
  EXPECT_FALSE(report.degraded);
  ASSERT_EQ(report.checks.size(), 2);
  EXPECT_EQ(report.checks[0].name, "postgres");
  EXPECT_TRUE(report.checks[0].status.ok());
  EXPECT_EQ(report.checks[1].name, "redis");
  EXPECT_EQ(report.checks[1].status, absl::UnavailableError("connection refused"));
}

TEST_F(ReadinessTest, AFailingCheckThatServingCanDoWithoutOnlyDegrades) {
  readiness_.Add("postgres", kRequired, kLong, [] { return absl::OkStatus(); });
  readiness_.Add("redis", kDegraded, kLong, [] { return absl::UnavailableError("connection refused"); });
  const Readiness::Report report = AwaitChecked();
  EXPECT_TRUE(report.ready);
  EXPECT_TRUE(report.degraded);
  EXPECT_EQ(report.checks[1].severity, kDegraded);
}

TEST_F(ReadinessTest, IsNotReadyBeforeTheFirstResult) {
  readiness_.Add("postgres", kRequired, kLong, [&] {
    let_go_.wait();
    return absl::OkStatus();
  });
  EXPECT_FALSE(readiness_.Get().ready) << "and asking does not wait";
  EXPECT_EQ(readiness_.Get().checks[0].status.code(), absl::StatusCode::kUnavailable);
  let_go_.count_down();
  Await([](const auto& report) { return report.ready; });
}

TEST_F(ReadinessTest, FollowsWhatIsCheckedWithoutBeingAsked) {
  std::atomic<bool> up = true;
  std::atomic<int> runs = 0;
  readiness_.Add("postgres", kRequired, kLong, [&] {
    ++runs;
    return up ? absl::OkStatus() : absl::UnavailableError("down");
  });
  while (runs < 3) std::this_thread::yield();
  EXPECT_TRUE(readiness_.Get().ready);
  up = false;
  Await([](const auto& report) { return !report.ready; });
  up = true;
  Await([](const auto& report) { return report.ready; });
}

TEST_F(ReadinessTest, GoesOnWhenTheWallClockIsSetBack) {
  std::atomic<bool> up = true;
  readiness_.Add("postgres", kRequired, kLong, [&] { return up ? absl::OkStatus() : absl::UnavailableError("down"); });
  Await([](const auto& report) { return report.ready; });
  time_.SetWall(time_.Now() - absl::Hours(1));
  up = false;
  Await([](const auto& report) { return !report.ready; });
}

TEST_F(ReadinessTest, HangingCheckTimesOutWhileOthersStillAnswer) {
  std::atomic<int> runs = 0;
  std::latch hangs{1};
  readiness_.Add("postgres", kRequired, absl::Seconds(2), [&] {
    if (++runs == 1) {
      hangs.count_down();
      let_go_.wait();
    }
    return absl::OkStatus();
  });
  readiness_.Add("redis", kRequired, kLong, [] { return absl::OkStatus(); });
  hangs.wait();
  time_.Advance(absl::Seconds(2));
  const Readiness::Report report = Await([](const auto& seen) { return seen.checks[1].status.ok(); });
  EXPECT_FALSE(report.ready);
  EXPECT_EQ(report.checks[0].status, absl::DeadlineExceededError("timed out after 2s"));
  EXPECT_EQ(runs, 1) << "a check that hangs is not started again";
  let_go_.count_down();
  Await([](const auto& seen) { return seen.ready; });  // back by itself once the check answers
}

TEST_F(ReadinessTest, DrainingIsNotReadyWhateverTheChecksSay) {
  readiness_.Add("postgres", kRequired, kLong, [] { return absl::OkStatus(); });
  Await([](const auto& report) { return report.ready; });
  readiness_.SetDraining();
  const Readiness::Report report = readiness_.Get();
  EXPECT_FALSE(report.ready);
  EXPECT_TRUE(report.draining);
}

TEST_F(ReadinessTest, IsAMetric) {
  Metrics metrics;
  readiness_.Add("postgres", kRequired, kLong, [] { return absl::OkStatus(); });
  readiness_.Add("redis", kDegraded, kLong, [] { return absl::UnavailableError("down"); });
  AddReadinessMetrics(metrics, readiness_);
  AwaitChecked();
  std::string text = metrics.ToText();
  EXPECT_THAT(text, HasSubstr("waybill_ready 1\n"));
  EXPECT_THAT(text, HasSubstr("waybill_degraded 1\n"));
  EXPECT_THAT(text, HasSubstr("waybill_ready_check{check=\"postgres\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("waybill_ready_check{check=\"redis\"} 0\n"));
  readiness_.SetDraining();
  EXPECT_THAT(metrics.ToText(), HasSubstr("waybill_ready 0\n"));
  EXPECT_THAT(metrics.ToText(), Not(HasSubstr("waybill_ready_check{")));
}

TEST_F(ReadinessTest, AScrapeNeverWaitsForWhatIsChecked) {
  Metrics metrics;
  std::latch hangs{1};
  readiness_.Add("postgres", kRequired, kLong, [&] {
    hangs.count_down();
    let_go_.wait();
    return absl::OkStatus();
  });
  AddReadinessMetrics(metrics, readiness_);
  hangs.wait();
  EXPECT_THAT(metrics.ToText(), HasSubstr("waybill_ready 0\n")) << "or it hangs, since nobody lets the check go";
  let_go_.count_down();
}

}  // namespace
}  // namespace waybill
