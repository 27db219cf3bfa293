// Orders through processors over JSON and HTTP that misbehave, beside a gateway over gRPC, a service that dies around
// its calls, and the books of all of them.
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "edge/http/client.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "payments/processor/contract.h"
#include "runtime/failpoint.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

using ::testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(30);

// How often a processor may be asked how it fares; five seconds elsewhere.
constexpr absl::Duration kHealthEvery = absl::Milliseconds(500);

StackOptions ProcessorOptions(const std::string& gateways_file) {
  StackOptions options;
  options.builtin_gateway = true;
  options.order_args = {"--gateways-file",
                        gateways_file,
                        "--lease",
                        "1500ms",
                        "--attempt-timeout",
                        "500ms",
                        "--attempts-max",
                        "1000",
                        "--retry-for",
                        "5m",
                        "--backoff",
                        "20ms",
                        "--gateway-probe-every",
                        absl::FormatDuration(kHealthEvery)};
  return options;
}

// The stack's sandbox is the gateway north; another one plays the processors east and west.
class ProcessorStack {
 public:
  ProcessorStack() : stack_(ProcessorOptions(File())) {
    const std::string ports = directory_.path().string() + "/ports";
    auto started = Process::Start(
        WAYBILL_SANDBOX_BINARY,
        {.args = {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0", "--log", Log(), "--port-file", ports,
                  "--processor", "east=127.0.0.1:0", "--processor", "west=127.0.0.1:0", "--processor-fee-ppm",
                  "east=70000", "--processor-health-every", absl::FormatDuration(kHealthEvery)}});
    EXPECT_TRUE(started.ok()) << started.status();
    sandbox_ = *std::move(started);
    EXPECT_TRUE(Eventually(kPatience, [&] { return ReadPortFile(ports).contains("processor_west"); }))
        << sandbox_->Output();
    for (const char* name : {"east", "west"}) ports_[name] = ReadPortFile(ports)[fmt::format("processor_{}", name)];
    stack_.PutDrivers(60);
  }
  Stack& operator*() { return stack_; }
  Stack* operator->() { return &stack_; }
  std::string File() const { return directory_.path().string() + "/gateways.toml"; }
  std::string Log() const { return directory_.path().string() + "/books"; }
  std::string Processor(const std::string& name, int cost) {
    return fmt::format(
        "[[gateway]]\nname = \"{0}\"\naddress = \"http://127.0.0.1:{1}\"\ncost_ppm = {2}\ncurrencies = [\"EUR\"]\n",
        name, ports_.at(name), cost);
  }
  std::string Grpc(const std::string& more) {
    return fmt::format("[[gateway]]\nname = \"north\"\naddress = \"grpc://127.0.0.1:{}\"\n{}", stack_.sandbox_port(),
                       more);
  }
  void Write(const std::string& text) { std::ofstream(File()) << text; }

  std::string Ask(const std::string& name, const std::string& method, const std::string& target,
                  const std::string& body) {
    const auto answer =
        http::CallAndWait({"127.0.0.1", ports_.at(name), target, {{"x-rinha-token", "123"}}, body, method}, nullptr,
                          10'000, absl::Seconds(10));
    if (!answer.ok()) return std::string(answer.status().message());
    return fmt::format("{} {}", answer->status, answer->body);
  }
  void Misbehave(const std::string& name, const std::string& body) {
    EXPECT_EQ(Ask(name, "PUT", "/admin/configurations/misbehaviour", body).substr(0, 3), "200");
  }

  nlohmann::json HealthCalls(const std::string& name) {
    return nlohmann::json::parse(Ask(name, "GET", "/admin/health-calls", "").substr(4), nullptr, false);
  }
  void SayFailing(bool failing) {
    EXPECT_EQ(
        Ask("east", "PUT", "/admin/configurations/failure", fmt::format(R"({{"failure":{}}})", failing)).substr(0, 3),
        "200");
  }
  // Payments that it has taken.
  int64_t Taken(const std::string& name) {
    return nlohmann::json::parse(Ask(name, "GET", "/admin/payments-summary", "").substr(4)).at("totalRequests");
  }

  // Of all gateways' own books against ours: each order paid exactly once, where it says.
  std::vector<std::string> WrongInTheBooks() {
    std::vector<std::string> wrong;
    std::map<std::string, int> charges;  // by gateway and its name of the payment
    for (const auto& [name, port] : ports_) {
      std::ifstream file(fmt::format("{}.{}", Log(), name));
      for (std::string line; std::getline(file, line);) {
        ++charges[name + " " + nlohmann::json::parse(line).at("key").get<std::string>()];
      }
    }
    sandbox::v1::Books books;
    auto context = Deadline(absl::Seconds(30));
    const grpc::Status shown =
        sandbox::v1::SandboxAdmin::NewStub(ConnectTo(stack_.sandbox_port()))->GetBooks(context.get(), {}, &books);
    if (!shown.ok()) return {"north does not show its books: " + shown.error_message()};
    for (const auto& entry : books.entries()) {
      if (entry.charges() != entry.refunds()) charges["north " + entry.idempotency_key()] = entry.charges();
    }
    std::map<std::string, int> paid;
    for (const auto& row :
         stack_.sql().Rows("SELECT s.order_id, s.state, t.gateway, t.idempotency_key, t.state FROM order_sagas s JOIN "
                           "payment_attempts t USING (order_id)")) {
      const std::string &id = row[0], &gateway = row[2], &attempt = row[4];
      const std::string name = gateway == "north" ? row[3] : payments::ProcessorPaymentId(row[3]).ToString();
      const auto here = charges.find(gateway + " " + name);
      const int times = here == charges.end() ? 0 : here->second;
      paid[id] += times;
      if (times != (attempt == "approved" ? 1 : 0)) {
        wrong.push_back(
            fmt::format("{} ({}) at {} is {}, and charged there {} times", id, row[1], gateway, attempt, times));
      }
      if (here != charges.end()) charges.erase(here);
    }
    for (const auto& [id, times] : paid) {
      if (times != 1) wrong.push_back(fmt::format("order {} is paid {} times, over all gateways", id, times));
    }
    for (const auto& [where, times] : charges) wrong.push_back(where + " is no attempt of ours");
    return wrong;
  }

 private:
  TempDirectory directory_;
  Stack stack_;
  std::unique_ptr<Process> sandbox_;
  std::map<std::string, int> ports_;
};

// Orders that are each persisted with until they are answered, whatever dies.
std::vector<std::string> PlaceThrough(OrderReplica& replica, int orders, const std::string& prefix,
                                      int* deaths = nullptr) {
  std::vector<std::string> complaints;
  for (int i = 0; i < orders; ++i) {
    grpc::Status status;
    for (const absl::Time give_up = absl::Now() + absl::Seconds(60); absl::Now() < give_up;) {
      order::v1::Order order;
      auto context = Deadline(absl::Seconds(2));
      context->set_wait_for_ready(false);
      status = replica.Orders()->CreateOrder(context.get(), OrderRequestFor(fmt::format("{}-{}", prefix, i)), &order);
      // One that is in doubt may take longer: it is looked at in the end.
      if (status.ok() || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) break;
      if (Eventually(absl::Milliseconds(200), [&] { return !replica.running(); })) {
        if (deaths != nullptr) ++*deaths;
        replica.Start();
      }
    }
    if (!status.ok() && status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED) {
      complaints.push_back(status.error_message());
    }
  }
  return complaints;
}

std::vector<std::string> PayThroughMisbehaviour(ProcessorStack& stack, const std::string& failpoint) {
  OrderReplica& replica = stack->AddReplica("replica-1");
  Environment environment;
  if (!failpoint.empty()) environment.emplace_back("WAYBILL_FAILPOINT", failpoint);
  replica.Start(environment);
  stack.Misbehave("east", R"({"lostAnswerRate":0.4,"tooManyRate":0.2})");
  int deaths = 0;
  std::vector<std::string> wrong = PlaceThrough(replica, 12, "order", &deaths);
  if (!failpoint.empty() && deaths == 0 && replica.running()) wrong.push_back("it never died");
  if (!replica.running()) replica.Start();
  stack.Misbehave("east", "{}");
  if (!stack->WaitUntilAllSettled()) wrong.push_back(fmt::format("{} sagas never settle", stack->Unfinished()));
  for (std::string& what : stack.WrongInTheBooks()) wrong.push_back(std::move(what));
  return wrong;
}

TEST(Processors, TwoThatMisbehaveArePaidOnceAnOrder) {
  ProcessorStack stack;
  stack.Write(stack.Processor("east", 1) + stack.Processor("west", 1));
  stack.Misbehave("west", R"({"failingRate":0.5})");
  EXPECT_THAT(PayThroughMisbehaviour(stack, ""), IsEmpty());
  EXPECT_THAT(stack.Ask("east", "GET", "/admin/payments-summary", ""),
              ::testing::HasSubstr("\"feePerTransaction\":0.070000"));
}

TEST(Processors, ADeathAroundTheCallPaysNothingTwice) {
  ASSERT_TRUE(kFailpointsCompiledIn);
  for (const char* failpoint : {"charge.before_send=kill@3", "charge.after_receive=kill@2",
                                "charge.after_receive=kill@5", "advance.before_commit=kill@4"}) {
    ProcessorStack stack;
    stack.Write(stack.Processor("east", 1) + stack.Grpc("cost_ppm = 2\n"));
    EXPECT_THAT(PayThroughMisbehaviour(stack, failpoint), IsEmpty()) << failpoint;
  }
}

TEST(Processors, OneThatIsNotThereIsPassedOver) {
  ProcessorStack stack;
  ReservedPort nobody;
  stack.Write(fmt::format("[[gateway]]\nname = \"gone\"\naddress = \"http://127.0.0.1:{}\"\ncurrencies = [\"EUR\"]\n",
                          nobody.port()) +
              stack.Grpc("cost_ppm = 1\n"));
  OrderReplica& replica = stack->AddReplica("replica-1");
  replica.Start();
  EXPECT_THAT(PlaceThrough(replica, 1, "order"), IsEmpty());
  EXPECT_TRUE(stack->WaitUntilAllSettled());
  EXPECT_EQ(
      stack->sql().Value("SELECT string_agg(gateway || ' ' || state, ', ' ORDER BY number) FROM payment_attempts"),
      "gone not_sent, north approved");
}

bool SaysFailing(OrderReplica& replica, bool failing) {
  return Eventually(
      kPatience, [&] { return replica.Metric("waybill_gateway_says_failing{gateway=\"east\"}") == (failing ? 1 : 0); });
}

TEST(Processors, AreAskedHowTheyFareByOneReplicaForAllWhoeverDies) {
  ProcessorStack stack;
  stack.Write(stack.Processor("east", 1) + stack.Processor("west", 2));
  OrderReplica& a = stack->AddReplica("replica-a");
  OrderReplica& b = stack->AddReplica("replica-b");
  a.Start();
  b.Start();
  const auto asked_more = [&](int64_t more) {
    const int64_t before = stack.HealthCalls("east").value("calls", 0);
    return Eventually(kPatience, [&] { return stack.HealthCalls("east").value("calls", 0) >= before + more; });
  };
  const auto asks_of = [&](OrderReplica& replica) {
    return replica.Metric("waybill_gateway_probes_total{gateway=\"east\",outcome=\"healthy\"}");
  };
  ASSERT_TRUE(asked_more(12));
  EXPECT_NEAR(asks_of(a) + asks_of(b), stack.HealthCalls("east").value("calls", 0), 2) << "and nobody else";
  // Whoever has the turn dies, again and again, and comes back.
  for (int death = 0; death < 4; ++death) {
    const std::string holder = stack->sql().Value("SELECT holder FROM gateway_probes WHERE gateway = 'east'");
    OrderReplica& dies = holder == "replica-a" ? a : b;
    dies.Kill();
    ASSERT_TRUE(asked_more(2)) << "the other goes on";
    dies.Start();
  }
  ASSERT_TRUE(asked_more(4));
  for (const char* name : {"east", "west"}) {
    const nlohmann::json calls = stack.HealthCalls(name);
    EXPECT_EQ(calls.value("refused", -1), 0) << calls;
    EXPECT_GE(calls.value("shortestGapMs", -1), absl::ToInt64Milliseconds(kHealthEvery)) << calls;
  }
}

TEST(Processors, OneThatSaysThatItFailsGetsNoOrdersUntilItSaysOtherwise) {
  ProcessorStack stack;
  stack.Write(stack.Processor("east", 1) + stack.Processor("west", 2));
  OrderReplica& a = stack->AddReplica("replica-a");
  OrderReplica& b = stack->AddReplica("replica-b");
  a.Start();
  b.Start();
  EXPECT_THAT(PlaceThrough(a, 3, "well"), IsEmpty());
  EXPECT_EQ(stack.Taken("east"), 3);

  stack.SayFailing(true);
  ASSERT_TRUE(SaysFailing(a, true) && SaysFailing(b, true)) << "both hear it, and one has asked";
  EXPECT_EQ(stack->sql().Value("SELECT outcome FROM gateway_probes WHERE gateway = 'east'"), "failing");
  for (OrderReplica* replica : {&a, &b}) {
    ops::v1::ListGatewaysResponse listed;
    auto context = Deadline(absl::Seconds(20));
    ASSERT_TRUE(ops::v1::GatewayAdmin::NewStub(replica->Channel())->ListGateways(context.get(), {}, &listed).ok());
    ASSERT_EQ(listed.gateways_size(), 2);
    EXPECT_EQ(listed.gateways(0).probe().outcome(), "failing");
    EXPECT_LT(listed.gateways(0).probe().age().seconds(), 10);
    EXPECT_EQ(listed.gateways(1).probe().outcome(), "healthy");
    EXPECT_TRUE(listed.gateways(1).probe().has_min_response());
  }
  EXPECT_THAT(PlaceThrough(a, 10, "elsewhere-a"), IsEmpty());
  EXPECT_THAT(PlaceThrough(b, 10, "elsewhere-b"), IsEmpty());
  EXPECT_EQ(stack->sql().Value("SELECT count(*) FROM payment_attempts WHERE gateway = 'east'"), "3")
      << "nobody had to find out";
  EXPECT_EQ(stack.Taken("west"), 20);

  stack.SayFailing(false);
  ASSERT_TRUE(SaysFailing(a, false) && SaysFailing(b, false));
  EXPECT_THAT(PlaceThrough(a, 5, "again-a"), IsEmpty());
  EXPECT_THAT(PlaceThrough(b, 5, "again-b"), IsEmpty());
  EXPECT_EQ(stack.Taken("east"), 13) << "the first is a trial; all are answered";
  EXPECT_EQ(a.Metric("waybill_gateway_outage_open{gateway=\"east\"}"), 0);
  EXPECT_THAT(stack.WrongInTheBooks(), IsEmpty());
}

TEST(Processors, WhatCannotBeGivenBackNeedsAPerson) {
  ProcessorStack stack;
  stack.Write(stack.Processor("east", 1));
  OrderReplica& replica = stack->AddReplica("replica-1");
  replica.Start();
  order::v1::Order order;
  auto context = Deadline(absl::Seconds(20));
  ASSERT_TRUE(replica.Orders()->CreateOrder(context.get(), OrderRequestFor("one"), &order).ok());
  order::v1::CancelOrderRequest request;
  request.set_order_id(order.order_id());
  auto short_context = Deadline(absl::Seconds(2));
  (void)replica.Orders()->CancelOrder(short_context.get(), request, &order);
  EXPECT_TRUE(Eventually(kPatience, [&] {
    return stack->sql().Value(
               "SELECT count(*) > 0 FROM order_saga_steps WHERE detail LIKE '%gateway east cannot refund%give it "
               "back by hand, then resolve%'") == "t";
  })) << replica.process().Output();
}

}  // namespace
}  // namespace waybill::testing
