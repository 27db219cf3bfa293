// Payouts whose rules of risk are asked before the gateway is: held while anybody thinks, and free again when they are
// denied.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "risk/testing/always.h"
#include "runtime/metrics.h"
#include "saga/testing/memory_journal.h"
#include "services/order/assess_risk.h"
#include "services/order/pay_out.h"
#include "services/order/payout_api.h"
#include "services/order/risk_api.h"
#include "services/order/testing/fake_payout_gateway.h"
#include "storage/testing/fake_order_store.h"
#include "storage/testing/fake_risk_store.h"
#include "tests/services/order/payout_world.h"

namespace waybill::order {
namespace {

using storage::PayoutRecord;
using ::testing::ElementsAre;
using testing::Fate;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AssessedPayoutTest : public PayoutWorld {
 protected:
  std::vector<saga::Definition> Definitions() {
    return {PayOut(gateway_, time_), AssessedPayOut(risk_, gateway_, time_, true)};
  }

  static risk::Rules Always(std::optional<risk::Decision> decides) {
    return risk::testing::Always({risk::Subject::kPayout}, decides);
  }
  void Use(risk::Rules rules) { rules_ = std::make_shared<const risk::Rules>(std::move(rules)); }

  Result Create(const std::string& id, int64_t amount_minor = 400, absl::Duration timeout = absl::Seconds(5)) {
    return Await(Ask(a_, {id, "driver", Money{amount_minor, "EUR"}, "DE-" + id, ""}, timeout));
  }
  PayoutStatus StatusAfter(const std::string& id, int64_t amount_minor = 400) {
    const Result answer = Create(id, amount_minor);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? StatusOfPayout(answer->payout) : PayoutStatus::kOpen;
  }
  PayoutStatus StatusIs(const std::string& id) { return StatusOfPayout(Stored(id)); }
  std::string RefusalOf(const std::string& id) { return Stored(id).payload.refusal; }
  std::vector<std::string> Log(const std::string& id) {
    std::vector<std::string> lines;
    for (const saga::LogEntry& entry : book_.rows.at(Stored(id).id).log) {
      lines.push_back(fmt::format("{} {}", entry.step, saga::Name(entry.outcome)));
    }
    return lines;
  }
  absl::Status Decide(const std::string& id, bool allow) {
    absl::Status said = reviews_.Decide(Stored(id).id, allow, {"ops", "", "ann"}, "called the driver");
    time_.Advance(absl::Minutes(1));
    return said;
  }
  // Its time goes by, and whoever looks takes it up.
  void Pass(Process& process, absl::Duration time) {
    time_.Advance(time);
    EXPECT_TRUE(process.runner.RecoverExpired(false, 10).ok());
    time_.Advance(absl::Minutes(1));
  }

  storage::testing::FakeOrderStore orders_{book_, time_};
  storage::testing::FakeRiskStore assessments_{time_};
  Metrics metrics_;
  std::shared_ptr<const risk::Rules> rules_;
  RiskAssessor risk_{assessments_, workers_, time_, metrics_, [this] { return rules_; }, [](const domain::Order&) {}};
  Process a_{*this, Definitions(), "a"};
  RiskApi reviews_{assessments_, orders_, a_.runner};
};

TEST_F(AssessedPayoutTest, WhatIsAllowedIsPaid) {
  Use(Always(std::nullopt));
  EXPECT_EQ(StatusAfter("p1"), PayoutStatus::kPaid);
  EXPECT_EQ(Stored("p1").version, kAssessedPayoutVersion);
  EXPECT_THAT(Log("p1"), ElementsAre("assess_risk succeeded", "pay_out succeeded"));
  const auto kept = assessments_.Find(Stored("p1").id);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(kept->kept.facts.subject, risk::Subject::kPayout);
  EXPECT_THAT(kept->kept.facts.traits, ElementsAre("driver", "DE-p1", "", ""));
  EXPECT_EQ(kept->kept.facts.amount_minor, 400);
  EXPECT_EQ(kept->kept.facts.client, "shop");
  EXPECT_EQ(metrics_
                .AddCounter("waybill_risk_decisions_total", "",
                            {{"kind", "payout"}, {"decision", "allow"}, {"rule", "always"}})
                .Value(),
            1);
}

TEST_F(AssessedPayoutTest, WhatIsDeniedIsNeverSentAndItsHoldIsFree) {
  Use(Always(risk::Decision::kDeny));
  EXPECT_EQ(StatusAfter("p1", 1000), PayoutStatus::kRefused);
  EXPECT_EQ(RefusalOf("p1"), kRiskDenied);
  EXPECT_THAT(Log("p1"), ElementsAre("assess_risk rejected")) << "in one commit";
  EXPECT_EQ(Held(), 0);
  Use(Always(std::nullopt));
  EXPECT_EQ(StatusAfter("p1", 1000), PayoutStatus::kRefused) << "for good";
  EXPECT_EQ(gateway_.calls(), 0);
  EXPECT_EQ(StatusAfter("p2", 1000), PayoutStatus::kPaid);
}

TEST_F(AssessedPayoutTest, WhatWantsAPersonIsHeldUntilOneAllowsIt) {
  Use(Always(risk::Decision::kReview));
  EXPECT_EQ(StatusAfter("p1"), PayoutStatus::kAwaitingReview);
  EXPECT_EQ(Held(), 400);
  EXPECT_EQ(StatusAfter("too-much", 700), PayoutStatus::kRefused) << "what is held is nobody else's";
  EXPECT_EQ(gateway_.calls(), 0);
  EXPECT_EQ(a_.api.undecided(), 0U) << "nobody drives it";
  const Result again = Create("p1");
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(StatusOfPayout(again->payout), PayoutStatus::kAwaitingReview);
  EXPECT_TRUE(Decide("p1", true).ok());
  EXPECT_EQ(StatusIs("p1"), PayoutStatus::kPaid);
  EXPECT_EQ(book_.rows.at(Stored("p1").id).log.at(1).detail, "ann: called the driver");
  EXPECT_EQ(GetErrorDetail(Decide("p1", false)).reason, "REVIEW_NOT_OPEN");
  EXPECT_EQ(gateway_.PaidMinor(), 400);
}

TEST_F(AssessedPayoutTest, WhatAPersonDeniesIsFreeAgain) {
  Use(Always(risk::Decision::kReview));
  ASSERT_EQ(StatusAfter("p1"), PayoutStatus::kAwaitingReview);
  EXPECT_TRUE(Decide("p1", false).ok());
  EXPECT_EQ(StatusIs("p1"), PayoutStatus::kRefused);
  EXPECT_EQ(RefusalOf("p1"), kRiskDenied);
  EXPECT_EQ(Stored("p1").state, saga::State::kCompensated);
  EXPECT_EQ(gateway_.calls(), 0);
}

// Whoever has claimed it when its time was over does not look for what is said from then on: so nothing is promised.
TEST_F(AssessedPayoutTest, WhoDecidesWhileItsTimeIsTakenUpIsTold) {
  risk::Rules rules = Always(risk::Decision::kReview);
  rules.after_review = risk::Decision::kAllow;
  Use(rules);
  ASSERT_EQ(StatusAfter("p1"), PayoutStatus::kAwaitingReview);
  time_.Advance(absl::Hours(2) - absl::Minutes(5));
  saga::testing::MemoryJournal stalls(book_, time_, {"b", "1", absl::Hours(1)});
  stalls.set_kinds(&a_.kinds);
  time_.Advance(absl::Minutes(10));
  ASSERT_EQ(stalls.ClaimExpired(false, 10)->size(), 1U);
  const absl::Status denied = Decide("p1", false);
  EXPECT_EQ(GetErrorDetail(denied).reason, "REVIEW_NOT_OPEN") << denied;
  EXPECT_THAT(book_.deeds, ::testing::IsEmpty()) << "nor does the audit say that he did";
  Pass(a_, absl::Hours(1));
  EXPECT_EQ(StatusIs("p1"), PayoutStatus::kPaid) << "by its rules";
  EXPECT_EQ(Held(), 0);
}

TEST_F(AssessedPayoutTest, WhatNobodyDecidesIsDecidedByItsRules) {
  risk::Rules rules = Always(risk::Decision::kReview);
  Use(rules);
  ASSERT_EQ(StatusAfter("denied"), PayoutStatus::kAwaitingReview);
  rules.after_review = risk::Decision::kAllow;
  Use(rules);
  ASSERT_EQ(StatusAfter("allowed", 300), PayoutStatus::kAwaitingReview);
  Pass(a_, absl::Hours(2) - absl::Minutes(5));
  EXPECT_EQ(StatusIs("denied"), PayoutStatus::kAwaitingReview);
  Pass(a_, absl::Minutes(10));
  EXPECT_EQ(StatusIs("denied"), PayoutStatus::kRefused);
  EXPECT_EQ(RefusalOf("denied"), kRiskDenied);
  EXPECT_THAT(Stored("denied").failure.detail, HasSubstr("nobody has decided in time, so deny: "));
  EXPECT_EQ(StatusIs("allowed"), PayoutStatus::kPaid);
}

TEST_F(AssessedPayoutTest, WhatIsCancelledWhileItWaitsIsNeverSent) {
  Use(Always(risk::Decision::kReview));
  ASSERT_EQ(StatusAfter("p1"), PayoutStatus::kAwaitingReview);
  a_.runner.Direct(Stored("p1").id, {saga::Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs("p1"), PayoutStatus::kRefused);
  EXPECT_EQ(Stored("p1").failure.reason, saga::kCancelledReason);
  EXPECT_EQ(Held(), 0);
  EXPECT_EQ(gateway_.calls(), 0);
}

// Unknown is asked again, and never allowed.
TEST_F(AssessedPayoutTest, NothingIsSentWhileTheStoreDoesNotAnswer) {
  Use(Always(std::nullopt));
  assessments_.set_error(absl::UnavailableError("down"));
  EXPECT_EQ(StatusAfter("p1"), PayoutStatus::kOpen);
  EXPECT_EQ(Held(), 400);
  assessments_.set_error(absl::OkStatus());
  time_.Advance(absl::Seconds(20));
  EXPECT_EQ(StatusIs("p1"), PayoutStatus::kPaid);
  assessments_.set_error(absl::UnavailableError("down"));
  EXPECT_EQ(StatusAfter("p2"), PayoutStatus::kOpen);
  time_.Advance(absl::Minutes(5));
  EXPECT_EQ(StatusIs("p2"), PayoutStatus::kRefused);
  EXPECT_EQ(RefusalOf("p2"), kRiskUnknown);
  EXPECT_EQ(gateway_.calls(), 1);
}

TEST_F(AssessedPayoutTest, AProcessThatDiesBeforeTheGatewayIsRelieved) {
  Use(Always(std::nullopt));
  gateway_.set_fate(Fate::kLostBefore);
  ASSERT_EQ(StatusOfPayout(Create("p1", 400, absl::Milliseconds(200))->payout), PayoutStatus::kOpen);
  a_.runner.Stop(SteadyTime::InfinitePast());
  Use(Always(risk::Decision::kDeny));  // says nothing of what was assessed
  gateway_.set_fate(Fate::kAnswered);
  Process b(*this, Definitions(), "b");
  Pass(b, absl::Seconds(11));
  EXPECT_EQ(StatusIs("p1"), PayoutStatus::kPaid);
  EXPECT_EQ(gateway_.PaidMinor(), 400);
  EXPECT_EQ(assessments_.List({})->size(), 1U);
}

// It dies after the assessment's commit and before its own: who takes it up finds what was said.
TEST_F(AssessedPayoutTest, WhatWasSaidBeforeADeathHoldsAfterIt) {
  Use(Always(risk::Decision::kDeny));
  auto record = std::make_unique<PayoutRecord>();
  record->id = ids_.Next();
  record->created_at = time_.Now();
  record->payload = *TakeNewPayout("shop", {"p1", "driver", Money{400, "EUR"}, "DE02", ""});
  record->payload.begun_at = record->created_at;
  ASSERT_TRUE(assessments_.Assess(record->id, FactsOf(record->payload), *rules_).ok());
  Use(Always(std::nullopt));
  a_.runner.Start(
      std::move(record), [](auto) {}, [](auto) {});
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(RefusalOf("p1"), kRiskDenied);
  EXPECT_EQ(gateway_.calls(), 0);
}

TEST_F(AssessedPayoutTest, WhatTheGatewaySaysIsAsWithoutRules) {
  Use(Always(std::nullopt));
  gateway_.WillMeet({Fate::kDeclined});
  EXPECT_EQ(StatusAfter("refused"), PayoutStatus::kRefused);
  EXPECT_EQ(RefusalOf("refused"), "ACCOUNT_CLOSED");
  EXPECT_EQ(Held(), 0);
  gateway_.WillMeet({Fate::kLostAfter, Fate::kRefused});
  EXPECT_EQ(StatusAfter("turned-back"), PayoutStatus::kPaid);
  EXPECT_EQ(Stored("turned-back").state, saga::State::kCompensated) << "what undoes the assessment refuses it no more";
}

TEST_F(AssessedPayoutTest, LackOfMoneyIsNotAssessed) {
  Use(Always(risk::Decision::kReview));
  EXPECT_EQ(StatusAfter("p1", 1001), PayoutStatus::kRefused);
  EXPECT_EQ(RefusalOf("p1"), kInsufficientFunds);
  EXPECT_THAT(*assessments_.List({}), IsEmpty());
}

TEST_F(AssessedPayoutTest, PayoutsOfAnAccountAreCounted) {
  risk::Rules rules = Always(risk::Decision::kDeny);
  rules.rules[0].on = risk::Velocity{risk::Trait::kUser, absl::Hours(1), 2, std::nullopt};
  Use(rules);
  // An order of a user of that name is another matter.
  risk::Facts order;
  order.client = "shop";
  order.Of(risk::Trait::kUser) = "driver";
  order.amount_minor = 1;
  order.currency = "EUR";
  ASSERT_TRUE(assessments_.Assess(ids_.Next(), order, rules).ok());
  EXPECT_EQ(StatusAfter("p1", 100), PayoutStatus::kPaid);
  EXPECT_EQ(StatusAfter("p2", 100), PayoutStatus::kPaid);
  EXPECT_EQ(StatusAfter("p3", 100), PayoutStatus::kRefused);
  EXPECT_THAT(Stored("p3").failure.detail, HasSubstr("3 payouts of the account within 1h, more than 2"));
}

TEST_F(AssessedPayoutTest, ReviewsAreListedTheNewestFirst) {
  Use(Always(risk::Decision::kReview));
  ASSERT_EQ(StatusAfter("p1", 100), PayoutStatus::kAwaitingReview);
  ASSERT_EQ(StatusAfter("p2", 100), PayoutStatus::kAwaitingReview);
  const auto ids = [&](std::optional<Uuid> before, int limit) {
    std::vector<std::string> destinations;
    const auto reviews = reviews_.Reviews(before, limit);
    EXPECT_TRUE(reviews.ok()) << reviews.status();
    for (const storage::RiskAssessment& one : *reviews) {
      destinations.push_back(one.facts.Of(risk::Trait::kCard));
    }
    return destinations;
  };
  EXPECT_THAT(ids(std::nullopt, 9), ElementsAre("DE-p2", "DE-p1"));
  EXPECT_THAT(ids(Stored("p2").id, 9), ElementsAre("DE-p1"));
  EXPECT_TRUE(Decide("p2", false).ok());
  EXPECT_THAT(ids(std::nullopt, 9), ElementsAre("DE-p1"));
  EXPECT_EQ(GetErrorDetail(reviews_.Decide(Uuid{}, true, {}, "")).reason, "ORDER_NOT_FOUND");
}

}  // namespace
}  // namespace waybill::order
