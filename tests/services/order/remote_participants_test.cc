// The remote participants over real gRPC, against the sandbox in this process.
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "services/order/remote_dispatch.h"
#include "services/order/remote_gateway.h"
#include "services/sandbox/book_log.h"
#include "services/sandbox/books.h"
#include "services/sandbox/sandbox.h"
#include "services/sandbox/services.h"
#include "tests/services/order/participant_contract.h"
#include "tests/support/temp_directory.h"
#include "waybill/dispatch/v1/dispatch.pb.h"
#include "waybill/payment/v1/payment.pb.h"

namespace waybill::order {
namespace {

class SandboxWorld {
 public:
  SandboxWorld() {
    sandbox::RegisterServices(server_, sandbox_, [] {});
    EXPECT_TRUE(server_.Start().ok());
    client_ = std::make_unique<rpc::Client>(
        client_thread_,
        std::vector<std::shared_ptr<grpc::Channel>>{rpc::MakeChannel("127.0.0.1:" + std::to_string(server_.port()))});
    gateway_ = std::make_unique<RemoteGateway>(*client_);
    dispatch_ = std::make_unique<RemoteDispatch>(*client_);
  }
  ~SandboxWorld() {
    client_.reset();
    sandbox_.ReleaseHeld();
    server_.Drain(SteadyTime::InfinitePast());
  }

  PaymentGateway& gateway() { return *gateway_; }
  Dispatch& dispatch() { return *dispatch_; }

  // For one call; the ones after it are ordinary again, for the first answer is repeated.
  void DeclineNext() {
    sandbox::Behaviour behaviour;
    behaviour.decline_rate = 1;
    ASSERT_TRUE(sandbox_.SetBehaviour(sandbox::Target::kGateway, behaviour).ok());
  }
  void LoseNextAnswer() {
    sandbox::Behaviour behaviour;
    behaviour.lost_after_rate = 1;
    ASSERT_TRUE(sandbox_.SetBehaviour(sandbox::Target::kGateway, behaviour).ok());
  }
  void SlowNext() {
    sandbox::Behaviour behaviour;
    behaviour.slow_rate = 1;
    behaviour.late_ms = 1;
    ASSERT_TRUE(sandbox_.SetBehaviours(behaviour).ok());
  }
  void PendNext() {
    sandbox::Behaviour behaviour;
    behaviour.pending_rate = 1;
    behaviour.pending_for_ms = 3'600'000;
    ASSERT_TRUE(sandbox_.SetBehaviour(sandbox::Target::kGateway, behaviour).ok());
  }
  void Decide(const std::string& key, bool approve) {
    std::promise<int64_t> done;
    sandbox_.Decide(std::make_unique<Nobody>(done),
                    [&](sandbox::Books& books, absl::Time now, std::optional<sandbox::Record>& effect) {
                      return books.Decide(key, approve, now, effect);
                    });
    done.get_future().wait();
  }
  void Land() {
    ASSERT_TRUE(sandbox_.SetBehaviours({}).ok());
    time_.Advance(absl::Milliseconds(1));
  }
  int64_t NetMinor() {
    EXPECT_TRUE(sandbox_.SetBehaviour(sandbox::Target::kGateway, {}).ok());
    std::promise<int64_t> net;
    sandbox_.Read(std::make_unique<Nobody>(net), [&](const sandbox::Books& books) {
      int64_t sum = 0;
      for (const auto& [key, payment] : books.payments()) sum += payment.charged_minor - payment.refunded_minor;
      net_ = sum;
    });
    net.get_future().wait();
    return net_;
  }

 private:
  class Nobody final : public sandbox::Caller {
   public:
    explicit Nobody(std::promise<int64_t>& done) : done_(done) {}
    void Answer(const absl::Status&) override { done_.set_value(0); }
    void OnGone(absl::AnyInvocable<void()>) override {}

   private:
    std::promise<int64_t>& done_;
  };

  waybill::testing::ManualTime time_;  // slow calls land when told to
  SeededRandom random_{1};
  Metrics metrics_;
  waybill::testing::TempDirectory folder_;
  std::unique_ptr<sandbox::BookLog> log_ =
      std::move(sandbox::BookLog::Open((folder_.path() / "books").string(), [](const sandbox::Record&) {})).value();
  sandbox::Sandbox sandbox_{sandbox::Books(1), *log_, time_, time_, random_, metrics_, ThreadLoops()};
  rpc::Server server_{rpc::ServerOptions{}, metrics_};
  rpc::ClientThread client_thread_;
  std::unique_ptr<rpc::Client> client_;
  std::unique_ptr<RemoteGateway> gateway_;
  std::unique_ptr<RemoteDispatch> dispatch_;
  int64_t net_ = 0;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Remote, GatewayContract, SandboxWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Remote, PendingGatewayContract, SandboxWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Remote, SlowGatewayContract, SandboxWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(Remote, DispatchContract, SandboxWorld);

// --- What the wire can do besides.

namespace payment = waybill::payment::v1;
using ChargeCall = rpc::UnaryCall<payment::ChargeRequest, payment::ChargeResponse>;
using RefundCall = rpc::UnaryCall<payment::RefundRequest, payment::RefundResponse>;

// A gateway that answers what the test says.
class ScriptedGateway {
 public:
  explicit ScriptedGateway(std::function<void(ChargeCall&)> charge) {
    server_.Unary<payment::ChargeRequest, payment::ChargeResponse>("waybill.payment.v1.PaymentGateway/Charge",
                                                                   access::kAnybody,
                                                                   [charge](ChargeCall::Ptr call) { charge(*call); });
    server_.Unary<payment::RefundRequest, payment::RefundResponse>(
        "waybill.payment.v1.PaymentGateway/Refund", access::kAnybody,
        [](RefundCall::Ptr call) { call->Finish(absl::InvalidArgumentError("no")); });
    EXPECT_TRUE(server_.Start().ok());
    client_ = std::make_unique<rpc::Client>(
        client_thread_,
        std::vector<std::shared_ptr<grpc::Channel>>{rpc::MakeChannel("127.0.0.1:" + std::to_string(server_.port()))});
    gateway = std::make_unique<RemoteGateway>(*client_);
  }
  ~ScriptedGateway() {
    client_.reset();
    server_.Drain(SteadyTime::InfinitePast());
  }
  std::unique_ptr<RemoteGateway> gateway;

 private:
  Metrics metrics_;
  rpc::Server server_{rpc::ServerOptions{}, metrics_};
  rpc::ClientThread client_thread_;
  std::unique_ptr<rpc::Client> client_;
};

TEST(RemoteGateway, TakesEveryStatusButOkForUnknown) {
  absl::StatusCode code = absl::StatusCode::kOk;
  ScriptedGateway world([&](ChargeCall& call) { call.Finish(absl::Status(code, "because")); });
  for (absl::StatusCode unknown :
       {absl::StatusCode::kUnavailable, absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kInternal,
        absl::StatusCode::kUnknown, absl::StatusCode::kCancelled, absl::StatusCode::kAborted,
        absl::StatusCode::kResourceExhausted, absl::StatusCode::kUnimplemented, absl::StatusCode::kPermissionDenied,
        absl::StatusCode::kUnauthenticated, absl::StatusCode::kNotFound, absl::StatusCode::kDataLoss,
        absl::StatusCode::kInvalidArgument, absl::StatusCode::kFailedPrecondition, absl::StatusCode::kAlreadyExists,
        absl::StatusCode::kOutOfRange}) {
    code = unknown;
    EXPECT_EQ(ChargeNow(*world.gateway, CallFor("a"), OrderOf(1)).status().code(), unknown);
  }
  EXPECT_FALSE(RefundNow(*world.gateway, CallFor("a"), OrderOf(1)).ok()) << "a refund is never given up";
}

TEST(RemoteGateway, SaysWhenAGatewayKnowsOfNoParts) {
  ScriptedGateway world([](ChargeCall& call) { call.Finish(absl::OkStatus()); });
  EXPECT_EQ(RefundPartNow(*world.gateway, CallFor("a"), "r1", 1).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(RemoteGateway, TakesAnAnswerWithoutAnOutcomeForUnknown) {
  ScriptedGateway world([](ChargeCall& call) { call.Finish(absl::OkStatus()); });
  EXPECT_EQ(ChargeNow(*world.gateway, CallFor("a"), OrderOf(1)).status().code(), absl::StatusCode::kUnknown);
}

TEST(RemoteGateway, PassesOnWhatAPendingAnswerSaysAndMarksAnOddTime) {
  payment::ChargeResponse answer;
  ScriptedGateway world([&](ChargeCall& call) {
    call.response() = answer;
    call.Finish(absl::OkStatus());
  });
  auto charge = [&] { return ChargeNow(*world.gateway, CallFor("a"), OrderOf(1)).value().outcome; };
  answer.mutable_pending()->set_token("pi_1");
  auto none = std::get<ChargeResult::Pending>(charge());
  EXPECT_EQ(none.token, "pi_1");
  EXPECT_EQ(none.until, absl::InfiniteFuture()) << "the saga takes it for none";
  answer.mutable_pending()->mutable_until()->set_seconds(1'800'000'000);
  EXPECT_EQ(std::get<ChargeResult::Pending>(charge()).until, absl::FromUnixSeconds(1'800'000'000));
  answer.mutable_pending()->mutable_until()->set_nanos(-1);
  EXPECT_EQ(std::get<ChargeResult::Pending>(charge()).until, absl::InfiniteFuture());
}

TEST(RemoteGateway, SendsTheRequestTheDeadlineAndTheTrace) {
  payment::ChargeRequest request;
  std::string traceparent;
  SteadyTime deadline;
  ScriptedGateway world([&](ChargeCall& call) {
    request = call.request();
    traceparent = std::string(call.Metadata("traceparent"));
    deadline = call.deadline();
    call.response().mutable_approved()->set_reference("r");
    call.Finish(absl::OkStatus());
  });
  ParticipantCall call = CallFor("order/charge_payment");
  call.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  ASSERT_TRUE(ChargeNow(*world.gateway, call, OrderOf(1250)).ok());
  EXPECT_EQ(request.idempotency_key(), "order/charge_payment");
  EXPECT_EQ(request.order_id(), call.order_id);
  EXPECT_EQ(request.user_id(), "user-1");
  EXPECT_EQ(request.amount_minor(), 1250);
  EXPECT_EQ(request.currency(), "EUR");
  EXPECT_EQ(traceparent, call.traceparent);
  EXPECT_LT(absl::AbsDuration(deadline - call.deadline), absl::Seconds(1));
}

TEST(RemoteGateway, PassesOnWhetherADeclineIsRetryable) {
  bool retryable = false;
  ScriptedGateway world([&](ChargeCall& call) {
    call.response().mutable_declined()->set_reason("LIMIT_REACHED");
    call.response().mutable_declined()->set_retryable(retryable);
    call.Finish(absl::OkStatus());
  });
  for (const bool wanted : {false, true}) {
    retryable = wanted;
    const ChargeResult result = ChargeNow(*world.gateway, CallFor("a"), OrderOf(1)).value();
    ASSERT_NE(result.declined(), nullptr);
    EXPECT_EQ(result.declined()->reason, "LIMIT_REACHED");
    EXPECT_EQ(result.declined()->retryable, wanted);
  }
}

TEST(RemoteGateway, MakesNoCallWithoutAConnectionWhereItIsToldSo) {
  const int port = waybill::testing::FreePort();
  rpc::ClientThread client_thread;
  rpc::Client client(client_thread, {rpc::MakeChannel("127.0.0.1:" + std::to_string(port))});
  RemoteGateway gateway(client, /*only_connected=*/true);
  EXPECT_EQ(GetErrorDetail(ChargeNow(gateway, CallFor("a"), OrderOf(1)).status()).reason, kCallNotSent);
  EXPECT_EQ(GetErrorDetail(RefundNow(gateway, CallFor("a"), OrderOf(1)).status()).reason, kCallNotSent);

  Metrics metrics;
  rpc::ServerOptions options;
  options.address = "127.0.0.1:" + std::to_string(port);
  rpc::Server server(options, metrics);
  server.Unary<payment::ChargeRequest, payment::ChargeResponse>("waybill.payment.v1.PaymentGateway/Charge",
                                                                access::kAnybody, [](ChargeCall::Ptr call) {
                                                                  call->response().mutable_approved();
                                                                  call->Finish(absl::OkStatus());
                                                                });
  ASSERT_TRUE(server.Start().ok());
  ASSERT_TRUE(client.AwaitConnection(SystemClock().Steady() + absl::Seconds(20)));
  EXPECT_TRUE(ChargeNow(gateway, CallFor("a"), OrderOf(1)).ok());
  client.Stop();
  server.Drain(SteadyTime::InfinitePast());
}

TEST(RemoteGateway, BelievesNoGatewayThatACallWasNotSent) {
  ScriptedGateway world([](ChargeCall& call) {
    call.Finish(MakeError(absl::StatusCode::kUnavailable, "trust me", {.reason = std::string(kCallNotSent)}));
  });
  const absl::Status status = ChargeNow(*world.gateway, CallFor("a"), OrderOf(1)).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(GetErrorDetail(status).reason, "");
}

HealthAnswer HealthNow(RemoteGateway& gateway) {
  std::promise<HealthAnswer> result;
  gateway.Health(absl::Seconds(20), [&](HealthAnswer said) { result.set_value(said); });
  return result.get_future().get();
}

TEST(RemoteGateway, TellsHowItFaresByTheStandardsHealthCheck) {
  using grpc::health::v1::HealthCheckResponse;
  using storage::ProbeOutcome;
  // A stock server.
  class Checked final : public grpc::health::v1::Health::Service {
   public:
    grpc::Status Check(grpc::ServerContext*, const grpc::health::v1::HealthCheckRequest*,
                       HealthCheckResponse* response) override {
      response->set_status(serving);
      return status;
    }
    HealthCheckResponse::ServingStatus serving = HealthCheckResponse::SERVING;
    grpc::Status status;
  } checked;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&checked);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  rpc::ClientThread client_thread;
  rpc::Client client(client_thread, {rpc::MakeChannel("127.0.0.1:" + std::to_string(port))});
  RemoteGateway gateway(client);
  EXPECT_EQ(HealthNow(gateway).answer.outcome, ProbeOutcome::kNoAnswer) << "there is no connection yet";
  ASSERT_TRUE(client.AwaitConnection(SystemClock().Steady() + absl::Seconds(20)));
  EXPECT_EQ(HealthNow(gateway).answer.outcome, ProbeOutcome::kHealthy);
  checked.serving = HealthCheckResponse::NOT_SERVING;
  EXPECT_EQ(HealthNow(gateway).answer.outcome, ProbeOutcome::kFailing);
  checked.serving = HealthCheckResponse::UNKNOWN;
  EXPECT_EQ(HealthNow(gateway).answer.outcome, ProbeOutcome::kNoAnswer);
  checked.status = grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "no");
  EXPECT_EQ(HealthNow(gateway).answer.outcome, ProbeOutcome::kNotServed);
  checked.status = grpc::Status(grpc::StatusCode::INTERNAL, "no");
  EXPECT_EQ(HealthNow(gateway).answer.outcome, ProbeOutcome::kNoAnswer);
  checked.status = rpc::ToGrpcStatus(
      MakeError(absl::StatusCode::kResourceExhausted, "no", {.reason = "NO", .retry_after = absl::Seconds(7)}));
  EXPECT_EQ(HealthNow(gateway).answer.outcome, ProbeOutcome::kLimited);
  EXPECT_EQ(HealthNow(gateway).retry_after, absl::Seconds(7));
  client.Stop();
  server->Shutdown();
}

TEST(RemoteGateway, TakesADeadGatewayForUnknown) {
  const int port = waybill::testing::FreePort();
  rpc::ClientThread client_thread;
  rpc::Client client(client_thread, {rpc::MakeChannel("127.0.0.1:" + std::to_string(port))});
  RemoteGateway gateway(client);
  EXPECT_EQ(ChargeNow(gateway, CallFor("a"), OrderOf(1)).status().code(), absl::StatusCode::kUnavailable);
  RemoteDispatch dispatch(client);
  EXPECT_EQ(AssignNow(dispatch, CallFor("a"), OrderOf(1)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ReleaseNow(dispatch, CallFor("a"), OrderOf(1)).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace waybill::order
