// One question at a time over all replicas, each with a clock of its own, over a store that has one.
#include "services/order/gateway_prober.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"

namespace waybill::order {
namespace {

using storage::ProbeOutcome;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// As Postgres does it; `now` is the store's.
class FakeProbeStore final : public storage::GatewayProbeStore {
 public:
  absl::StatusOr<std::vector<storage::GatewayProbe>> Probes() override {
    ++reads;
    if (away) return absl::UnavailableError("away");
    std::vector<storage::GatewayProbe> probes;
    for (const auto& [name, row] : rows_) {
      storage::GatewayProbe probe = row.probe;
      probe.due_in = row.next_at - now;
      probe.age = now - probe.asked_at;
      probes.push_back(probe);
    }
    return probes;
  }
  absl::StatusOr<std::vector<Claim>> ClaimProbes(const std::vector<std::string>& gateways, const std::string& holder,
                                                 absl::Duration hold_for) override {
    if (away) return absl::UnavailableError("away");
    std::vector<Claim> claims;
    for (const std::string& gateway : gateways) {
      Row& row = rows_[gateway];
      if (now < row.next_at) continue;
      row.probe.gateway = gateway;
      row.probe.holder = holder;
      row.claimed_at = now;
      row.next_at = now + hold_for;
      claims.push_back({gateway, ++row.epoch});
    }
    if (on_claim) on_claim();
    return claims;
  }
  absl::Status Answered(const Claim& claim, const storage::ProbeAnswer& answer, absl::Duration pause) override {
    if (away) return absl::UnavailableError("away");
    Row& row = rows_[claim.gateway];
    if (row.epoch != claim.epoch) return absl::OkStatus();
    row.probe.answer = answer;
    row.probe.asked_at = row.claimed_at;
    row.next_at = now + pause;
    return absl::OkStatus();
  }

  absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  bool away = false;
  int reads = 0;
  std::function<void()> on_claim;

 private:
  struct Row {
    storage::GatewayProbe probe;
    int64_t epoch = 0;
    absl::Time claimed_at;
    absl::Time next_at = absl::InfinitePast();
  };
  std::map<std::string, Row> rows_;
};

payments::Gateway Named(std::string name) {
  payments::Gateway gateway;
  gateway.name = std::move(name);
  gateway.address = "http://127.0.0.1:1";
  return gateway;
}

class GatewayProberTest : public ::testing::Test {
 protected:
  struct Question {
    std::string replica;
    absl::Time at;  // by the store's clock
    absl::Duration timeout;
    absl::AnyInvocable<void(HealthAnswer)> done;
  };

  struct Replica {
    Replica(GatewayProberTest& test, const std::string& name) : router(time, random) {
      router.Use(payments::Routes{{Named("north"), Named("south")}, {}});
      std::map<std::string, AskHealth> asks;
      asks["north"] = [&test, name](absl::Duration timeout, auto done) {
        test.asked.push_back({name, test.store.now, timeout, std::move(done)});
      };
      prober = std::make_unique<GatewayProber>(asks, test.store, router, time, metrics, ProberOptions{name});
    }
    absl::Duration Turn() {
      const absl::StatusOr<absl::Duration> next = prober->Turn();
      EXPECT_TRUE(next.ok()) << next.status();
      return next.value_or(absl::ZeroDuration());
    }

    waybill::testing::ManualTime time;
    SeededRandom random{1};
    Metrics metrics;
    payments::Router router;
    std::unique_ptr<GatewayProber> prober;
  };

  void Pass(absl::Duration time) {
    store.now += time;
    a.time.Advance(time);
    b.time.Advance(time);
  }
  void Answer(ProbeOutcome outcome, absl::Duration retry_after = absl::ZeroDuration()) {
    asked.back().done({{outcome, std::nullopt}, retry_after});
  }
  static std::string Says(const Replica& replica) {
    const std::optional<storage::GatewayProbe> probe = replica.router.Probe("north");
    return probe && probe->answer ? std::string(ToString(probe->answer->outcome)) : "nothing";
  }

  FakeProbeStore store;
  std::vector<Question> asked;
  Replica a{*this, "a"}, b{*this, "b"};
};

TEST_F(GatewayProberTest, OneAsksAndAllHear) {
  EXPECT_EQ(a.Turn(), absl::Milliseconds(50)) << "its answer is awaited";
  b.Turn();
  ASSERT_THAT(asked, SizeIs(1));
  Answer(ProbeOutcome::kFailing);
  EXPECT_EQ(Says(b), "nothing");
  EXPECT_EQ(a.Turn(), absl::Seconds(1));
  b.Turn();
  EXPECT_EQ(Says(a), "failing");
  EXPECT_EQ(Says(b), "failing");
  EXPECT_TRUE(a.router.IsOut("north"));
  EXPECT_TRUE(b.router.IsOut("north"));
  EXPECT_FALSE(b.router.IsOut("south")) << "nobody has asked it";
}

TEST_F(GatewayProberTest, NobodyAsksSoonerThanFiveSecondsAfterAnAnswer) {
  std::vector<absl::Duration> gaps;
  for (int i = 0; i < 1'000; ++i) {
    a.Turn();
    b.Turn();
    if (i % 7 == 0 && !asked.empty() && asked.back().done) {
      Answer(ProbeOutcome::kHealthy);
      asked.back().done = nullptr;
    }
    Pass(absl::Milliseconds(130));
  }
  ASSERT_GE(asked.size(), 15u);
  for (size_t i = 1; i < asked.size(); ++i) gaps.push_back(asked[i].at - asked[i - 1].at);
  EXPECT_THAT(gaps, Each(Ge(absl::Seconds(5))));
}

TEST_F(GatewayProberTest, WhoeverDiesWithTheTurnIsFollowedWhenTheQuestionMustBeOver) {
  a.Turn();
  ASSERT_THAT(asked, SizeIs(1));
  Pass(absl::Seconds(6.9));
  b.Turn();
  EXPECT_THAT(asked, SizeIs(1)) << "it may have asked until two seconds after its claim";
  Pass(absl::Seconds(0.1));
  b.Turn();
  ASSERT_THAT(asked, SizeIs(2));
  EXPECT_EQ(asked[1].replica, "b");
  // It was not dead after all.
  asked[0].done({{ProbeOutcome::kFailing, std::nullopt}, {}});
  a.Turn();
  b.Turn();
  EXPECT_EQ(Says(b), "nothing");
  Answer(ProbeOutcome::kHealthy);
  b.Turn();
  EXPECT_EQ(Says(b), "healthy");
}

// A replica that was stopped while it claimed asks no more: the next may claim soon.
TEST_F(GatewayProberTest, AClaimThatTookTooLongIsNotUsed) {
  store.on_claim = [this] { a.time.Advance(absl::Seconds(1.5)); };
  a.Turn();
  ASSERT_THAT(asked, SizeIs(1));
  EXPECT_EQ(asked[0].timeout, absl::Seconds(0.5)) << "what is left of its time";
  Answer(ProbeOutcome::kHealthy);
  a.Turn();
  Pass(absl::Seconds(5));
  store.on_claim = [this] { a.time.Advance(absl::Seconds(2)); };
  a.Turn();
  EXPECT_THAT(asked, SizeIs(1));
  store.on_claim = nullptr;
  b.Turn();
  EXPECT_THAT(asked, SizeIs(1)) << "it counts as asked";
}

TEST_F(GatewayProberTest, TheClocksOfReplicasSayNothing) {
  a.time.Advance(absl::Hours(3));
  a.Turn();
  Answer(ProbeOutcome::kFailing);
  a.Turn();
  Pass(absl::Seconds(4));
  b.time.Advance(absl::Hours(100));
  a.Turn();
  b.Turn();
  EXPECT_THAT(asked, SizeIs(1));
  EXPECT_TRUE(b.router.IsOut("north")) << "what was asked for four seconds ago is news to it";
}

TEST_F(GatewayProberTest, WhoeverIsAskedTooOftenIsLeftForAsLongAsItSays) {
  a.Turn();
  Answer(ProbeOutcome::kLimited, absl::Seconds(30));
  a.Turn();
  EXPECT_EQ(Says(a), "limited");
  EXPECT_FALSE(a.router.IsOut("north"));
  Pass(absl::Seconds(29));
  a.Turn(), b.Turn();
  EXPECT_THAT(asked, SizeIs(1));
  Pass(absl::Seconds(1));
  a.Turn();
  ASSERT_THAT(asked, SizeIs(2));
  Answer(ProbeOutcome::kLimited, absl::Hours(1000));
  a.Turn();
  Pass(absl::Minutes(10));
  a.Turn();
  EXPECT_THAT(asked, SizeIs(3)) << "for so long nobody is believed";
}

TEST_F(GatewayProberTest, WhoeverKnowsNoSuchQuestionIsAskedSeldom) {
  a.Turn();
  Answer(ProbeOutcome::kNotServed);
  a.Turn();
  Pass(absl::Minutes(4));
  a.Turn();
  EXPECT_THAT(asked, SizeIs(1));
  Pass(absl::Minutes(1));
  a.Turn();
  EXPECT_THAT(asked, SizeIs(2));
}

TEST_F(GatewayProberTest, NoAnswerIsNoOutage) {
  for (int i = 0; i < 10; ++i) {
    a.Turn();
    Answer(ProbeOutcome::kNoAnswer);
    a.Turn();
    Pass(absl::Seconds(5));
  }
  EXPECT_THAT(asked, SizeIs(10));
  EXPECT_FALSE(a.router.IsOut("north"));
}

TEST_F(GatewayProberTest, AnAnswerIsWrittenWhenTheStoreIsBack) {
  a.Turn();
  store.away = true;
  Answer(ProbeOutcome::kFailing);
  EXPECT_FALSE(a.prober->Turn().ok());
  EXPECT_FALSE(a.prober->Turn().ok());
  store.away = false;
  b.Turn();
  EXPECT_EQ(Says(b), "nothing");
  a.Turn();
  b.Turn();
  EXPECT_EQ(Says(b), "failing");
}

}  // namespace
}  // namespace waybill::order
