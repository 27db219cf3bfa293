// The binary against services that answer by script: what it sends, what it prints, how it exits.
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "domain/reasons.h"
#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"
#include "waybill/ops/v1/ops.grpc.pb.h"
#include "waybill/order/v1/order.grpc.pb.h"
#include "waybill/sandbox/v1/sandbox.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace order = waybill::order::v1;
namespace ops = waybill::ops::v1;
namespace sandbox = waybill::sandbox::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kId[] = "01939f6e-0000-7000-8000-000000000001";

grpc::Status Refuse(std::string_view reason, std::string_view message, ErrorDetail detail = {}) {
  return rpc::ToGrpcStatus(domain::ReasonError(reason, message, std::move(detail)));
}

// One scripted answer a call, in turn; each keeps the requests it saw.
template <typename Request, typename Response>
class Script {
 public:
  using Answer = std::function<grpc::Status(const Request&, Response&, grpc::ServerContext&)>;

  void Then(Answer answer) { answers_.push_back(std::move(answer)); }
  void Then(Response response) {
    Then([response](const Request&, Response& out, grpc::ServerContext&) {
      out = response;
      return grpc::Status::OK;
    });
  }
  void Then(grpc::Status status) {
    Then([status](const Request&, Response&, grpc::ServerContext&) { return status; });
  }

  grpc::Status Call(grpc::ServerContext& call, const Request& request, Response& response) {
    std::lock_guard lock(mutex_);
    size_t turn = requests_.size();
    requests_.push_back(request);
    auto client = call.client_metadata().find("waybill-client");
    client_ = client == call.client_metadata().end() ? "" : std::string(client->second.data(), client->second.size());
    if (turn >= answers_.size()) return grpc::Status(grpc::StatusCode::INTERNAL, "the script has no further answer");
    return answers_[turn](request, response, call);
  }

  std::vector<Request> requests() {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  std::string client() {
    std::lock_guard lock(mutex_);
    return client_;
  }

 private:
  std::mutex mutex_;
  std::vector<Answer> answers_;
  std::vector<Request> requests_;
  std::string client_;
};

// NOLINTBEGIN(bugprone-macro-parentheses): types take none
#define ANSWER_BY_SCRIPT(Method, Request, Response, script)                                             \
  grpc::Status Method(grpc::ServerContext* call, const Request* request, Response* response) override { \
    return script.Call(*call, *request, *response);                                                     \
  }
// NOLINTEND(bugprone-macro-parentheses)

class FakeOrders final : public order::OrderService::Service {
 public:
  ANSWER_BY_SCRIPT(CreateOrder, order::CreateOrderRequest, order::Order, create)
  ANSWER_BY_SCRIPT(GetOrder, order::GetOrderRequest, order::Order, get)
  ANSWER_BY_SCRIPT(ListOrders, order::ListOrdersRequest, order::ListOrdersResponse, list)
  ANSWER_BY_SCRIPT(CancelOrder, order::CancelOrderRequest, order::Order, cancel)
  ANSWER_BY_SCRIPT(CompleteOrder, order::CompleteOrderRequest, order::Order, complete)
  // The script answers with an order whose transitions are streamed.
  grpc::Status WatchOrder(grpc::ServerContext* call, const order::WatchOrderRequest* request,
                          grpc::ServerWriter<order::OrderTransition>* writer) override {
    order::Order lines;
    grpc::Status status = watch.Call(*call, *request, lines);
    for (const auto& line : lines.transitions()) writer->Write(line);
    return status;
  }

  Script<order::CreateOrderRequest, order::Order> create;
  Script<order::GetOrderRequest, order::Order> get;
  Script<order::ListOrdersRequest, order::ListOrdersResponse> list;
  Script<order::CancelOrderRequest, order::Order> cancel;
  Script<order::CompleteOrderRequest, order::Order> complete;
  Script<order::WatchOrderRequest, order::Order> watch;
};

class FakeSagas final : public ops::SagaAdmin::Service {
 public:
  ANSWER_BY_SCRIPT(ListSagas, ops::ListSagasRequest, ops::ListSagasResponse, list)
  ANSWER_BY_SCRIPT(GetSaga, ops::GetSagaRequest, ops::Saga, get)
  ANSWER_BY_SCRIPT(RetrySaga, ops::RetrySagaRequest, ops::Saga, retry)
  ANSWER_BY_SCRIPT(ResolveSaga, ops::ResolveSagaRequest, ops::Saga, resolve)
  ANSWER_BY_SCRIPT(SignalSaga, ops::SignalSagaRequest, ops::SignalSagaResponse, signal)

  Script<ops::ListSagasRequest, ops::ListSagasResponse> list;
  Script<ops::GetSagaRequest, ops::Saga> get;
  Script<ops::RetrySagaRequest, ops::Saga> retry;
  Script<ops::ResolveSagaRequest, ops::Saga> resolve;
  Script<ops::SignalSagaRequest, ops::SignalSagaResponse> signal;
};

class FakeSandbox final : public sandbox::SandboxAdmin::Service {
 public:
  ANSWER_BY_SCRIPT(SetBehaviour, sandbox::SetBehaviourRequest, sandbox::Behaviours, set)
  ANSWER_BY_SCRIPT(GetBooks, sandbox::GetBooksRequest, sandbox::Books, books)
  ANSWER_BY_SCRIPT(DecidePayment, sandbox::DecidePaymentRequest, sandbox::DecidePaymentResponse, decide)
  ANSWER_BY_SCRIPT(ChargeBack, sandbox::ChargeBackRequest, sandbox::ChargeBackResponse, charge_back)

  Script<sandbox::ChargeBackRequest, sandbox::ChargeBackResponse> charge_back;
  Script<sandbox::SetBehaviourRequest, sandbox::Behaviours> set;
  Script<sandbox::GetBooksRequest, sandbox::Books> books;
  Script<sandbox::DecidePaymentRequest, sandbox::DecidePaymentResponse> decide;
};

class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&orders_);
    builder.RegisterService(&sagas_);
    builder.RegisterService(&sandbox_);
    server_ = builder.BuildAndStart();
  }
  ~CliTest() override { server_->Shutdown(); }

  Ran Run(std::vector<std::string> args) {
    std::string here = fmt::format("127.0.0.1:{}", port_);
    return RunBinary(WAYBILL_BINARY, std::move(args),
                     {{"WAYBILL_SERVER", here}, {"WAYBILL_SANDBOX", here}, {"WAYBILL_CLIENT", ""}, {"USER", "ada"}});
  }

  FakeOrders orders_;
  FakeSagas sagas_;
  FakeSandbox sandbox_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

order::OrderTransition Transition(int64_t sequence, const std::string& step, const std::string& outcome,
                                  order::OrderStatus status) {
  order::OrderTransition transition;
  transition.set_sequence(sequence);
  transition.set_step(step);
  transition.set_attempt(step.empty() ? 0 : 1);
  transition.set_outcome(outcome);
  transition.set_status(status);
  transition.mutable_time()->set_seconds(1'800'000'000 + sequence);
  return transition;
}

order::Order Confirmed() {
  order::Order answer;
  answer.set_order_id(kId);
  answer.set_idempotency_key("k-1");
  answer.set_user_id("u-17");
  answer.mutable_amount()->set_minor_units(1250);
  answer.mutable_amount()->set_currency("EUR");
  answer.set_status(order::CONFIRMED);
  answer.set_driver_id("d-7");
  answer.mutable_payment()->set_charged_minor_units(1250);
  answer.mutable_create_time()->set_seconds(1'800'000'000);
  return answer;
}

order::Order Failed() {
  order::Order answer = Confirmed();
  answer.set_status(order::FAILED);
  answer.clear_driver_id();
  answer.mutable_failure()->set_reason("NO_DRIVER_AVAILABLE");
  answer.mutable_payment()->set_refunded_minor_units(1250);
  return answer;
}

TEST_F(CliTest, CreateSendsExactMoneyAndShowsTheOrder) {
  orders_.create.Then(Confirmed());
  Ran ran = Run({"order", "create", "--user", "u-17", "--amount", "12.50", "--currency", "EUR", "--key", "k-1",
                 "--pickup", "-33.9,151.2", "--metadata", "gate=7", "--metadata", "floor=2", "--client", "shop"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("Charged 12.50 EUR, and driver d-7 has it."));
  ASSERT_EQ(orders_.create.requests().size(), 1u);
  order::CreateOrderRequest request = orders_.create.requests()[0];
  EXPECT_EQ(request.idempotency_key(), "k-1");
  EXPECT_EQ(request.amount().minor_units(), 1250);
  EXPECT_EQ(request.pickup().latitude(), -33.9);
  EXPECT_EQ(request.metadata().at("gate"), "7");
  EXPECT_EQ(request.metadata().at("floor"), "2");
  EXPECT_EQ(request.wait(), order::CreateOrderRequest::UNTIL_SETTLED);
  EXPECT_EQ(orders_.create.client(), "shop");
}

TEST_F(CliTest, CreateRepeatsWithTheSameFreshKeyWhileTheServiceIsAway) {
  orders_.create.Then(Refuse("SHUTTING_DOWN", "draining"));
  orders_.create.Then(Confirmed());
  Ran ran =
      Run({"order", "create", "--user", "u", "--amount-minor", "1250", "--currency", "EUR", "--wait", "accepted"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  auto requests = orders_.create.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_FALSE(requests[0].idempotency_key().empty());
  EXPECT_EQ(requests[0].idempotency_key(), requests[1].idempotency_key());
  EXPECT_EQ(requests[0].wait(), order::CreateOrderRequest::UNTIL_ACCEPTED);
  EXPECT_THAT(ran.output, Not(HasSubstr("repeating with"))) << "its outcome is known";
}

TEST_F(CliTest, CreateGivesUpAfterItsRetries) {
  for (int i = 0; i < 3; ++i) orders_.create.Then(Refuse("SHUTTING_DOWN", "draining"));
  Ran ran = Run({"order", "create", "--user", "u", "--amount", "1", "--currency", "EUR", "--retries", "2"});
  EXPECT_EQ(ran.code, 5) << ran.output;
  EXPECT_EQ(orders_.create.requests().size(), 3u);
  EXPECT_THAT(ran.output,
              HasSubstr("UNAVAILABLE (SHUTTING_DOWN): draining. Retry at another replica, with the same key."));
}

TEST_F(CliTest, CreateSaysWhenTheKeyAlreadyHadAnOrder) {
  orders_.create.Then([](const order::CreateOrderRequest&, order::Order& answer, grpc::ServerContext& call) {
    call.AddInitialMetadata("idempotency-replayed", "true");
    answer = Confirmed();
    return grpc::Status::OK;
  });
  Ran ran = Run({"order", "create", "--user", "u", "--amount", "12.50", "--currency", "EUR", "--key", "k-1"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.output, HasSubstr("this key already had an order"));
}

TEST_F(CliTest, CreateExitsWithSixWhenTheOrderWasTurnedBack) {
  orders_.create.Then(Failed());
  Ran ran = Run({"order", "create", "--user", "u", "--amount", "12.50", "--currency", "EUR"});
  EXPECT_EQ(ran.code, 6);
  EXPECT_THAT(ran.output, HasSubstr("Turned back (NO_DRIVER_AVAILABLE). 12.50 EUR was charged, all of it went back."));
}

TEST_F(CliTest, WrongInputIsRefusedBeforeAnyCall) {
  std::vector<std::vector<std::string>> wrong = {
      {"--amount", "1.005", "--currency", "EUR"},
      {"--amount", "-1", "--currency", "EUR"},
      {"--amount", "1", "--currency", "EURO"},
      {"--currency", "EUR"},
      {"--amount", "1", "--currency", "EUR", "--pickup", "91,0"},
      {"--amount", "1", "--currency", "EUR", "--metadata", "gate"},
      {"--amount", "1", "--currency", "EUR", "--timeout", "soon"},
      {"--amount", "1", "--amount-minor", "1", "--currency", "EUR"},
  };
  for (const auto& arguments : wrong) {
    std::vector<std::string> all = {"order", "create", "--user", "u"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    Ran ran = Run(all);
    EXPECT_EQ(ran.code, 2) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr("waybill: "));
  }
  EXPECT_TRUE(orders_.create.requests().empty());
}

// A variable that is not set must not turn a filter into none, nor a key into a new one.
TEST_F(CliTest, AnEmptyValueOfAnOptionIsRefusedAndNamed) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> wrong = {
      {"--user", {"order", "list", "--user", ""}},
      {"--user", {"order", "list", "--user="}},
      {"--key", {"order", "create", "--user", "u", "--amount", "1", "--currency", "EUR", "--key", ""}},
      {"--metadata",
       {"order", "create", "--user", "u", "--amount", "1", "--currency", "EUR", "--metadata", "a=1", "--metadata", ""}},
      {"--state", {"webhook", "inbox", "list", "--state", ""}},
      {"--gateway", {"payments", "summary", "--gateway", ""}},
      {"--client", {"order", "list", "--client", ""}},
  };
  for (const auto& [option, arguments] : wrong) {
    const Ran ran = Run(arguments);
    EXPECT_EQ(ran.code, 2) << ran.output;
    EXPECT_THAT(ran.output, HasSubstr(option + ": "));
  }
  EXPECT_TRUE(orders_.create.requests().empty());
  EXPECT_TRUE(orders_.list.requests().empty());
}

TEST_F(CliTest, ErrorsNameTheFieldsAndSetTheExitCode) {
  ErrorDetail detail;
  detail.violations = {{"user_id", "must not be empty"}};
  orders_.create.Then(Refuse("BAD_REQUEST", "1 field is wrong", detail));
  Ran bad = Run({"order", "create", "--user", " ", "--amount", "1", "--currency", "EUR"});
  EXPECT_EQ(bad.code, 2) << bad.output;
  EXPECT_THAT(bad.output, HasSubstr("user_id: must not be empty"));

  orders_.get.Then(Refuse("ORDER_NOT_FOUND", "no order"));
  EXPECT_EQ(Run({"order", "get", kId}).code, 3);

  orders_.complete.Then(Refuse("ORDER_NOT_CONFIRMED", "it is PENDING"));
  Ran refused = Run({"order", "complete", kId, "--json"});
  EXPECT_EQ(refused.code, 4);
  ASSERT_EQ(refused.json.size(), 1u) << refused.output;
  EXPECT_EQ(refused.json[0]["error"]["reason"], "ORDER_NOT_CONFIRMED");
  EXPECT_EQ(refused.json[0]["error"]["code"], "FAILED_PRECONDITION");
}

TEST_F(CliTest, GetTellsTheStory) {
  order::Order answer = Failed();
  *answer.add_transitions() = Transition(0, "", "accepted", order::PENDING);
  *answer.add_transitions() = Transition(1, "charge_payment", "succeeded", order::PENDING);
  *answer.add_transitions() = Transition(2, "assign_driver", "rejected", order::COMPENSATING);
  *answer.add_transitions() = Transition(3, "charge_payment", "undone", order::FAILED);
  orders_.get.Then(answer);
  Ran ran = Run({"order", "get", kId});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.output, HasSubstr("  2  08:00:02.000  +1.00 s  assign_driver   rejected   COMPENSATING\n"));
  EXPECT_THAT(ran.output, Not(HasSubstr("\x1b")));
}

TEST_F(CliTest, JsonHasTheNamesOfTheContract) {
  orders_.get.Then(Confirmed());
  Ran ran = Run({"--json", "order", "get", kId});
  ASSERT_EQ(ran.json.size(), 1u) << ran.output;
  EXPECT_EQ(ran.json[0]["order_id"], kId);
  EXPECT_EQ(ran.json[0]["amount"]["minor_units"], "1250");
  EXPECT_EQ(ran.json[0]["status"], "CONFIRMED");
  EXPECT_EQ(ran.json[0]["needs_attention"], false);
}

TEST_F(CliTest, ListPagesByItselfUpToTheLimit) {
  for (int page = 0; page < 3; ++page) {
    order::ListOrdersResponse response;
    *response.add_orders() = Confirmed();
    *response.add_orders() = Failed();
    response.set_next_page_token(page < 2 ? fmt::format("page-{}", page + 1) : "");
    orders_.list.Then(response);
  }
  Ran ran = Run({"order", "list", "--limit", "0", "--json", "--user", "u-17", "--status", "failed", "--status",
                 "CONFIRMED", "--from", "2h"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(ran.json.size(), 6u);
  auto requests = orders_.list.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].page_token(), "");
  EXPECT_EQ(requests[2].page_token(), "page-2");
  for (const auto& request : requests) {
    EXPECT_EQ(request.user_id(), "u-17");
    EXPECT_THAT(request.statuses(), ElementsAre(order::FAILED, order::CONFIRMED));
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(request.created_from(), requests[0].created_from()));
  }
}

TEST_F(CliTest, ListSaysWhenThereIsMore) {
  order::ListOrdersResponse response;
  *response.add_orders() = Confirmed();
  response.set_next_page_token("more");
  orders_.list.Then(response);
  Ran ran = Run({"order", "list", "--limit", "1"});
  EXPECT_THAT(ran.output, HasSubstr("there are more than 1"));
  EXPECT_EQ(orders_.list.requests()[0].page_size(), 1);
}

TEST_F(CliTest, WatchResumesAfterTheLastLineItSaw) {
  order::Order first;
  *first.add_transitions() = Transition(0, "", "accepted", order::PENDING);
  *first.add_transitions() = Transition(1, "charge_payment", "succeeded", order::PENDING);
  orders_.watch.Then([first](const order::WatchOrderRequest&, order::Order& lines, grpc::ServerContext&) {
    lines = first;
    return Refuse("SHUTTING_DOWN", "draining");
  });
  orders_.watch.Then(Refuse("SHUTTING_DOWN", "draining"));
  order::Order second;
  *second.add_transitions() = Transition(2, "assign_driver", "rejected", order::COMPENSATING);
  *second.add_transitions() = Transition(3, "charge_payment", "undone", order::FAILED);
  orders_.watch.Then(second);
  orders_.get.Then(Failed());
  Ran ran = Run({"order", "watch", kId, "--json"});
  EXPECT_EQ(ran.code, 6) << ran.output;
  auto requests = orders_.watch.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[0].from_sequence(), 0);
  EXPECT_EQ(requests[1].from_sequence(), 2);
  EXPECT_EQ(requests[2].from_sequence(), 2);
  std::vector<std::string> sequences;
  for (const auto& line : ran.json) sequences.push_back(line["sequence"]);
  EXPECT_THAT(sequences, ElementsAre("0", "1", "2", "3"));
}

TEST_F(CliTest, WatchStopsAtSettledWhenAsked) {
  orders_.watch.Then([](const order::WatchOrderRequest&, order::Order& lines, grpc::ServerContext&) {
    *lines.add_transitions() = Transition(2, "assign_driver", "succeeded", order::CONFIRMED);
    *lines.add_transitions() = Transition(3, "", "closed", order::COMPLETED);
    return grpc::Status::OK;
  });
  orders_.get.Then(Confirmed());
  Ran ran = Run({"order", "watch", kId, "--from", "2", "--until", "settled"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(orders_.watch.requests()[0].from_sequence(), 2);
  EXPECT_THAT(ran.output, HasSubstr("CONFIRMED"));
  EXPECT_THAT(ran.output, Not(HasSubstr("COMPLETED")));
}

// The charge and the driver may have come with one write: both lines belong to the state they led to.
TEST_F(CliTest, WatchShowsAllThatSettledTheOrder) {
  order::Order all;
  *all.add_transitions() = Transition(1, "charge_payment", "succeeded", order::CONFIRMED);
  *all.add_transitions() = Transition(2, "assign_driver", "succeeded", order::CONFIRMED);
  *all.add_transitions() = Transition(3, "", "closed", order::COMPLETED);
  orders_.watch.Then(all);
  all.set_status(order::COMPLETED);
  orders_.get.Then(all);
  Ran ran = Run({"order", "watch", kId, "--until", "settled", "--json"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  std::vector<std::string> sequences;
  for (const auto& line : ran.json) sequences.push_back(line["sequence"]);
  EXPECT_THAT(sequences, ElementsAre("1", "2"));
}

// The stream is left where the order settles, before it could tell of refunds.
TEST_F(CliTest, WatchUntilSettledTellsOfRefundsToo) {
  order::Order all = Confirmed();
  *all.add_transitions() = Transition(2, "assign_driver", "succeeded", order::CONFIRMED);
  orders_.watch.Then(all);
  order::Refund& refund = *all.add_refunds();
  refund.set_refund_id("r1");
  refund.set_state(order::Refund::DONE);
  refund.mutable_amount()->set_minor_units(250);
  refund.mutable_amount()->set_currency("EUR");
  orders_.get.Then(all);
  const Ran ran = Run({"order", "watch", kId, "--until", "settled", "--refunds"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("refund r1: done 2.50 EUR"));
  orders_.watch.Then(all);
  orders_.get.Then(all);
  EXPECT_THAT(Run({"order", "watch", kId, "--until", "settled"}).output, Not(HasSubstr("refund r1")));
}

TEST_F(CliTest, CancelPassesTheReasonOn) {
  order::Order cancelled = Failed();
  cancelled.set_status(order::CANCELLED);
  orders_.cancel.Then(cancelled);
  Ran ran = Run({"order", "cancel", kId, "--reason", "customer called"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(orders_.cancel.requests()[0].reason(), "customer called");
}

ops::Saga Stuck() {
  ops::Saga saga;
  saga.set_saga_id(kId);
  saga.set_state(ops::COMPENSATING);
  saga.set_step("charge_payment");
  saga.set_attempt(9);
  saga.set_needs_attention(true);
  saga.set_epoch(2);
  saga.set_owner("host-a");
  saga.mutable_lease_until()->set_seconds(1'800'000'000);
  return saga;
}

TEST_F(CliTest, SagaListFilters) {
  ops::ListSagasResponse response;
  *response.add_sagas() = Stuck();
  sagas_.list.Then(response);
  Ran ran = Run({"saga", "list", "--state", "compensating", "--older-than", "5m", "--needs-attention"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("charge_payment"));
  ops::ListSagasRequest request = sagas_.list.requests()[0];
  EXPECT_THAT(request.states(), ElementsAre(ops::COMPENSATING));
  EXPECT_EQ(request.min_age().seconds(), 300);
  EXPECT_TRUE(request.needs_attention());
  EXPECT_FALSE(request.waiting());
  sagas_.list.Then(ops::ListSagasResponse());
  EXPECT_EQ(Run({"saga", "list", "--waiting"}).code, 0);
  EXPECT_TRUE(sagas_.list.requests()[1].waiting());
}

TEST_F(CliTest, SagaShowRetryAndResolve) {
  sagas_.get.Then(Stuck());
  EXPECT_THAT(Run({"saga", "show", kId}).output, HasSubstr("waybill saga resolve"));

  sagas_.retry.Then(Refuse("SAGA_FINISHED", "it has ended"));
  EXPECT_EQ(Run({"saga", "retry", kId}).code, 4);

  ops::Saga resolved = Stuck();
  resolved.set_state(ops::RESOLVED);
  sagas_.resolve.Then(resolved);
  Ran ran = Run({"saga", "resolve", kId, "--reason", "ticket 812", "--json"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(ran.json[0]["state"], "RESOLVED");
  EXPECT_EQ(sagas_.resolve.requests()[0].reason(), "ticket 812");
  EXPECT_EQ(sagas_.resolve.requests()[0].operator_(), "ada");
}

TEST_F(CliTest, SagaSignal) {
  ops::SignalSagaResponse kept;
  kept.set_result(ops::SignalSagaResponse::KEPT);
  *kept.mutable_saga() = Stuck();
  kept.mutable_saga()->clear_lease_until();
  ops::SagaWait& wait = *kept.mutable_saga()->add_waits();
  wait.set_token("pi_2");
  wait.set_action(ops::UNDO);
  sagas_.signal.Then(kept);
  const std::vector<std::string> command = {"saga", "signal", kId, "--step", "charge_payment", "--token", "pi_1"};
  auto with = [&command](std::vector<std::string> more) {
    more.insert(more.begin(), command.begin(), command.end());
    return more;
  };
  Ran ran = Run(with({"--outcome", "rejected", "--reason", "PAYMENT_DECLINED", "--detail", "ticket 812"}));
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("KEPT: it does not wait for this now"));
  EXPECT_THAT(ran.output, HasSubstr("a signal of its undo with the token pi_2"));
  const ops::SignalSagaRequest request = sagas_.signal.requests()[0];
  EXPECT_EQ(request.saga_id(), kId);
  EXPECT_EQ(request.step(), "charge_payment");
  EXPECT_EQ(request.token(), "pi_1");
  EXPECT_EQ(request.action(), ops::DO);
  EXPECT_EQ(request.outcome(), ops::SignalSagaRequest::REJECTED);
  EXPECT_EQ(request.reason(), "PAYMENT_DECLINED");
  EXPECT_EQ(request.detail(), "ticket 812");
  EXPECT_EQ(request.operator_(), "ada");

  ops::SignalSagaResponse late;
  late.set_result(ops::SignalSagaResponse::LATE);
  sagas_.signal.Then(late);
  ran = Run(with({"--outcome", "SUCCEEDED", "--action", "close", "--operator", "bob", "--json"}));
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_EQ(ran.json[0]["result"], "LATE");
  EXPECT_EQ(sagas_.signal.requests()[1].operator_(), "bob");
  EXPECT_EQ(sagas_.signal.requests()[1].outcome(), ops::SignalSagaRequest::SUCCEEDED);
  sagas_.signal.Then(late);
  EXPECT_THAT(Run(with({"--outcome", "succeeded"})).output, HasSubstr("the saga could not be read any more"));

  sagas_.signal.Then(Refuse("SAGA_NOT_FOUND", "there is none"));
  EXPECT_EQ(Run(with({"--outcome", "succeeded"})).code, 3);
  EXPECT_EQ(Run(with({"--outcome", "later"})).code, 2);
  EXPECT_EQ(Run(command).code, 2);
}

TEST_F(CliTest, SandboxSetAndBooks) {
  sandbox_.set.Then(sandbox::Behaviours());
  Ran set = Run({"sandbox", "set", "--target", "gateway", "--lost-after", "0.25", "--latency", "5ms", "--latency-p99",
                 "1s", "--method", "Refund"});
  EXPECT_EQ(set.code, 0) << set.output;
  sandbox::SetBehaviourRequest request = sandbox_.set.requests()[0];
  EXPECT_EQ(request.target(), sandbox::GATEWAY);
  EXPECT_EQ(request.behaviour().lost_after_rate(), 0.25);
  EXPECT_EQ(request.behaviour().latency_ms_p50(), 5);
  EXPECT_EQ(request.behaviour().latency_ms_p99(), 1000);
  EXPECT_THAT(request.behaviour().methods(), ElementsAre("Refund"));
  sandbox_.set.Then(sandbox::Behaviours());
  ASSERT_EQ(Run({"sandbox", "set", "--slow", "1", "--late-by", "3s", "--repetition", "conflict"}).code, 0);
  request = sandbox_.set.requests()[1];
  EXPECT_EQ(request.behaviour().slow_rate(), 1);
  EXPECT_EQ(request.behaviour().late_ms(), 3000);
  EXPECT_EQ(request.behaviour().repetition(), sandbox::REPETITION_CONFLICT);

  sandbox::Books books;
  books.add_entries()->set_idempotency_key("k/charge_payment");
  sandbox_.books.Then(books);
  EXPECT_THAT(Run({"sandbox", "books"}).output, HasSubstr("k/charge_payment"));

  EXPECT_EQ(Run({"sandbox", "show"}).code, 1);  // UNIMPLEMENTED here
  EXPECT_EQ(Run({"sandbox", "set", "--decline", "1.5"}).code, 2);
}

TEST_F(CliTest, SandboxSaysWhatItChargedBackAsPeopleWriteIt) {
  sandbox::ChargeBackResponse back;
  back.set_amount_minor(700);
  back.set_currency("EUR");
  sandbox_.charge_back.Then(back);
  EXPECT_THAT(Run({"sandbox", "charge-back", "k/charge_payment"}).output, HasSubstr("charged back: 7.00 EUR"));
}

TEST_F(CliTest, SandboxMakesPaymentsPendingAndDecidesThem) {
  sandbox::Behaviours behaviours;
  behaviours.mutable_gateway()->set_pending_rate(1);
  behaviours.mutable_gateway()->set_pending_for_ms(2000);
  sandbox_.set.Then(behaviours);
  Ran set = Run({"sandbox", "set", "--target", "gateway", "--pending", "1", "--pending-for", "2s"});
  EXPECT_THAT(set.output, HasSubstr("100 % for 2000 ms"));
  EXPECT_EQ(sandbox_.set.requests()[0].behaviour().pending_rate(), 1);
  EXPECT_EQ(sandbox_.set.requests()[0].behaviour().pending_for_ms(), 2000);
  sandbox_.set.Then(behaviours);
  ASSERT_EQ(Run({"sandbox", "set", "--pending", "1"}).code, 0);
  EXPECT_EQ(sandbox_.set.requests()[1].behaviour().pending_for_ms(), 3'600'000);

  sandbox::Books books;
  books.add_entries()->set_pending_token("pi_42");
  sandbox_.books.Then(books);
  EXPECT_THAT(Run({"sandbox", "books"}).output, HasSubstr("pi_42"));

  sandbox::DecidePaymentResponse decided;
  decided.set_idempotency_key("o/charge_payment");
  sandbox_.decide.Then(decided);
  Ran token = Run({"sandbox", "decide", "pi_42", "approved"});
  EXPECT_EQ(token.code, 0) << token.output;
  EXPECT_THAT(token.output, HasSubstr("o/charge_payment"));
  EXPECT_EQ(sandbox_.decide.requests()[0].token(), "pi_42");
  EXPECT_EQ(sandbox_.decide.requests()[0].decision(), sandbox::DecidePaymentRequest::APPROVED);
  sandbox_.decide.Then(decided);
  EXPECT_EQ(Run({"sandbox", "decide", "o/charge_payment", "declined"}).code, 0);
  EXPECT_EQ(sandbox_.decide.requests()[1].idempotency_key(), "o/charge_payment");
  EXPECT_EQ(sandbox_.decide.requests()[1].decision(), sandbox::DecidePaymentRequest::DECLINED);
  const Ran perhaps = Run({"sandbox", "decide", "pi_42", "perhaps"});
  EXPECT_EQ(perhaps.code, 2);
  EXPECT_THAT(perhaps.output, HasSubstr("decision: \"perhaps\" is none of approved, declined. See:"));
}

TEST_F(CliTest, TimeoutBoundsTheWholeCommand) {
  for (int i = 0; i < 50; ++i) orders_.get.Then(Refuse("SHUTTING_DOWN", "draining"));
  absl::Time start = absl::Now();
  EXPECT_EQ(Run({"order", "get", kId, "--timeout", "400ms", "--retries", "1000"}).code, 5);
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  EXPECT_LT(orders_.get.requests().size(), 50u);
}

TEST_F(CliTest, WhoEndsACallIsToldHowToRepeatIt) {
  for (int i = 0; i < 1000; ++i) orders_.create.Then(Refuse("SHUTTING_DOWN", "draining"));
  auto process = testing::Process::Start(
      WAYBILL_BINARY, {.args = {"order", "create", "--server", fmt::format("127.0.0.1:{}", port_), "--user", "u",
                                "--amount", "9", "--currency", "EUR", "--retries", "1000"}});
  ASSERT_TRUE(process.ok()) << process.status();
  ASSERT_TRUE((*process)->WaitForLine("trying again", absl::Seconds(60))) << (*process)->Output();
  EXPECT_THAT((*process)->Output(), Not(HasSubstr("repeating with")));
  (*process)->Signal(SIGINT);
  EXPECT_EQ((*process)->Wait(absl::Seconds(60)), 128 + SIGINT);
  EXPECT_THAT((*process)->Output(), HasSubstr(fmt::format("repeating with --key {} gets this order again",
                                                          orders_.create.requests()[0].idempotency_key())));
}

TEST_F(CliTest, SaysWhereItLookedWhenNobodyListens) {
  Ran ran = Run({"order", "get", kId, "--server", "127.0.0.1:1", "--retries", "0"});
  EXPECT_EQ(ran.code, 5);
  EXPECT_THAT(ran.output, HasSubstr("Is the service running at 127.0.0.1:1?"));
}

TEST_F(CliTest, EveryCommandHasHelpWithAnExample) {
  for (const std::string of : {"order create",
                               "order get",
                               "order list",
                               "order watch",
                               "order cancel",
                               "order complete",
                               "saga list",
                               "saga show",
                               "saga retry",
                               "saga resolve",
                               "saga signal",
                               "driver put",
                               "driver list",
                               "driver show",
                               "driver capacity",
                               "driver duty",
                               "gateway list",
                               "gateway drain",
                               "gateway undrain",
                               "gateway weight",
                               "webhook list",
                               "webhook show",
                               "webhook replay",
                               "webhook discard",
                               "webhook test",
                               "webhook endpoint create",
                               "webhook endpoint list",
                               "webhook endpoint update",
                               "webhook endpoint delete",
                               "webhook endpoint rotate",
                               "reconcile run",
                               "reconcile list",
                               "reconcile report",
                               "reconcile cases",
                               "reconcile close",
                               "audit list",
                               "audit verify",
                               "sandbox set",
                               "sandbox show",
                               "sandbox books",
                               "sandbox decide",
                               "sandbox restart",
                               "migrate",
                               "version"}) {
    const std::string name = "waybill " + of;
    std::vector<std::string> command = absl::StrSplit(of, ' ');
    command.push_back("--help");
    Ran ran = Run(command);
    EXPECT_EQ(ran.code, 0) << name;
    EXPECT_THAT(ran.output, HasSubstr("Example")) << name;
    EXPECT_THAT(ran.output, HasSubstr("  " + name)) << name;
  }
  EXPECT_THAT(Run({"--help"}).output, HasSubstr("Exit codes:"));
  EXPECT_EQ(Run({}).code, 2);
  EXPECT_THAT(Run({"version"}).output, StartsWith("waybill " WAYBILL_VERSION " (commit "));
  EXPECT_EQ(Run({"--version"}).output, Run({"version"}).output);
}

}  // namespace
}  // namespace waybill::cli
