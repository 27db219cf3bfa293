// Limits before every call of a server: calls that wait for a verdict, and what may become of them meanwhile.
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "edge/limits/limiter.h"
#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "runtime/status.h"
#include "tests/edge/limits/gated_store.h"
#include "tests/support/eventually.h"
#include "waybill/location/v1/location.grpc.pb.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

using location::v1::LocationAck;
using location::v1::LocationBatch;
using location::v1::LocationService;
using order::v1::GetOrderRequest;
using order::v1::Order;
using order::v1::OrderService;

using LimitedGetCall = UnaryCall<GetOrderRequest, Order>;
using LimitedStreamCall = BidiStreamCall<LocationBatch, LocationAck>;

limits::Rule Narrow(int64_t burst = 1) {
  limits::Rule rule;
  rule.name = "narrow";
  rule.client = "*";
  rule.method = "*";
  rule.rate = {1, absl::Hours(1), burst};
  return rule;
}

class RpcLimitsTest : public ::testing::Test {
 protected:
  void Serve(const limits::Rule& rule, absl::Duration wait_max = absl::Hours(1), int queues = 1) {
    limits::LimiterOptions limiter_options;
    limiter_options.wait_max = wait_max;
    limiter_ = std::make_unique<limits::Limiter>(store_, clock_, metrics_, limiter_options);
    limiter_->Use({rule});
    limiter_->Start(loops_);
    ServerOptions options;
    options.queues = queues;
    options.limiter = limiter_.get();
    server_ = std::make_unique<Server>(options, metrics_);
    server_->Unary<GetOrderRequest, Order>("waybill.order.v1.OrderService/GetOrder", domain::Scope::kOrdersRead,
                                           [this](LimitedGetCall::Ptr call) {
                                             ++served_;
                                             served_by_ = std::this_thread::get_id();
                                             call->response().set_order_id(call->request().order_id());
                                             call->Finish(absl::OkStatus());
                                           });
    server_->BidiStream<LocationBatch, LocationAck>("waybill.location.v1.LocationService/StreamLocations",
                                                    domain::Scope::kLocationsWrite,
                                                    [this](LimitedStreamCall::Ptr call) {
                                                      ++served_;
                                                      call->Finish(absl::OkStatus());
                                                    });
    ASSERT_TRUE(server_->Start().ok());
    channel_ = MakeChannel("127.0.0.1:" + std::to_string(server_->port()));
  }
  ~RpcLimitsTest() override {
    store_.Open();
    if (server_) server_->Drain(SteadyTime::InfinitePast());
    if (limiter_) limiter_->Stop();
    // Whatever was started was also finished.
    double started = 0, handled = 0;
    for (const auto& family : metrics_.Collect()) {
      for (const auto& metric : family.metric) {
        if (family.name == "grpc_server_started_total") started += metric.counter.value;
        if (family.name == "grpc_server_handled_total") handled += metric.counter.value;
      }
    }
    EXPECT_EQ(started, handled);
  }

  absl::Status Get(grpc::ClientContext& context, const std::string& id = "an order") {
    context.AddMetadata("waybill-client", "shop");
    GetOrderRequest request;
    request.set_order_id(id);
    Order order;
    const grpc::Status status = OrderService::NewStub(channel_)->GetOrder(&context, request, &order);
    if (status.ok()) {
      EXPECT_EQ(order.order_id(), id);
    }
    return FromGrpcStatus(status);
  }
  absl::Status Get() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return Get(context);
  }

  // Calls that have waited for the store, or do.
  double Waiting() {
    return metrics_.AddCounter("waybill_limit_waits_total", "Calls that waited for Redis to say whether they pass.")
        .Value();
  }

  const SystemClock clock_;
  const ThreadLoops loops_;
  Metrics metrics_;
  limits::GatedStore store_{clock_};
  std::unique_ptr<limits::Limiter> limiter_;
  std::atomic<int> served_{0};
  std::thread::id served_by_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(RpcLimitsTest, WhoIsOverTheLimitIsToldAndNotServed) {
  Serve(Narrow());
  EXPECT_TRUE(Get().ok());
  const absl::Status status = Get();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  const ErrorDetail detail = GetErrorDetail(status);
  EXPECT_EQ(detail.reason, "RATE_LIMITED");
  EXPECT_THAT(detail.metadata, ElementsAre(Pair("rule", "narrow")));
  EXPECT_THAT(detail.quotas, ElementsAre(Pair("client:shop", "narrow: 1 per 1h, burst 1")));
  EXPECT_GT(detail.retry_after, absl::Minutes(59));
  EXPECT_EQ(served_, 1);
}

TEST_F(RpcLimitsTest, HealthIsNeverLimited) {
  limits::Rule closed = Narrow();
  closed.open_when_away = false;
  Serve(closed, absl::Milliseconds(1));
  store_.Close();
  EXPECT_EQ(Get().code(), absl::StatusCode::kUnavailable);
  for (int i = 0; i < 3; ++i) {
    grpc::ClientContext context;
    grpc::health::v1::HealthCheckResponse response;
    EXPECT_TRUE(grpc::health::v1::Health::NewStub(channel_)->Check(&context, {}, &response).ok());
  }
}

TEST_F(RpcLimitsTest, ACallThatWaitedIsServedByItsOwnQueue) {
  Serve(Narrow(100));
  EXPECT_TRUE(Get().ok());
  const std::thread::id queue = served_by_;
  store_.Close();
  auto answer = std::async(std::launch::async, [&] { return Get(); });
  store_.AwaitQuestion();
  EXPECT_EQ(served_, 1);
  store_.Open();
  EXPECT_TRUE(answer.get().ok());
  EXPECT_EQ(served_by_, queue);
}

TEST_F(RpcLimitsTest, OthersAreServedWhileOneWaits) {
  Serve(Narrow(100));
  limits::Rule other = Narrow(100);
  other.client = "shop";
  limiter_->Use({other});
  store_.Close();
  auto waiting = std::async(std::launch::async, [&] { return Get(); });
  store_.AwaitQuestion();
  grpc::ClientContext context;
  Order order;
  EXPECT_TRUE(OrderService::NewStub(channel_)->GetOrder(&context, {}, &order).ok());  // nobody in particular
  store_.Open();
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(RpcLimitsTest, ACallMayBeCancelledWhileItWaits) {
  Serve(Narrow(100));
  store_.Close();
  grpc::ClientContext context;
  auto answer = std::async(std::launch::async, [&] { return Get(context); });
  store_.AwaitQuestion();
  context.TryCancel();
  EXPECT_EQ(answer.get().code(), absl::StatusCode::kCancelled);
  // Behind the cancellation, on the same connection: the server has seen it once this is answered.
  grpc::ClientContext after;
  grpc::health::v1::HealthCheckResponse healthy;
  ASSERT_TRUE(grpc::health::v1::Health::NewStub(channel_)->Check(&after, {}, &healthy).ok());
  store_.Open();
  EXPECT_TRUE(Get().ok());
  EXPECT_EQ(served_, 1);
}

TEST_F(RpcLimitsTest, ADeadlineMayPassWhileItWaits) {
  Serve(Narrow(100));
  store_.Close();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  EXPECT_EQ(Get(context).code(), absl::StatusCode::kDeadlineExceeded);
  store_.Open();
  EXPECT_TRUE(Get().ok());
  EXPECT_EQ(served_, 1);
}

TEST_F(RpcLimitsTest, ADrainWaitsForACallThatWaits) {
  Serve(Narrow(100));
  store_.Close();
  auto answer = std::async(std::launch::async, [&] { return Get(); });
  store_.AwaitQuestion();
  server_->SendAway();
  auto drained = std::async(std::launch::async, [&] { server_->Drain(SystemClock().Steady() + absl::Seconds(60)); });
  store_.Open();
  EXPECT_TRUE(answer.get().ok());
  drained.get();
  EXPECT_EQ(served_, 1);
}

TEST_F(RpcLimitsTest, ADrainThatEndsEndsCallsThatWait) {
  Serve(Narrow(100));
  store_.Close();
  auto answer = std::async(std::launch::async, [&] { return Get(); });
  auto stream = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    auto call = LocationService::NewStub(channel_)->StreamLocations(&context);
    return FromGrpcStatus(call->Finish());
  });
  store_.AwaitQuestion();
  EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Waiting() == 2; }));
  auto drained = std::async(std::launch::async, [&] { server_->Drain(SteadyTime::InfinitePast()); });
  for (auto* ended : {&answer, &stream}) EXPECT_EQ(GetErrorDetail(ended->get()).reason, "SHUTTING_DOWN");
  store_.Open();
  drained.get();
  EXPECT_EQ(served_, 0);
}

// A Redis that hangs holds up no drain: the limiter loses its patience.
TEST_F(RpcLimitsTest, ADrainEndsThoughTheStoreNeverAnswers) {
  Serve(Narrow(100), absl::Milliseconds(100));
  store_.Close();
  auto answer = std::async(std::launch::async, [&] { return Get(); });
  store_.AwaitQuestion();
  server_->Drain(SteadyTime::InfinitePast());
  (void)answer.get();  // aborted, or let in just before
}

TEST_F(RpcLimitsTest, AStreamWaitsAsWell) {
  Serve(Narrow(100));
  store_.Close();
  auto stream = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    auto call = LocationService::NewStub(channel_)->StreamLocations(&context);
    return FromGrpcStatus(call->Finish());
  });
  store_.AwaitQuestion();
  EXPECT_EQ(served_, 0);
  store_.Open();
  EXPECT_TRUE(stream.get().ok());
  EXPECT_EQ(served_, 1);
}

// Calls that wait, are cancelled, refused and aborted by a drain, all at once, on two queues.
TEST_F(RpcLimitsTest, EveryCallIsAnswered) {
  limits::Rule rule = Narrow(3);
  rule.rate = {2'000, absl::Seconds(1), 3};
  Serve(rule, absl::Milliseconds(3), 2);
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0};
  std::vector<std::future<int>> callers;
  for (int t = 0; t < 4; ++t) {
    callers.push_back(std::async(std::launch::async, [&, t] {
      int calls = 0;
      for (; !stop; ++calls) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(t == 0 ? 1 : 10'000));
        (void)Get(context, "");
        ++answered;
      }
      return calls;
    }));
  }
  for (int round = 0; round < 10; ++round) {
    const int before = answered;
    while (answered < before + 100) std::this_thread::yield();
    store_.Close();
    const int closed = answered;
    while (answered < closed + 20) std::this_thread::yield();
    store_.Open();
  }
  server_->Drain(SystemClock().Steady() + absl::Milliseconds(5));
  stop = true;
  int calls = 0;
  for (auto& caller : callers) calls += caller.get();
  EXPECT_EQ(calls, answered);
}

}  // namespace
}  // namespace waybill::rpc
