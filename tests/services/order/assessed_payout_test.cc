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
#include "runtime/testing/manual_time.h"
#include "runtime/testing/scheduled_executor.h"
#include "saga/testing/memory_journal.h"
#include "services/order/assess_risk.h"
#include "services/order/pay_out.h"
#include "services/order/payout_api.h"
#include "services/order/risk_api.h"
#include "services/order/testing/fake_payout_gateway.h"
#include "storage/testing/fake_order_store.h"
#include "storage/testing/fake_risk_store.h"
#include "storage/testing/memory_payout_book.h"

namespace waybill::order {
namespace {

using domain::Payout;
using storage::PayoutRecord;
using ::testing::ElementsAre;
using testing::Fate;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AssessedPayoutTest : public ::testing::Test {
 protected:
  // One of several on the same books.
  struct Process {
    Process(AssessedPayoutTest& test, const std::string& name)
        : kinds({PayOut(test.gateway_, test.time_), AssessedPayOut(test.risk_, test.gateway_, test.time_, true)}),
          journal(test.book_, test.time_, {name, "1", absl::Seconds(10)}),
          runner(kinds, journal, test.time_, test.time_, test.random_, observer, {}),
          api(runner, test.store_, test.workers_, test.workers_, test.time_, test.time_, test.ids_, true, {}),
          reviews(test.assessments_, test.orders_, runner) {
      journal.set_kinds(&kinds);
    }
    saga::Kinds kinds;
    saga::testing::MemoryJournal journal;
    saga::Observer observer;
    saga::Runner runner;
    PayoutApi api;
    RiskApi reviews;
  };

  AssessedPayoutTest() {
    payouts_.Open("shop", "driver", "EUR");
    payouts_.Deposit("shop", "driver", 1000);
    a_ = std::make_unique<Process>(*this, "a");
  }
  // Whatever happened: what left the account is what the gateway sent, and held is what is open, and no more.
  ~AssessedPayoutTest() override {
    int64_t open = 0;
    for (const auto& [id, row] : book_.rows) {
      const PayoutRecord& record = saga::As<Payout>(*row.record);
      if (record.payload.state == Payout::State::kOpen) open += record.payload.amount_minor;
    }
    EXPECT_EQ(Held(), open);
    if (open == 0) {
      EXPECT_EQ(payouts_.Get("shop", "driver").balance_minor, 1000 - gateway_.PaidMinor());
    }
  }

  static risk::Rules Always(std::optional<risk::Decision> decides) {
    risk::Rule rule;
    rule.name = "always";
    rule.about = {risk::Subject::kPayout};
    rule.currency = "EUR";
    rule.decides = decides;
    rule.score = 10;
    rule.on = risk::AmountBand{1, 1'000'000};
    risk::Rules rules;
    rules.version = "v1";
    rules.review_for = absl::Hours(2);
    rules.rules = {rule};
    return rules;
  }
  void Use(risk::Rules rules) { rules_ = std::make_shared<const risk::Rules>(std::move(rules)); }

  absl::StatusOr<PayoutApi::Answer> Create(Process& process, const std::string& id, int64_t amount_minor = 400,
                                           absl::Duration timeout = absl::Seconds(5)) {
    auto answered = std::make_shared<std::optional<absl::StatusOr<PayoutApi::Answer>>>();
    absl::StatusOr<Payout> payout = TakeNewPayout("shop", {id, "driver", Money{amount_minor, "EUR"}, "DE-" + id, ""});
    EXPECT_TRUE(payout.ok()) << payout.status();
    process.api.Create(*std::move(payout), {}, time_.Steady() + timeout,
                       process.api.Expect([answered](auto result) { *answered = std::move(result); }));
    for (int i = 0; i < 10'000 && !*answered; ++i) time_.Advance(absl::Milliseconds(10));
    return *answered ? **answered : absl::UnknownError("not answered");
  }
  PayoutStatus StatusAfter(const std::string& id, int64_t amount_minor = 400) {
    const absl::StatusOr<PayoutApi::Answer> answer = Create(*a_, id, amount_minor);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? StatusOfPayout(answer->payout) : PayoutStatus::kOpen;
  }
  PayoutRecord Stored(const std::string& id) { return *store_.Find("shop", id); }
  PayoutStatus StatusIs(const std::string& id) { return StatusOfPayout(Stored(id)); }
  std::string RefusalOf(const std::string& id) { return Stored(id).payload.refusal; }
  int64_t Held() { return payouts_.Get("shop", "driver").held_minor; }
  std::vector<std::string> Log(const std::string& id) {
    std::vector<std::string> lines;
    for (const saga::LogEntry& entry : book_.rows.at(Stored(id).id).log) {
      lines.push_back(fmt::format("{} {}", entry.step, saga::Name(entry.outcome)));
    }
    return lines;
  }
  absl::Status Decide(const std::string& id, bool allow) {
    absl::Status said = a_->reviews.Decide(Stored(id).id, allow, {"ops", "", "ann"}, "called the driver");
    time_.Advance(absl::Minutes(1));
    return said;
  }
  // Its time goes by, and whoever looks takes it up.
  void Pass(Process& process, absl::Duration time) {
    time_.Advance(time);
    EXPECT_TRUE(process.runner.RecoverExpired(false, 10).ok());
    time_.Advance(absl::Minutes(1));
  }

  waybill::testing::ManualTime time_;
  waybill::testing::ScheduledExecutor workers_{time_, time_, 1'000, [] { return absl::ZeroDuration(); }};
  SeededRandom random_{1};
  IdGenerator ids_{time_, random_};
  saga::testing::MemoryBook book_;
  storage::testing::MemoryPayouts payouts_{book_};
  storage::testing::FakePayoutStore store_{book_, payouts_};
  storage::testing::FakeOrderStore orders_{book_, time_};
  storage::testing::FakeRiskStore assessments_{time_};
  testing::FakePayoutGateway gateway_;
  Metrics metrics_;
  std::shared_ptr<const risk::Rules> rules_;
  RiskAssessor risk_{assessments_, workers_, time_, metrics_, [this] { return rules_; }, [](const domain::Order&) {}};
  std::unique_ptr<Process> a_;
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
  EXPECT_EQ(a_->api.undecided(), 0U) << "nobody drives it";
  const absl::StatusOr<PayoutApi::Answer> again = Create(*a_, "p1");
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
  stalls.set_kinds(&a_->kinds);
  time_.Advance(absl::Minutes(10));
  ASSERT_EQ(stalls.ClaimExpired(false, 10)->size(), 1U);
  const absl::Status denied = Decide("p1", false);
  EXPECT_EQ(GetErrorDetail(denied).reason, "REVIEW_NOT_OPEN") << denied;
  EXPECT_THAT(book_.deeds, ::testing::IsEmpty()) << "nor does the audit say that he did";
  Pass(*a_, absl::Hours(1));
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
  Pass(*a_, absl::Hours(2) - absl::Minutes(5));
  EXPECT_EQ(StatusIs("denied"), PayoutStatus::kAwaitingReview);
  Pass(*a_, absl::Minutes(10));
  EXPECT_EQ(StatusIs("denied"), PayoutStatus::kRefused);
  EXPECT_EQ(RefusalOf("denied"), kRiskDenied);
  EXPECT_THAT(Stored("denied").failure.detail, HasSubstr("nobody has decided in time, so deny: "));
  EXPECT_EQ(StatusIs("allowed"), PayoutStatus::kPaid);
}

TEST_F(AssessedPayoutTest, WhatIsCancelledWhileItWaitsIsNeverSent) {
  Use(Always(risk::Decision::kReview));
  ASSERT_EQ(StatusAfter("p1"), PayoutStatus::kAwaitingReview);
  a_->runner.Direct(Stored("p1").id, {saga::Directive::Kind::kCancel, ""}, nullptr, [](auto) {});
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
  ASSERT_EQ(StatusOfPayout(Create(*a_, "p1", 400, absl::Milliseconds(200))->payout), PayoutStatus::kOpen);
  a_->runner.Stop(SteadyTime::InfinitePast());
  Use(Always(risk::Decision::kDeny));  // says nothing of what was assessed
  gateway_.set_fate(Fate::kAnswered);
  Process b(*this, "b");
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
  a_->runner.Start(
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
    const auto reviews = a_->reviews.Reviews(before, limit);
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
  EXPECT_EQ(GetErrorDetail(a_->reviews.Decide(Uuid{}, true, {}, "")).reason, "ORDER_NOT_FOUND");
}

}  // namespace
}  // namespace waybill::order
