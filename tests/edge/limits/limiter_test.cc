#include "edge/limits/limiter.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "domain/reasons.h"
#include "edge/limits/gcra.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/scheduled_executor.h"
#include "storage/testing/fake_limit_store.h"
#include "tests/edge/limits/gated_store.h"

namespace waybill::limits {
namespace {

using storage::testing::FakeLimitStore;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

constexpr char kCreate[] = "waybill.order.v1.OrderService/CreateOrder";
constexpr char kGet[] = "waybill.order.v1.OrderService/GetOrder";

Rule RuleOf(const std::string& name, int64_t count, absl::Duration period, int64_t burst) {
  Rule rule;
  rule.name = name;
  rule.client = "*";
  rule.method = "*";
  rule.rate = {count, period, burst};
  return rule;
}

class LimiterTest : public ::testing::Test {
 protected:
  LimiterTest() { limiter_.Start(loops_); }

  // The verdict, waited for if it has to be.
  Verdict Call(const std::string& client = "shop", const std::string& method = kCreate) {
    std::optional<Verdict> verdict;
    std::optional<Verdict> now =
        limiter_.Admit(method, client, [&verdict](Verdict later) { verdict = std::move(later); });
    if (now) return *std::move(now);
    time_.Advance(absl::ZeroDuration());
    EXPECT_TRUE(verdict.has_value());
    return verdict.value_or(Verdict());
  }
  // How many of so many calls pass.
  int Passing(int calls, const std::string& client = "shop", const std::string& method = kCreate) {
    int passing = 0;
    for (int i = 0; i < calls; ++i) passing += Call(client, method).status.ok() ? 1 : 0;
    return passing;
  }
  double Counted(const std::string& name, const std::string& rule) {
    for (const auto& family : metrics_.Collect()) {
      if (family.name != name) continue;
      for (const auto& metric : family.metric) {
        if (!metric.label.empty() && metric.label.back().value == rule) return metric.counter.value;
      }
    }
    return -1;
  }

  testing::ManualTime time_;
  FakeLimitStore store_{time_};
  const testing::ScheduledLoops loops_{time_, time_, [] { return absl::ZeroDuration(); }};
  Metrics metrics_;
  Limiter limiter_{store_, time_, metrics_};
};

TEST_F(LimiterTest, WithoutRulesEverybodyPassesAndNobodyIsAsked) {
  EXPECT_EQ(Passing(100), 100);
  EXPECT_EQ(store_.asked(), 0);
  EXPECT_EQ(Call().rule, nullptr);
}

TEST_F(LimiterTest, ABurstPassesAndThenOnlyTheRate) {
  limiter_.Use({RuleOf("orders", 10, absl::Seconds(1), 3)});
  EXPECT_EQ(Passing(5), 3);
  time_.Advance(absl::Milliseconds(99));
  EXPECT_EQ(Passing(1), 0);
  time_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Passing(2), 1);
  time_.Advance(absl::Seconds(10));
  EXPECT_EQ(Passing(5), 3);
}

TEST_F(LimiterTest, WhoIsRefusedIsToldWhyAndHowLong) {
  limiter_.Use({RuleOf("orders", 1, absl::Seconds(10), 1)});
  EXPECT_TRUE(Call().status.ok());
  time_.Advance(absl::Seconds(4));
  const Verdict verdict = Call();
  EXPECT_EQ(verdict.status.code(), absl::StatusCode::kResourceExhausted);
  const ErrorDetail detail = GetErrorDetail(verdict.status);
  EXPECT_EQ(detail.reason, "RATE_LIMITED");
  EXPECT_THAT(detail.metadata, ElementsAre(Pair("rule", "orders")));
  EXPECT_THAT(detail.quotas, ElementsAre(Pair("client:shop", "orders: 1 per 10s, burst 1")));
  EXPECT_EQ(detail.retry_after, absl::Seconds(6));
  EXPECT_EQ(RateLimitField(verdict), "\"orders\";r=0;t=6");
  EXPECT_EQ(RateLimitPolicyField(verdict), "\"orders\";q=1;w=10");
  EXPECT_EQ(Counted("waybill_limit_refused_total", "orders"), 1);
}

TEST_F(LimiterTest, WhoIsRefusedIsNotAskedForAgainBeforeThereCanBeMore) {
  limiter_.Use({RuleOf("orders", 1, absl::Seconds(10), 1)});
  EXPECT_EQ(Passing(1'000), 1);
  EXPECT_LE(store_.asked(), 3);
}

TEST_F(LimiterTest, EachClientHasItsOwn) {
  limiter_.Use({RuleOf("orders", 10, absl::Seconds(1), 3)});
  EXPECT_EQ(Passing(5, "shop"), 3);
  EXPECT_EQ(Passing(5, "kiosk"), 3);
  EXPECT_EQ(Passing(5, ""), 3);
}

TEST_F(LimiterTest, AllRulesAboutACallHaveToLetItPass) {
  Rule creating = RuleOf("creating", 2, absl::Seconds(1), 2);
  creating.method = kCreate;
  limiter_.Use({RuleOf("all", 5, absl::Seconds(1), 5), creating});
  EXPECT_EQ(Passing(4, "shop", kCreate), 2);
  // The call that found out has lost one of the other's: bursts of 5 lease nothing. The next one did not.
  EXPECT_EQ(Passing(4, "shop", kGet), 2);
}

TEST_F(LimiterTest, WhoIsOverOneRuleUsesNothingOfTheOthersThatStandBeforeIt) {
  limiter_.Use({RuleOf("quota", 10, absl::Hours(24), 10), RuleOf("rate", 1, absl::Seconds(1), 1)});
  int passed = 0;
  for (int second = 0; second < 9; ++second) {
    passed += Passing(50);
    time_.Advance(absl::Seconds(1));
  }
  EXPECT_GE(passed, 5) << "of the ten of a day; only the first refusal of a second finds out";
}

TEST_F(LimiterTest, WhatOneRuleRefusesIsGivenBackToTheOther) {
  Rule creating = RuleOf("creating", 1, absl::Hours(1), 1);
  creating.method = kCreate;
  limiter_.Use({RuleOf("all", 100, absl::Hours(1), 100), creating});
  EXPECT_EQ(Passing(50, "shop", kCreate), 1);
  EXPECT_EQ(Passing(200, "shop", kGet), 98);  // one is spent, one kept back for leases
}

TEST_F(LimiterTest, ARuleForAClientTakesThePlaceOfThatForAll) {
  Rule shop = RuleOf("shop", 7, absl::Seconds(1), 7);
  shop.client = "shop";
  Rule creating = RuleOf("creating", 2, absl::Seconds(1), 2);
  creating.method = kCreate;
  limiter_.Use({RuleOf("all", 3, absl::Seconds(1), 3), shop, creating});
  EXPECT_EQ(Passing(10, "kiosk", kGet), 3);
  EXPECT_EQ(Passing(10, "shop", kGet), 7);
  time_.Advance(absl::Seconds(10));
  EXPECT_EQ(Passing(10, "shop", kCreate), 2);  // that one is of another method, and stays
}

TEST_F(LimiterTest, AShadowRuleOnlyCounts) {
  Rule rule = RuleOf("orders", 10, absl::Seconds(1), 3);
  rule.shadow = true;
  limiter_.Use({rule});
  EXPECT_EQ(Passing(5), 5);
  time_.Advance(absl::ZeroDuration());
  EXPECT_EQ(Passing(5), 5);
  time_.Advance(absl::ZeroDuration());
  EXPECT_EQ(Counted("waybill_limit_shadow_total", "orders"), 7);
  EXPECT_EQ(Counted("waybill_limit_refused_total", "orders"), 0);
  EXPECT_EQ(Counted("waybill_limit_waits_total", ""), -1);
}

TEST_F(LimiterTest, CallsThatComeOftenHardlyWait) {
  limiter_.Use({RuleOf("orders", 6'000, absl::Seconds(1), 6'000)});
  int waited = 0;
  for (int i = 0; i < 10'000; ++i) {  // 5,000 a second
    std::optional<Verdict> verdict = limiter_.Admit(kCreate, "shop", [](const Verdict&) {});
    waited += verdict ? 0 : 1;
    time_.Advance(absl::Microseconds(200));
  }
  EXPECT_LE(waited, 20);
  EXPECT_LE(store_.asked(), 200);  // about one in 25 ms
  EXPECT_LE(store_.granted(), 10'500);
}

TEST_F(LimiterTest, WhoCallsRarelyIsGrantedNoMoreThanItUses) {
  limiter_.Use({RuleOf("orders", 1'000, absl::Seconds(1), 1'000)});
  for (int i = 0; i < 50; ++i) {
    EXPECT_TRUE(Call().status.ok());
    time_.Advance(absl::Seconds(1));
  }
  EXPECT_LE(store_.granted(), 52);
}

// Two replicas, and callers in bursts: what passes, whenever it is spent, is within the bound in every window; and it
// is most of what passes one limiter who sees every call, although these callers pause all of the time, which lets go
// what was leased for them.
TEST_F(LimiterTest, TheBoundHoldsInEveryWindowOverReplicas) {
  Limiter other(store_, time_, metrics_);
  other.Start(loops_);
  struct Case {
    int64_t count, burst;
  };
  int number = 0;
  for (const auto& [count, burst] : {Case{1'000, 1'000}, {1'000, 100}, {100, 20}, {200, 5}, {50, 1}}) {
    const std::vector<Rule> rules = {RuleOf("rule-" + std::to_string(++number), count, absl::Seconds(1), burst)};
    limiter_.Use(rules);
    other.Use(rules);
    SeededRandom random(static_cast<uint64_t>(number));
    const SteadyTime start = time_.Steady();
    std::vector<SteadyTime> passed;
    Gcra all_seeing;
    int64_t may_pass = 0;
    while (time_.Steady() < start + absl::Seconds(10)) {
      Limiter& one = random.Next() % 2 == 0 ? limiter_ : other;
      const auto note = [&](const Verdict& verdict) {
        if (verdict.status.ok()) passed.push_back(time_.Steady());
      };
      if (all_seeing.Take(rules[0].rate, time_.Steady()) == absl::ZeroDuration()) ++may_pass;
      if (std::optional<Verdict> now = one.Admit(kCreate, "shop", note)) note(*now);
      time_.Advance(absl::Microseconds(static_cast<int64_t>(random.Next() % (random.Next() % 50 == 0 ? 40'000 : 600))));
    }
    const absl::Duration cell = absl::Seconds(1) / count;
    absl::Duration worst = -absl::InfiniteDuration();  // above what is allowed, in time
    SteadyTime arrival = SteadyTime::InfinitePast();
    for (const SteadyTime at : passed) {
      arrival = std::max(arrival, at) + cell;
      worst = std::max(worst, arrival - at - cell * burst);
    }
    EXPECT_LE(worst, absl::Microseconds(1)) << count << " per second, burst " << burst;
    EXPECT_GE(static_cast<double>(passed.size()), 0.9 * static_cast<double>(may_pass))
        << count << " per second, burst " << burst;
  }
}

TEST_F(LimiterTest, WhileTheStoreIsAwayAnOpenRuleHoldsByItself) {
  limiter_.Use({RuleOf("orders", 10, absl::Seconds(1), 3)});
  store_.set_error(domain::ReasonError("STORE_UNAVAILABLE", "gone"));
  EXPECT_EQ(Passing(5), 3);
  time_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(Passing(5), 1);
  EXPECT_LE(store_.asked(), 2);
  store_.set_error(absl::OkStatus());
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(Passing(5), 3);
  EXPECT_EQ(Passing(5, "kiosk"), 3);
  EXPECT_GT(store_.granted(), 0);
}

TEST_F(LimiterTest, WhileTheStoreIsAwayAClosedRuleLetsNobodyPass) {
  Rule rule = RuleOf("orders", 10, absl::Seconds(1), 3);
  rule.open_when_away = false;
  limiter_.Use({rule});
  store_.set_error(domain::ReasonError("STORE_UNAVAILABLE", "gone"));
  const Verdict verdict = Call();
  EXPECT_EQ(verdict.status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(GetErrorDetail(verdict.status).reason, "STORE_UNAVAILABLE");
  EXPECT_THAT(GetErrorDetail(verdict.status).metadata, ElementsAre(Pair("rule", "orders")));
  EXPECT_GT(GetErrorDetail(verdict.status).retry_after, absl::ZeroDuration());
  store_.set_error(absl::OkStatus());
  time_.Advance(absl::Seconds(1));
  EXPECT_TRUE(Call().status.ok());
}

TEST_F(LimiterTest, TheStoreIsFoundAgainWithoutCalls) {
  limiter_.Use({RuleOf("orders", 10, absl::Seconds(1), 3)});
  store_.set_error(domain::ReasonError("STORE_UNAVAILABLE", "gone"));
  Call();
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_limit_store_away 1\n"));
  store_.set_error(absl::OkStatus());
  time_.Advance(absl::Seconds(1));
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_limit_store_away 0\n"));
}

TEST_F(LimiterTest, RulesChangeWhileCallsWait) {
  limiter_.Use({RuleOf("orders", 10, absl::Seconds(1), 3)});
  std::optional<Verdict> verdict;
  EXPECT_FALSE(limiter_.Admit(kCreate, "shop", [&](Verdict later) { verdict = std::move(later); }).has_value());
  limiter_.Use({RuleOf("orders", 10, absl::Seconds(1), 5)});
  time_.Advance(absl::ZeroDuration());
  ASSERT_TRUE(verdict.has_value());
  EXPECT_TRUE(verdict->status.ok());
  EXPECT_EQ(Passing(10), 4);  // what was used is remembered under the rule's name
  limiter_.Use({});
  EXPECT_EQ(Passing(10), 10);
}

TEST_F(LimiterTest, ForgettingClientsForgetsNothingOfWhatTheyUsed) {
  LimiterOptions options;
  options.clients_max = 2;
  Limiter limiter(store_, time_, metrics_, options);
  limiter.Start(loops_);
  limiter.Use({RuleOf("orders", 1, absl::Hours(1), 1)});
  int passed = 0;
  for (int round = 0; round < 3; ++round) {
    for (const char* client : {"a", "b", "c", "d", "e"}) {
      const auto note = [&](const Verdict& verdict) { passed += verdict.status.ok() ? 1 : 0; };
      if (std::optional<Verdict> now = limiter.Admit(kCreate, client, note)) note(*now);
      time_.Advance(absl::ZeroDuration());
    }
  }
  EXPECT_EQ(passed, 5);
}

TEST(LimiterThreadsTest, NobodyWaitsForAStoreThatHangs) {
  const SystemClock clock;
  const ThreadLoops loops;
  GatedStore store(clock);
  store.Close();
  Metrics metrics;
  LimiterOptions options;
  options.wait_max = absl::Milliseconds(20);
  Limiter limiter(store, clock, metrics, options);
  limiter.Start(loops);
  Rule closed = RuleOf("closed", 1, absl::Hours(1), 1);
  closed.method = kGet;
  closed.open_when_away = false;
  limiter.Use({RuleOf("orders", 1, absl::Hours(1), 1), closed});
  std::promise<Verdict> create, get;
  EXPECT_FALSE(limiter.Admit(kCreate, "shop", [&](Verdict verdict) { create.set_value(std::move(verdict)); }));
  EXPECT_FALSE(limiter.Admit(kGet, "kiosk", [&](Verdict verdict) { get.set_value(std::move(verdict)); }));
  EXPECT_TRUE(create.get_future().get().status.ok());
  EXPECT_EQ(get.get_future().get().status.code(), absl::StatusCode::kUnavailable);
  // From now on it counts as away, so that nobody waits at all.
  EXPECT_TRUE(limiter.Admit(kCreate, "other", nullptr).has_value());
  store.Open();
  limiter.Stop();
}

TEST(LimiterThreadsTest, StoppingTellsThoseThatWait) {
  const SystemClock clock;
  const ThreadLoops loops;
  GatedStore store(clock);
  store.Close();
  Metrics metrics;
  LimiterOptions options;
  options.wait_max = absl::Hours(1);
  Limiter limiter(store, clock, metrics, options);
  limiter.Start(loops);
  limiter.Use({RuleOf("first", 1, absl::Hours(1), 1), RuleOf("second", 1, absl::Hours(1), 1)});
  std::promise<Verdict> told;
  EXPECT_FALSE(limiter.Admit(kCreate, "shop", [&](Verdict verdict) { told.set_value(std::move(verdict)); }));
  std::future<void> stopped = std::async(std::launch::async, [&] { limiter.Stop(); });
  store.Open();
  EXPECT_TRUE(told.get_future().get().status.ok());
  stopped.get();
  EXPECT_TRUE(limiter.Admit(kCreate, "other", nullptr).has_value());
}

// Threads that call, a store that is there and away in turns, and rules that change: everybody is told once.
TEST(LimiterThreadsTest, EverybodyIsToldOnce) {
  constexpr int kThreads = 3, kCalls = 3'000;
  const SystemClock clock;
  const ThreadLoops loops;
  FakeLimitStore store(clock);
  Metrics metrics;
  LimiterOptions options;
  options.wait_max = absl::Milliseconds(2);
  options.retry_store = absl::Milliseconds(1);
  Limiter limiter(store, clock, metrics, options);
  limiter.Start(loops);
  const std::vector<Rule> rules = {RuleOf("one", 5'000, absl::Seconds(1), 100),
                                   RuleOf("two", 5'000, absl::Seconds(1), 7)};
  limiter.Use(rules);
  std::atomic<int> told{0};
  std::vector<std::future<void>> callers;
  for (int t = 0; t < kThreads; ++t) {
    callers.push_back(std::async(std::launch::async, [&, t] {
      for (int i = 0; i < kCalls; ++i) {
        if (limiter.Admit(kCreate, i % 5 == 0 ? "shop" : "kiosk", [&](const Verdict&) { ++told; })) ++told;
        if (i % 500 != 0) continue;
        store.set_error(i % 1'000 == 0 ? domain::ReasonError("STORE_UNAVAILABLE", "gone") : absl::OkStatus());
        if (t == 0) limiter.Use(rules);
      }
    }));
  }
  for (auto& caller : callers) caller.get();
  limiter.Stop();
  EXPECT_EQ(told, kThreads * kCalls);
}

TEST(LimiterThreadsTest, DISABLED_CostOfACall) {
  constexpr int kCalls = 1'000'000;
  const SystemClock clock;
  const ThreadLoops loops;
  FakeLimitStore store(clock);
  Metrics metrics;
  Limiter limiter(store, clock, metrics);
  limiter.Start(loops);
  Rule creating = RuleOf("creating", 100'000'000, absl::Seconds(1), 100'000'000);
  creating.method = kCreate;
  const Rule all = RuleOf("all", 100'000'000, absl::Seconds(1), 100'000'000);
  for (const std::vector<Rule>& rules : {std::vector<Rule>(), {all}, {all, creating}}) {
    limiter.Use(rules);
    int waited = 0;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kCalls; ++i) waited += limiter.Admit(kCreate, "shop", [](const Verdict&) {}) ? 0 : 1;
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    std::printf("%zu rules: %.2f us a call, %d waited\n", rules.size(), took.count() / kCalls, waited);
  }
}

}  // namespace
}  // namespace waybill::limits
