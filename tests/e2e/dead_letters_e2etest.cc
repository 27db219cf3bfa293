// What has failed for good, from its death to its end: in one list, redriven once whoever asks, also after a crash.
#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "edge/http/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"
#include "waybill/ops/v1/dead_letters.grpc.pb.h"

namespace waybill::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Admin = ops::v1::DeadLetterAdmin;

constexpr absl::Duration kLetterSoon = absl::Seconds(20);

class DeadLetters : public ::testing::Test {
 protected:
  // What has failed is not tried again before the test is over.
  explicit DeadLetters(const std::vector<std::string>& more_args = {})
      : stack_([&] {
          StackOptions options;
          options.order_args = {
              "--lease",       "1500ms", "--attempt-timeout",  "1200ms", "--attempts-max",    "2", "--backoff", "300s",
              "--backoff-max", "300s",   "--undo-backoff-max", "600s",   "--attention-after", "1"};
          options.order_args.insert(options.order_args.end(), more_args.begin(), more_args.end());
          return options;
        }()) {
    a_ = &stack_.AddReplica("a");
    b_ = &stack_.AddReplica("b");
    stack_.PutDrivers(5);
    a_->Start();
    b_->Start();
  }

  // Cancelled while its payer is awaited, and its gateway takes no refund.
  void LetOrdersDie(int count) {
    sandbox::v1::Behaviour behaviour;
    behaviour.set_pending_rate(1);
    behaviour.set_pending_for_ms(3'600'000);
    stack_.SetBehaviour(behaviour);
    std::vector<std::string> orders;
    for (int i = 0; i < count; ++i) {
      auto context = Deadline(absl::Seconds(20));
      order::v1::Order order;
      const grpc::Status created =
          (i % 2 == 0 ? a_ : b_)->Orders()->CreateOrder(context.get(), OrderRequestFor(fmt::format("k{}", i)), &order);
      ASSERT_TRUE(created.ok()) << created.error_message();
      orders.push_back(order.order_id());
    }
    behaviour.set_unavailable_rate(1);
    stack_.SetBehaviour(behaviour);
    for (size_t i = 0; i < orders.size(); ++i) {
      order::v1::CancelOrderRequest request;
      request.set_order_id(orders[i]);
      request.set_reason("changed my mind");
      auto context = Deadline(absl::Milliseconds(300));  // it has no end yet
      order::v1::Order order;
      (void)(i % 2 == 0 ? a_ : b_)->Orders()->CancelOrder(context.get(), request, &order);
    }
    ASSERT_TRUE(Eventually(kLetterSoon, [&] { return Count(*a_) == count; })) << Count(*a_);
    stack_.SetBehaviour(sandbox::v1::Behaviour());
  }
  static int64_t Count(OrderReplica& replica) {
    auto context = Deadline(absl::Seconds(10));
    ops::v1::CountDeadLettersResponse counted;
    const grpc::Status status = Admin::NewStub(replica.Channel())->CountDeadLetters(context.get(), {}, &counted);
    EXPECT_TRUE(status.ok()) << status.error_message();
    int64_t all = 0;
    for (const auto& count : counted.counts()) all += count.letters();
    return all;
  }
  static std::vector<ops::v1::DeadLetter> List(OrderReplica& replica) {
    auto context = Deadline(absl::Seconds(10));
    ops::v1::ListDeadLettersResponse listed;
    const grpc::Status status = Admin::NewStub(replica.Channel())->ListDeadLetters(context.get(), {}, &listed);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {listed.letters().begin(), listed.letters().end()};
  }
  // Call after call, as the command line does; how many.
  static int RedriveAll(OrderReplica& replica, int at_once) {
    ops::v1::RedriveDeadLettersRequest request;
    request.mutable_filter()->set_kind(ops::v1::SAGA);
    request.set_per_second(1'000);
    request.set_limit(at_once);
    int redriven = 0;
    for (int calls = 0; calls < 100; ++calls) {
      auto context = Deadline(absl::Seconds(10));
      ops::v1::RedriveDeadLettersResponse done;
      const grpc::Status status = Admin::NewStub(replica.Channel())->RedriveDeadLetters(context.get(), request, &done);
      if (!status.ok()) break;
      *request.mutable_as_of() = done.as_of();
      redriven += done.redriven();
      if (done.left() == 0) break;
    }
    return redriven;
  }
  std::string AuditOf(const std::string& action) {
    return stack_.sql().Value("SELECT count(*) || ' ' || count(DISTINCT subject) FROM audit_entries WHERE action = $1",
                              {action});
  }
  void ExpectAllCancelled(int count) {
    EXPECT_TRUE(stack_.WaitUntilAllSettled(kLetterSoon));
    EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM order_sagas WHERE state = 'compensated'"),
              std::to_string(count));
    EXPECT_THAT(stack_.WrongInTheBooks(), IsEmpty());
    EXPECT_EQ(Count(*b_), 0);
  }

  Stack stack_;
  OrderReplica* a_;
  OrderReplica* b_;
  SystemClock clock_;
  Metrics metrics_;
  Logger log_{LogFormat::kText, LogLevel::kError, clock_};
};

TEST_F(DeadLetters, ASagaIsListedWithItsCauseAndEndsWhenItIsRedriven) {
  LetOrdersDie(1);
  const std::vector<ops::v1::DeadLetter> letters = List(*b_);
  ASSERT_EQ(letters.size(), 1U);
  EXPECT_THAT(letters[0].id(), StartsWith("saga/"));
  EXPECT_EQ(letters[0].cause(), "PAYMENT_UNKNOWN") << letters[0].detail();
  EXPECT_EQ(letters[0].id(), "saga/" + letters[0].order_id());
  ops::v1::RedriveDeadLettersRequest request;
  request.mutable_filter()->set_id(letters[0].id());
  auto context = Deadline(absl::Seconds(10));
  ops::v1::RedriveDeadLettersResponse done;
  // By the replica that does not drive it.
  const grpc::Status status = Admin::NewStub(b_->Channel())->RedriveDeadLetters(context.get(), request, &done);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(done.redriven(), 1);
  ExpectAllCancelled(1);
  auto again = Deadline(absl::Seconds(10));
  EXPECT_EQ(Admin::NewStub(b_->Channel())->RedriveDeadLetters(again.get(), request, &done).error_code(),
            grpc::StatusCode::NOT_FOUND);
  auto whatever = Deadline(absl::Seconds(10));
  EXPECT_EQ(Admin::NewStub(b_->Channel())->RedriveDeadLetters(whatever.get(), {}, &done).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT)
      << "all there is has to be said";
}

TEST_F(DeadLetters, TwoReplicasRedriveEachOnce) {
  LetOrdersDie(30);
  std::future<int> by_a = std::async(std::launch::async, [this] { return RedriveAll(*a_, 4); });
  const int by_b = RedriveAll(*b_, 4);
  EXPECT_EQ(by_a.get() + by_b, 30);
  EXPECT_EQ(AuditOf("dead_letter.redrive"), "30 30");
  ExpectAllCancelled(30);
}

TEST_F(DeadLetters, WhatWasBeingRedrivenInACrashIsRedrivenByTheNextCall) {
  LetOrdersDie(30);
  std::future<int> by_a = std::async(std::launch::async, [this] { return RedriveAll(*a_, 2); });
  ASSERT_TRUE(Eventually(kLetterSoon, [this] { return Count(*b_) < 24; }));
  a_->Kill();
  by_a.get();
  RedriveAll(*b_, 100);
  // What the dead process drove the other one has taken up, and may have ended before it was redriven.
  const std::string redriven = stack_.sql().Value(
      "SELECT count(*) = count(DISTINCT subject) AND count(*) BETWEEN 7 AND 30 FROM audit_entries WHERE action = "
      "'dead_letter.redrive'");
  EXPECT_EQ(redriven, "t") << AuditOf("dead_letter.redrive");
  ExpectAllCancelled(30);
}

// --- The command line's loop: a call a second, until all is redriven or somebody has enough.

class DeadLetterCommand : public DeadLetters {
 protected:
  DeadLetterCommand() : DeadLetters({"--webhook-allow-networks", "127.0.0.0/8"}) {}

  std::unique_ptr<Process> Redrive(std::vector<std::string> args) {
    args.insert(args.begin(), {"--server", fmt::format("127.0.0.1:{}", a_->port()), "dead", "redrive"});
    auto process = Process::Start(WAYBILL_BINARY, {.args = std::move(args)});
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  void AddEvents(int count) {
    stack_.sql().Exec(fmt::format(
        "INSERT INTO webhook_inbox (gateway, event_id, event_type, amount_minor, currency, body, state, reason, "
        "settled_at) SELECT 'acme', 'e' || n, 'payment.succeeded', 7, 'EUR', '', 'attention', 'AMOUNT_MISMATCH', now() "
        "- interval '1 hour' FROM generate_series(1, {}) AS n",
        count));
  }
  void AddDeliveries(int count, const std::string& url) {
    stack_.sql().Exec(
        fmt::format("INSERT INTO webhook_endpoints (endpoint_id, client, url, types, secret, created_at) VALUES "
                    "('00000000-0000-7000-8000-0000000000e1', 'shop', '{}', '{{*}}', 'whsec_AAAA', now())",
                    url));
    stack_.sql().Exec(fmt::format(
        "INSERT INTO webhook_deliveries (endpoint_id, event_id, type, body, created_at, next_at, state, attempts, "
        "last_at, last_code, last_answer, reason) SELECT '00000000-0000-7000-8000-0000000000e1', 'evt_' || n, "
        "'order.confirmed', '{{}}', now() - interval '1 h', now(), 'dead', 10, now() - interval '30 minutes', 500, "
        "'oops', 'none of 10 attempts succeeded' FROM generate_series(1, {}) AS n",
        count));
  }
  // Differences of which the next comparison says that there are none.
  void AddCases(int count) {
    stack_.sql().Exec(fmt::format(
        "WITH s AS (INSERT INTO settlements (gateway, name, covers_from, covers_to, state, reconciled_at) VALUES "
        "('acme', 'd', now() - interval '2 d', now() - interval '1 d', 'reconciled', now()) RETURNING settlement_id) "
        "INSERT INTO reconciliation_cases (gateway, kind, about, order_id, ours_minor, currency, settlement_id, "
        "opened_at) SELECT 'acme', 'missing_there', 'charge', ('00000000-0000-7000-8000-' || lpad(n::text, 12, "
        "'0'))::uuid, 5, 'EUR', settlement_id, now() - interval '20 minutes' FROM s, generate_series(1, {}) AS n",
        count));
  }
};

TEST_F(DeadLetterCommand, GoesOnUntilAllOfAKindIsRedrivenAndTellsHowFarItIs) {
  const std::unique_ptr<http::Server> receiver = http::Server::Start({}, metrics_, log_).value();
  std::atomic<int> told = 0;
  receiver->Serve("/", {"hook", {"POST"}}, [&told](http::ExchangePtr exchange) {
    ++told;
    exchange->Answer({204, "", "", {}});
  });
  AddEvents(5);
  AddDeliveries(5, fmt::format("http://127.0.0.1:{}/", receiver->port()));
  AddCases(5);
  ASSERT_EQ(Count(*b_), 15);

  const auto events = Redrive({"--kind", "event", "--per-second", "2"});
  EXPECT_EQ(events->Wait(kLetterSoon), 0) << events->Output();
  EXPECT_THAT(events->Output(), HasSubstr("2 redriven, 3 left\n4 redriven, 1 left\n5 redriven, 0 left\n"));
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM webhook_inbox WHERE state = 'new'"), "5") << "they are due again";
  EXPECT_EQ(Count(*b_), 10) << "nothing of other kinds";

  const auto deliveries = Redrive({"--kind", "delivery", "--of-client", "shop", "--per-second", "100", "--limit", "3"});
  EXPECT_EQ(deliveries->Wait(kLetterSoon), 0) << deliveries->Output();
  EXPECT_THAT(deliveries->Output(), HasSubstr("3 redriven, 2 left\n"));
  const auto others = Redrive({"--kind", "delivery", "--per-second", "100"});
  EXPECT_EQ(others->Wait(kLetterSoon), 0) << others->Output();
  EXPECT_TRUE(Eventually(kLetterSoon, [&] {
    return stack_.sql().Value("SELECT count(*) FROM webhook_deliveries WHERE state = 'delivered'") == "5";
  }));
  EXPECT_EQ(told, 5);

  const auto cases = Redrive({"--kind", "case", "--per-second", "100"});
  EXPECT_EQ(cases->Wait(kLetterSoon), 0) << cases->Output();
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM reconciliation_cases WHERE reason = 'proven by settlement 1'"),
            "5");
  EXPECT_EQ(Count(*b_), 0);
  EXPECT_EQ(AuditOf("dead_letter.redrive"), "15 15");
  const auto none = Redrive({"--kind", "event"});
  EXPECT_EQ(none->Wait(kLetterSoon), 0);
  EXPECT_THAT(none->Output(), HasSubstr("there are no such dead letters"));
}

TEST_F(DeadLetterCommand, EndsInOrderAtCtrlCAndGoesOnWithTheRest) {
  AddEvents(40);
  const auto stopped = Redrive({"--kind", "event", "--per-second", "4"});
  ASSERT_TRUE(stopped->WaitForLine("4 redriven, 36 left", kLetterSoon).has_value()) << stopped->Output();
  ASSERT_TRUE(stopped->Signal(SIGINT));
  EXPECT_EQ(stopped->Wait(kLetterSoon), 7) << stopped->Output();
  const std::string redriven = stack_.sql().Value("SELECT count(*) FROM webhook_inbox WHERE state = 'new'");
  EXPECT_THAT(stopped->Output(),
              HasSubstr(fmt::format("stopped: {} were redriven and {} are left", redriven, 40 - std::stoi(redriven))));
  EXPECT_LT(std::stoi(redriven), 40);
  EXPECT_EQ(AuditOf("dead_letter.redrive"), fmt::format("{0} {0}", redriven));
  const auto rest = Redrive({"--kind", "event", "--per-second", "1000"});
  EXPECT_EQ(rest->Wait(kLetterSoon), 0) << rest->Output();
  EXPECT_THAT(rest->Output(), HasSubstr(fmt::format("{} redriven, 0 left", 40 - std::stoi(redriven))));
  EXPECT_EQ(AuditOf("dead_letter.redrive"), "40 40");
}

TEST_F(DeadLetterCommand, TellsWhatItHasDoneWhenTheServiceIsGone) {
  AddEvents(40);
  const auto cut = Redrive({"--kind", "event", "--per-second", "4"});
  ASSERT_TRUE(cut->WaitForLine("4 redriven, 36 left", kLetterSoon).has_value()) << cut->Output();
  a_->Kill();
  const std::optional<int> code = cut->Wait(absl::Minutes(1));
  ASSERT_TRUE(code.has_value());
  EXPECT_NE(code, 0);
  EXPECT_THAT(cut->Output(), HasSubstr("were redriven before that; the same command goes on"));
}

TEST_F(DeadLetters, ADiscardedSagaIsResolvedWithTheReason) {
  LetOrdersDie(2);
  ops::v1::DiscardDeadLettersRequest request;
  request.mutable_filter()->set_cause("PAYMENT_UNKNOWN");
  request.set_reason("refunded at the bank, ticket 812");
  request.set_operator_("ada");
  ops::v1::DiscardDeadLettersRequest before = request;
  before.mutable_as_of()->set_seconds(absl::ToUnixSeconds(absl::Now()) - 3'600);
  auto early = Deadline(absl::Seconds(20));
  ops::v1::DiscardDeadLettersResponse done;
  ASSERT_TRUE(Admin::NewStub(a_->Channel())->DiscardDeadLetters(early.get(), before, &done).ok());
  EXPECT_EQ(done.discarded() + done.left(), 0) << "they died later";
  EXPECT_EQ(done.as_of().seconds(), before.as_of().seconds());
  auto context = Deadline(absl::Seconds(20));
  const grpc::Status status = Admin::NewStub(a_->Channel())->DiscardDeadLetters(context.get(), request, &done);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(done.discarded(), 2);
  EXPECT_EQ(done.left(), 0);
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM order_sagas WHERE state = 'resolved'"), "2");
  EXPECT_EQ(
      stack_.sql().Value("SELECT count(*) FROM audit_entries WHERE action = 'saga.resolve' AND operator_name = 'ada' "
                         "AND detail LIKE '%ticket 812%'"),
      "2");
}

}  // namespace
}  // namespace waybill::testing
