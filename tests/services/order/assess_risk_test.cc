// Orders whose rules of risk are asked before anything is charged.
#include "services/order/assess_risk.h"

#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "risk/testing/always.h"
#include "runtime/testing/scheduled_executor.h"
#include "saga/testing/memory_journal.h"
#include "services/order/order_status.h"
#include "services/order/place_order.h"
#include "storage/testing/fake_risk_store.h"
#include "tests/services/order/two_gateways_test.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using testing::Fate;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

payments::Routes NorthAlone() {
  payments::Gateway gateway;
  gateway.name = "north";
  return {{gateway}, {}};
}

// Runs at once what it is given.
class AtOnce final : public Executor {
 public:
  bool Submit(Task& task) override {
    if (full) return false;
    std::exchange(task, nullptr)();
    return true;
  }
  size_t queue_depth() const override { return 0; }
  bool full = false;
};

class AssessRiskTest : public TwoGatewaysTest {
 protected:
  AssessRiskTest() : TwoGatewaysTest(NorthAlone()) {}

  static risk::Rules Always(std::optional<risk::Decision> decides, bool shadow = false) {
    return risk::testing::Always({risk::Subject::kOrder}, decides, shadow);
  }
  void Use(risk::Rules rules) { rules_ = std::make_shared<const risk::Rules>(std::move(rules)); }

  using TwoGatewaysTest::Start;
  Uuid Start() { return Start(process_); }
  saga::SignalResult Say(const Uuid& id, saga::Outcome outcome) {
    const auto said = process_.runner.AddSignal(
        id, {std::string(kAssessRisk), saga::Direction::kDo, std::string(kReviewToken), std::move(outcome)});
    EXPECT_TRUE(said.ok()) << said.status();
    return said.value_or(saga::SignalResult::kLate);
  }
  // Its time goes by, and whoever looks takes it up.
  void Pass(absl::Duration time) {
    time_.Advance(time);
    EXPECT_TRUE(process_.runner.RecoverExpired(false, 10).ok());
    time_.Advance(absl::Minutes(1));
  }
  std::vector<std::string> Log(const Uuid& id) {
    std::vector<std::string> lines;
    for (const saga::LogEntry& entry : book_.rows.at(id).log) {
      lines.push_back(fmt::format("{} {}", entry.step, saga::Name(entry.outcome)));
    }
    return lines;
  }
  std::string Attempts(const Uuid& id) { return std::string(domain::Name(Of(id).payload.attempts.at(0).state)); }
  double Counted(const std::string& name, const std::string& decision, const std::string& rule) {
    return metrics_.AddCounter(name, "", {{"kind", "order"}, {"decision", decision}, {"rule", rule}}).Value();
  }

  AtOnce workers_;
  storage::testing::FakeRiskStore store_{time_};
  std::shared_ptr<const risk::Rules> rules_;
  RiskAssessor risk_{store_,
                     workers_,
                     time_,
                     metrics_,
                     [this] { return rules_; },
                     [this](const domain::Order& order) { routing_.Drop(order); }};
  Process process_{*this, {PlaceAssessedRoutedOrder(risk_, routing_, dispatch_, time_, true, options_)}, "a"};
};

TEST_F(AssessRiskTest, WhatIsAllowedIsCharged) {
  Use(Always(std::nullopt));
  const Uuid id = Start();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Of(id).version, kAssessedRoutedVersion);
  EXPECT_THAT(Log(id), ElementsAre("assess_risk succeeded", "charge_payment succeeded", "assign_driver succeeded"));
  EXPECT_EQ(book_.rows.at(id).log[0].detail, "allow, score 10 (always: 12.50 EUR)");
  EXPECT_EQ(Counted("waybill_risk_decisions_total", "allow", "always"), 1);
}

TEST_F(AssessRiskTest, AGatewayThatWasDrainedWhileAPersonLookedIsNotCharged) {
  payments::Routes both = NorthAlone();
  both.gateways[0].cost_ppm = 1;
  both.gateways.emplace_back().name = "south";
  both.gateways[1].cost_ppm = 2;
  router_.Use(std::move(both));
  Use(Always(risk::Decision::kReview));
  const Uuid id = Start();
  ASSERT_EQ(StatusIs(id), "AWAITING_REVIEW");
  router_.Use({{"north", true, std::nullopt}});
  Say(id, saga::Outcome::Succeeded());
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Attempts(id), "not_sent");
  EXPECT_THAT(north_.books(), IsEmpty());
  EXPECT_EQ(south_.NetMinor(), 1250);
}

// Whoever explores a gateway that is out has to ask it.
TEST_F(AssessRiskTest, AnOrderThatAsksNobodyGivesItsTurnBack) {
  while (!router_.IsOut("north")) {
    time_.Advance(absl::Milliseconds(150));
    router_.Failed("north");
  }
  time_.Advance(absl::Minutes(1));
  Use(Always(risk::Decision::kDeny));
  const Uuid id = Start();
  ASSERT_EQ(StatusIs(id), "FAILED");
  int64_t exploring = 0;
  EXPECT_EQ(router_.Choose({"shop", "EUR", 1250}, &exploring), "north");
  EXPECT_NE(exploring, 0) << "the next one explores it, at once";
}

TEST_F(AssessRiskTest, WhatIsDeniedIsNeverCharged) {
  Use(Always(risk::Decision::kDeny));
  const Uuid id = Start();
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Of(id).failure.reason, kRiskDenied);
  EXPECT_THAT(north_.books(), IsEmpty());
  EXPECT_EQ(Attempts(id), "not_sent") << "and no attempt is left open";
  EXPECT_EQ(Counted("waybill_risk_decisions_total", "deny", "always"), 1);
}

TEST_F(AssessRiskTest, ShadowOnlyCounts) {
  Use(Always(risk::Decision::kDeny, /*shadow=*/true));
  const Uuid id = Start();
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(Counted("waybill_risk_decisions_total", "allow", "none"), 1);
  EXPECT_EQ(Counted("waybill_risk_decisions_total", "deny", "always"), 0);
  EXPECT_EQ(Counted("waybill_risk_shadow_decisions_total", "deny", "always"), 1);
}

TEST_F(AssessRiskTest, WhatWantsAPersonWaitsAndGoesOnWhenOneAllowsIt) {
  Use(Always(risk::Decision::kReview));
  const Uuid id = Start();
  EXPECT_EQ(StatusIs(id), "AWAITING_REVIEW");
  EXPECT_THAT(north_.books(), IsEmpty());
  EXPECT_EQ(process_.runner.live(), 0U);
  EXPECT_EQ(Say(id, saga::Outcome::Succeeded("ann: known customer")), saga::SignalResult::kWoken);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(book_.rows.at(id).log[1].detail, "ann: known customer");
}

TEST_F(AssessRiskTest, WhatAPersonDeniesIsNeverCharged) {
  Use(Always(risk::Decision::kReview));
  const Uuid id = Start();
  EXPECT_EQ(Say(id, saga::Outcome::Rejected(std::string(kRiskDenied), "ann: stolen")), saga::SignalResult::kWoken);
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(id), "FAILED");
  EXPECT_EQ(Of(id).failure.reason, kRiskDenied);
  EXPECT_THAT(north_.books(), IsEmpty());
  EXPECT_EQ(Attempts(id), "not_sent");
}

TEST_F(AssessRiskTest, WhatNobodyDecidesIsDecidedByTheRulesThatItWasAssessedBy) {
  risk::Rules rules = Always(risk::Decision::kReview);
  Use(rules);
  const Uuid denied = Start();
  rules.after_review = risk::Decision::kAllow;
  rules.version = "v2";
  Use(rules);
  const Uuid allowed = Start();
  Pass(absl::Hours(2) - absl::Minutes(5));
  EXPECT_EQ(StatusIs(denied), "AWAITING_REVIEW");
  Use(Always(std::nullopt));  // which say nothing of those that were assessed
  Pass(absl::Minutes(10));
  EXPECT_EQ(StatusIs(denied), "FAILED");
  EXPECT_EQ(Of(denied).failure.reason, kRiskDenied);
  EXPECT_THAT(Of(denied).failure.detail, HasSubstr("nobody has decided in time, so deny: "));
  EXPECT_EQ(Attempts(denied), "not_sent");
  EXPECT_EQ(StatusIs(allowed), "CONFIRMED");
  EXPECT_EQ(Counted("waybill_risk_decisions_total", "review", "always"), 2) << "each is decided once";
}

TEST_F(AssessRiskTest, WhatIsCancelledWhileItWaitsIsNeverCharged) {
  Use(Always(risk::Decision::kReview));
  const Uuid id = Start();
  Cancel(process_, id);
  EXPECT_EQ(StatusIs(id), "CANCELLED");
  EXPECT_THAT(north_.books(), IsEmpty());
  EXPECT_EQ(Attempts(id), "not_sent");
}

TEST_F(AssessRiskTest, NothingIsChargedWhileTheStoreDoesNotAnswer) {
  Use(Always(std::nullopt));
  store_.set_error(absl::UnavailableError("down"));
  const Uuid id = Start(), given_up = Start();
  time_.Advance(absl::Seconds(5));
  EXPECT_EQ(StatusIs(id), "PENDING");
  EXPECT_THAT(north_.books(), IsEmpty());
  store_.set_error(absl::OkStatus());
  time_.Advance(absl::Seconds(20));
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
  EXPECT_EQ(StatusIs(given_up), "CONFIRMED");

  store_.set_error(absl::UnavailableError("down"));
  const Uuid never = Place(process_);
  EXPECT_EQ(StatusIs(never), "FAILED");
  EXPECT_EQ(Of(never).failure.reason, kRiskUnknown);
  EXPECT_EQ(Attempts(never), "not_sent");
  EXPECT_EQ(north_.books().size(), 2U);
}

TEST_F(AssessRiskTest, NothingIsChargedWhileNobodyCanAssessIt) {
  Use(Always(std::nullopt));
  workers_.full = true;
  const Uuid id = Start();
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(StatusIs(id), "PENDING");
  workers_.full = false;
  time_.Advance(absl::Seconds(20));
  EXPECT_EQ(StatusIs(id), "CONFIRMED");
}

TEST_F(AssessRiskTest, AProcessWithoutRulesGoesByWhatWasSaidAndAllowsNothingElse) {
  Use(Always(risk::Decision::kReview));
  const Uuid assessed = Start();
  rules_ = nullptr;
  Say(assessed, saga::Outcome::Unknown("ASK_AGAIN", ""));
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(assessed), "AWAITING_REVIEW");
  EXPECT_EQ(StatusIs(Place(process_)), "FAILED");
  EXPECT_THAT(north_.books(), IsEmpty());
}

// It dies after the assessment and before the order's write: who takes it up finds what was said.
TEST_F(AssessRiskTest, AnotherProcessDecidesNothingAnew) {
  Use(Always(risk::Decision::kDeny));
  const Uuid id = ids_.Next();
  domain::Order order;
  order.client = "shop";
  order.amount_minor = 1250;
  order.currency = "EUR";
  ASSERT_TRUE(store_.Assess(id, FactsOf(order), *rules_).ok());
  Use(Always(std::nullopt));
  auto record = std::make_unique<storage::OrderRecord>();
  record->id = id;
  record->created_at = time_.Now();
  record->payload = order;
  record->payload.idempotency_key = "k";
  process_.runner.Start(
      std::move(record), [](auto) {}, [](auto) {});
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(Of(id).failure.reason, kRiskDenied);
  EXPECT_EQ(Counted("waybill_risk_decisions_total", "deny", "always"), 0) << "that was counted when it was decided";
}

TEST(RiskFacts, AreWhatTheOrderSays) {
  domain::Order order;
  order.client = "shop";
  order.user_id = "u-1";
  order.amount_minor = 7;
  order.currency = "EUR";
  EXPECT_EQ(FactsOf(order).Of(risk::Trait::kUser), "u-1");
  EXPECT_EQ(FactsOf(order).Of(risk::Trait::kCard), "");
  order.payer = domain::Payer{"c", "d", "a", domain::GeoPoint{1, 2}, absl::UnixEpoch()};
  const risk::Facts facts = FactsOf(order);
  EXPECT_THAT(facts.traits, ElementsAre("u-1", "c", "d", "a"));
  EXPECT_EQ(facts.position, (domain::GeoPoint{1, 2}));
  EXPECT_EQ(facts.account, absl::UnixEpoch());
}

}  // namespace
}  // namespace waybill::order
