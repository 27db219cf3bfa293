#include "services/order/refund_api.h"

#include <future>
#include <memory>
#include <string>
#include <utility>

#include "domain/reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/order/order_world.h"

namespace waybill::order {
namespace {

using domain::PartialRefund;
using testing::Fate;
using RefundState = PartialRefund::State;

class RefundApiTest : public ::testing::Test {
 protected:
  using Result = absl::StatusOr<PartialRefund>;

  RefundApiTest() { world_.PutDrivers({"ann"}); }

  Uuid Confirmed(const std::string& key = "k") {
    Replica::Result created = a_.Create(Replica::NewOrder(key)).Get();
    EXPECT_EQ(created.order_status(), OrderStatus::kConfirmed) << created.status;
    return created.order.id;
  }
  std::future<Result> Ask(const Uuid& order_id, const std::string& refund_id, int64_t amount_minor,
                          absl::Duration timeout = absl::InfiniteDuration(), storage::Owner owner = std::nullopt,
                          domain::Actor by = {}) {
    auto promise = std::make_shared<std::promise<Result>>();
    auto future = promise->get_future();
    a_.refunds.Refund({order_id, refund_id, amount_minor, ""}, std::move(owner), std::move(by), {},
                      world_.time.Steady() + timeout,
                      a_.refunds.Expect([promise](Result result) { promise->set_value(std::move(result)); }));
    return future;
  }
  Result Refund(const Uuid& order_id, const std::string& refund_id, int64_t amount_minor) {
    return Ask(order_id, refund_id, amount_minor).get();
  }
  // Time goes by in small steps until it is answered.
  Result Await(std::future<Result> answer) {
    for (int i = 0; i < 10'000 && answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready; ++i) {
      a_.Pass(absl::Milliseconds(100));
    }
    return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready ? answer.get()
                                                                                 : absl::UnknownError("not answered");
  }
  std::string Reason(const Result& result) { return GetErrorDetail(result.status()).reason; }
  PartialRefund Stored(const Uuid& order_id) { return a_.store.Get(order_id)->payload.refunds.at(0); }

  SharedWorld world_;
  Replica a_{world_};
};

TEST_F(RefundApiTest, GivesPartsBackOfAConfirmedAndOfACompletedOrder) {
  const Uuid id = Confirmed();
  Result first = Refund(id, "r1", 250);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->state, RefundState::kDone);
  EXPECT_FALSE(first->reference.empty());
  ASSERT_TRUE(a_.Complete(id).Get().status.ok());
  ASSERT_TRUE(Refund(id, "r2", 1000).ok());
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
  EXPECT_EQ(RefundedOf(a_.store.Get(id)->payload), 1250);
}

TEST_F(RefundApiTest, AnswersARepetitionWithTheSameRefund) {
  const Uuid id = Confirmed();
  Result first = Refund(id, "r1", 250), again = Refund(id, "r1", 250);
  ASSERT_TRUE(first.ok() && again.ok()) << again.status();
  EXPECT_EQ(again->saga_id, first->saga_id);
  Result other = Refund(id, "r1", 251);
  EXPECT_EQ(Reason(other), "REFUND_ID_REUSED");
  EXPECT_THAT(GetErrorDetail(other.status()).metadata, ::testing::Contains(::testing::Pair("fields", "amount_minor")));
  EXPECT_EQ(world_.gateway.NetMinor(), 1000);
}

TEST_F(RefundApiTest, RefusesWhatCannotBe) {
  EXPECT_EQ(Reason(Refund(a_.ids.Next(), "r1", 1)), "ORDER_NOT_FOUND");
  const Uuid id = Confirmed();
  EXPECT_EQ(Reason(Ask(id, "r1", 1, absl::InfiniteDuration(), "somebody else").get()), "ORDER_NOT_FOUND");
  ASSERT_TRUE(Refund(id, "r1", 1000).ok());
  Result beyond = Refund(id, "r2", 251);
  EXPECT_EQ(Reason(beyond), "REFUND_BEYOND_CHARGE");
  EXPECT_THAT(GetErrorDetail(beyond.status()).metadata, ::testing::Contains(::testing::Pair("left_minor", "250")));
  ASSERT_TRUE(a_.Cancel(id).Get().status.ok());
  EXPECT_EQ(Reason(Refund(id, "r3", 1)), "ORDER_NOT_REFUNDABLE");
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
  a_.refunds.SetDraining();
  EXPECT_EQ(Reason(Refund(id, "r4", 1)), "SHUTTING_DOWN");
}

TEST_F(RefundApiTest, HasALimitOfRefunds) {
  const Uuid id = Confirmed();
  for (size_t i = 0; i < domain::kPartialRefundsMax; ++i) {
    ASSERT_TRUE(Refund(id, "r" + std::to_string(i), 1).ok()) << i;
  }
  EXPECT_EQ(Reason(Refund(id, "more", 1)), "REFUNDS_FULL");
}

TEST_F(RefundApiTest, WhatNobodyAnsweredIsAskedAgainAndDoneOnce) {
  const Uuid id = Confirmed();
  world_.gateway.WillMeet({Fate::kLostAfter, Fate::kUnavailable, Fate::kLostBefore});
  Result refund = Await(Ask(id, "r1", 250));
  ASSERT_TRUE(refund.ok()) << refund.status();
  EXPECT_EQ(refund->state, RefundState::kDone);
  EXPECT_EQ(world_.gateway.NetMinor(), 1000);
}

TEST_F(RefundApiTest, IsAnsweredOpenWhenTheWaitEndsFirstAndGoesOn) {
  const Uuid id = Confirmed();
  world_.gateway.set_fate(Fate::kUnavailable);
  Result open = Await(Ask(id, "r1", 250, absl::Seconds(2)));
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_EQ(open->state, RefundState::kOpen);
  EXPECT_EQ(Reason(Refund(id, "r2", 1001)), "REFUND_BEYOND_CHARGE") << "what is open counts";
  world_.gateway.set_fate(Fate::kAnswered);
  Result again = Await(Ask(id, "r1", 250));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->state, RefundState::kDone);
}

// What undoes the step asks the same: nothing is taken back, and it ends.
TEST_F(RefundApiTest, OutlastsAnOutageThatSpendsItsBudgetAndCallsAPerson) {
  const Uuid id = Confirmed();
  world_.gateway.set_fate(Fate::kLostAfter);
  Ask(id, "r1", 250);
  a_.Settle();
  for (int i = 0; i < 3000 && !a_.store.GetSaga(Stored(id).saga_id)->header.needs_attention; ++i) {
    a_.Pass(absl::Milliseconds(200));
  }
  const Uuid saga_id = Stored(id).saga_id;
  EXPECT_TRUE(a_.store.GetSaga(saga_id)->header.needs_attention);
  EXPECT_EQ(a_.store.GetSaga(saga_id)->header.state, saga::State::kCompensating);
  EXPECT_EQ(Stored(id).state, RefundState::kOpen);
  world_.gateway.set_fate(Fate::kAnswered);
  Result refund = Await(Ask(id, "r1", 250));
  ASSERT_TRUE(refund.ok()) << refund.status();
  EXPECT_EQ(refund->state, RefundState::kDone);
  EXPECT_EQ(world_.gateway.NetMinor(), 1000);
  EXPECT_FALSE(a_.store.GetSaga(saga_id)->header.needs_attention);
}

TEST_F(RefundApiTest, AGatewayOfBeforeRefusesForGoodAndTheAmountIsFreeAgain) {
  const Uuid id = Confirmed();
  world_.gateway.set_without_parts(true);
  Result refused = Refund(id, "r1", 1000);
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(refused->state, RefundState::kRefused);
  EXPECT_EQ(refused->refusal, kRefundUnsupported);
  world_.gateway.set_without_parts(false);
  EXPECT_EQ(Refund(id, "r1", 1000)->state, RefundState::kRefused) << "for good";
  EXPECT_EQ(Refund(id, "r2", 1250)->state, RefundState::kDone);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
}

// A replica of the gateway that has the method may have done it before one answers that has not.
TEST_F(RefundApiTest, AfterDoubtAGatewayOfBeforeProvesNothing) {
  const Uuid id = Confirmed();
  world_.gateway.WillMeet({Fate::kLostAfter});
  std::future<Result> asked = Ask(id, "r1", 250);
  a_.Settle();
  world_.gateway.set_without_parts(true);
  for (int i = 0; i < 100; ++i) a_.Pass(absl::Milliseconds(100));
  EXPECT_EQ(Stored(id).state, RefundState::kOpen);
  world_.gateway.set_without_parts(false);
  Result refund = Await(std::move(asked));
  ASSERT_TRUE(refund.ok()) << refund.status();
  EXPECT_EQ(refund->state, RefundState::kDone);
  EXPECT_EQ(world_.gateway.NetMinor(), 1000);
}

// Nothing was ever asked of it, whatever a process that died has left in doubt.
TEST_F(RefundApiTest, AGatewayThatCannotRefundRefusesAlsoAfterDoubt) {
  const Uuid id = Confirmed();
  world_.gateway.set_fate(Fate::kUnavailable);
  std::future<Result> asked = Ask(id, "r1", 250);
  a_.Settle();
  world_.gateway.set_can_refund(false);
  Result refund = Await(std::move(asked));
  ASSERT_TRUE(refund.ok()) << refund.status();
  EXPECT_EQ(refund->state, RefundState::kRefused);
  EXPECT_EQ(refund->refusal, kRefundUnsupported);
}

TEST_F(RefundApiTest, AnOrderThatIsTurnedBackMeanwhileGivesBackTheChargeAndNoMore) {
  const Uuid id = Confirmed();
  world_.gateway.set_fate(Fate::kUnavailable);
  std::future<Result> asked = Ask(id, "r1", 250);
  a_.Settle();
  world_.gateway.set_fate(Fate::kAnswered);
  Replica::Result cancelled = a_.Cancel(id).Get();
  EXPECT_EQ(cancelled.order_status(), OrderStatus::kCancelled) << cancelled.status;
  Result refund = Await(std::move(asked));
  ASSERT_TRUE(refund.ok()) << refund.status();
  EXPECT_EQ(refund->state, RefundState::kRefused);
  EXPECT_EQ(world_.gateway.NetMinor(), 0);
  EXPECT_EQ(RefundedOf(a_.store.Get(id)->payload), 1250);
}

TEST_F(RefundApiTest, AnOperatorEndsOneThatNobodyAnswers) {
  const Uuid id = Confirmed();
  world_.gateway.set_fate(Fate::kLostBefore);
  Ask(id, "r1", 250);
  a_.Settle();
  for (int i = 0; i < 3000 && !a_.store.GetSaga(Stored(id).saga_id)->header.needs_attention; ++i) {
    a_.Pass(absl::Milliseconds(200));
  }
  std::promise<absl::Status> done;
  a_.sagas.Resolve(Stored(id).saga_id, {}, "paid back by hand", SteadyTime::InfiniteFuture(),
                   [&](const absl::StatusOr<SagaApi::Answer>& answer) { done.set_value(answer.status()); });
  std::future<absl::Status> answered = done.get_future();
  for (int i = 0; i < 100 && answered.wait_for(std::chrono::seconds(0)) != std::future_status::ready; ++i) {
    a_.Pass(absl::Milliseconds(100));
  }
  ASSERT_TRUE(answered.get().ok());
  EXPECT_EQ(Stored(id).state, RefundState::kResolved);
  EXPECT_EQ(Reason(Refund(id, "r2", 1001)), "REFUND_BEYOND_CHARGE") << "it counts as given back";
}

TEST_F(RefundApiTest, WhatSomebodyDoesToAnothersOrderIsInTheAudit) {
  const Uuid id = Confirmed();
  domain::Actor by;
  by.client = "support";
  ASSERT_TRUE(Ask(id, "r1", 250, absl::InfiniteDuration(), std::nullopt, by).get().ok());
  by.client = std::string(kAnonymous);
  ASSERT_TRUE(Ask(id, "r2", 250, absl::InfiniteDuration(), std::nullopt, by).get().ok());
  EXPECT_THAT(world_.audit.actions(), ::testing::ElementsAre("order.refund"));
}

TEST(TakeRefundOrder, NamesEveryFieldThatIsWrong) {
  EXPECT_EQ(GetErrorDetail(TakeRefundOrder("no id", {}).status()).reason, "BAD_REQUEST");
  const absl::Status wrong =
      TakeRefundOrder("0190f0a0-0000-7000-8000-00000000000a", {{}, "with blank", 0, std::string(513, 'x')}).status();
  std::string fields;
  for (const auto& [field, what] : GetErrorDetail(wrong).violations) fields += field + " ";
  EXPECT_EQ(fields, "refund_id amount_minor reason ");
}

}  // namespace
}  // namespace waybill::order
