// What every RiskStore does; run against the fake and against Postgres.
#pragma once

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/risk_store.h"

namespace waybill::storage {

class RiskStoreHarness {
 public:
  virtual ~RiskStoreHarness() = default;
  virtual RiskStore& store() = 0;  // empty
  // An order that was allowed by no rule.
  virtual void Put(const Uuid& order_id, const risk::Facts& facts, absl::Time at) = 0;
  // The charge of the order, or payment, was declined, and that was known at `at`.
  virtual void Decline(const Uuid& order_id, absl::Time at, risk::Subject subject = risk::Subject::kOrder) = 0;
};

class RiskStoreContract : public ::testing::TestWithParam<std::function<std::unique_ptr<RiskStoreHarness>()>> {
 protected:
  RiskStore& store() { return harness_->store(); }

  static Uuid Id(int number) {
    Uuid id;
    id.bytes[15] = static_cast<uint8_t>(number);
    id.bytes[14] = static_cast<uint8_t>(number >> 8);
    return id;
  }
  static risk::Facts Order(int64_t amount_minor = 1'000) {
    risk::Facts facts;
    facts.client = "acme";
    facts.traits = {"u-1", "card-1", "device-1", "10.0.0.1"};
    facts.amount_minor = amount_minor;
    facts.currency = "EUR";
    return facts;
  }
  static risk::Rules Velocity(int64_t count_over, risk::Decision decides = risk::Decision::kDeny) {
    risk::Rule rule;
    rule.name = "many";
    rule.decides = decides;
    rule.on = risk::Velocity{risk::Trait::kUser, absl::Hours(1), count_over, std::nullopt};
    risk::Rules rules;
    rules.version = "v1";
    rules.rules = {rule};
    return rules;
  }
  static risk::Questions Windows(std::vector<risk::Window> windows) {
    risk::Questions questions;
    questions.windows = std::move(windows);
    return questions;
  }
  static risk::Window Hour(risk::Trait by = risk::Trait::kUser, std::string currency = "", bool declined = false) {
    return {by, absl::Hours(1), std::move(currency), declined};
  }
  std::vector<risk::Sum> SumsAt(absl::Time at, const std::vector<risk::Window>& windows,
                                const risk::Facts& facts = Order()) {
    const absl::StatusOr<risk::History> history = store().HistoryAt(facts, Windows(windows), at);
    EXPECT_TRUE(history.ok()) << history.status();
    return history.ok() ? history->windows : std::vector<risk::Sum>();
  }

  std::unique_ptr<RiskStoreHarness> harness_ = GetParam()();
  const absl::Time then_ = absl::FromUnixSeconds(1'700'000'000);
};

TEST_P(RiskStoreContract, DecidesAnOrderOnce) {
  const auto first = store().Assess(Id(1), Order(), Velocity(9, risk::Decision::kReview));
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(first->fresh);
  EXPECT_EQ(first->kept.assessment.verdict.decision, risk::Decision::kAllow);
  const auto again = store().Assess(Id(1), Order(), Velocity(0));  // by rules that would deny it now
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->fresh);
  EXPECT_EQ(again->kept.assessment, first->kept.assessment);
  EXPECT_EQ(again->kept.at, first->kept.at);
  EXPECT_EQ(store().Find(Id(1))->kept.assessment, first->kept.assessment);
  EXPECT_EQ(GetErrorDetail(store().Find(Id(2)).status()).reason, "ORDER_NOT_FOUND");
}

TEST_P(RiskStoreContract, KeepsAllThatItWasDecidedBy) {
  risk::Facts facts = Order(7);
  facts.Of(risk::Trait::kCard).clear();
  facts.position = domain::GeoPoint{52.5, -13.25};
  facts.account = then_;
  risk::Rules rules = Velocity(1);
  rules.rules[0].shadow = true;
  risk::Rule missing;
  missing.name = "no-card";
  missing.score = 60;
  missing.on = risk::Missing{risk::Trait::kCard};
  rules.rules.push_back(missing);
  rules.review_for = absl::Minutes(3);
  rules.after_review = risk::Decision::kAllow;
  ASSERT_TRUE(store().Assess(Id(1), facts, Velocity(9)).ok());
  const auto assessed = store().Assess(Id(2), facts, rules);
  ASSERT_TRUE(assessed.ok()) << assessed.status();
  EXPECT_FALSE(assessed->review_over);
  const absl::StatusOr<std::vector<RiskAssessment>> all = store().List({});
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2U);
  const RiskAssessment& kept = (*all)[1];
  EXPECT_EQ(kept.order_id, Id(2));
  EXPECT_EQ(kept.facts.client, "acme");
  EXPECT_EQ(kept.facts.traits, facts.traits);
  EXPECT_EQ(kept.facts.amount_minor, 7);
  EXPECT_EQ(kept.facts.currency, "EUR");
  EXPECT_EQ(kept.facts.position, facts.position);
  EXPECT_EQ(kept.facts.account, facts.account);
  EXPECT_EQ(kept.assessment.version, "v1");
  EXPECT_EQ(kept.assessment.verdict, (risk::Verdict{risk::Decision::kReview, 60, "no-card"}));
  EXPECT_EQ(kept.assessment.shadow, (risk::Verdict{risk::Decision::kDeny, 60, "many"}));
  EXPECT_EQ(kept.assessment, assessed->kept.assessment);
  EXPECT_EQ(kept.assessment.reasons.size(), 2U);
  EXPECT_EQ(kept.review_until, kept.at + absl::Minutes(3));
  EXPECT_EQ(kept.after_review, risk::Decision::kAllow);
}

TEST_P(RiskStoreContract, AReviewIsOverWhenItsTimeIs) {
  risk::Rules rules = Velocity(0, risk::Decision::kReview);
  rules.review_for = absl::Nanoseconds(0);
  EXPECT_TRUE(store().Assess(Id(1), Order(), rules).ok());
  EXPECT_TRUE(store().Find(Id(1))->review_over);
  rules.review_for = absl::Hours(1);
  EXPECT_FALSE(store().Assess(Id(2), Order(), rules)->review_over);
  EXPECT_FALSE(store().Find(Id(2))->review_over);
}

TEST_P(RiskStoreContract, AWindowIsOpenAtItsOldEnd) {
  harness_->Put(Id(1), Order(), then_);
  const auto counted = [&](absl::Time at) { return SumsAt(at, {Hour()}).at(0).count; };
  EXPECT_EQ(counted(then_ + absl::Hours(1)), 0);  // as old as the window is long: out
  EXPECT_EQ(counted(then_ + absl::Hours(1) - absl::Microseconds(1)), 1);
  EXPECT_EQ(counted(then_ + absl::Microseconds(1)), 1);
  EXPECT_EQ(counted(then_), 0);  // that is itself
}

TEST_P(RiskStoreContract, WindowsAreOfATraitAClientAndACurrency) {
  using risk::Trait;
  risk::Facts other = Order(10);
  other.client = "bolt";
  harness_->Put(Id(1), other, then_);
  other = Order(20);
  other.currency = "USD";
  harness_->Put(Id(2), other, then_);
  other = Order(40);
  other.Of(Trait::kUser) = "u-2";
  other.Of(Trait::kCard).clear();
  harness_->Put(Id(3), other, then_);
  const std::vector<risk::Sum> sums =
      SumsAt(then_ + absl::Minutes(1), {Hour(), Hour(Trait::kUser, "EUR"), Hour(Trait::kCard), Hour(Trait::kDevice),
                                        Hour(Trait::kAddress, "EUR"), Hour(Trait::kAddress, "USD")});
  EXPECT_EQ(sums, (std::vector<risk::Sum>{{1, 20}, {0, 0}, {1, 20}, {2, 60}, {1, 40}, {1, 20}}));
}

TEST_P(RiskStoreContract, WindowsCountWhatTheyAreOf) {
  using risk::Subject;
  risk::Facts payment = Order(20), payout = Order(40);
  payment.subject = Subject::kPayment;
  payment.position = domain::GeoPoint{1, 2};
  payout.subject = Subject::kPayout;
  harness_->Put(Id(1), Order(10), then_);
  harness_->Put(Id(2), payment, then_ + absl::Seconds(1));
  harness_->Put(Id(3), payout, then_ + absl::Seconds(2));
  const absl::Time now = then_ + absl::Minutes(1);
  const auto of = [&](const risk::Subjects& subjects) {
    risk::Window window = Hour();
    window.of = subjects;
    return SumsAt(now, {window}).at(0).amount_minor;
  };
  EXPECT_EQ(SumsAt(now, {Hour()}).at(0).amount_minor, 10) << "orders, unless it says otherwise";
  EXPECT_EQ(of({Subject::kPayment}), 20);
  EXPECT_EQ(of({Subject::kPayout}), 40);
  EXPECT_EQ(of({Subject::kOrder, Subject::kPayment}), 30);
  // All else is of the same subject.
  risk::Questions questions;
  questions.first_seen = true;
  questions.previous = {true, false, false, false};
  EXPECT_EQ(store().HistoryAt(Order(), questions, now)->previous[0], std::nullopt);
  EXPECT_EQ(store().HistoryAt(payment, questions, now)->previous[0],
            (risk::Sighting{then_ + absl::Seconds(1), {1, 2}}));
  EXPECT_EQ(store().HistoryAt(payout, questions, now)->first_seen, then_ + absl::Seconds(2));
}

TEST_P(RiskStoreContract, KeepsWhatItIsThatWasAssessed) {
  risk::Rules rules = Velocity(0);
  rules.rules[0].about = {risk::Subject::kPayment, risk::Subject::kPayout};
  for (const risk::Subject subject : risk::kSubjects) {
    risk::Facts facts = Order();
    facts.subject = subject;
    if (subject == risk::Subject::kPayment) facts.traits = {};  // which need not say anything
    const Uuid id = Id(1 + static_cast<int>(subject));
    const auto assessed = store().Assess(id, facts, rules);
    ASSERT_TRUE(assessed.ok()) << assessed.status();
    EXPECT_EQ(store().Find(id)->kept.facts.subject, subject);
    EXPECT_EQ(store().Find(id)->kept.facts.traits, facts.traits);
    EXPECT_EQ(assessed->kept.assessment.verdict.decision,
              subject == risk::Subject::kPayout ? risk::Decision::kDeny : risk::Decision::kAllow);
  }
}

TEST_P(RiskStoreContract, ASumStopsAtTheLargestNumber) {
  for (int at = 1; at <= 3; ++at) harness_->Put(Id(at), Order(std::numeric_limits<int64_t>::max() / 2), then_);
  EXPECT_EQ(SumsAt(then_ + absl::Minutes(1), {Hour()}).at(0), (risk::Sum{3, std::numeric_limits<int64_t>::max()}));
}

TEST_P(RiskStoreContract, DeclinesCountOnceTheyAreKnown) {
  harness_->Put(Id(1), Order(), then_);
  harness_->Put(Id(2), Order(), then_ + absl::Seconds(1));
  harness_->Decline(Id(1), then_ + absl::Seconds(10));
  const risk::Window declined = Hour(risk::Trait::kCard, "", true);
  EXPECT_EQ(SumsAt(then_ + absl::Seconds(9), {declined}).at(0).count, 0);
  EXPECT_EQ(SumsAt(then_ + absl::Seconds(10), {declined}).at(0).count, 1);
  EXPECT_EQ(SumsAt(then_ + absl::Seconds(10), {Hour(risk::Trait::kCard)}).at(0).count, 2);
  risk::Facts payment = Order();
  payment.subject = risk::Subject::kPayment;
  harness_->Put(Id(3), payment, then_ + absl::Seconds(2));
  harness_->Decline(Id(3), then_ + absl::Seconds(20), risk::Subject::kPayment);
  risk::Window of_payments = declined;
  of_payments.of = {risk::Subject::kPayment};
  EXPECT_EQ(SumsAt(then_ + absl::Seconds(19), {of_payments}).at(0).count, 0);
  EXPECT_EQ(SumsAt(then_ + absl::Seconds(20), {of_payments}).at(0).count, 1);
  EXPECT_EQ(SumsAt(then_ + absl::Seconds(20), {declined}).at(0).count, 1);
}

TEST_P(RiskStoreContract, KnowsWhenAUserCameAndWhereTheLastOrderWas) {
  risk::Questions questions;
  questions.first_seen = true;
  questions.previous = {true, false, true, false};
  risk::Facts seen = Order();
  const auto history = [&](absl::Time at) { return *store().HistoryAt(Order(), questions, at); };
  EXPECT_EQ(history(then_), risk::History{});
  seen.position = domain::GeoPoint{1, 2};
  harness_->Put(Id(1), seen, then_);
  seen.position = domain::GeoPoint{3, 4};
  seen.Of(risk::Trait::kDevice) = "device-2";
  harness_->Put(Id(2), seen, then_ + absl::Seconds(1));
  seen.position.reset();
  harness_->Put(Id(3), seen, then_ + absl::Seconds(2));
  const risk::History later = history(then_ + absl::Minutes(1));
  EXPECT_EQ(later.first_seen, then_);
  EXPECT_EQ(later.previous[0], (risk::Sighting{then_ + absl::Seconds(1), {3, 4}}));
  EXPECT_EQ(later.previous[1], std::nullopt);  // was not asked for
  EXPECT_EQ(later.previous[2], (risk::Sighting{then_, {1, 2}}));
  EXPECT_EQ(history(then_).first_seen, std::nullopt);
  EXPECT_EQ(history(then_ + absl::Seconds(1)).previous[0], (risk::Sighting{then_, {1, 2}}));
}

TEST_P(RiskStoreContract, ListsPageByPage) {
  for (int at = 1; at <= 5; ++at) harness_->Put(Id(at), Order(), then_ + absl::Seconds(at / 2));  // 0 1 1 2 2
  const auto ids = [&](const RiskQuery& query) {
    std::vector<int> listed;
    const auto page = store().List(query);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const RiskAssessment& one : *page) listed.push_back(one.order_id.bytes[15]);
    return listed;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(ids({}), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(ids({then_ + absl::Seconds(1), then_ + absl::Seconds(2)}), ElementsAre(2, 3));
  EXPECT_THAT(ids({absl::InfinitePast(), absl::InfiniteFuture(), std::nullopt, 2}), ElementsAre(1, 2));
  EXPECT_THAT(ids({then_ + absl::Seconds(1), absl::InfiniteFuture(), Id(2), 2}), ElementsAre(3, 4));
}

// Of so many that come at once, exactly as many pass as may.
TEST_P(RiskStoreContract, CountsExactlyWhoeverComesAtOnce) {
  constexpr int kEach = 12, kThreads = 4;
  risk::Rules rules = Velocity(10);
  rules.rules.push_back(Velocity(0).rules[0]);  // says how many it counts
  rules.rules[1].shadow = true;
  std::vector<std::thread> threads;
  std::atomic<int> allowed{0}, failed{0};
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int at = 0; at < kEach; ++at) {
        risk::Facts facts = Order();
        // In one another's way in different orders.
        facts.Of(risk::Trait::kCard) = at % 2 == thread % 2 ? "card-a" : "card-b";
        facts.Of(risk::Trait::kDevice) = at % 2 == thread % 2 ? "device-b" : "device-a";
        const auto assessed = store().Assess(Id(1 + thread * kEach + at), facts, rules);
        if (!assessed.ok()) ++failed;
        if (assessed.ok() && assessed->kept.assessment.verdict.decision == risk::Decision::kAllow) ++allowed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(allowed.load(), 10) << "others passed than may";
  const std::vector<RiskAssessment> all = *store().List({});
  ASSERT_EQ(all.size(), static_cast<size_t>(kEach * kThreads));
  for (size_t at = 0; at < all.size(); ++at) {
    EXPECT_EQ(all[at].assessment.reasons.back().detail,
              fmt::format("{} orders of the user within 1h, more than 0", at + 1))
        << "it is not counted by all that came before it";
  }
}

}  // namespace waybill::storage
