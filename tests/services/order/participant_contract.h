// What every payment gateway and every dispatcher outside of this process has to do for Waybill; run against the fakes
// and against the remote implementations. A World opens one, and gives the means to look into its books.
#pragma once

#include <future>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "saga/outcome.h"
#include "services/order/dispatch.h"
#include "services/order/payment_gateway.h"

namespace waybill::order {

inline ParticipantCall CallFor(const std::string& key) {
  return {key, "0190f0a0-0000-7000-8000-00000000000a", SystemClock().Steady() + absl::Seconds(10), ""};
}

inline domain::Order OrderOf(int64_t amount_minor) {
  domain::Order order;
  order.user_id = "user-1";
  order.amount_minor = amount_minor;
  order.currency = "EUR";
  return order;
}

inline absl::StatusOr<ChargeResult> ChargeNow(PaymentGateway& gateway, const ParticipantCall& call,
                                              const domain::Order& order) {
  std::promise<absl::StatusOr<ChargeResult>> answer;
  gateway.Charge(call, order, [&](absl::StatusOr<ChargeResult> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::StatusOr<ChargeResult> AuthorizeNow(PaymentGateway& gateway, const ParticipantCall& call,
                                                 const domain::Order& order) {
  std::promise<absl::StatusOr<ChargeResult>> answer;
  gateway.Authorize(call, order, [&](absl::StatusOr<ChargeResult> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::StatusOr<CaptureResult> CaptureNow(PaymentGateway& gateway, const ParticipantCall& call,
                                                const domain::Order& order) {
  std::promise<absl::StatusOr<CaptureResult>> answer;
  gateway.Capture(call, order, [&](absl::StatusOr<CaptureResult> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::StatusOr<RefundResult> RefundNow(PaymentGateway& gateway, const ParticipantCall& call,
                                              const domain::Order& order) {
  std::promise<absl::StatusOr<RefundResult>> answer;
  gateway.Refund(call, order, [&](absl::StatusOr<RefundResult> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::StatusOr<RefundPartResult> RefundPartNow(PaymentGateway& gateway, const ParticipantCall& call,
                                                      const std::string& refund_id, int64_t amount_minor) {
  std::promise<absl::StatusOr<RefundPartResult>> answer;
  gateway.RefundPart(call, {refund_id, amount_minor, "EUR"},
                     [&](absl::StatusOr<RefundPartResult> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::StatusOr<AssignResult> AssignNow(Dispatch& dispatch, const ParticipantCall& call,
                                              const domain::Order& order) {
  std::promise<absl::StatusOr<AssignResult>> answer;
  dispatch.Assign(call, Uuid(), order, 0,
                  [&](absl::StatusOr<AssignResult> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::Status ReleaseNow(Dispatch& dispatch, const ParticipantCall& call, const domain::Order& order) {
  std::promise<absl::Status> answer;
  dispatch.Release(call, Uuid(), order, [&](absl::Status status) { answer.set_value(std::move(status)); });
  return answer.get_future().get();
}

template <typename World>
class GatewayContract : public ::testing::Test {
 protected:
  World world_;
};
TYPED_TEST_SUITE_P(GatewayContract);

TYPED_TEST_P(GatewayContract, ChargesOnceHoweverOftenItIsAsked) {
  PaymentGateway& gateway = this->world_.gateway();
  auto first = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->approved());
  EXPECT_FALSE(first->approved()->reference.empty());
  auto again = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(again.ok()) << again.status();
  ASSERT_TRUE(again->approved());
  EXPECT_EQ(again->approved()->reference, first->approved()->reference);
  EXPECT_EQ(this->world_.NetMinor(), 100);
}

TYPED_TEST_P(GatewayContract, RefundsOnceAndInFull) {
  PaymentGateway& gateway = this->world_.gateway();
  auto charged = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(charged.ok() && charged->approved());
  for (int i = 0; i < 2; ++i) {
    auto refunded = RefundNow(gateway, CallFor("a"), OrderOf(100));
    ASSERT_TRUE(refunded.ok()) << refunded.status();
    EXPECT_EQ(refunded->refunded_minor, 100);
    EXPECT_EQ(refunded->charge_reference, charged->approved()->reference);
  }
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, ClosesAKeyThatIsRefundedBeforeItWasCharged) {
  PaymentGateway& gateway = this->world_.gateway();
  auto refunded = RefundNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(refunded.ok()) << refunded.status();
  EXPECT_EQ(refunded->refunded_minor, 0);
  auto late = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(late.ok()) << late.status();
  ASSERT_TRUE(late->declined());
  EXPECT_EQ(late->declined()->reason, "KEY_CLOSED");
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, RepeatsADecline) {
  PaymentGateway& gateway = this->world_.gateway();
  this->world_.DeclineNext();
  for (int i = 0; i < 2; ++i) {
    auto declined = ChargeNow(gateway, CallFor("a"), OrderOf(100));
    ASSERT_TRUE(declined.ok()) << declined.status();
    ASSERT_TRUE(declined->declined());
    EXPECT_FALSE(declined->declined()->reason.empty());
  }
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, TakesALostAnswerForNeitherSuccessNorFailure) {
  PaymentGateway& gateway = this->world_.gateway();
  this->world_.LoseNextAnswer();
  ParticipantCall soon = CallFor("a");
  soon.deadline = SystemClock().Steady() + absl::Milliseconds(500);
  EXPECT_FALSE(ChargeNow(gateway, soon, OrderOf(100)).ok());
  EXPECT_EQ(this->world_.NetMinor(), 100);
  auto again = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->approved());
  EXPECT_EQ(this->world_.NetMinor(), 100);
}

TYPED_TEST_P(GatewayContract, AnswersARefundOnlyWhenNoChargeCanLandAnyMore) {
  PaymentGateway& gateway = this->world_.gateway();
  this->world_.SlowNext();
  ParticipantCall soon = CallFor("a");
  soon.deadline = SystemClock().Steady() + absl::Milliseconds(500);
  EXPECT_FALSE(ChargeNow(gateway, soon, OrderOf(100)).ok());
  bool answered = RefundNow(gateway, CallFor("a"), OrderOf(100)).ok();
  this->world_.Land();
  if (!answered) {
    auto refunded = RefundNow(gateway, CallFor("a"), OrderOf(100));
    EXPECT_TRUE(refunded.ok()) << refunded.status();
  }
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, GivesAPartBackOnceForEachRefundIdAndTheRestWithTheWhole) {
  PaymentGateway& gateway = this->world_.gateway();
  ASSERT_TRUE(ChargeNow(gateway, CallFor("a"), OrderOf(100))->approved());
  std::string reference;
  for (int i = 0; i < 2; ++i) {
    auto part = RefundPartNow(gateway, CallFor("a"), "r1", 30);
    ASSERT_TRUE(part.ok() && part->refunded()) << part.status();
    if (i > 0) {
      EXPECT_EQ(part->refunded()->reference, reference);
    }
    reference = part->refunded()->reference;
  }
  EXPECT_EQ(this->world_.NetMinor(), 70);
  EXPECT_EQ(RefundPartNow(gateway, CallFor("a"), "r1", 31).status().code(), absl::StatusCode::kFailedPrecondition);
  auto beyond = RefundPartNow(gateway, CallFor("a"), "r2", 71);
  ASSERT_TRUE(beyond.ok() && beyond->refused()) << beyond.status();
  EXPECT_EQ(beyond->refused()->reason, "BEYOND_CHARGE");
  EXPECT_TRUE(RefundPartNow(gateway, CallFor("a"), "r3", 50)->refunded());
  auto whole = RefundNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->refunded_minor, 100) << "in all";
  EXPECT_EQ(this->world_.NetMinor(), 0);
  auto late = RefundPartNow(gateway, CallFor("a"), "r4", 1);
  ASSERT_TRUE(late.ok() && late->refused()) << late.status();
  EXPECT_EQ(RefundPartNow(gateway, CallFor("a"), "r1", 30)->refunded()->reference, reference) << "the first answer";
  EXPECT_TRUE(RefundPartNow(gateway, CallFor("a"), "r2", 71)->refused());
  EXPECT_EQ(RefundNow(gateway, CallFor("a"), OrderOf(100))->refunded_minor, 100);
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, RefusesAPartOfWhatWasNeverCharged) {
  PaymentGateway& gateway = this->world_.gateway();
  auto part = RefundPartNow(gateway, CallFor("a"), "r1", 30);
  ASSERT_TRUE(part.ok() && part->refused()) << part.status();
  EXPECT_FALSE(part->refused()->reason.empty());
}

TYPED_TEST_P(GatewayContract, TakesALostAnswerToAPartForNeitherSuccessNorFailure) {
  PaymentGateway& gateway = this->world_.gateway();
  ASSERT_TRUE(ChargeNow(gateway, CallFor("a"), OrderOf(100))->approved());
  this->world_.LoseNextAnswer();
  ParticipantCall soon = CallFor("a");
  soon.deadline = SystemClock().Steady() + absl::Milliseconds(500);
  EXPECT_FALSE(RefundPartNow(gateway, soon, "r1", 30).ok());
  EXPECT_EQ(this->world_.NetMinor(), 70);
  auto again = RefundPartNow(gateway, CallFor("a"), "r1", 30);
  ASSERT_TRUE(again.ok() && again->refunded()) << again.status();
  EXPECT_EQ(this->world_.NetMinor(), 70);
}

TYPED_TEST_P(GatewayContract, HoldsFirstAndCapturesOnceHoweverOftenItIsAsked) {
  PaymentGateway& gateway = this->world_.gateway();
  for (int i = 0; i < 2; ++i) {
    auto held = AuthorizeNow(gateway, CallFor("a"), OrderOf(100));
    ASSERT_TRUE(held.ok() && held->approved()) << held.status();
    EXPECT_EQ(this->world_.NetMinor(), 0) << "nothing is taken";
  }
  std::string reference;
  for (int i = 0; i < 2; ++i) {
    auto captured = CaptureNow(gateway, CallFor("a"), OrderOf(100));
    ASSERT_TRUE(captured.ok() && captured->captured()) << captured.status();
    if (i > 0) {
      EXPECT_EQ(captured->captured()->reference, reference);
    }
    reference = captured->captured()->reference;
    EXPECT_EQ(this->world_.NetMinor(), 100);
  }
  auto again = AuthorizeNow(gateway, CallFor("a"), OrderOf(100));
  EXPECT_TRUE(again.ok() && again->approved()) << "the first answer";
  EXPECT_TRUE(RefundPartNow(gateway, CallFor("a"), "r1", 30)->refunded()) << "it is a charge now";
  auto refunded = RefundNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(refunded.ok()) << refunded.status();
  EXPECT_EQ(refunded->refunded_minor, 100);
  EXPECT_EQ(refunded->charge_reference, reference);
  EXPECT_TRUE(CaptureNow(gateway, CallFor("a"), OrderOf(100))->captured()) << "the first answer";
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, VoidsByARefundWhatIsHeldAndCapturesItNoMore) {
  PaymentGateway& gateway = this->world_.gateway();
  ASSERT_TRUE(AuthorizeNow(gateway, CallFor("a"), OrderOf(100))->approved());
  for (int i = 0; i < 2; ++i) {
    auto voided = RefundNow(gateway, CallFor("a"), OrderOf(100));
    ASSERT_TRUE(voided.ok()) << voided.status();
    EXPECT_EQ(voided->refunded_minor, 0);
  }
  for (int i = 0; i < 2; ++i) {
    auto late = CaptureNow(gateway, CallFor("a"), OrderOf(100));
    ASSERT_TRUE(late.ok() && late->refused()) << late.status();
    EXPECT_EQ(late->refused()->reason, "KEY_CLOSED");
  }
  auto again = AuthorizeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(again.ok() && again->declined()) << again.status();
  EXPECT_EQ(again->declined()->reason, "KEY_CLOSED");
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, CapturesNothingThatWasNeverHeld) {
  PaymentGateway& gateway = this->world_.gateway();
  auto nothing = CaptureNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(nothing.ok() && nothing->refused()) << nothing.status();
  EXPECT_FALSE(nothing->refused()->reason.empty());
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(GatewayContract, SettlesByARefundWhatACaptureDidThatNobodyHeardOf) {
  PaymentGateway& gateway = this->world_.gateway();
  ASSERT_TRUE(AuthorizeNow(gateway, CallFor("a"), OrderOf(100))->approved());
  this->world_.SlowNext();
  ParticipantCall soon = CallFor("a");
  soon.deadline = SystemClock().Steady() + absl::Milliseconds(500);
  EXPECT_FALSE(CaptureNow(gateway, soon, OrderOf(100)).ok());
  const bool answered = RefundNow(gateway, CallFor("a"), OrderOf(100)).ok();
  this->world_.Land();
  if (!answered) {
    auto refunded = RefundNow(gateway, CallFor("a"), OrderOf(100));
    ASSERT_TRUE(refunded.ok()) << refunded.status();
    EXPECT_EQ(refunded->refunded_minor, 100);
  }
  EXPECT_EQ(this->world_.NetMinor(), 0);
  ASSERT_TRUE(AuthorizeNow(gateway, CallFor("b"), OrderOf(100))->approved());
  this->world_.LoseNextAnswer();
  soon.key = "b";
  soon.deadline = SystemClock().Steady() + absl::Milliseconds(500);
  EXPECT_FALSE(CaptureNow(gateway, soon, OrderOf(100)).ok());
  EXPECT_EQ(this->world_.NetMinor(), 100);
  EXPECT_EQ(RefundNow(gateway, CallFor("b"), OrderOf(100))->refunded_minor, 100);
}

REGISTER_TYPED_TEST_SUITE_P(GatewayContract, HoldsFirstAndCapturesOnceHoweverOftenItIsAsked,
                            VoidsByARefundWhatIsHeldAndCapturesItNoMore, CapturesNothingThatWasNeverHeld,
                            SettlesByARefundWhatACaptureDidThatNobodyHeardOf, ChargesOnceHoweverOftenItIsAsked,
                            RefundsOnceAndInFull, GivesAPartBackOnceForEachRefundIdAndTheRestWithTheWhole,
                            RefusesAPartOfWhatWasNeverCharged, TakesALostAnswerToAPartForNeitherSuccessNorFailure,
                            ClosesAKeyThatIsRefundedBeforeItWasCharged, RepeatsADecline,
                            TakesALostAnswerForNeitherSuccessNorFailure, AnswersARefundOnlyWhenNoChargeCanLandAnyMore);

// Of gateways that may decide later.
template <typename World>
class PendingGatewayContract : public ::testing::Test {
 protected:
  World world_;
};
TYPED_TEST_SUITE_P(PendingGatewayContract);

TYPED_TEST_P(PendingGatewayContract, RepeatsAPendingChargeUntilItIsDecidedAndThenTheDecision) {
  PaymentGateway& gateway = this->world_.gateway();
  this->world_.PendNext();
  for (const char* key : {"approved", "declined"}) {
    auto first = ChargeNow(gateway, CallFor(key), OrderOf(100));
    ASSERT_TRUE(first.ok()) << first.status();
    ASSERT_TRUE(first->pending());
    EXPECT_TRUE(saga::IsToken(first->pending()->token));
    EXPECT_LT(first->pending()->until, absl::InfiniteFuture());
    auto again = ChargeNow(gateway, CallFor(key), OrderOf(100));
    ASSERT_TRUE(again.ok() && again->pending()) << again.status();
    EXPECT_EQ(again->pending()->token, first->pending()->token);
  }
  this->world_.Decide("approved", true);
  this->world_.Decide("declined", false);
  for (int i = 0; i < 2; ++i) {
    auto approved = ChargeNow(gateway, CallFor("approved"), OrderOf(100));
    ASSERT_TRUE(approved.ok() && approved->approved()) << approved.status();
    auto declined = ChargeNow(gateway, CallFor("declined"), OrderOf(100));
    ASSERT_TRUE(declined.ok() && declined->declined()) << declined.status();
  }
  EXPECT_EQ(this->world_.NetMinor(), 100);
}

TYPED_TEST_P(PendingGatewayContract, ClosesAPendingKeyThatIsRefunded) {
  PaymentGateway& gateway = this->world_.gateway();
  this->world_.PendNext();
  auto pending = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(pending.ok() && pending->pending()) << pending.status();
  auto refunded = RefundNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(refunded.ok()) << refunded.status();
  EXPECT_EQ(refunded->refunded_minor, 0);
  this->world_.Decide("a", true);  // too late
  auto late = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(late.ok() && late->declined()) << late.status();
  EXPECT_EQ(late->declined()->reason, "KEY_CLOSED");
  EXPECT_EQ(this->world_.NetMinor(), 0);
}

TYPED_TEST_P(PendingGatewayContract, HoldsWhatIsAuthorizedOnceThatIsDecided) {
  PaymentGateway& gateway = this->world_.gateway();
  this->world_.PendNext();
  ASSERT_TRUE(AuthorizeNow(gateway, CallFor("b"), OrderOf(100))->pending());
  this->world_.Decide("b", true);
  EXPECT_EQ(this->world_.NetMinor(), 0) << "held";
  ASSERT_TRUE(AuthorizeNow(gateway, CallFor("b"), OrderOf(100))->approved());
  EXPECT_TRUE(CaptureNow(gateway, CallFor("b"), OrderOf(100))->captured());
  EXPECT_EQ(this->world_.NetMinor(), 100);
}

REGISTER_TYPED_TEST_SUITE_P(PendingGatewayContract, RepeatsAPendingChargeUntilItIsDecidedAndThenTheDecision,
                            ClosesAPendingKeyThatIsRefunded, HoldsWhatIsAuthorizedOnceThatIsDecided);

// Of gateways whose calls take time, so that a repetition may find the first one executing.
template <typename World>
class SlowGatewayContract : public ::testing::Test {
 protected:
  World world_;
};
TYPED_TEST_SUITE_P(SlowGatewayContract);

TYPED_TEST_P(SlowGatewayContract, GivesARepetitionNoOutcomeWhileTheFirstCallExecutes) {
  PaymentGateway& gateway = this->world_.gateway();
  this->world_.SlowNext();
  ParticipantCall soon = CallFor("a");
  soon.deadline = SystemClock().Steady() + absl::Milliseconds(500);
  EXPECT_FALSE(ChargeNow(gateway, soon, OrderOf(100)).ok());
  auto meanwhile = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  EXPECT_EQ(meanwhile.status().code(), absl::StatusCode::kAborted) << "neither approved nor declined";
  this->world_.Land();
  auto again = ChargeNow(gateway, CallFor("a"), OrderOf(100));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->approved());
  EXPECT_EQ(this->world_.NetMinor(), 100);
}

REGISTER_TYPED_TEST_SUITE_P(SlowGatewayContract, GivesARepetitionNoOutcomeWhileTheFirstCallExecutes);

template <typename World>
class DispatchContract : public ::testing::Test {
 protected:
  World world_;  // with exactly one driver
};
TYPED_TEST_SUITE_P(DispatchContract);

TYPED_TEST_P(DispatchContract, AssignsOneDriverHoweverOftenItIsAsked) {
  Dispatch& dispatch = this->world_.dispatch();
  auto first = AssignNow(dispatch, CallFor("a"), OrderOf(1));
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(first->driver.has_value());
  auto again = AssignNow(dispatch, CallFor("a"), OrderOf(1));
  ASSERT_TRUE(again.ok() && again->driver.has_value());
  EXPECT_EQ(again->driver->driver_id, first->driver->driver_id);
  auto other = AssignNow(dispatch, CallFor("b"), OrderOf(1));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_FALSE(other->driver.has_value());
  EXPECT_EQ(other->none_reason, kNoDriverAvailable);
}

TYPED_TEST_P(DispatchContract, FreesTheDriverAndClosesTheKey) {
  Dispatch& dispatch = this->world_.dispatch();
  ASSERT_TRUE(AssignNow(dispatch, CallFor("a"), OrderOf(1)).ok());
  EXPECT_TRUE(ReleaseNow(dispatch, CallFor("a"), OrderOf(1)).ok());
  EXPECT_TRUE(ReleaseNow(dispatch, CallFor("a"), OrderOf(1)).ok());
  auto late = AssignNow(dispatch, CallFor("a"), OrderOf(1));
  ASSERT_TRUE(late.ok()) << late.status();  // whatever it says, it takes nobody
  auto next = AssignNow(dispatch, CallFor("b"), OrderOf(1));
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE(next->driver.has_value());
}

TYPED_TEST_P(DispatchContract, ClosesAKeyThatWasNeverAssigned) {
  Dispatch& dispatch = this->world_.dispatch();
  EXPECT_TRUE(ReleaseNow(dispatch, CallFor("a"), OrderOf(1)).ok());
  auto late = AssignNow(dispatch, CallFor("a"), OrderOf(1));
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_FALSE(late->driver.has_value());
  EXPECT_EQ(late->none_reason, "KEY_CLOSED");
}

TYPED_TEST_P(DispatchContract, GivesARepetitionNoOutcomeWhileTheFirstCallExecutes) {
  Dispatch& dispatch = this->world_.dispatch();
  this->world_.SlowNext();
  ParticipantCall soon = CallFor("a");
  soon.deadline = SystemClock().Steady() + absl::Milliseconds(500);
  EXPECT_FALSE(AssignNow(dispatch, soon, OrderOf(1)).ok());
  EXPECT_EQ(AssignNow(dispatch, CallFor("a"), OrderOf(1)).status().code(), absl::StatusCode::kAborted);
  bool released = ReleaseNow(dispatch, CallFor("a"), OrderOf(1)).ok();
  this->world_.Land();
  if (!released) {
    auto assigned = AssignNow(dispatch, CallFor("a"), OrderOf(1));
    ASSERT_TRUE(assigned.ok()) << assigned.status();
    EXPECT_TRUE(assigned->driver.has_value());
    EXPECT_TRUE(ReleaseNow(dispatch, CallFor("a"), OrderOf(1)).ok());
  }
  auto other = AssignNow(dispatch, CallFor("b"), OrderOf(1));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_TRUE(other->driver.has_value()) << "the driver is free once the release was answered";
}

REGISTER_TYPED_TEST_SUITE_P(DispatchContract, AssignsOneDriverHoweverOftenItIsAsked, FreesTheDriverAndClosesTheKey,
                            ClosesAKeyThatWasNeverAssigned, GivesARepetitionNoOutcomeWhileTheFirstCallExecutes);

}  // namespace waybill::order
