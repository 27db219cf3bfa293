// Orders whose payment is decided later: nobody drives them meanwhile, and whoever is told goes on, on any replica.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/crash_story.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kSoon = absl::Seconds(30);

class PendingPayments : public ::testing::Test {
 protected:
  PendingPayments()
      : stack_([] {
          StackOptions options;
          options.order_args = StoryArgs();
          return options;
        }()) {
    a_ = &stack_.AddReplica("a");
    b_ = &stack_.AddReplica("b");
    stack_.PutDrivers(20);
    ArePendingFor(absl::Hours(1));
  }

  void ArePendingFor(absl::Duration time) {
    sandbox::v1::Behaviour behaviour;
    behaviour.set_pending_rate(1);
    behaviour.set_pending_for_ms(absl::ToInt64Milliseconds(time));
    stack_.SetBehaviour(behaviour);
  }
  // Waits until it is settled, as far as the service lets it: an order that waits is answered at once.
  order::v1::Order Create(OrderReplica& replica, const std::string& key) {
    auto context = Deadline(absl::Seconds(10));
    order::v1::Order order;
    grpc::Status status = replica.Orders()->CreateOrder(context.get(), OrderRequestFor(key), &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(order.status(), order::v1::AWAITING_PAYMENT);
    return order;
  }
  order::v1::Order Get(OrderReplica& replica, const std::string& order_id) {
    order::v1::GetOrderRequest request;
    request.set_order_id(order_id);
    auto context = Deadline(absl::Seconds(10));
    order::v1::Order order;
    grpc::Status status = replica.Orders()->GetOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }
  std::string StateOf(const std::string& order_id) {
    return stack_.sql().Value("SELECT state FROM order_sagas WHERE order_id = '" + order_id + "'");
  }
  // What a person does who has read in the gateway's books that it is decided.
  void Retry(OrderReplica& replica, const std::string& order_id) {
    ops::v1::RetrySagaRequest request;
    request.set_saga_id(order_id);
    ops::v1::Saga saga;
    auto context = Deadline(absl::Seconds(10));
    grpc::Status status = replica.Admin()->RetrySaga(context.get(), request, &saga);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  // What whoever receives the gateway's webhooks does.
  ops::v1::SignalSagaResponse::Result Signal(
      OrderReplica& replica, const std::string& order_id, const std::string& token,
      ops::v1::SignalSagaRequest::Outcome outcome = ops::v1::SignalSagaRequest::SUCCEEDED) {
    ops::v1::SignalSagaRequest request;
    request.set_saga_id(order_id);
    request.set_step("charge_payment");
    request.set_token(token);
    request.set_outcome(outcome);
    if (outcome != ops::v1::SignalSagaRequest::SUCCEEDED) request.set_reason("SAID_SO");
    request.set_operator_("e2e");
    ops::v1::SignalSagaResponse response;
    auto context = Deadline(absl::Seconds(10));
    grpc::Status status = replica.Admin()->SignalSaga(context.get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.result();
  }
  void ExpectBooksRight() {
    EXPECT_TRUE(stack_.WaitUntilAllSettled());
    EXPECT_EQ(stack_.WrongInTheBooks(), std::vector<std::string>());
  }
  static std::vector<std::string> OutcomesOf(const order::v1::Order& order) {
    std::vector<std::string> outcomes;
    for (const auto& transition : order.transitions()) outcomes.push_back(transition.outcome());
    return outcomes;
  }

  Stack stack_;
  OrderReplica* a_;
  OrderReplica* b_;
};

TEST_F(PendingPayments, AreDrivenByNobodyUntilTheyAreDecided) {
  a_->Start();
  const order::v1::Order order = Create(*a_, "k");
  EXPECT_EQ(Create(*a_, "k").order_id(), order.order_id()) << "to ask again neither charges nor waits";
  EXPECT_EQ(stack_.sql().Value("SELECT lease_until IS NULL FROM order_sagas"), "t");
  EXPECT_TRUE(Eventually(kSoon, [&] { return a_->Metric("waybill_sagas_waiting") == 1; }));
  EXPECT_EQ(a_->Metric("waybill_sagas_unfinished{state=\"running\"}"), 0);
  const order::v1::Order waiting = Get(*a_, order.order_id());
  EXPECT_THAT(OutcomesOf(waiting), ElementsAre("accepted", "waiting"));
  EXPECT_THAT(waiting.transitions(1).detail(), HasSubstr("for pi_1 until 20"));

  ASSERT_TRUE(stack_.DecidePayment(order.order_id(), true).ok());
  Retry(*a_, order.order_id());
  ExpectBooksRight();
  EXPECT_EQ(Get(*a_, order.order_id()).status(), order::v1::CONFIRMED);
  EXPECT_THAT(OutcomesOf(Get(*a_, order.order_id())),
              ElementsAre("accepted", "waiting", "recovered", "succeeded", "succeeded"));
  EXPECT_TRUE(Eventually(kSoon, [&] { return a_->Metric("waybill_sagas_waiting") == 0; }));
}

TEST_F(PendingPayments, GoOnAtOnceWhereTheSignalCameIn) {
  a_->Start();
  b_->Start();
  const std::string order_id = Create(*a_, "k").order_id();
  std::string token;
  ASSERT_TRUE(stack_.DecidePayment(order_id, true, &token).ok());
  EXPECT_EQ(Signal(*b_, order_id, token), ops::v1::SignalSagaResponse::WOKEN);
  ExpectBooksRight();
  EXPECT_EQ(Get(*a_, order_id).status(), order::v1::CONFIRMED);
  EXPECT_THAT(OutcomesOf(Get(*a_, order_id)),
              ElementsAre("accepted", "waiting", "signalled", "succeeded", "succeeded"));
  EXPECT_EQ(b_->Metric("waybill_sagas_recovered_total"), 0) << "nobody had to look for it";
  EXPECT_EQ(Signal(*a_, order_id, token), ops::v1::SignalSagaResponse::KEPT) << "nothing waits for it any more";
}

TEST_F(PendingPayments, BelieveTheGatewayAndNoSignal) {
  a_->Start();
  const std::string forged = Create(*a_, "forged").order_id();
  const std::string mistaken = Create(*a_, "mistaken").order_id();
  // Nobody has paid.
  EXPECT_EQ(Signal(*a_, forged, "pi_1"), ops::v1::SignalSagaResponse::WOKEN);
  ASSERT_TRUE(Eventually(kSoon, [&] { return OutcomesOf(Get(*a_, forged)).size() == 4; }));
  EXPECT_THAT(OutcomesOf(Get(*a_, forged)), ElementsAre("accepted", "waiting", "signalled", "waiting"));
  EXPECT_EQ(Get(*a_, forged).status(), order::v1::AWAITING_PAYMENT);
  // The money was taken.
  std::string token;
  ASSERT_TRUE(stack_.DecidePayment(mistaken, true, &token).ok());
  EXPECT_EQ(Signal(*a_, mistaken, token, ops::v1::SignalSagaRequest::REJECTED), ops::v1::SignalSagaResponse::WOKEN);
  ASSERT_TRUE(Eventually(kSoon, [&] { return StateOf(mistaken) == "succeeded"; }));
  ASSERT_TRUE(stack_.DecidePayment(forged, false).ok());
  EXPECT_EQ(Signal(*a_, forged, "pi_1"), ops::v1::SignalSagaResponse::WOKEN) << "once more, for now it is true";
  ExpectBooksRight();
  EXPECT_EQ(StateOf(forged), "compensated");
}

TEST_F(PendingPayments, FindASignalThatCameBeforeTheyWaited) {
  sandbox::v1::Behaviour behaviour;
  behaviour.set_pending_rate(1);
  behaviour.set_pending_for_ms(3'600'000);
  behaviour.set_latency_ms_p50(600);  // it is pending at once; the answer is under way
  behaviour.set_latency_ms_p99(600);
  stack_.SetBehaviour(behaviour);
  a_->Start();
  order::v1::CreateOrderRequest request = OrderRequestFor("k");
  request.set_wait(order::v1::CreateOrderRequest::UNTIL_ACCEPTED);
  order::v1::Order order;
  auto context = Deadline(absl::Seconds(10));
  ASSERT_TRUE(a_->Orders()->CreateOrder(context.get(), request, &order).ok());
  EXPECT_EQ(Signal(*a_, order.order_id(), "pi_1"), ops::v1::SignalSagaResponse::KEPT);
  ASSERT_TRUE(Eventually(kSoon, [&] { return stack_.DecidePayment(order.order_id(), true).ok(); }));
  ExpectBooksRight();
  EXPECT_THAT(OutcomesOf(Get(*a_, order.order_id())),
              ElementsAre("accepted", "waiting", "signalled", "succeeded", "succeeded"));
}

TEST_F(PendingPayments, AreAskedForWhenTheirTimeIsOverAlsoByAnotherProcess) {
  ArePendingFor(absl::Seconds(2));
  a_->Start();
  const order::v1::Order order = Create(*a_, "k");
  a_->Kill();
  b_->Start();
  ExpectBooksRight();
  EXPECT_EQ(StateOf(order.order_id()), "succeeded");
}

TEST_F(PendingPayments, GoOnElsewhereWhenTheirProcessIsKilledWhileTheyWait) {
  a_->Start();
  b_->Start();
  const order::v1::Order order = Create(*a_, "k");
  a_->Kill();
  stack_.RestartSandbox();  // it remembers what is pending
  ASSERT_TRUE(stack_.DecidePayment(order.order_id(), true).ok());
  Retry(*b_, order.order_id());
  ExpectBooksRight();
  EXPECT_EQ(StateOf(order.order_id()), "succeeded");
}

TEST_F(PendingPayments, AreTurnedBackWhileTheyWait) {
  a_->Start();
  b_->Start();
  const std::string order_id = Create(*a_, "k").order_id();
  order::v1::CancelOrderRequest cancel;
  cancel.set_order_id(order_id);
  order::v1::Order order;
  auto context = Deadline(absl::Seconds(20));
  grpc::Status status = b_->Orders()->CancelOrder(context.get(), cancel, &order);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(order.status(), order::v1::CANCELLED);
  EXPECT_EQ(stack_.DecidePayment(order_id, true).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  ExpectBooksRight();
}

TEST_F(PendingPayments, FailWhenTheyAreDeclinedWhileTheyWait) {
  a_->Start();
  const std::string order_id = Create(*a_, "k").order_id();
  ASSERT_TRUE(stack_.DecidePayment(order_id, false).ok());
  Retry(*a_, order_id);
  ExpectBooksRight();
  const order::v1::Order order = Get(*a_, order_id);
  EXPECT_EQ(order.status(), order::v1::FAILED);
  EXPECT_EQ(order.failure().reason(), "PAYMENT_DECLINED");
  EXPECT_EQ(order.failure().detail(), "CARD_DECLINED");
  EXPECT_FALSE(order.has_payment());
}

TEST_F(PendingPayments, AreWatchedFromAnywhere) {
  a_->Start();
  b_->Start();
  const std::string order_id = Create(*a_, "k").order_id();
  order::v1::WatchOrderRequest request;
  request.set_order_id(order_id);
  auto context = Deadline(absl::Seconds(60));
  auto stream = b_->Orders()->WatchOrder(context.get(), request);
  std::vector<std::string> seen;
  order::v1::OrderTransition transition;
  auto see = [&](const std::string& outcome) {
    while (seen.empty() || seen.back() != outcome) {
      if (!stream->Read(&transition)) return false;
      seen.push_back(transition.outcome());
    }
    return true;
  };
  ASSERT_TRUE(see("waiting"));
  EXPECT_EQ(transition.status(), order::v1::AWAITING_PAYMENT);
  ASSERT_TRUE(stack_.DecidePayment(order_id, true).ok());
  Retry(*a_, order_id);
  ASSERT_TRUE(see("succeeded"));
  order::v1::CompleteOrderRequest complete;
  complete.set_order_id(order_id);
  order::v1::Order order;
  auto completing = Deadline(absl::Seconds(20));
  ASSERT_TRUE(Eventually(kSoon, [&] { return StateOf(order_id) == "succeeded"; }));
  ASSERT_TRUE(a_->Orders()->CompleteOrder(completing.get(), complete, &order).ok());
  ASSERT_TRUE(see("closed"));
  EXPECT_FALSE(stream->Read(&transition));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_THAT(seen, ElementsAre("accepted", "waiting", "recovered", "succeeded", "succeeded", "closed"));
  ExpectBooksRight();
}

}  // namespace
}  // namespace waybill::testing
