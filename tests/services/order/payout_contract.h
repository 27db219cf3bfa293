// What every payout gateway has to do for Waybill; run against the fake, and against the sandbox over gRPC. A World
// opens one, and gives the means to look into its books.
#pragma once

#include <future>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "saga/outcome.h"
#include "services/order/payout_gateway.h"

namespace waybill::order {

inline ParticipantCall PayoutCall(const std::string& key, absl::Duration timeout = absl::Seconds(10)) {
  return {key, "0190f0a0-0000-7000-8000-00000000000a", SystemClock().Steady() + timeout, ""};
}

inline domain::Payout PayoutOf(int64_t amount_minor) {
  domain::Payout payout;
  payout.client = "shop";
  payout.payout_id = "p-1";
  payout.account = "driver-7";
  payout.destination = "DE02120300000000202051";
  payout.amount_minor = amount_minor;
  payout.currency = "EUR";
  return payout;
}

inline absl::StatusOr<PayResult> PayNow(PayoutGateway& gateway, const ParticipantCall& call,
                                        const domain::Payout& payout) {
  std::promise<absl::StatusOr<PayResult>> answer;
  gateway.Pay(call, payout, [&](absl::StatusOr<PayResult> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

template <typename World>
class PayoutGatewayContract : public ::testing::Test {
 protected:
  World world_;
};
TYPED_TEST_SUITE_P(PayoutGatewayContract);

TYPED_TEST_P(PayoutGatewayContract, PaysOnceHoweverOftenItIsAsked) {
  PayoutGateway& gateway = this->world_.gateway();
  auto first = PayNow(gateway, PayoutCall("a"), PayoutOf(100));
  ASSERT_TRUE(first.ok() && first->paid()) << first.status();
  EXPECT_FALSE(first->paid()->reference.empty());
  auto again = PayNow(gateway, PayoutCall("a"), PayoutOf(100));
  ASSERT_TRUE(again.ok() && again->paid()) << again.status();
  EXPECT_EQ(again->paid()->reference, first->paid()->reference);
  EXPECT_FALSE(PayNow(gateway, PayoutCall("a"), PayoutOf(101)).ok()) << "neither paid nor refused";
  EXPECT_EQ(this->world_.PaidMinor(), 100);
  ASSERT_TRUE(PayNow(gateway, PayoutCall("b"), PayoutOf(100))->paid());
  EXPECT_EQ(this->world_.PaidMinor(), 200);
}

TYPED_TEST_P(PayoutGatewayContract, RepeatsARefusal) {
  PayoutGateway& gateway = this->world_.gateway();
  this->world_.RefuseNext();
  for (int i = 0; i < 2; ++i) {
    auto refused = PayNow(gateway, PayoutCall("a"), PayoutOf(100));
    ASSERT_TRUE(refused.ok() && refused->refused()) << refused.status();
    EXPECT_FALSE(refused->refused()->reason.empty());
    this->world_.Behave();
  }
  EXPECT_EQ(this->world_.PaidMinor(), 0);
}

TYPED_TEST_P(PayoutGatewayContract, TakesALostAnswerForNeitherSuccessNorFailure) {
  PayoutGateway& gateway = this->world_.gateway();
  this->world_.LoseNextAnswer();
  EXPECT_FALSE(PayNow(gateway, PayoutCall("a", absl::Milliseconds(200)), PayoutOf(100)).ok());
  EXPECT_EQ(this->world_.PaidMinor(), 100);
  this->world_.Behave();
  auto again = PayNow(gateway, PayoutCall("a"), PayoutOf(100));
  ASSERT_TRUE(again.ok() && again->paid()) << again.status();
  EXPECT_EQ(this->world_.PaidMinor(), 100);
}

TYPED_TEST_P(PayoutGatewayContract, GivesARepetitionNoOutcomeWhileTheFirstCallExecutes) {
  PayoutGateway& gateway = this->world_.gateway();
  this->world_.SlowNext();
  EXPECT_FALSE(PayNow(gateway, PayoutCall("a", absl::Milliseconds(200)), PayoutOf(100)).ok());
  auto meanwhile = PayNow(gateway, PayoutCall("a"), PayoutOf(100));
  EXPECT_EQ(meanwhile.status().code(), absl::StatusCode::kAborted) << "neither paid nor refused";
  this->world_.Land();
  auto again = PayNow(gateway, PayoutCall("a"), PayoutOf(100));
  ASSERT_TRUE(again.ok() && again->paid()) << again.status();
  EXPECT_EQ(this->world_.PaidMinor(), 100);
}

TYPED_TEST_P(PayoutGatewayContract, RepeatsAPendingPayoutUntilItIsDecidedAndThenTheDecision) {
  PayoutGateway& gateway = this->world_.gateway();
  this->world_.PendNext();
  for (const char* key : {"paid", "refused"}) {
    auto first = PayNow(gateway, PayoutCall(key), PayoutOf(100));
    ASSERT_TRUE(first.ok() && first->pending()) << first.status();
    EXPECT_TRUE(saga::IsToken(first->pending()->token));
    EXPECT_LT(first->pending()->until, absl::InfiniteFuture());
    auto again = PayNow(gateway, PayoutCall(key), PayoutOf(100));
    ASSERT_TRUE(again.ok() && again->pending()) << again.status();
    EXPECT_EQ(again->pending()->token, first->pending()->token);
  }
  EXPECT_EQ(this->world_.PaidMinor(), 0);
  this->world_.Decide("paid", true);
  this->world_.Decide("refused", false);
  for (int i = 0; i < 2; ++i) {
    auto paid = PayNow(gateway, PayoutCall("paid"), PayoutOf(100));
    ASSERT_TRUE(paid.ok() && paid->paid()) << paid.status();
    auto refused = PayNow(gateway, PayoutCall("refused"), PayoutOf(100));
    ASSERT_TRUE(refused.ok() && refused->refused()) << refused.status();
  }
  EXPECT_EQ(this->world_.PaidMinor(), 100);
}

REGISTER_TYPED_TEST_SUITE_P(PayoutGatewayContract, PaysOnceHoweverOftenItIsAsked, RepeatsARefusal,
                            TakesALostAnswerForNeitherSuccessNorFailure,
                            GivesARepetitionNoOutcomeWhileTheFirstCallExecutes,
                            RepeatsAPendingPayoutUntilItIsDecidedAndThenTheDecision);

}  // namespace waybill::order
