// Several replicas on one database: one is stopped past its lease and woken again, calls for one order reach them all.
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/e2e/crash_story.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

class ReplicasTest : public ::testing::Test {
 protected:
  ReplicasTest()
      : stack_([] {
          StackOptions options;
          options.order_args = StoryArgs();
          return options;
        }()) {
    a_ = &stack_.AddReplica("a");
    b_ = &stack_.AddReplica("b");
    stack_.PutDrivers(50);
  }

  grpc::Status Create(OrderReplica& replica, const std::string& key, order::v1::Order& order,
                      absl::Duration timeout = absl::Seconds(30)) {
    auto context = Deadline(timeout);
    return replica.Orders()->CreateOrder(context.get(), OrderRequestFor(key), &order);
  }
  // Stops replica a between a charge and its booking, until replica b has finished the order. The client waits at a.
  std::thread SleepPastTheLease() {
    a_->Start({{"WAYBILL_FAILPOINT", "charge.after_receive=stop"}});
    b_->Start();
    std::thread client([this] {
      order::v1::Order order;
      Create(*a_, "slept", order, absl::Seconds(20));
    });
    EXPECT_TRUE(a_->process().WaitForLine("failpoint charge.after_receive hit", absl::Seconds(20)));
    EXPECT_TRUE(Eventually(absl::Seconds(20),
                           [&] { return stack_.sql().Value("SELECT state FROM order_sagas") == "succeeded"; }));
    EXPECT_GE(b_->Metric("waybill_sagas_recovered_total"), 1);
    return client;
  }
  void ExpectBooksRight() {
    EXPECT_TRUE(stack_.WaitUntilAllSettled());
    EXPECT_EQ(stack_.WrongInTheBooks(), std::vector<std::string>());
  }

  Stack stack_;
  OrderReplica* a_;
  OrderReplica* b_;
};

TEST_F(ReplicasTest, AProcessThatSleptPastItsLeaseChangesNothing) {
  std::thread client = SleepPastTheLease();
  const std::string before = stack_.sql().Value("SELECT string_agg(l::text, ';' ORDER BY seq) FROM order_saga_steps l");
  const std::string driver = stack_.sql().Value("SELECT driver_id FROM order_assignments WHERE released_at IS NULL");

  ASSERT_TRUE(a_->process().Signal(SIGCONT));
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return a_->Metric("waybill_saga_fenced_writes_total") >= 1; }));
  client.join();
  EXPECT_EQ(stack_.sql().Value("SELECT string_agg(l::text, ';' ORDER BY seq) FROM order_saga_steps l"), before);
  EXPECT_EQ(stack_.sql().Value("SELECT driver_id FROM order_assignments WHERE released_at IS NULL"), driver);
  ExpectBooksRight();
}

TEST_F(ReplicasTest, OneKeyIsOneOrderWhoeverIsAsked) {
  a_->Start();
  b_->Start();
  sandbox::v1::Behaviour late;
  late.set_late_rate(1);
  late.set_late_ms(300);
  stack_.SetBehaviour(late);
  std::vector<std::thread> clients;
  std::vector<order::v1::Order> orders(16);
  std::vector<grpc::Status> statuses(orders.size());
  for (size_t i = 0; i < orders.size(); ++i) {
    clients.emplace_back([&, i] { statuses[i] = Create(i % 2 == 0 ? *a_ : *b_, "shared", orders[i]); });
  }
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < orders.size(); ++i) {
    ASSERT_TRUE(statuses[i].ok()) << statuses[i].error_message();
    EXPECT_EQ(orders[i].order_id(), orders[0].order_id());
    EXPECT_EQ(orders[i].status(), order::v1::CONFIRMED);
  }
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM order_sagas"), "1");
  ExpectBooksRight();
}

TEST_F(ReplicasTest, ReplicasNeverShareADriver) {
  a_->Start();
  b_->Start();
  std::vector<std::thread> clients;
  for (int i = 0; i < 60; ++i) {
    clients.emplace_back([&, i] {
      order::v1::Order order;
      EXPECT_TRUE(Create(i % 2 == 0 ? *a_ : *b_, "order-" + std::to_string(i), order).ok());
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM order_sagas WHERE state = 'succeeded'"), "50")
      << "as many as there are drivers";
  EXPECT_EQ(stack_.sql().Value("SELECT count(DISTINCT driver_id) FROM order_assignments WHERE released_at IS NULL"),
            "50");
  ExpectBooksRight();
}

TEST_F(ReplicasTest, CancelReachesASagaThatAnotherReplicaDrives) {
  a_->Start();
  b_->Start();
  sandbox::v1::Behaviour lost;
  lost.set_lost_after_rate(1);
  lost.add_methods("Charge");
  stack_.SetBehaviour(lost);
  auto accepted = Deadline(absl::Seconds(10));
  order::v1::CreateOrderRequest request = OrderRequestFor("cancelled-elsewhere");
  request.set_wait(order::v1::CreateOrderRequest::UNTIL_ACCEPTED);
  order::v1::Order order;
  ASSERT_TRUE(a_->Orders()->CreateOrder(accepted.get(), request, &order).ok());
  order::v1::CancelOrderRequest cancel;
  cancel.set_order_id(order.order_id());
  auto context = Deadline(absl::Seconds(20));
  grpc::Status status = b_->Orders()->CancelOrder(context.get(), cancel, &order);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(order.status(), order::v1::CANCELLED);
  ExpectBooksRight();
}

TEST_F(ReplicasTest, AStoppedReplicaHandsItsSagasOver) {
  a_->Start();
  b_->Start();
  stack_.KillSandbox();
  auto accepted = Deadline(absl::Seconds(10));
  order::v1::CreateOrderRequest request = OrderRequestFor("handed-over");
  request.set_wait(order::v1::CreateOrderRequest::UNTIL_ACCEPTED);
  order::v1::Order order;
  ASSERT_TRUE(a_->Orders()->CreateOrder(accepted.get(), request, &order).ok());
  EXPECT_EQ(a_->Stop(), 0);
  stack_.RestartSandbox();
  ExpectBooksRight();
}

TEST(ReplicaStop, EndsEveryLeaseAlsoOfOrdersWhoseCallIsInFlight) {
  StackOptions options;
  // No patience: a charge that is cancelled goes on to its refund, over the client that is being stopped.
  options.order_args = {"--attempts-max", "1", "--retry-for", "1ms", "--attempt-timeout", "30s", "--drain", "500ms"};
  Stack stack(options);
  OrderReplica& replica = stack.AddReplica("a");
  replica.Start();
  sandbox::v1::Behaviour silent;
  silent.set_lost_before_rate(1);
  stack.SetBehaviour(silent);
  for (int i = 0; i < 8; ++i) {
    order::v1::CreateOrderRequest request = OrderRequestFor("in-flight-" + std::to_string(i));
    request.set_wait(order::v1::CreateOrderRequest::UNTIL_ACCEPTED);
    auto context = Deadline(absl::Seconds(10));
    order::v1::Order order;
    ASSERT_TRUE(replica.Orders()->CreateOrder(context.get(), request, &order).ok());
  }
  EXPECT_EQ(replica.Stop(), 0);
  EXPECT_EQ(stack.Unfinished(), 8);
  EXPECT_EQ(stack.sql().Value("SELECT count(*) FROM order_sagas WHERE lease_until > now()"), "0")
      << "what the cancelled calls left behind was written after the leases had ended";
}

}  // namespace
}  // namespace waybill::testing
