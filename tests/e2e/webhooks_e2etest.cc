// What clients are told of their orders, by the real service to real receivers.
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "tests/e2e/stack.h"
#include "tests/support/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_directory.h"
#include "waybill/webhook/v1/webhook.grpc.pb.h"

namespace waybill::testing {
namespace {

namespace webhook_pb = waybill::webhook::v1;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kDeliveredMax = absl::Seconds(60);

// tests/e2e/webhook_receiver.py, on a port that it keeps.
class Receiver {
 public:
  void Start(const std::string& certificate = "", const std::string& key = "") {
    if (!std::filesystem::exists(secrets())) std::ofstream(secrets()) << "";
    ProcessOptions options;
    options.args = {WAYBILL_E2E_SOURCES "/webhook_receiver.py", fmt::format("{}", port_), secrets()};
    if (!certificate.empty()) options.args.insert(options.args.end(), {certificate, key});
    auto process = Process::Start("/usr/bin/python3", options);
    ASSERT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    ASSERT_TRUE(process_->WaitForLine("listening", absl::Seconds(20)).has_value()) << process_->Output();
  }
  void AddSecret(const std::string& secret) {
    const std::string before = secrets_text_;
    secrets_text_ += secret + "\n";
    std::ofstream(secrets()) << secrets_text_;
  }
  std::string Url(const std::string& path, const std::string& scheme = "http",
                  const std::string& host = "127.0.0.1") const {
    return fmt::format("{}://{}:{}{}", scheme, host, port_, path);
  }
  // All that came to the path.
  std::vector<json> Received(const std::string& path) const {
    std::vector<json> received;
    for (const absl::string_view line : absl::StrSplit(process_->Output(), '\n')) {
      constexpr absl::string_view kPrefix = "received ";
      if (line.substr(0, kPrefix.size()) != kPrefix) continue;
      json one = json::parse(std::string(line.substr(kPrefix.size())), nullptr, false);
      if (!one.is_discarded() && one["path"] == path) received.push_back(std::move(one));
    }
    return received;
  }
  std::multiset<std::string> Types(const std::string& path) const {
    std::multiset<std::string> types;
    for (const json& one : Received(path)) types.insert(one["type"].get<std::string>());
    return types;
  }

 private:
  std::string secrets() const { return (directory_.path() / "secrets").string(); }

  TempDirectory directory_;
  const int port_ = FreePort();
  std::string secrets_text_;
  std::unique_ptr<Process> process_;
};

class WebhooksTest : public ::testing::Test {
 protected:
  Stack& Begin(std::vector<std::string> more = {}) {
    StackOptions options;
    options.builtin_gateway = true;
    options.order_args = {"--webhook-allow-networks", "127.0.0.0/8"};
    options.order_args.insert(options.order_args.end(), more.begin(), more.end());
    stack_.emplace(options);
    stack_->PutDrivers(300);
    stack_->AddReplica("a");
    return *stack_;
  }
  std::unique_ptr<webhook_pb::WebhookService::Stub> Webhooks() {
    return webhook_pb::WebhookService::NewStub(stack_->replica().Channel());
  }
  absl::StatusOr<webhook_pb::CreateEndpointResponse> TryCreate(const std::string& url,
                                                               const std::vector<std::string>& types = {"*"}) {
    webhook_pb::CreateEndpointRequest request;
    request.set_url(url);
    for (const std::string& type : types) request.add_types(type);
    webhook_pb::CreateEndpointResponse response;
    const grpc::Status status = Webhooks()->CreateEndpoint(Deadline(absl::Seconds(20)).get(), request, &response);
    if (!status.ok()) return rpc::FromGrpcStatus(status);
    return response;
  }
  // Its id; the receiver learns the secret.
  std::string Create(Receiver& receiver, const std::string& path, const std::vector<std::string>& types = {"*"}) {
    absl::StatusOr<webhook_pb::CreateEndpointResponse> made = TryCreate(receiver.Url(path), types);
    EXPECT_TRUE(made.ok()) << made.status();
    if (!made.ok()) return "";
    receiver.AddSecret(made->secret());
    return made->endpoint().endpoint_id();
  }
  std::string Order(const std::string& key, size_t replica = 0) {
    order::v1::CreateOrderRequest request = OrderRequestFor(key);
    request.mutable_pickup()->set_latitude(52.52);
    request.mutable_pickup()->set_longitude(13.40);
    order::v1::Order order;
    const grpc::Status status =
        stack_->replica(replica).Orders()->CreateOrder(Deadline(absl::Seconds(20)).get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(order.status(), order::v1::CONFIRMED);
    return order.order_id();
  }
  std::vector<webhook_pb::Delivery> Deliveries(
      const std::string& endpoint, webhook_pb::DeliveryState state = webhook_pb::DELIVERY_STATE_UNSPECIFIED) {
    webhook_pb::ListDeliveriesRequest request;
    request.set_endpoint_id(endpoint);
    request.set_state(state);
    request.set_page_size(500);
    webhook_pb::ListDeliveriesResponse response;
    const grpc::Status status = Webhooks()->ListDeliveries(Deadline(absl::Seconds(20)).get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.deliveries().begin(), response.deliveries().end()};
  }
  webhook_pb::Endpoint Endpoint(const std::string& id) {
    webhook_pb::ListEndpointsResponse response;
    const grpc::Status status = Webhooks()->ListEndpoints(Deadline(absl::Seconds(20)).get(), {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    for (const webhook_pb::Endpoint& endpoint : response.endpoints()) {
      if (endpoint.endpoint_id() == id) return endpoint;
    }
    ADD_FAILURE() << "no endpoint " << id;
    return {};
  }
  static std::set<std::string> IdsOf(const std::vector<json>& received) {
    std::set<std::string> ids;
    for (const json& one : received) ids.insert(one["id"].get<std::string>());
    return ids;
  }

  std::optional<Stack> stack_;
  Receiver receiver_;
};

// A part that goes back through a routed gateway, which does it and whose answer is lost.
TEST_F(WebhooksTest, TellOfAPartThatWentBackThroughARoutedGateway) {
  TempDirectory directory;
  const std::string file = directory.path().string() + "/gateways.toml";
  const int card = FreePort(), bank = FreePort();
  std::ofstream(file) << fmt::format(
      "[[gateway]]\nname = \"card\"\naddress = \"grpc://127.0.0.1:{}\"\ncurrencies = [\"EUR\"]\n"
      "[[gateway]]\nname = \"bank\"\naddress = \"grpc://127.0.0.1:{}\"\ncurrencies = [\"USD\"]\n",
      card, bank);
  StackOptions options;
  options.builtin_gateway = true;
  options.order_args = {"--webhook-allow-networks", "127.0.0.0/8", "--gateways-file", file,
                        "--attempt-timeout",        "700ms",       "--backoff",       "20ms"};
  options.sandbox_args = {"--gateway", fmt::format("card=127.0.0.1:{}", card), "--gateway",
                          fmt::format("bank=127.0.0.1:{}", bank)};
  stack_.emplace(options);
  stack_->PutDrivers(10);
  stack_->AddReplica("a").Start();
  receiver_.Start();
  Create(receiver_, "/all", {"payment.refunded"});
  const std::string order_id = Order("k");
  auto sandbox = sandbox::v1::SandboxAdmin::NewStub(ConnectTo(stack_->sandbox_port()));
  sandbox::v1::SetBehaviourRequest lose;
  lose.set_gateway("card");
  lose.mutable_behaviour()->set_lost_after_rate(1);
  lose.mutable_behaviour()->add_methods("RefundPart");
  sandbox::v1::Behaviours set;
  ASSERT_TRUE(sandbox->SetBehaviour(Deadline(absl::Seconds(20)).get(), lose, &set).ok());
  order::v1::RefundOrderRequest part;
  part.set_order_id(order_id);
  part.set_refund_id("a-crushed-box");
  part.set_amount_minor(250);
  order::v1::Refund refund;
  (void)stack_->replica().Orders()->RefundOrder(Deadline(absl::Seconds(2)).get(), part, &refund);
  EXPECT_THAT(receiver_.Received("/all"), IsEmpty()) << "nobody knows yet";
  lose.mutable_behaviour()->Clear();
  ASSERT_TRUE(sandbox->SetBehaviour(Deadline(absl::Seconds(20)).get(), lose, &set).ok());
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return !receiver_.Received("/all").empty(); }));
  const json one = receiver_.Received("/all")[0];
  EXPECT_EQ(one["type"], "payment.refunded");
  EXPECT_EQ(one["signed_by"], json::parse("[0]")) << one;
  EXPECT_EQ(one["body"]["data"]["order_id"], order_id) << one;
  EXPECT_EQ(one["body"]["data"]["refund"]["refund_id"], "a-crushed-box") << one;
  EXPECT_EQ(one["body"]["data"]["refund"]["amount"]["minor_units"], 250) << one;
  ASSERT_TRUE(stack_->replica().Orders()->RefundOrder(Deadline(absl::Seconds(20)).get(), part, &refund).ok());
  EXPECT_EQ(refund.state(), order::v1::Refund::DONE);
  sandbox::v1::GetBooksRequest of_card;
  of_card.set_gateway("card");
  sandbox::v1::Books books;
  ASSERT_TRUE(sandbox->GetBooks(Deadline(absl::Seconds(20)).get(), of_card, &books).ok());
  ASSERT_EQ(books.entries_size(), 1);
  EXPECT_EQ(books.entries(0).charged_minor(), 1250);
  EXPECT_EQ(books.entries(0).refunded_minor(), 250) << "once, however often it was asked for";
  EXPECT_EQ(receiver_.Received("/all").size(), 1u);
}

TEST_F(WebhooksTest, TellAnEndpointOfEachThingThatHappensToAnOrderOnce) {
  Begin().replica().Start();
  receiver_.Start();
  const std::string all = Create(receiver_, "/all"), some = Create(receiver_, "/some", {"order.completed"});
  const std::string completed = Order("completed"), cancelled = Order("cancelled");
  order::v1::CompleteOrderRequest complete;
  complete.set_order_id(completed);
  order::v1::CancelOrderRequest cancel;
  cancel.set_order_id(cancelled);
  order::v1::Order order;
  ASSERT_TRUE(stack_->replica().Orders()->CompleteOrder(Deadline(absl::Seconds(20)).get(), complete, &order).ok());
  ASSERT_TRUE(stack_->replica().Orders()->CancelOrder(Deadline(absl::Seconds(20)).get(), cancel, &order).ok());
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return receiver_.Received("/all").size() >= 7; }));
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return Deliveries("", webhook_pb::DELIVERED).size() == 8; }));
  EXPECT_THAT(receiver_.Types("/all"),
              UnorderedElementsAre("payment.charged", "payment.charged", "order.confirmed", "order.confirmed",
                                   "order.completed", "payment.refunded", "order.cancelled"));
  EXPECT_THAT(receiver_.Types("/some"), UnorderedElementsAre("order.completed"));
  EXPECT_EQ(IdsOf(receiver_.Received("/all")).size(), 7U);
  for (const json& one : receiver_.Received("/all")) {
    EXPECT_EQ(one["signed_by"], json::parse("[0]")) << one;
    EXPECT_LT(one["skew"].get<double>(), 60);
  }
  EXPECT_EQ(receiver_.Received("/some")[0]["signed_by"], json::parse("[1]"));
  EXPECT_EQ(receiver_.Received("/some")[0]["body"]["data"]["order_id"], completed);
  for (const webhook_pb::Delivery& delivery : Deliveries(all)) {
    EXPECT_EQ(delivery.attempts(), 1);
    EXPECT_EQ(delivery.last_code(), 200);
    EXPECT_EQ(delivery.body(), "");
  }
  EXPECT_EQ(stack_->replica().Metric("waybill_webhook_attempts_total{outcome=\"delivered\"}"), 8);
  EXPECT_EQ(stack_->sql().Value("SELECT count(*) FROM audit_entries WHERE action = 'webhook.create'"), "2");
  EXPECT_THAT(stack_->replica().process().Output(), Not(HasSubstr("whsec_")));
  EXPECT_EQ(stack_->sql().Value("SELECT count(*) FROM audit_entries WHERE detail LIKE '%whsec%'"), "0");
}

TEST_F(WebhooksTest, OfAReceiverThatIsAwayAreSentAgainUnderTheSameId) {
  Begin().replica().Start();
  const std::string endpoint = Create(receiver_, "/status/503-once", {"order.confirmed"});
  Order("k");
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] {
    const auto deliveries = Deliveries(endpoint);
    return deliveries.size() == 1 && deliveries[0].attempts() == 1;
  }));
  EXPECT_EQ(Deliveries(endpoint)[0].state(), webhook_pb::WAITING);
  EXPECT_THAT(Deliveries(endpoint)[0].last_answer(), HasSubstr("refused"));
  EXPECT_TRUE(Endpoint(endpoint).has_failing_since());
  receiver_.Start();  // and says 503 to the next
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return Deliveries(endpoint)[0].attempts() == 2; }));
  webhook_pb::ReplayDeliveryRequest replay;  // not five minutes later
  replay.set_endpoint_id(endpoint);
  replay.set_webhook_id(Deliveries(endpoint)[0].webhook_id());
  webhook_pb::Delivery delivery;
  ASSERT_TRUE(Webhooks()->ReplayDelivery(Deadline(absl::Seconds(20)).get(), replay, &delivery).ok());
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return Deliveries(endpoint, webhook_pb::DELIVERED).size() == 1; }));
  EXPECT_EQ(receiver_.Received("/status/503-once").size(), 2U);
  EXPECT_EQ(IdsOf(receiver_.Received("/status/503-once")).size(), 1U);
  EXPECT_FALSE(Endpoint(endpoint).has_failing_since());
}

TEST_F(WebhooksTest, AreNeitherRedirectedNorSentBeforeTheReceiverWantsThemAgain) {
  Begin().replica().Start();
  receiver_.Start();
  const std::string moved = Create(receiver_, "/status/302", {"order.confirmed"});
  const std::string limited = Create(receiver_, "/status/429", {"order.confirmed"});
  Order("k");
  for (const std::string& endpoint : {moved, limited}) {
    ASSERT_TRUE(Eventually(kDeliveredMax, [&] {
      const auto deliveries = Deliveries(endpoint);
      return deliveries.size() == 1 && deliveries[0].attempts() == 1;
    }));
  }
  EXPECT_EQ(Deliveries(moved)[0].state(), webhook_pb::WAITING);
  EXPECT_EQ(Deliveries(moved)[0].last_code(), 302);
  EXPECT_THAT(receiver_.Received("/elsewhere"), IsEmpty());
  const webhook_pb::Delivery waits = Deliveries(limited)[0];
  EXPECT_GE(waits.next_attempt_time().seconds() - waits.last_attempt_time().seconds(), 3599);
}

TEST_F(WebhooksTest, EndWithAnEndpointThatIsGone) {
  Begin().replica().Start();
  receiver_.Start();
  const std::string endpoint = Create(receiver_, "/status/410", {"order.confirmed"});
  Order("k");
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return !Endpoint(endpoint).enabled(); }));
  EXPECT_EQ(Endpoint(endpoint).disabled_reason(), "answered 410 Gone");
  EXPECT_THAT(stack_->replica().process().Output(), HasSubstr("an endpoint of webhooks is disabled"));
  EXPECT_EQ(stack_->replica().Metric("waybill_webhook_endpoints_disabled_total"), 1);
  ASSERT_EQ(Deliveries(endpoint, webhook_pb::DEAD).size(), 1U);
  Order("k2");  // is not told any more
  EXPECT_EQ(Deliveries(endpoint).size(), 1U);
  // It moves, and what is dead is sent there.
  webhook_pb::UpdateEndpointRequest update;
  update.set_endpoint_id(endpoint);
  update.set_url(receiver_.Url("/new"));
  update.set_enabled(true);
  webhook_pb::Endpoint changed;
  ASSERT_TRUE(Webhooks()->UpdateEndpoint(Deadline(absl::Seconds(20)).get(), update, &changed).ok());
  webhook_pb::ReplayDeliveriesRequest replay;
  replay.set_endpoint_id(endpoint);
  webhook_pb::ReplayDeliveriesResponse replayed;
  ASSERT_TRUE(Webhooks()->ReplayDeliveries(Deadline(absl::Seconds(20)).get(), replay, &replayed).ok());
  EXPECT_EQ(replayed.replayed(), 1);
  EXPECT_TRUE(Eventually(kDeliveredMax, [&] { return receiver_.Received("/new").size() == 1; }));
}

TEST_F(WebhooksTest, ToASlowEndpointHoldUpNoOther) {
  Begin({"--drain", "1s"}).replica().Start();
  receiver_.Start();
  const std::string slow = Create(receiver_, "/slow/15", {"order.confirmed"});
  Create(receiver_, "/quick", {"order.confirmed"});
  for (int i = 0; i < 30; ++i) Order(fmt::format("k{}", i));
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return receiver_.Received("/quick").size() == 30; }));
  // Four at a time, of which none has ended.
  EXPECT_EQ(receiver_.Received("/slow/15").size(), 4U);
  EXPECT_THAT(Deliveries(slow, webhook_pb::DELIVERED), IsEmpty());
  // Nor the service when it stops; what was under way is taken up by others.
  EXPECT_EQ(stack_->replica().Stop(absl::Seconds(10)), 0);
}

// Without keys or a name, orders and endpoints are nobody's in particular.
TEST_F(WebhooksTest, OfOrdersWithoutAClientGoToEndpointsWithoutOne) {
  Begin().replica().Start();
  receiver_.Start();
  webhook_pb::CreateEndpointRequest request;
  request.set_url(receiver_.Url("/all"));
  request.add_types("*");
  webhook_pb::CreateEndpointResponse made;
  ASSERT_TRUE(Webhooks()->CreateEndpoint(Deadline(absl::Seconds(20), "").get(), request, &made).ok());
  order::v1::Order order;
  ASSERT_TRUE(stack_->replica()
                  .Orders()
                  ->CreateOrder(Deadline(absl::Seconds(20), "").get(), OrderRequestFor("k"), &order)
                  .ok());
  EXPECT_TRUE(Eventually(kDeliveredMax, [&] { return !receiver_.Received("/all").empty(); }));
}

TEST_F(WebhooksTest, AreSignedWithBothSecretsWhileOneIsRotated) {
  Begin().replica().Start();
  receiver_.Start();
  const std::string endpoint = Create(receiver_, "/all", {"order.confirmed"});
  webhook_pb::RotateSecretRequest rotate;
  rotate.set_endpoint_id(endpoint);
  rotate.mutable_overlap()->set_seconds(3600);
  webhook_pb::RotateSecretResponse rotated;
  ASSERT_TRUE(Webhooks()->RotateSecret(Deadline(absl::Seconds(20)).get(), rotate, &rotated).ok());
  receiver_.AddSecret(rotated.secret());
  webhook_pb::SendTestRequest test;
  test.set_endpoint_id(endpoint);
  webhook_pb::Delivery sent;
  ASSERT_TRUE(Webhooks()->SendTest(Deadline(absl::Seconds(20)).get(), test, &sent).ok());
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return receiver_.Received("/all").size() == 1; }));
  EXPECT_EQ(receiver_.Received("/all")[0]["signed_by"], json::parse("[0, 1]"));
  EXPECT_EQ(receiver_.Received("/all")[0]["type"], "webhook.test");
  EXPECT_EQ(receiver_.Received("/all")[0]["id"], sent.webhook_id());
}

TEST_F(WebhooksTest, OverTlsGoToNobodyWhoseCertificateIsNotTrusted) {
  const TestCa ca, other("Another CA");
  TempDirectory directory;
  const auto write = [&](const std::string& name, const std::string& text) {
    ReplaceFile(directory.path() / name, text);
    return (directory.path() / name).string();
  };
  const Issued issued = ca.Issue();
  Begin().replica().Start({{"SSL_CERT_FILE", write("ca.pem", ca.certificate())}});
  receiver_.Start(write("certificate.pem", issued.certificate), write("key.pem", issued.key));
  absl::StatusOr<webhook_pb::CreateEndpointResponse> made =
      TryCreate(receiver_.Url("/all", "https", "localhost"), {"order.*"});
  ASSERT_TRUE(made.ok()) << made.status();
  receiver_.AddSecret(made->secret());
  Order("k");
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return receiver_.Received("/all").size() == 1; }));
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return Deliveries("", webhook_pb::DELIVERED).size() == 1; }));
  ASSERT_TRUE(stack_->replica().Stop().has_value());
  stack_->replica().Start({{"SSL_CERT_FILE", write("ca.pem", other.certificate())}});
  Order("k2");
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] {
    const auto waiting = Deliveries("", webhook_pb::WAITING);
    return waiting.size() == 1 && waiting[0].attempts() >= 1;
  }));
  EXPECT_THAT(Deliveries("", webhook_pb::WAITING)[0].last_answer(), HasSubstr("certificate verify failed"));
  EXPECT_EQ(receiver_.Received("/all").size(), 1U);
}

TEST_F(WebhooksTest, GoToNoAddressWithin) {
  StackOptions options;
  options.builtin_gateway = true;
  stack_.emplace(options);
  stack_->PutDrivers(10);
  stack_->AddReplica("a").Start();
  receiver_.Start();
  const absl::StatusOr<webhook_pb::CreateEndpointResponse> plain = TryCreate(receiver_.Url("/all"));
  EXPECT_EQ(GetErrorDetail(plain.status()).reason, "BAD_REQUEST");
  const std::vector<std::string> hosts = {"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"};
  const std::vector<std::string> no_names = {"0x7f.1", "2130706433", "0177.0.0.1"};  // to inet_aton loopback
  for (const std::string& host : hosts) {
    ASSERT_TRUE(TryCreate(receiver_.Url("/all", "https", host), {"order.confirmed"}).ok()) << host;
  }
  for (const std::string& host : no_names) {
    ASSERT_TRUE(TryCreate(receiver_.Url("/none", "https", host), {"order.confirmed"}).ok()) << host;
  }
  const auto ended_as = [&](const std::string& outcome) {
    return stack_->replica().Metric(fmt::format("waybill_webhook_attempts_total{{outcome=\"{}\"}}", outcome));
  };
  Order("k");
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] {
    return ended_as("forbidden") >= static_cast<double>(hosts.size()) &&
           ended_as("unreachable") >= static_cast<double>(no_names.size());
  }));
  int forbidden = 0;
  for (const webhook_pb::Delivery& delivery : Deliveries("")) {
    EXPECT_EQ(delivery.state(), webhook_pb::WAITING);
    EXPECT_THAT(delivery.last_answer(), AnyOf(HasSubstr("no address that may be called"), HasSubstr("is not found")));
    forbidden += delivery.last_answer().find("may be called") != std::string::npos;
  }
  EXPECT_EQ(forbidden, static_cast<int>(hosts.size()));
  EXPECT_TRUE(receiver_.Received("/all").empty());
  EXPECT_TRUE(receiver_.Received("/none").empty());
}

TEST_F(WebhooksTest, OfTwoReplicasAreSentByOneOfThem) {
  Begin().replica().Start();
  receiver_.Start();
  const std::string endpoint = Create(receiver_, "/all", {"order.confirmed"});
  stack_->AddReplica("b").Start();
  for (int i = 0; i < 100; ++i) Order(fmt::format("k{}", i), static_cast<size_t>(i % 2));
  ASSERT_TRUE(Eventually(kDeliveredMax, [&] { return Deliveries(endpoint, webhook_pb::DELIVERED).size() == 100; }));
  EXPECT_EQ(receiver_.Received("/all").size(), 100U);
  EXPECT_EQ(IdsOf(receiver_.Received("/all")).size(), 100U);
}

// Whatever kills the service, each event is told at least once, and always under its one id.
TEST_F(WebhooksTest, SurviveTheServicesDeathAtEachOfTheirFailpoints) {
  std::vector<std::string> failpoints;
  for (const std::string_view name : kFailpoints) {
    if (name.starts_with("webhook.")) failpoints.emplace_back(name);
  }
  ASSERT_THAT(failpoints, Not(IsEmpty()));
  for (const std::string& failpoint : failpoints) {
    SCOPED_TRACE(failpoint);
    Receiver receiver;
    Begin({"--webhook-timeout", "2s"}).replica().Start();
    receiver.Start();
    const std::string endpoint = Create(receiver, "/all", {"order.confirmed"});
    ASSERT_TRUE(stack_->replica().Stop().has_value());
    stack_->replica().Start({{"WAYBILL_FAILPOINT", failpoint + "=kill@2"}});
    std::set<std::string> expected;
    for (int i = 0; stack_->replica().running() && i < 1'000; ++i) {
      order::v1::CreateOrderRequest request = OrderRequestFor(fmt::format("k{}", i));
      request.mutable_pickup()->set_latitude(52.52);
      request.mutable_pickup()->set_longitude(13.40);
      order::v1::Order order;
      const grpc::Status status =
          stack_->replica().Orders()->CreateOrder(Deadline(absl::Seconds(5)).get(), request, &order);
      if (status.ok() && order.status() == order::v1::CONFIRMED) {
        expected.insert("evt_" + order.order_id() + "_order_confirmed");
      }
    }
    ASSERT_FALSE(stack_->replica().running()) << "it was not hit";
    stack_->replica().process().Wait(absl::Seconds(10));
    ASSERT_THAT(stack_->replica().process().Output(), HasSubstr("failpoint " + failpoint));
    stack_->replica().Start();
    ASSERT_TRUE(stack_->WaitUntilAllSettled());
    ASSERT_TRUE(Eventually(kDeliveredMax, [&] {
      const std::set<std::string> told = IdsOf(receiver.Received("/all"));
      return std::includes(told.begin(), told.end(), expected.begin(), expected.end());
    }));
    EXPECT_TRUE(Eventually(kDeliveredMax, [&] { return Deliveries(endpoint, webhook_pb::WAITING).empty(); }));
    const std::string confirmed = stack_->sql().Value("SELECT count(*) FROM order_sagas WHERE state = 'succeeded'");
    EXPECT_EQ(fmt::format("{}", IdsOf(receiver.Received("/all")).size()), confirmed);
  }
}

// The stock packages, as somebody's server in Node has them.
TEST_F(WebhooksTest, AreFoundTrueByStockVerifiers) {
  if (!std::filesystem::exists(WAYBILL_CLIENT_TESTS "/node_modules/standardwebhooks")) {
    GTEST_SKIP() << "needs the packages of tests/clients/package-lock.json; ./dev test fetches them";
  }
  Begin().replica().Start();
  const int port = FreePort();
  absl::StatusOr<webhook_pb::CreateEndpointResponse> made =
      TryCreate(fmt::format("http://127.0.0.1:{}/hooks?a=b", port), {"order.confirmed", "webhook.test"});
  EXPECT_EQ(GetErrorDetail(made.status()).reason, "BAD_REQUEST");  // tests are asked for, not subscribed to
  made = TryCreate(fmt::format("http://127.0.0.1:{}/hooks?a=b", port), {"order.confirmed"});
  ASSERT_TRUE(made.ok()) << made.status();
  webhook_pb::RotateSecretRequest rotate;
  rotate.set_endpoint_id(made->endpoint().endpoint_id());
  rotate.mutable_overlap()->set_seconds(3600);
  webhook_pb::RotateSecretResponse rotated;
  ASSERT_TRUE(Webhooks()->RotateSecret(Deadline(absl::Seconds(20)).get(), rotate, &rotated).ok());
  ProcessOptions options;
  options.args = {WAYBILL_CLIENT_TESTS "/webhook_receiver.mjs", fmt::format("{}", port), made->secret(),
                  rotated.secret()};
  auto node = Process::Start("/usr/bin/node", options);
  ASSERT_TRUE(node.ok()) << node.status();
  ASSERT_TRUE((*node)->WaitForLine("listening", absl::Seconds(20)).has_value()) << (*node)->Output();
  const std::string order = Order("k");
  for (const char* verifier : {"standardwebhooks", "svix"}) {
    for (const char* secret : {"secret 0", "secret 1"}) {
      EXPECT_TRUE((*node)
                      ->WaitForLine(fmt::format("{} {}: order.confirmed of {}", verifier, secret, order), kDeliveredMax)
                      .has_value())
          << (*node)->Output();
    }
    EXPECT_TRUE(
        (*node)->WaitForLine(fmt::format("{}: a changed body is refused", verifier), absl::Seconds(5)).has_value())
        << (*node)->Output();
  }
  EXPECT_TRUE(Eventually(kDeliveredMax, [&] { return Deliveries("", webhook_pb::DELIVERED).size() == 1; }));
}

}  // namespace
}  // namespace waybill::testing
