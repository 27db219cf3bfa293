// kill -9 at every failpoint of waybill-ingest, under load; restart; clients go on from their last ack. Then every
// acked point is in history, once, and every driver's newest position is at hand.
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/failpoint.h"
#include "tests/e2e/fleet_client.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"

namespace waybill::testing {
namespace {

constexpr absl::Duration kLongEnough = absl::Seconds(60);

struct Kill {
  std::string failpoint;
  int hit = 1;
  std::string spec() const { return fmt::format("{}=kill@{}", failpoint, hit); }
};

std::vector<std::string> IngestFailpoints() {
  std::vector<std::string> names;
  for (std::string_view name : kFailpoints) {
    if (name.starts_with("ingest.")) names.emplace_back(name);
  }
  return names;
}

// In the middle of the load, where the place is hit again and again. The hot view is rebuilt once a start, and a
// partition made for each day that points come late from.
int HitUnderLoad(const std::string& failpoint) {
  if (failpoint == "ingest.before_rebuild") return 1;
  if (failpoint == "ingest.before_partition") return 3;
  return 12;
}

// Streams to a service that dies at `kills[0]`, then, restarted, at `kills[1]`, and so on. What went wrong.
std::vector<std::string> DieAt(const std::vector<Kill>& kills) {
  IngestStack stack;
  IngestReplica& replica = stack.AddReplica("a");
  std::vector<std::string> wrong;
  auto start = [&](const Environment& env) {
    replica.StartWithoutWaiting(env);
    replica.WaitForPorts();
  };
  auto die = [&](const Kill& kill) {
    const bool died = Eventually(kLongEnough, [&] { return !replica.running(); });
    const std::string output = replica.process().Output();
    if (!died) {
      wrong.push_back(kill.spec() + " never fired");
      replica.Kill();
    } else if (output.find("failpoint " + kill.failpoint + " hit") == std::string::npos) {
      wrong.push_back("died without " + kill.spec() + ": " + output);
    }
  };

  FleetLoadOptions load_options;
  load_options.clients = 3;
  load_options.late_days = {3, 5, 4, 6, 9, 8, 11, 12};
  // Where it serves has to be known before it dies at once; and an empty Redis has to be filled.
  replica.Start();
  replica.Kill();
  RedisCommand(stack.redis_url(), {"FLUSHDB"}).IgnoreError();
  start({{"WAYBILL_FAILPOINT", kills[0].spec()}});
  FleetLoad load(replica, load_options);
  for (size_t i = 0; i < kills.size(); ++i) {
    die(kills[i]);
    start(i + 1 < kills.size() ? Environment{{"WAYBILL_FAILPOINT", kills[i + 1].spec()}} : Environment{});
  }
  const int64_t before = load.acked();
  if (!Eventually(kLongEnough, [&] { return load.acked() >= before + 1'000; })) {
    wrong.push_back("the clients do not get on: " + replica.process().Output());
  }
  if (!load.Finish(kLongEnough)) wrong.push_back("not everything is acked");
  for (std::string& what : load.WrongIn(stack)) wrong.push_back(std::move(what));
  if (auto code = replica.Stop(); code != 0) wrong.push_back(fmt::format("exit code {}", code.value_or(-1)));
  std::string story;
  for (const Kill& kill : kills) story += kill.spec() + " ";
  for (std::string& what : wrong) what = fmt::format("[{}] {}", story, what);
  return wrong;
}

// Each scenario has its own processes and mostly waits, so several run at once.
void RunAll(const std::vector<std::vector<Kill>>& scenarios) {
  std::mutex mutex;
  std::vector<std::string> wrong;
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (size_t at; (at = next++) < scenarios.size();) {
        std::vector<std::string> found = DieAt(scenarios[at]);
        std::lock_guard lock(mutex);
        wrong.insert(wrong.end(), found.begin(), found.end());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& what : wrong) ADD_FAILURE() << what;
}

TEST(IngestCrash, AtEveryFailpoint) {
  ASSERT_TRUE(kFailpointsCompiledIn);
  ASSERT_FALSE(IngestFailpoints().empty());
  std::vector<std::vector<Kill>> scenarios;
  for (const std::string& failpoint : IngestFailpoints()) {
    scenarios.push_back({{failpoint, HitUnderLoad(failpoint)}});
    if (LongForms()) scenarios.push_back({{failpoint, 1}});
  }
  RunAll(scenarios);
}

TEST(IngestCrash, AtPairsOfFailpoints) {
  std::vector<std::vector<Kill>> scenarios;
  for (const std::string& first : IngestFailpoints()) {
    for (const std::string& second : IngestFailpoints()) {
      if (!LongForms() && !(first == "ingest.before_publish" && second == "ingest.after_commit")) continue;
      scenarios.push_back({{first, HitUnderLoad(first)}, {second, 1}});
    }
  }
  RunAll(scenarios);
}

// Nobody sends the point again, and the driver is not heard of any more: it was durable, and died on its way to Redis.
TEST(IngestCrash, WhatDiedOnItsWayToTheHotViewIsThereAfterTheRestart) {
  IngestStack stack;
  IngestReplica& replica = stack.AddReplica("a");
  replica.Start();
  ASSERT_TRUE(Eventually(kLongEnough, [&] { return replica.Metric("waybill_hot_view_rebuilds_total") >= 1; }));
  ASSERT_EQ(replica.Stop(), 0);
  replica.Start({{"WAYBILL_FAILPOINT", "ingest.before_publish=kill"}});
  location::v1::ReportLocationsRequest request;
  *request.add_points() = PointOf("last-seen", {52.5, 13.4}, absl::Now());
  location::v1::ReportLocationsResponse response;
  replica.Locations()->ReportLocations(Deadline(kLongEnough).get(), request, &response);
  ASSERT_EQ(replica.process().Wait(kLongEnough), 128 + SIGKILL);
  ASSERT_EQ(stack.StoredCount(), 1);
  replica.Start();
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return stack.HotTimes({"last-seen"}).size() == 1; }));
}

}  // namespace
}  // namespace waybill::testing
