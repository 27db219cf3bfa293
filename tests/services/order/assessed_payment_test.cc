// Payments without an order whose rules of risk are asked before anything is charged.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "risk/testing/always.h"
#include "services/order/assess_risk.h"
#include "services/order/payment_api.h"
#include "services/order/risk_api.h"
#include "services/order/take_payment.h"
#include "storage/testing/fake_order_store.h"
#include "storage/testing/fake_risk_store.h"
#include "tests/services/order/payment_world.h"

namespace waybill::order {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr char kFirst[] = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3";
constexpr char kSecond[] = "0f2b1c3d-1111-4222-8333-444455556666";

class AssessedPaymentTest : public PaymentWorld {
 protected:
  AssessedPaymentTest() : PaymentWorld({{PaidAt("north", 1)}, {}}) {}

  static risk::Rules Always(std::optional<risk::Decision> decides) {
    return risk::testing::Always({risk::Subject::kPayment}, decides);
  }
  void Use(risk::Rules rules) { rules_ = std::make_shared<const risk::Rules>(std::move(rules)); }

  Result Take(const std::string& id, std::string user_id = "", std::optional<domain::Payer> payer = std::nullopt) {
    const std::shared_ptr<Result> result =
        Ask(process_, TakeNewPayment("shop", id, Money{1990, "EUR"}, std::move(user_id), std::move(payer)));
    time_.Advance(absl::Seconds(1));
    return *result;
  }
  storage::PaymentRecord Stored(const std::string& id) { return *store_.Find("shop", id); }
  PaymentStatus StatusIs(const std::string& id) { return StatusOfPayment(Stored(id)); }
  PaymentStatus StatusAfter(const std::string& id, std::string user_id = "",
                            std::optional<domain::Payer> payer = std::nullopt) {
    const Result taken = Take(id, std::move(user_id), std::move(payer));
    EXPECT_TRUE(taken.ok()) << taken.status();
    return StatusIs(id);
  }
  std::string AttemptIs(const std::string& id) {
    return std::string(domain::Name(Stored(id).payload.attempts.at(0).state));
  }
  absl::Status Decide(const std::string& id, bool allow) {
    absl::Status said = reviews_.Decide(Stored(id).id, allow, {"ops", "", "ann"}, "called the payer");
    time_.Advance(absl::Minutes(1));
    return said;
  }

  storage::testing::FakeOrderStore orders_{book_, time_};
  storage::testing::FakeRiskStore assessments_{time_};
  std::shared_ptr<const risk::Rules> rules_;
  RiskAssessor risk_{assessments_,
                     workers_,
                     time_,
                     metrics_,
                     [this] { return rules_; },
                     [this](const domain::Order& payment) { routing_.Drop(payment); }};
  Process process_{
      *this, {TakePayment(routing_, time_, retry_), AssessedTakePayment(risk_, routing_, time_, true, retry_)}, "a"};
  RiskApi reviews_{assessments_, orders_, process_.runner};
};

TEST_F(AssessedPaymentTest, WhatIsAllowedIsCharged) {
  Use(Always(std::nullopt));
  const domain::Payer payer{"card-1", "device-1", "10.0.0.1", domain::GeoPoint{1, 2}, absl::UnixEpoch()};
  EXPECT_EQ(StatusAfter(kFirst, "u-1", payer), PaymentStatus::kPaid);
  EXPECT_EQ(Stored(kFirst).version, kAssessedPaymentVersion);
  const risk::Facts facts = assessments_.Find(Stored(kFirst).id)->kept.facts;
  EXPECT_EQ(facts.subject, risk::Subject::kPayment);
  EXPECT_THAT(facts.traits, ElementsAre("u-1", "card-1", "device-1", "10.0.0.1"));
  EXPECT_EQ(facts.position, payer.position);
  EXPECT_EQ(facts.account, payer.account);
  EXPECT_EQ(north_.NetMinor(), 1990);
}

TEST_F(AssessedPaymentTest, WhatIsDeniedIsNeverCharged) {
  Use(Always(risk::Decision::kDeny));
  const Result taken = Take(kFirst);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(StatusOfPayment(taken->payment), PaymentStatus::kPending)
      << "answered when it is durable, as without rules";
  EXPECT_EQ(StatusIs(kFirst), PaymentStatus::kFailed);
  EXPECT_EQ(Stored(kFirst).failure.reason, kRiskDenied);
  EXPECT_EQ(AttemptIs(kFirst), "not_sent");
  EXPECT_THAT(north_.books(), IsEmpty());
}

TEST_F(AssessedPaymentTest, WhatWantsAPersonWaitsForOne) {
  Use(Always(risk::Decision::kReview));
  EXPECT_EQ(StatusAfter(kFirst), PaymentStatus::kAwaitingReview);
  EXPECT_EQ(StatusAfter(kSecond), PaymentStatus::kAwaitingReview);
  EXPECT_EQ(process_.api.undecided(), 0U);
  EXPECT_EQ(StatusOfPayment(Take(kFirst)->payment), PaymentStatus::kAwaitingReview);
  ASSERT_EQ(reviews_.Reviews(std::nullopt, 9)->size(), 2U);
  EXPECT_THAT(north_.books(), IsEmpty());
  EXPECT_TRUE(Decide(kFirst, true).ok());
  EXPECT_TRUE(Decide(kSecond, false).ok());
  EXPECT_EQ(StatusIs(kFirst), PaymentStatus::kPaid);
  EXPECT_EQ(StatusIs(kSecond), PaymentStatus::kFailed);
  EXPECT_EQ(Stored(kSecond).failure.reason, kRiskDenied);
  EXPECT_EQ(AttemptIs(kSecond), "not_sent");
  EXPECT_EQ(GetErrorDetail(Decide(kFirst, false)).reason, "REVIEW_NOT_OPEN");
  EXPECT_EQ(north_.NetMinor(), 1990);
}

TEST_F(AssessedPaymentTest, WhatNobodyDecidesEndsInTime) {
  Use(Always(risk::Decision::kReview));
  ASSERT_EQ(StatusAfter(kFirst), PaymentStatus::kAwaitingReview);
  time_.Advance(absl::Hours(3));
  ASSERT_TRUE(process_.runner.RecoverExpired(false, 10).ok());
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(kFirst), PaymentStatus::kFailed);
  EXPECT_EQ(Stored(kFirst).failure.reason, kRiskDenied);
  EXPECT_EQ(AttemptIs(kFirst), "not_sent");
}

TEST_F(AssessedPaymentTest, NothingIsChargedWhileTheStoreDoesNotAnswer) {
  Use(Always(std::nullopt));
  assessments_.set_error(absl::UnavailableError("down"));
  EXPECT_EQ(StatusAfter(kFirst), PaymentStatus::kPending);
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(StatusIs(kFirst), PaymentStatus::kPending) << "for as long as it waits for its gateway";
  EXPECT_THAT(north_.books(), IsEmpty());
  assessments_.set_error(absl::OkStatus());
  time_.Advance(absl::Minutes(1));
  EXPECT_EQ(StatusIs(kFirst), PaymentStatus::kPaid);
  assessments_.set_error(absl::UnavailableError("down"));
  EXPECT_EQ(StatusAfter(kSecond), PaymentStatus::kPending);
  time_.Advance(absl::Hours(25));
  EXPECT_EQ(StatusIs(kSecond), PaymentStatus::kFailed);
  EXPECT_EQ(Stored(kSecond).failure.reason, kRiskUnknown);
  EXPECT_EQ(AttemptIs(kSecond), "not_sent");
}

TEST_F(AssessedPaymentTest, ACardIsCountedOverOrdersAndPayments) {
  risk::Rules rules = Always(risk::Decision::kDeny);
  rules.rules[0].about = {risk::Subject::kOrder, risk::Subject::kPayment};
  rules.rules[0].on = risk::Velocity{risk::Trait::kCard, absl::Hours(1), 2, std::nullopt};
  Use(rules);
  risk::Facts order;
  order.client = "shop";
  order.Of(risk::Trait::kCard) = "card-1";
  order.amount_minor = 1;
  order.currency = "EUR";
  ASSERT_TRUE(assessments_.Assess(ids_.Next(), order, rules).ok());
  const domain::Payer payer{"card-1", "", "", std::nullopt, std::nullopt};
  EXPECT_EQ(StatusAfter(kFirst, "", payer), PaymentStatus::kPaid);
  EXPECT_EQ(StatusAfter(kSecond, "", payer), PaymentStatus::kFailed);
}

TEST_F(AssessedPaymentTest, ARepetitionSaysTheSameOfThePayer) {
  Use(Always(std::nullopt));
  const domain::Payer payer{"card-1", "", "", std::nullopt, std::nullopt};
  ASSERT_TRUE(Take(kFirst, "u-1", payer).ok());
  EXPECT_TRUE(Take(kFirst, "u-1", payer)->replayed);
  const absl::Status other = Take(kFirst, "u-2").status();
  EXPECT_EQ(GetErrorDetail(other).reason, "PAYMENT_ID_REUSED");
  EXPECT_THAT(GetErrorDetail(other).metadata, Contains(Pair("fields", "user_id,payer")));
  ASSERT_TRUE(Take(kSecond).ok());
  EXPECT_TRUE(Take(kSecond, "u-1", payer)->replayed) << "a replica of before kept nothing of it";
}

TEST_F(AssessedPaymentTest, WhatIsWrongOfThePayerIsNamed) {
  const absl::Status wrong =
      TakeNewPayment("shop", kFirst, Money{1, "EUR"}, "a b", domain::Payer{"\n", "", "", domain::GeoPoint{91, 0}, {}})
          .status();
  std::vector<std::string> fields;
  for (const auto& [field, why] : GetErrorDetail(wrong).violations) fields.push_back(field);
  EXPECT_THAT(fields, ElementsAre("user_id", "payer.card_fingerprint", "payer.position.latitude"));
}

}  // namespace
}  // namespace waybill::order
