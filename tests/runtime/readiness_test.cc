#include "runtime/readiness.h"

#include <atomic>
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

constexpr absl::Duration kLong = absl::Minutes(5);  // no test waits that long

TEST(Readiness, IsReadyWithoutChecks) {
  testing::ManualTime time;
  Readiness readiness(time);
  EXPECT_TRUE(readiness.Get().ready);
}

TEST(Readiness, OneFailingCheckMakesTheWholeNotReadyAndIsNamed) {
  testing::ManualTime time;
  Readiness readiness(time);
  readiness.Add("postgres", kLong, [] { return absl::OkStatus(); });
  readiness.Add("redis", kLong, [] { return absl::UnavailableError("connection refused"); });
  Readiness::Report report = readiness.Get();
  EXPECT_FALSE(report.ready);
  ASSERT_EQ(report.checks.size(), 2);
  EXPECT_EQ(report.checks[0].name, "postgres");
  EXPECT_TRUE(report.checks[0].status.ok());
  EXPECT_EQ(report.checks[1].name, "redis");
  EXPECT_EQ(report.checks[1].status, absl::UnavailableError("connection refused"));
}

TEST(Readiness, ResultIsReusedUntilTheCacheTimeIsOver) {
  testing::ManualTime time;
  Readiness readiness(time, absl::Seconds(1));
  std::atomic<int> runs = 0;
  std::atomic<bool> up = true;
  readiness.Add("postgres", kLong, [&] {
    ++runs;
    return up ? absl::OkStatus() : absl::UnavailableError("down");
  });
  EXPECT_TRUE(readiness.Get().ready);
  up = false;
  time.Advance(absl::Milliseconds(999));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(readiness.Get().ready);
  EXPECT_EQ(runs, 1);
  time.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(readiness.Get().ready);
  EXPECT_EQ(runs, 2);
  up = true;
  time.Advance(absl::Seconds(1));
  EXPECT_TRUE(readiness.Get().ready) << "recovers by itself";
}

TEST(Readiness, ACachedResultEndsWhenTheWallClockIsSetBack) {
  testing::ManualTime time;
  Readiness readiness(time, absl::Seconds(1));
  std::atomic<bool> up = true;
  readiness.Add("postgres", kLong, [&] { return up ? absl::OkStatus() : absl::UnavailableError("down"); });
  EXPECT_TRUE(readiness.Get().ready);
  up = false;
  time.SetWall(time.Now() - absl::Hours(1));
  time.Advance(absl::Seconds(1));
  EXPECT_FALSE(readiness.Get().ready);
}

TEST(Readiness, ConcurrentProbesShareOneRun) {
  testing::ManualTime time;
  Readiness readiness(time);
  std::atomic<int> runs = 0;
  std::latch let_go{1};
  readiness.Add("postgres", kLong, [&] {
    ++runs;
    let_go.wait();
    return absl::OkStatus();
  });
  std::vector<std::thread> probes;
  std::latch probing(8);
  std::atomic<int> ready = 0;
  for (int i = 0; i < 8; ++i) {
    probes.emplace_back([&] {
      probing.count_down();
      ready += readiness.Get().ready;
    });
  }
  probing.wait();
  let_go.count_down();
  for (std::thread& probe : probes) probe.join();
  EXPECT_EQ(ready, 8);
  EXPECT_EQ(runs, 1);
}

TEST(Readiness, HangingCheckTimesOutWhileOthersStillAnswer) {
  testing::ManualTime time;
  std::latch let_go{1};
  std::atomic<int> runs = 0;
  Readiness readiness(time);
  readiness.Add("postgres", absl::Milliseconds(1), [&] {
    ++runs;
    let_go.wait();
    return absl::OkStatus();
  });
  readiness.Add("redis", kLong, [] { return absl::OkStatus(); });
  for (int i = 0; i < 3; ++i) {
    Readiness::Report report = readiness.Get();
    EXPECT_FALSE(report.ready);
    EXPECT_EQ(report.checks[0].status, absl::DeadlineExceededError("timed out after 1ms"));
    EXPECT_TRUE(report.checks[1].status.ok());
    time.Advance(absl::Seconds(2));
  }
  EXPECT_LE(runs, 1) << "a check that hangs is not started again";
  let_go.count_down();
  while (!readiness.Get().ready) std::this_thread::yield();  // back by itself once the check answers
}

TEST(Readiness, DrainingIsNotReadyWhateverTheChecksSay) {
  testing::ManualTime time;
  Readiness readiness(time);
  std::atomic<int> runs = 0;
  readiness.Add("postgres", kLong, [&] {
    ++runs;
    return absl::OkStatus();
  });
  readiness.SetDraining();
  Readiness::Report report = readiness.Get();
  EXPECT_FALSE(report.ready);
  EXPECT_TRUE(report.draining);
  EXPECT_EQ(runs, 0);
}

TEST(Readiness, DrainingReleasesAProbeThatWaits) {
  testing::ManualTime time;
  std::latch started{1}, let_go{1};
  Readiness readiness(time);
  readiness.Add("postgres", kLong, [&] {
    started.count_down();
    let_go.wait();
    return absl::OkStatus();
  });
  std::thread probe([&] { EXPECT_TRUE(readiness.Get().draining); });
  started.wait();
  readiness.SetDraining();
  probe.join();
  let_go.count_down();
}

TEST(Readiness, IsAMetric) {
  testing::ManualTime time;
  Metrics metrics;
  Readiness readiness(time);
  readiness.Add("postgres", kLong, [] { return absl::OkStatus(); });
  readiness.Add("redis", kLong, [] { return absl::UnavailableError("down"); });
  AddReadinessMetrics(metrics, readiness);
  std::string text = metrics.ToText();
  EXPECT_THAT(text, HasSubstr("waybill_ready 0\n"));
  EXPECT_THAT(text, HasSubstr("waybill_ready_check{check=\"postgres\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("waybill_ready_check{check=\"redis\"} 0\n"));
  readiness.SetDraining();
  EXPECT_THAT(metrics.ToText(), HasSubstr("waybill_ready 0\n"));
}

}  // namespace
}  // namespace waybill
