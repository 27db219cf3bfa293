// Orders that are assessed before they are charged: by several replicas at once, by people, by rules that change, and
// by a service that dies in between.
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/failpoint.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"
#include "waybill/ops/v1/risk.grpc.pb.h"
#include "waybill/payments/v1/payments.grpc.pb.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kSoon = absl::Seconds(30);

constexpr char kFivePerHour[] = R"(
[[rule]]
name = "five-an-hour"
kind = "velocity"
by = "user"
within = "1h"
count_over = 5
decide = "deny"
)";
constexpr char kReviewAll[] = R"(
[[rule]]
name = "all"
kind = "amount"
currency = "EUR"
from = 1
decide = "review"
)";

class RiskStack {
 public:
  explicit RiskStack(const std::string& rules)
      : stack_([&] {
          Write("1", rules);
          StackOptions options;
          options.order_args = {"--risk-file",       File(), "--lease",   "1500ms", "--attempt-timeout", "700ms",
                                "--retry-for",       "1ms",  "--backoff", "20ms",   "--attempts-max",    "6",
                                "--attention-after", "3"};
          return options;
        }()) {
    stack_.AddReplica("a");
    stack_.PutDrivers(40);
  }

  void Write(const std::string& version, const std::string& rules) {
    std::ofstream(File()) << fmt::format("version = \"{}\"\n{}", version, rules);
  }
  std::string File() const { return directory_.path().string() + "/risk.toml"; }
  Stack* operator->() { return &stack_; }

  order::v1::Order Create(OrderReplica& replica, const std::string& key, const std::string& user = "user-1",
                          const std::string& card = "") {
    order::v1::CreateOrderRequest request = OrderRequestFor(key);
    request.set_user_id(user);
    if (!card.empty()) request.mutable_payer()->set_card_fingerprint(card);
    auto context = Deadline(kSoon);
    order::v1::Order order;
    grpc::Status status = replica.Orders()->CreateOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }
  order::v1::Order Get(const std::string& order_id) {
    order::v1::GetOrderRequest request;
    request.set_order_id(order_id);
    auto context = Deadline(kSoon);
    order::v1::Order order;
    grpc::Status status = stack_.replica().Orders()->GetOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }
  bool Becomes(const std::string& order_id, order::v1::OrderStatus status) {
    return Eventually(kSoon, [&] { return Get(order_id).status() == status; });
  }
  static std::unique_ptr<ops::v1::RiskAdmin::Stub> Risk(OrderReplica& replica) {
    return ops::v1::RiskAdmin::NewStub(ConnectTo(replica.port()));
  }
  grpc::Status Decide(OrderReplica& replica, const std::string& order_id, ops::v1::RiskDecision decision) {
    ops::v1::DecideReviewRequest request;
    request.set_order_id(order_id);
    request.set_decision(decision);
    request.set_reason("called the customer");
    request.set_operator_("ann");
    ops::v1::DecideReviewResponse response;
    auto context = Deadline(kSoon);
    return Risk(replica)->DecideReview(context.get(), request, &response);
  }
  void ExpectBooksRight() {
    EXPECT_TRUE(stack_.WaitUntilAllSettled());
    EXPECT_EQ(stack_.WrongInTheBooks(), std::vector<std::string>());
  }

 private:
  TempDirectory directory_;
  Stack stack_;
};

TEST(Risk, ExactlyAsManyPassAsMayWhoeverComesAtOnce) {
  RiskStack risk(kFivePerHour);
  risk->AddReplica("b");
  for (size_t at : {0, 1}) risk->replica(at).Start();
  std::atomic<int> confirmed{0}, denied{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&, caller] {
      for (int at = 0; at < 3; ++at) {
        const order::v1::Order order =
            risk.Create(risk->replica(static_cast<size_t>(caller % 2)), fmt::format("k-{}-{}", caller, at));
        if (order.status() == order::v1::CONFIRMED) ++confirmed;
        if (order.failure().reason() == "RISK_DENIED") ++denied;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(confirmed, 5);
  EXPECT_EQ(denied, 19);
  EXPECT_EQ(risk.Create(risk->replica(), "other", "user-2").status(), order::v1::CONFIRMED);
  EXPECT_EQ(risk->sql().Value("SELECT count(*)::text FROM payments"), "6");
  EXPECT_EQ(risk->sql().Value("SELECT max(version)::text FROM order_sagas"), "4");
  risk.ExpectBooksRight();
}

TEST(Risk, APersonDecidesOnWhicheverReplica) {
  RiskStack risk(kReviewAll);
  risk->AddReplica("b");
  for (size_t at : {0, 1}) risk->replica(at).Start();
  const order::v1::Order first = risk.Create(risk->replica(0), "k-1"), second = risk.Create(risk->replica(0), "k-2"),
                         third = risk.Create(risk->replica(1), "k-3");
  EXPECT_EQ(first.status(), order::v1::AWAITING_REVIEW);
  EXPECT_EQ(risk->sql().Value("SELECT count(*)::text FROM payments"), "0");
  ops::v1::ListReviewsRequest list;
  list.set_page_size(2);
  ops::v1::ListReviewsResponse reviews;
  ASSERT_TRUE(RiskStack::Risk(risk->replica(1))->ListReviews(Deadline(kSoon).get(), list, &reviews).ok());
  ASSERT_EQ(reviews.reviews_size(), 2);
  EXPECT_EQ(reviews.reviews(0).order_id(), third.order_id());
  EXPECT_EQ(reviews.reviews(0).reasons(0).rule(), "all");
  list.set_page_token(reviews.next_page_token());
  ASSERT_TRUE(RiskStack::Risk(risk->replica(1))->ListReviews(Deadline(kSoon).get(), list, &reviews).ok());
  ASSERT_EQ(reviews.reviews_size(), 1);
  EXPECT_EQ(reviews.next_page_token(), "");

  EXPECT_TRUE(risk.Decide(risk->replica(1), first.order_id(), ops::v1::RISK_ALLOW).ok());
  EXPECT_TRUE(risk.Becomes(first.order_id(), order::v1::CONFIRMED));
  EXPECT_EQ(risk.Decide(risk->replica(0), first.order_id(), ops::v1::RISK_DENY).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(risk.Decide(risk->replica(1), second.order_id(), ops::v1::RISK_DENY).ok());
  EXPECT_TRUE(risk.Becomes(second.order_id(), order::v1::FAILED));
  EXPECT_EQ(risk.Get(second.order_id()).failure().reason(), "RISK_DENIED");
  EXPECT_EQ(risk.Get(second.order_id()).failure().detail(), "ann: called the customer");
  order::v1::CancelOrderRequest cancel;
  cancel.set_order_id(third.order_id());
  order::v1::Order cancelled;
  ASSERT_TRUE(risk->replica(0).Orders()->CancelOrder(Deadline(kSoon).get(), cancel, &cancelled).ok());
  EXPECT_EQ(cancelled.status(), order::v1::CANCELLED);
  EXPECT_EQ(
      risk->sql().Value("SELECT string_agg(action || ' ' || operator_name, ',' ORDER BY sequence) FROM audit_entries "
                        "WHERE action LIKE 'risk.%'"),
      "risk.approve ann,risk.deny ann");
  risk.ExpectBooksRight();
}

TEST(Risk, WhatNobodyDecidesEndsInTime) {
  RiskStack risk(std::string("review_for = \"1s\"\n") + kReviewAll);
  risk->replica().Start();
  const order::v1::Order order = risk.Create(risk->replica(), "k-1");
  EXPECT_EQ(order.status(), order::v1::AWAITING_REVIEW);
  EXPECT_TRUE(risk.Becomes(order.order_id(), order::v1::FAILED));
  EXPECT_THAT(risk.Get(order.order_id()).failure().detail(), HasSubstr("nobody has decided in time, so deny"));
  risk.ExpectBooksRight();
}

TEST(Risk, RulesChangeWhileTheServiceRuns) {
  RiskStack risk(kFivePerHour);
  OrderReplica& replica = risk->replica();
  replica.Start();
  EXPECT_EQ(risk.Create(replica, "k-1").status(), order::v1::CONFIRMED);
  risk.Write("1", kReviewAll);
  replica.process().Signal(SIGHUP);
  EXPECT_TRUE(replica.process().WaitForLine("need another version", kSoon));
  EXPECT_EQ(risk.Create(replica, "k-2").status(), order::v1::CONFIRMED);
  risk.Write("2", kReviewAll);
  replica.process().Signal(SIGHUP);
  EXPECT_TRUE(replica.process().WaitForLine("orders are assessed anew", kSoon));
  const order::v1::Order waits = risk.Create(replica, "k-3");
  EXPECT_EQ(waits.status(), order::v1::AWAITING_REVIEW);
  EXPECT_TRUE(risk.Decide(replica, waits.order_id(), ops::v1::RISK_ALLOW).ok());
  EXPECT_TRUE(risk.Becomes(waits.order_id(), order::v1::CONFIRMED));
  EXPECT_EQ(risk->sql().Value("SELECT string_agg(rules_version, ',' ORDER BY at) FROM risk_assessments"), "1,1,2");
  risk.ExpectBooksRight();
}

// What the gateway declined counts against the card, and a test of other rules over history finds the same.
TEST(Risk, DeclinesCountAndATestOverHistoryFindsThem) {
  const std::string declines =
      "[[rule]]\nname = \"tries\"\nkind = \"declines\"\nby = \"card\"\nwithin = \"1h\"\ncount_over = 1\ndecide = "
      "\"deny\"\n";
  RiskStack risk(declines + "mode = \"shadow\"\n");
  OrderReplica& replica = risk->replica();
  replica.Start();
  sandbox::v1::Behaviour behaviour;
  behaviour.set_decline_rate(1);
  risk->SetBehaviour(behaviour);
  for (int at = 0; at < 3; ++at) {
    EXPECT_EQ(risk.Create(replica, fmt::format("k-{}", at), "user-1", "card-1").failure().reason(), "PAYMENT_DECLINED");
  }
  EXPECT_EQ(risk.Create(replica, "k-other", "user-1", "card-2").failure().reason(), "PAYMENT_DECLINED");
  EXPECT_EQ(risk->sql().Value("SELECT string_agg(decision || ' ' || shadow_decision, ',' ORDER BY at) FROM "
                              "risk_assessments"),
            "allow allow,allow allow,allow deny,allow allow");
  ops::v1::TestRulesRequest request;
  request.set_rules("version = \"t\"\n" + declines);
  request.mutable_from()->set_seconds(0);
  request.set_page_size(3);
  std::string would_be;
  do {
    ops::v1::TestRulesResponse response;
    const grpc::Status status = RiskStack::Risk(replica)->TestRules(Deadline(kSoon).get(), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const auto& tested : response.tested()) {
      would_be += ops::v1::RiskDecision_Name(tested.verdict().decision()) + ",";
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(would_be, "RISK_ALLOW,RISK_ALLOW,RISK_DENY,RISK_ALLOW,");
  request.set_rules("version = 1\n");
  ops::v1::TestRulesResponse response;
  const grpc::Status wrong = RiskStack::Risk(replica)->TestRules(Deadline(kSoon).get(), request, &response);
  EXPECT_EQ(wrong.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// kill -9 before and after the assessment's commit: whatever was decided stays, and is decided once.
TEST(Risk, IsDecidedOnceWhereverTheServiceDies) {
  for (const std::string_view failpoint : kFailpoints) {
    if (!failpoint.starts_with("risk.")) continue;
    SCOPED_TRACE(failpoint);
    RiskStack risk(kFivePerHour);
    OrderReplica& replica = risk->replica();
    const std::string kill = fmt::format("{}=kill@3", failpoint);
    replica.StartWithoutWaiting({{"WAYBILL_FAILPOINT", kill}});
    ASSERT_TRUE(replica.WaitForPorts());
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 8; ++caller) {
      callers.emplace_back([&, caller] {
        order::v1::CreateOrderRequest request = OrderRequestFor(fmt::format("k-{}", caller));
        request.set_user_id("user-1");
        order::v1::Order order;
        (void)replica.Orders()->CreateOrder(Deadline(absl::Seconds(5)).get(), request, &order);
      });
    }
    for (std::thread& caller : callers) caller.join();
    EXPECT_TRUE(Eventually(kSoon, [&] { return !replica.running(); })) << "it never fired";
    replica.Start();
    for (int caller = 0; caller < 8; ++caller) risk.Create(replica, fmt::format("k-{}", caller));
    EXPECT_EQ(risk->sql().Value("SELECT count(*)::text FROM risk_assessments"), "8");
    EXPECT_EQ(risk->sql().Value("SELECT count(*)::text FROM risk_assessments WHERE decision = 'allow'"), "5");
    EXPECT_EQ(
        risk->sql().Value("SELECT count(*)::text FROM order_sagas o JOIN risk_assessments a USING (order_id) WHERE "
                          "(o.state = 'succeeded') <> (a.decision = 'allow')"),
        "0");
    risk.ExpectBooksRight();
  }
}

// Payments without an order: their card is counted with those of orders, and a person decides on them, too.
TEST(Risk, APaymentWithoutAnOrderIsAssessedBeforeItIsCharged) {
  namespace payments_pb = payments::v1;
  const TempDirectory directory;
  const std::string rules = directory.path().string() + "/risk.toml";
  const std::string gateways = directory.path().string() + "/gateways.toml";
  const ReservedPort gateway;
  std::ofstream(rules) << "version = \"1\"\n"
                          "[[rule]]\nname = \"card\"\nkind = \"velocity\"\nabout = [\"orders\", \"payments\"]\n"
                          "by = \"card\"\nwithin = \"1h\"\ncount_over = 2\ndecide = \"deny\"\n"
                          "[[rule]]\nname = \"large\"\nkind = \"amount\"\nabout = [\"payments\"]\ncurrency = \"EUR\"\n"
                          "from = 5000\ndecide = \"review\"\n";
  std::ofstream(gateways) << fmt::format("[[gateway]]\nname = \"north\"\naddress = \"grpc://127.0.0.1:{}\"\n",
                                         gateway.port());
  StackOptions options;
  options.builtin_gateway = true;
  options.order_args = {"--risk-file", rules, "--gateways-file", gateways, "--lease", "1500ms", "--backoff", "20ms"};
  options.sandbox_args = {"--gateway", fmt::format("north=127.0.0.1:{}", gateway.port())};
  Stack stack(options);
  OrderReplica& replica = stack.AddReplica("a");
  replica.Start();
  stack.PutDrivers(10);
  const auto take = [&](int number, int64_t amount_minor, const std::string& card) {
    payments_pb::TakePaymentRequest request;
    request.set_payment_id(fmt::format("00000000-0000-4000-8000-{:012}", number));
    request.mutable_amount()->set_minor_units(amount_minor);
    request.mutable_amount()->set_currency("EUR");
    request.set_user_id("user-1");
    request.mutable_payer()->set_card_fingerprint(card);
    payments_pb::Payment payment;
    const grpc::Status status = payments_pb::PaymentService::NewStub(ConnectTo(replica.port()))
                                    ->TakePayment(Deadline(kSoon).get(), request, &payment);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return payment;
  };
  // A repetition says how it stands.
  const auto becomes = [&](int number, int64_t amount_minor, const std::string& card,
                           payments_pb::PaymentStatus status) {
    EXPECT_TRUE(Eventually(kSoon, [&] { return take(number, amount_minor, card).status() == status; })) << number;
    return take(number, amount_minor, card);
  };
  order::v1::CreateOrderRequest request = OrderRequestFor("k-1");
  request.mutable_payer()->set_card_fingerprint("card-1");
  order::v1::Order order;
  ASSERT_TRUE(replica.Orders()->CreateOrder(Deadline(kSoon).get(), request, &order).ok());
  becomes(1, 100, "card-1", payments_pb::PAID);
  EXPECT_EQ(becomes(2, 100, "card-1", payments_pb::FAILED).failure().reason(), "RISK_DENIED");
  const std::string allowed = becomes(3, 5'000, "card-2", payments_pb::AWAITING_REVIEW).saga_id();
  const std::string denied = becomes(4, 5'000, "card-3", payments_pb::AWAITING_REVIEW).saga_id();
  replica.Kill();
  replica.Start();
  ops::v1::ListReviewsResponse reviews;
  const auto risk = RiskStack::Risk(replica);
  ASSERT_TRUE(risk->ListReviews(Deadline(kSoon).get(), ops::v1::ListReviewsRequest(), &reviews).ok());
  ASSERT_EQ(reviews.reviews_size(), 2);
  EXPECT_EQ(reviews.reviews(0).order_id(), denied);
  EXPECT_EQ(reviews.reviews(0).kind(), ops::v1::RISK_PAYMENT);
  for (const std::string& id : {allowed, denied}) {
    ops::v1::DecideReviewRequest decide;
    decide.set_order_id(id);
    decide.set_decision(id == allowed ? ops::v1::RISK_ALLOW : ops::v1::RISK_DENY);
    decide.set_reason("called the payer");
    decide.set_operator_("ann");
    ops::v1::DecideReviewResponse response;
    EXPECT_TRUE(risk->DecideReview(Deadline(kSoon).get(), decide, &response).ok());
  }
  becomes(3, 5'000, "card-2", payments_pb::PAID);
  EXPECT_EQ(becomes(4, 5'000, "card-3", payments_pb::FAILED).failure().reason(), "RISK_DENIED");
  EXPECT_TRUE(stack.WaitUntilAllSettled());
  EXPECT_EQ(stack.sql().Value("SELECT string_agg(a.state || ' ' || s.state, ',' ORDER BY s.dedupe_key) FROM sagas s "
                              "JOIN payment_attempts a ON a.order_id = s.saga_id"),
            "approved succeeded,not_sent compensated,approved succeeded,not_sent compensated");
}

}  // namespace
}  // namespace waybill::testing
