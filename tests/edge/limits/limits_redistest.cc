// The limiter over a real Redis: exact over replicas that race, and what happens while Redis is away.
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge/limits/limiter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "runtime/status.h"
#include "storage/redis/redis_limit_store.h"
#include "tests/support/eventually.h"
#include "tests/support/redis.h"

namespace waybill::limits {
namespace {

using storage::CellGrant;
using storage::CellRate;
using storage::RedisLimitStore;
using storage::RedisOptions;
using storage::RedisUrl;
using waybill::testing::Eventually;
using waybill::testing::RedisCommand;
using waybill::testing::RedisServer;
using waybill::testing::TestRedis;

constexpr char kMethod[] = "waybill.order.v1.OrderService/CreateOrder";

Rule RuleOf(const std::string& name, const CellRate& rate) {
  Rule rule;
  rule.name = name;
  rule.client = "*";
  rule.method = "*";
  rule.rate = rate;
  return rule;
}

class Replica {
 public:
  explicit Replica(const std::string& url) : store_(RedisUrl::Parse(url).value(), RedisOptions()) {
    limiter_.Start(loops_);
  }

  Limiter& limiter() { return limiter_; }
  Verdict Call(const std::string& client = "shop") {
    std::promise<Verdict> told;
    std::optional<Verdict> now =
        limiter_.Admit(kMethod, client, [&](Verdict verdict) { told.set_value(std::move(verdict)); });
    return now ? *std::move(now) : told.get_future().get();
  }
  int Passing(int calls, const std::string& client = "shop") {
    int passing = 0;
    for (int i = 0; i < calls; ++i) passing += Call(client).status.ok() ? 1 : 0;
    return passing;
  }

 private:
  const SystemClock clock_;
  const ThreadLoops loops_;
  Metrics metrics_;
  RedisLimitStore store_;
  // Patient, so that a busy machine is not taken for a Redis that is away.
  Limiter limiter_{store_, clock_, metrics_, {absl::Seconds(10)}};
};

class LimitStoreTest : public ::testing::Test {
 protected:
  CellGrant Take(const CellRate& rate, int64_t cells, const std::string& key = "rule:shop") {
    auto grants = store_.Take({{key, rate, cells}});
    EXPECT_TRUE(grants.ok()) << grants.status();
    return grants.ok() ? grants->front() : CellGrant();
  }

  TestRedis redis_;
  RedisLimitStore store_{RedisUrl::Parse(redis_.url()).value(), RedisOptions()};
};

TEST_F(LimitStoreTest, GrantsABurstAndSaysWhenThereIsMore) {
  const CellRate rate{1, absl::Hours(1), 5};
  CellGrant grant = Take(rate, 3);
  EXPECT_EQ(grant.granted, 3);
  EXPECT_EQ(grant.left, 2);
  EXPECT_EQ(grant.next, absl::ZeroDuration());
  EXPECT_EQ(grant.whole, absl::Hours(3));
  grant = Take(rate, 3);
  EXPECT_EQ(grant.granted, 2);
  EXPECT_EQ(grant.left, 0);
  EXPECT_GT(grant.next, absl::Minutes(59));
  EXPECT_LE(grant.next, absl::Hours(1));
  EXPECT_EQ(Take(rate, 1).granted, 0);
  EXPECT_EQ(Take(rate, 1, "rule:kiosk").granted, 1);
}

TEST_F(LimitStoreTest, AsksAboutManyAtOnceInTheirOrder) {
  std::vector<storage::CellRequest> requests;
  for (int i = 0; i < 200; ++i) requests.push_back({"rule:" + std::to_string(i), {1, absl::Hours(1), 300}, i});
  const auto grants = store_.Take(requests);
  ASSERT_TRUE(grants.ok()) << grants.status();
  ASSERT_EQ(grants->size(), requests.size());
  for (size_t i = 0; i < grants->size(); ++i) EXPECT_EQ((*grants)[i].granted, static_cast<int64_t>(i));
  EXPECT_TRUE(store_.Take({}).ok());
}

TEST_F(LimitStoreTest, TheLargestRatesAreExact) {
  for (const CellRate& rate : {CellRate{1'000'000, absl::Hours(24 * 366), 1'000'000},
                               {3, absl::Hours(24 * 366), 7},
                               {999'983, absl::Hours(24 * 300), 999'983}}) {
    const std::string key = "rule:" + std::to_string(rate.count);
    EXPECT_EQ(Take(rate, rate.burst - 1, key).granted, rate.burst - 1);
    EXPECT_EQ(Take(rate, 2, key).granted, 1);
    EXPECT_EQ(Take(rate, 1, key).granted, 0);
  }
}

// A clock that was set back, or a rule that was made narrower: a client waits no longer than its burst takes.
TEST_F(LimitStoreTest, WhatLiesTooFarAheadCountsAsTheBurst) {
  const CellRate rate{1, absl::Seconds(1), 2};
  ASSERT_TRUE(RedisCommand(redis_.url(), {"SET", "waybill:limit:rule:shop", "9000000000000000"}).ok());
  const CellGrant grant = Take(rate, 1);
  EXPECT_EQ(grant.granted, 0);
  EXPECT_LE(grant.next, absl::Seconds(1));
  const auto kept = RedisCommand(redis_.url(), {"PTTL", "waybill:limit:rule:shop"});
  ASSERT_TRUE(kept.ok());
  EXPECT_LE(std::stoll(*kept), 2'000) << "and not until the clock has come there";
  ASSERT_TRUE(RedisCommand(redis_.url(), {"SET", "waybill:limit:rule:shop", "what is this"}).ok());
  EXPECT_EQ(Take(rate, 1).granted, 1);
}

TEST_F(LimitStoreTest, AKeyGoesWhenItSaysNothingMore) {
  Take({1, absl::Seconds(100), 5}, 2);
  const auto left = RedisCommand(redis_.url(), {"PTTL", "waybill:limit:rule:shop"});
  ASSERT_TRUE(left.ok());
  EXPECT_GT(std::stoll(*left), 190'000);
  EXPECT_LE(std::stoll(*left), 200'000);
}

TEST_F(LimitStoreTest, AServerThatHasForgottenTheScriptIsSentIt) {
  EXPECT_EQ(Take({1, absl::Hours(1), 5}, 1).granted, 1);
  ASSERT_TRUE(RedisCommand(redis_.url(), {"SCRIPT", "FLUSH"}).ok());
  EXPECT_EQ(Take({1, absl::Hours(1), 5}, 5).granted, 4);
}

// A key is granted by one script, on one clock: however many race, in no window is more granted than the rule says.
// Here the window is all of the time since before the first call, by a clock that runs alike.
TEST(LimitsRedisTest, ReplicasThatRaceGetWhatTheRuleSaysAndNotMore) {
  struct Case {
    CellRate rate;
    absl::Duration time;
    double least;  // of what is allowed
  };
  for (const auto& [rate, time, least] : {Case{{2'000, absl::Seconds(1), 400}, absl::Seconds(2), 0.9},
                                          Case{{50, absl::Seconds(1), 3}, absl::Seconds(2), 0.9},
                                          Case{{1, absl::Hours(1), 500}, absl::Milliseconds(300), 0.95}}) {
    const TestRedis redis;
    Replica first(redis.url()), second(redis.url());
    const std::vector<Rule> rules = {RuleOf("race", rate)};
    for (Replica* replica : {&first, &second}) replica->limiter().Use(rules);
    const SystemClock clock;
    const SteadyTime start = clock.Steady();
    std::atomic<int64_t> passed{0};
    std::vector<std::future<void>> callers;
    for (Replica* replica : {&first, &second, &first, &second}) {
      callers.push_back(std::async(std::launch::async, [&, replica, end = start + time] {
        while (clock.Steady() < end) {
          const Verdict verdict = replica->Call();
          if (verdict.status.ok()) {
            ++passed;
          } else {
            EXPECT_EQ(GetErrorDetail(verdict.status).reason, "RATE_LIMITED") << verdict.status;
            absl::SleepFor(std::min(GetErrorDetail(verdict.status).retry_after, absl::Milliseconds(5)));
          }
        }
      }));
    }
    for (auto& caller : callers) caller.get();
    const absl::Duration took = clock.Steady() - start;
    const double allowed =
        static_cast<double>(rate.burst) + static_cast<double>(rate.count) * absl::FDivDuration(took, rate.period);
    EXPECT_LE(static_cast<double>(passed), allowed) << Describe(rate);
    EXPECT_GE(static_cast<double>(passed),
              least * (static_cast<double>(rate.burst) +
                       static_cast<double>(rate.count) * absl::FDivDuration(time, rate.period)))
        << Describe(rate);
  }
}

TEST(LimitsRedisTest, WithoutRedisEachRuleDoesWhatItSaysAndIsExactAgainAfterwards) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  Rule open = RuleOf("open", {1, absl::Hours(1), 4});
  open.client = "shop";
  Rule closed = RuleOf("closed", {1, absl::Hours(1), 4});
  closed.client = "kiosk";
  closed.open_when_away = false;
  Rule shadow = RuleOf("shadow", {1, absl::Hours(1), 4});
  shadow.client = "stall";
  shadow.shadow = true;
  Replica replica((*redis)->Url());
  replica.limiter().Use({open, closed, shadow});
  EXPECT_EQ(replica.Passing(1, "shop"), 1);
  EXPECT_EQ(replica.Passing(1, "kiosk"), 1);

  (*redis)->Kill();
  EXPECT_TRUE(Eventually(absl::Seconds(10),
                         [&] { return replica.Call("kiosk").status.code() == absl::StatusCode::kUnavailable; }));
  EXPECT_EQ(replica.Passing(20, "shop"), 4);  // by the same rate, on this replica alone
  EXPECT_EQ(replica.Passing(20, "kiosk"), 0);
  EXPECT_EQ(replica.Passing(20, "stall"), 20);

  ASSERT_TRUE((*redis)->StartAgain().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return replica.Call("kiosk").status.ok(); }));
  EXPECT_EQ(replica.Passing(20, "kiosk"), 3);  // it came back empty
  EXPECT_EQ(replica.Passing(20, "shop"), 4);
}

}  // namespace
}  // namespace waybill::limits
