// Webhooks of gateways, from the sender's request to the order's end: durable before they are answered, never believed,
// each event once, whatever dies in between.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/failpoint.h"
#include "tests/e2e/crash_story.h"
#include "tests/support/eventually.h"
#include "webhooks/signature.h"

namespace waybill::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kSoon = absl::Seconds(10);
constexpr char kSecret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
constexpr char kNextSecret[] = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

struct Answer {
  int code = 0;  // 0: none came
  std::string text;
};

Answer Post(int port, const std::string& path, const std::vector<std::pair<std::string, std::string>>& fields,
            const std::string& body) {
  std::string request = fmt::format("POST {} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {}\r\n", path, body.size());
  for (const auto& [name, value] : fields) request += fmt::format("{}: {}\r\n", name, value);
  request += "\r\n" + body;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval timeout{20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Answer answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char buffer[65536];
    for (ssize_t n; (n = recv(fd, buffer, sizeof buffer, 0)) > 0;) answer.text.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  if (answer.text.size() > 12) answer.code = std::atoi(answer.text.c_str() + 9);
  return answer;
}

struct Said {
  std::string id;
  std::string body;
  std::string secret = kSecret;
  absl::Time at = absl::Now();
};

std::string BodyOf(const std::string& order_id, int64_t amount = 1250, const std::string& currency = "EUR") {
  return fmt::format(
      R"({{"type":"payment.succeeded","data":{{"idempotency_key":"{}/charge_payment","amount_minor":{},"currency":"{}"}}}})",
      order_id, amount, currency);
}

class WebhooksIn : public ::testing::Test {
 protected:
  // The sandbox sends nothing by itself unless `sandbox_port` says where to.
  explicit WebhooksIn(PostgresServer* postgres = nullptr, int receiver_port = 0)
      : gateways_((directory_.path() / "webhooks.toml").string()), stack_([&] {
          std::ofstream((directory_.path() / "secret").string()) << kSecret << "\n";
          WriteGateways({kSecret});
          StackOptions options;
          options.postgres = postgres;
          options.order_args = StoryArgs();
          options.order_args.insert(options.order_args.end(), {"--gateway-webhooks-file", gateways_});
          options.sandbox_args = {"--checkout-url", "https://pay.example/c/"};
          if (receiver_port != 0) {
            options.sandbox_args.insert(
                options.sandbox_args.end(),
                {"--webhook-url", fmt::format("http://127.0.0.1:{}/webhooks/sandbox", receiver_port),
                 "--webhook-secret-file", (directory_.path() / "secret").string()});
          }
          return options;
        }()) {
    a_ = &stack_.AddReplica("a");
    b_ = &stack_.AddReplica("b");
    stack_.PutDrivers(20);
    behaviour_.set_pending_rate(1);
    behaviour_.set_pending_for_ms(3'600'000);
    stack_.SetBehaviour(behaviour_);
  }

  void WriteGateways(const std::vector<std::string>& secrets) {
    std::ofstream(gateways_) << fmt::format(
        "[[gateway]]\nname = \"sandbox\"\nscheme = \"standard\"\nsecrets = [\"{}\"]\n", fmt::join(secrets, "\", \""));
  }
  static std::string CreateOn(OrderReplica& replica, const std::string& key,
                              order::v1::OrderStatus status = order::v1::AWAITING_PAYMENT) {
    auto context = Deadline(absl::Seconds(20));
    order::v1::Order order;
    const grpc::Status created = replica.Orders()->CreateOrder(context.get(), OrderRequestFor(key), &order);
    EXPECT_TRUE(created.ok()) << created.error_message();
    EXPECT_EQ(order.status(), status);
    return order.order_id();
  }
  static order::v1::Order Get(OrderReplica& replica, const std::string& order_id) {
    order::v1::GetOrderRequest request;
    request.set_order_id(order_id);
    auto context = Deadline(absl::Seconds(10));
    order::v1::Order order;
    const grpc::Status status = replica.Orders()->GetOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }
  static bool Becomes(OrderReplica& replica, const std::string& order_id, order::v1::OrderStatus status) {
    return Eventually(kSoon, [&] { return Get(replica, order_id).status() == status; });
  }
  static Answer Say(OrderReplica& replica, const Said& said, const std::string& gateway = "sandbox") {
    const int64_t at = absl::ToUnixSeconds(said.at);
    return Post(replica.side_port(), "/webhooks/" + gateway,
                {{"Webhook-Id", said.id},
                 {"Webhook-Timestamp", fmt::format("{}", at)},
                 {"Webhook-Signature", webhooks::Sign({said.secret}, said.id, said.at, said.body)}},
                said.body);
  }
  std::string Inbox(const std::string& columns, const std::string& id) {
    return stack_.sql().Value(fmt::format("SELECT concat_ws(' ', {}) FROM webhook_inbox WHERE event_id = $1", columns),
                              {id});
  }
  bool IsSettled(const std::string& id, const std::string& state) {
    return Eventually(kSoon, [&] { return Inbox("state", id) == state; });
  }
  void Decide(const std::string& order_id, bool approve = true) {
    const grpc::Status decided = stack_.DecidePayment(order_id, approve);
    ASSERT_TRUE(decided.ok()) << decided.error_message();
  }
  void ExpectBooksRight() {
    EXPECT_TRUE(stack_.WaitUntilAllSettled());
    EXPECT_THAT(stack_.WrongInTheBooks(), IsEmpty());
  }
  static std::vector<std::string> OutcomesOf(const order::v1::Order& order) {
    std::vector<std::string> outcomes;
    for (const auto& transition : order.transitions()) outcomes.push_back(transition.outcome());
    return outcomes;
  }

  TempDirectory directory_;
  const std::string gateways_;
  Stack stack_;
  OrderReplica* a_;
  OrderReplica* b_;
  sandbox::v1::Behaviour behaviour_;
};

TEST_F(WebhooksIn, EndTheWaitForThePayer) {
  behaviour_.set_expires_ms(1'800'000);
  stack_.SetBehaviour(behaviour_);
  a_->Start();
  b_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  const order::v1::Order waiting = Get(*b_, order_id);
  EXPECT_EQ(waiting.status(), order::v1::AWAITING_PAYMENT);
  EXPECT_EQ(waiting.checkout().url(), "https://pay.example/c/pi_1");
  EXPECT_GT(waiting.checkout().expire_time().seconds(), absl::ToUnixSeconds(absl::Now()) + 1'700);
  EXPECT_EQ(waiting.transitions(1).status(), order::v1::AWAITING_PAYMENT);

  order::v1::ListOrdersRequest list;
  list.add_statuses(order::v1::AWAITING_PAYMENT);
  order::v1::ListOrdersResponse listed;
  auto context = Deadline(absl::Seconds(10));
  ASSERT_TRUE(a_->Orders()->ListOrders(context.get(), list, &listed).ok());
  ASSERT_EQ(listed.orders_size(), 1);
  EXPECT_EQ(listed.orders(0).checkout().url(), "https://pay.example/c/pi_1");
  list.set_statuses(0, order::v1::PENDING);
  auto again = Deadline(absl::Seconds(10));
  ASSERT_TRUE(a_->Orders()->ListOrders(again.get(), list, &listed).ok());
  EXPECT_EQ(listed.orders_size(), 0);

  Decide(order_id);
  EXPECT_EQ(Say(*b_, {"evt_1", BodyOf(order_id)}).code, 200);
  EXPECT_TRUE(Becomes(*a_, order_id, order::v1::CONFIRMED));
  EXPECT_THAT(OutcomesOf(Get(*a_, order_id)),
              ElementsAre("accepted", "waiting", "signalled", "succeeded", "succeeded"));
  EXPECT_FALSE(Get(*a_, order_id).has_checkout());
  EXPECT_TRUE(IsSettled("evt_1", "signalled"));
  EXPECT_EQ(Inbox("gateway, event_type, order_id, amount_minor, currency, convert_from(body, 'UTF8')", "evt_1"),
            "sandbox payment.succeeded " + order_id + " 1250 EUR " + BodyOf(order_id));
  EXPECT_EQ(b_->Metric("waybill_gateway_webhooks_total{gateway=\"sandbox\",result=\"kept\"}"), 1);
  ExpectBooksRight();
}

TEST_F(WebhooksIn, AreNotBelieved) {
  a_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  EXPECT_EQ(Say(*a_, {"evt_1", BodyOf(order_id)}).code, 200);  // nobody has paid
  ASSERT_TRUE(Eventually(kSoon, [&] { return OutcomesOf(Get(*a_, order_id)).size() == 4; }));
  EXPECT_EQ(Get(*a_, order_id).status(), order::v1::AWAITING_PAYMENT);
  Decide(order_id, false);
  EXPECT_EQ(Say(*a_, {"evt_2", BodyOf(order_id)}).code, 200);  // it says succeeded, and it was declined
  EXPECT_TRUE(Becomes(*a_, order_id, order::v1::FAILED));
  EXPECT_EQ(Get(*a_, order_id).failure().reason(), "PAYMENT_DECLINED");
  ExpectBooksRight();
}

TEST_F(WebhooksIn, ThatAreNotSignedLeaveNothingBehind) {
  a_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  Decide(order_id);
  const Answer wrong = Say(*a_, {"evt_1", BodyOf(order_id), kNextSecret});
  EXPECT_EQ(wrong.code, 401);
  EXPECT_EQ(Say(*a_, {"evt_2", BodyOf(order_id), kSecret, absl::Now() - absl::Minutes(6)}).code, 401);
  EXPECT_EQ(Say(*a_, {"evt_3", BodyOf(order_id), kSecret, absl::Now() + absl::Minutes(6)}).code, 401);
  EXPECT_EQ(Post(a_->side_port(), "/webhooks/sandbox", {}, BodyOf(order_id)).code, 401);
  EXPECT_EQ(Say(*a_, {"evt_4", BodyOf(order_id)}, "another").code, 404);
  EXPECT_EQ(HttpGet(a_->side_port(), "/webhooks/sandbox").find("405 "), std::string("HTTP/1.1 ").size());
  EXPECT_EQ(Say(*a_, {"evt_5", std::string(300'000, ' ')}).code, 413);
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM webhook_inbox"), "0");
  EXPECT_EQ(Get(*a_, order_id).status(), order::v1::AWAITING_PAYMENT);
  EXPECT_EQ(a_->Metric("waybill_gateway_webhook_refusals_total{gateway=\"sandbox\",reason=\"too_old\"}"), 1);
  EXPECT_EQ(a_->Metric("waybill_gateway_webhook_refusals_total{gateway=\"sandbox\",reason=\"from_the_future\"}"), 1);
  EXPECT_EQ(a_->Metric("waybill_gateway_webhook_refusals_total{gateway=\"sandbox\",reason=\"wrong_signature\"}"), 1);
  EXPECT_THAT(wrong.text, Not(HasSubstr("secret")));
  EXPECT_THAT(a_->process().Output(), Not(HasSubstr("MfKQ9r8G")));
}

TEST_F(WebhooksIn, OfOneEventChangeOneThing) {
  a_->Start();
  b_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  Decide(order_id);
  EXPECT_EQ(Say(*a_, {"evt_1", BodyOf(order_id)}).code, 200);
  EXPECT_EQ(Say(*b_, {"evt_1", BodyOf(order_id)}).code, 200);
  EXPECT_TRUE(Becomes(*a_, order_id, order::v1::CONFIRMED));
  EXPECT_EQ(Say(*a_, {"evt_1", BodyOf(order_id)}).code, 200);
  EXPECT_EQ(Say(*a_, {"evt_2", BodyOf(order_id)}).code, 200);  // another event, of the same
  EXPECT_TRUE(IsSettled("evt_2", "late"));
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM webhook_inbox"), "2");
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM saga_signals"), "0");
  EXPECT_THAT(OutcomesOf(Get(*a_, order_id)),
              ElementsAre("accepted", "waiting", "signalled", "succeeded", "succeeded"));
  ExpectBooksRight();
}

TEST_F(WebhooksIn, MayComeBeforeTheChargesAnswer) {
  behaviour_.set_latency_ms_p50(600);  // it is pending at once; the answer is under way
  behaviour_.set_latency_ms_p99(600);
  stack_.SetBehaviour(behaviour_);
  a_->Start();
  order::v1::CreateOrderRequest request = OrderRequestFor("k");
  request.set_wait(order::v1::CreateOrderRequest::UNTIL_ACCEPTED);
  order::v1::Order order;
  auto context = Deadline(absl::Seconds(10));
  ASSERT_TRUE(a_->Orders()->CreateOrder(context.get(), request, &order).ok());
  ASSERT_TRUE(Eventually(kSoon, [&] { return stack_.DecidePayment(order.order_id(), true).ok(); }));
  // Neither the token nor that the charge is pending is known yet.
  EXPECT_EQ(Say(*a_, {"evt_1", BodyOf(order.order_id())}).code, 200);
  EXPECT_TRUE(Becomes(*a_, order.order_id(), order::v1::CONFIRMED));
  ExpectBooksRight();
}

TEST_F(WebhooksIn, OfAPaymentThatNobodyKnowsAreMatchedWhenItAppears) {
  a_->Start();
  const std::string body =
      R"({"type":"payment.succeeded","data":{"token":"pi_1","amount_minor":1250,"currency":"EUR"}})";
  EXPECT_EQ(Say(*a_, {"evt_1", body}).code, 200);
  EXPECT_EQ(Say(*a_, {"evt_other", R"({"type":"account.updated"})"}).code, 200);
  EXPECT_TRUE(IsSettled("evt_1", "unmatched"));
  EXPECT_TRUE(IsSettled("evt_other", "ignored"));
  const std::string order_id = CreateOn(*a_, "k");
  Decide(order_id);
  EXPECT_TRUE(Becomes(*a_, order_id, order::v1::CONFIRMED)) << "nobody says it again";
  EXPECT_TRUE(IsSettled("evt_1", "signalled"));
  ExpectBooksRight();
}

TEST_F(WebhooksIn, OfAnotherAmountOrCurrencyNeedAPerson) {
  a_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  Decide(order_id);
  EXPECT_EQ(Say(*a_, {"evt_1", BodyOf(order_id, 1251)}).code, 200);
  EXPECT_EQ(Say(*a_, {"evt_2", BodyOf(order_id, 1250, "USD")}).code, 200);
  EXPECT_EQ(Say(*a_, {"evt_3", "no json"}).code, 200);
  EXPECT_TRUE(IsSettled("evt_1", "attention"));
  EXPECT_TRUE(IsSettled("evt_2", "attention"));
  EXPECT_EQ(Inbox("state, reason", "evt_1"), "attention AMOUNT_MISMATCH");
  EXPECT_EQ(Inbox("state, reason", "evt_2"), "attention CURRENCY_MISMATCH");
  EXPECT_EQ(Inbox("state, reason", "evt_3"), "attention UNREADABLE_BODY");
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM saga_signals"), "0");
  EXPECT_THAT(OutcomesOf(Get(*a_, order_id)), ElementsAre("accepted", "waiting")) << "it was not told to ask";
  EXPECT_TRUE(Eventually(kSoon, [&] { return a_->Metric("waybill_gateway_events_attention") == 3; }));
}

TEST_F(WebhooksIn, ComeTooLateWhenTheTimeToPayIsOver) {
  behaviour_.set_expires_ms(1'500);
  stack_.SetBehaviour(behaviour_);
  a_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  EXPECT_TRUE(Becomes(*a_, order_id, order::v1::FAILED));
  const order::v1::Order order = Get(*a_, order_id);
  EXPECT_EQ(order.failure().reason(), "PAYMENT_EXPIRED");
  EXPECT_FALSE(order.has_payment());
  EXPECT_EQ(stack_.DecidePayment(order_id, true).error_code(), grpc::StatusCode::FAILED_PRECONDITION)
      << "the key is closed";
  EXPECT_EQ(Say(*a_, {"evt_1", BodyOf(order_id)}).code, 200);
  EXPECT_TRUE(IsSettled("evt_1", "late"));
  EXPECT_EQ(Get(*a_, order_id).status(), order::v1::FAILED);
  ExpectBooksRight();
}

TEST_F(WebhooksIn, AreToldAtTheLastMomentByThePaymentItself) {
  behaviour_.set_expires_ms(1'500);
  stack_.SetBehaviour(behaviour_);
  a_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  Decide(order_id);  // and the webhook is lost: what is asked at the end finds it
  EXPECT_TRUE(Becomes(*a_, order_id, order::v1::CONFIRMED));
  ExpectBooksRight();
}

TEST_F(WebhooksIn, AreKnownByTheNewSecretOnceTheFileIsReadAgain) {
  a_->Start();
  EXPECT_EQ(Say(*a_, {"evt_1", "{}", kNextSecret}).code, 401);
  WriteGateways({kNextSecret, kSecret});
  a_->process().Signal(SIGHUP);
  EXPECT_TRUE(Eventually(kSoon, [&] { return Say(*a_, {"evt_1", "{}", kNextSecret}).code == 200; }));
  EXPECT_EQ(Say(*a_, {"evt_2", "{}", kSecret}).code, 200);
  std::ofstream(gateways_)
      << "[[gateway]]\nname = \"sandbox\"\nscheme = \"standard\"\nsecrets = [\"whsec_hushhush\"]\n";
  a_->process().Signal(SIGHUP);
  EXPECT_TRUE(a_->process().WaitForLine("webhooks are taken as before", kSoon).has_value());
  EXPECT_EQ(Say(*a_, {"evt_3", "{}", kSecret}).code, 200);
  EXPECT_THAT(a_->process().Output(), Not(HasSubstr("hushhush")));
}

TEST_F(WebhooksIn, AreFollowedInTheStreamOfRedis) {
  a_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  Decide(order_id);
  EXPECT_EQ(Say(*a_, {"evt_1", BodyOf(order_id)}).code, 200);
  EXPECT_TRUE(IsSettled("evt_1", "signalled"));
  EXPECT_TRUE(Eventually(
      kSoon, [&] { return a_->Metric("waybill_gateway_events_total{gateway=\"sandbox\",state=\"signalled\"}") == 1; }));
  EXPECT_EQ(a_->Metric("waybill_payment_events_lost_total"), 0);
}

// kill -9 in each place between the request and the settled row: what was answered with 2xx is not lost, and what was
// not is repeated by its sender.
TEST_F(WebhooksIn, SurviveDeathAnywhere) {
  ASSERT_TRUE(kFailpointsCompiledIn);
  int n = 0;
  for (const std::string_view name : kFailpoints) {
    if (!name.starts_with("inbox.")) continue;
    SCOPED_TRACE(name);
    a_->Start({{"WAYBILL_FAILPOINT", std::string(name) + "=kill"}});
    const std::string order_id = CreateOn(*a_, fmt::format("k{}", ++n));
    Decide(order_id);
    const std::string event = fmt::format("evt_{}", n);
    Answer answer = Say(*a_, {event, BodyOf(order_id)});
    ASSERT_TRUE(Eventually(kSoon, [&] { return !a_->running(); })) << "it never fired";
    const bool kept = Inbox("state", event) != "";
    EXPECT_TRUE(answer.code != 200 || kept);
    EXPECT_EQ(kept, name != "inbox.before_commit");
    b_->Start();  // another one, and the sender repeats only what nobody answered
    if (answer.code != 200) {
      EXPECT_EQ(Say(*b_, {event, BodyOf(order_id)}).code, 200);
    }
    EXPECT_TRUE(Becomes(*b_, order_id, order::v1::CONFIRMED));
    EXPECT_TRUE(Eventually(kSoon, [&] { return Inbox("due_at", event) == ""; }));
    EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM webhook_inbox WHERE event_id = $1", {event}), "1");
    EXPECT_EQ(b_->Stop(), 0);
  }
  EXPECT_EQ(n, 4);
  a_->Start();
  ExpectBooksRight();
}

TEST_F(WebhooksIn, AreSentAwayWhileTheStoreIs) {
  auto postgres = PostgresServer::Start();
  ASSERT_TRUE(postgres.ok()) << postgres.status();
  StackOptions options;
  options.postgres = postgres->get();
  options.builtin_gateway = true;
  options.order_args = StoryArgs();
  options.order_args.insert(options.order_args.end(), {"--gateway-webhooks-file", gateways_});
  Stack stack(options);
  OrderReplica& replica = stack.AddReplica("a");
  replica.Start();
  EXPECT_EQ(Say(replica, {"evt_1", "{}"}).code, 200);
  (*postgres)->Kill();
  const Answer away = Say(replica, {"evt_2", "{}"});
  EXPECT_EQ(away.code, 503);
  EXPECT_THAT(away.text, HasSubstr("etry-"));
  ASSERT_TRUE((*postgres)->StartAgain().ok());
  EXPECT_TRUE(Eventually(kSoon, [&] { return Say(replica, {"evt_2", "{}"}).code == 200; }));
  stack.ConnectAgain();
  EXPECT_EQ(stack.sql().Value("SELECT count(*) FROM webhook_inbox"), "2");
}

// Signed by the packages that senders use.
TEST_F(WebhooksIn, AreTakenFromStockSenders) {
  if (!std::filesystem::exists(WAYBILL_CLIENT_TESTS "/node_modules/standardwebhooks")) {
    GTEST_SKIP() << "needs the packages of tests/clients/package-lock.json; ./dev test fetches them";
  }
  std::string file;
  for (const auto& [name, scheme, secret] :
       {std::tuple("standard", "standard", kSecret), std::tuple("svix", "standard", kSecret),
        std::tuple("stripe", "stripe", "a secret of the gateway"),
        std::tuple("razorpay", "razorpay", "a secret of the gateway")}) {
    file += fmt::format("[[gateway]]\nname = \"{}\"\nscheme = \"{}\"\nsecrets = [\"{}\"]\n", name, scheme, secret);
  }
  std::ofstream(gateways_) << file;
  a_->Start();
  ProcessOptions options;
  options.args = {WAYBILL_CLIENT_TESTS "/webhooks.mjs", fmt::format("http://127.0.0.1:{}", a_->side_port())};
  auto sender = Process::Start("/usr/bin/node", options);
  ASSERT_TRUE(sender.ok()) << sender.status();
  EXPECT_EQ((*sender)->Wait(absl::Seconds(60)), 0) << (*sender)->Output();
  for (const char* name : {"standard", "svix", "stripe", "razorpay"}) {
    EXPECT_THAT((*sender)->Output(), HasSubstr(fmt::format("{}: taken\n", name)));
  }
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM webhook_inbox"), "4");
}

class SandboxesWebhooks : public WebhooksIn {
 protected:
  SandboxesWebhooks() : SandboxesWebhooks(FreePort()) {}
  explicit SandboxesWebhooks(int port) : WebhooksIn(nullptr, port), port_(port) {}
  // On the port that the sandbox tells.
  OrderReplica& Receiver() {
    OrderReplica& receiver = stack_.AddReplica("receiver");
    receiver.UseSidePort(port_);
    receiver.Start();
    return receiver;
  }

 private:
  const int port_;
};

TEST_F(SandboxesWebhooks, EndTheWaitAlsoSentTwiceAndLate) {
  behaviour_.set_webhook_twice_rate(1);
  behaviour_.set_webhook_late_rate(0.5);
  behaviour_.set_late_ms(300);
  stack_.SetBehaviour(behaviour_);
  OrderReplica& receiver = Receiver();
  std::vector<std::string> orders;
  for (int i = 0; i < 10; ++i) orders.push_back(CreateOn(receiver, fmt::format("k{}", i)));
  for (size_t i = 0; i < orders.size(); ++i) Decide(orders[i], i % 3 != 0);
  for (size_t i = 0; i < orders.size(); ++i) {
    EXPECT_TRUE(Becomes(receiver, orders[i], i % 3 != 0 ? order::v1::CONFIRMED : order::v1::FAILED));
  }
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM webhook_inbox"), "10");
  ExpectBooksRight();
}

TEST_F(SandboxesWebhooks, OfAnotherAmountConfirmNothing) {
  behaviour_.set_webhook_wrong_amount_rate(1);
  stack_.SetBehaviour(behaviour_);
  OrderReplica& receiver = Receiver();
  const std::string order_id = CreateOn(receiver, "k");
  Decide(order_id);
  EXPECT_TRUE(IsSettled("evt_pi_1", "attention"));
  EXPECT_EQ(Get(receiver, order_id).status(), order::v1::AWAITING_PAYMENT);
}

TEST_F(SandboxesWebhooks, AreRepeatedUntilTheReceiverIsThere) {
  a_->Start();
  const std::string order_id = CreateOn(*a_, "k");
  Decide(order_id);
  OrderReplica& receiver = Receiver();
  EXPECT_TRUE(Becomes(receiver, order_id, order::v1::CONFIRMED));
  ExpectBooksRight();
}

}  // namespace
}  // namespace waybill::testing
