// The gate before every call of a server.
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "runtime/metrics.h"
#include "runtime/status.h"
#include "tests/edge/access/key_world.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::rpc {
namespace {

using domain::Scope;
using order::v1::GetOrderRequest;
using order::v1::Order;
using order::v1::OrderService;
using order::v1::OrderTransition;
using order::v1::WatchOrderRequest;

using GetOrderCall = UnaryCall<GetOrderRequest, Order>;
using OrderWatchCall = ServerStreamCall<WatchOrderRequest, OrderTransition>;

class IdentityTest : public ::testing::Test {
 protected:
  IdentityTest() {
    for (Server* server : {&server_, &within_}) {
      server->Unary<GetOrderRequest, Order>("waybill.order.v1.OrderService/GetOrder", Scope::kOrdersRead,
                                            [](GetOrderCall::Ptr call) {
                                              call->response().set_user_id(call->caller()->client);
                                              call->Finish(absl::OkStatus());
                                            });
    }
    EXPECT_TRUE(within_.Start().ok());
    // Stays open until it is cancelled.
    server_.ServerStream<WatchOrderRequest, OrderTransition>(
        "waybill.order.v1.OrderService/WatchOrder", Scope::kOrdersRead, [this](OrderWatchCall::Ptr call) {
          OrderWatchCall& kept = *call;
          kept.Open();
          auto shared = std::make_shared<OrderWatchCall::Ptr>(std::move(call));
          kept.OnCancelled([this, shared] {
            (*shared)->Finish(absl::CancelledError("late"));  // the server was faster
            ended_.set_value();
          });
        });
    EXPECT_TRUE(server_.Start().ok());
    keys_.ring.OnChange([this] { server_.CheckCallers(); });
    channel_ = MakeChannel("127.0.0.1:" + std::to_string(server_.port()));
  }
  ~IdentityTest() override { keys_.ring.OnChange(nullptr); }

  static ServerOptions Options(const access::Gate& gate, const std::string& address = "127.0.0.1:0") {
    ServerOptions options;
    options.address = address;
    options.queues = 2;
    options.gate = &gate;
    return options;
  }

  using Headers = std::vector<std::pair<std::string, std::string>>;
  struct Answer {
    absl::Status status;
    std::string client;
    std::string reason() const { return GetErrorDetail(status).reason; }
  };
  Answer Get(const Headers& headers, const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    for (const auto& [key, value] : headers) context.AddMetadata(key, value);
    Order order;
    const grpc::Status status = OrderService::NewStub(channel)->GetOrder(&context, {}, &order);
    return {FromGrpcStatus(status), order.user_id()};
  }
  Answer Get(const Headers& headers) { return Get(headers, channel_); }
  static Headers With(const std::string& secret) { return {{"authorization", access::KeyWorld::Bearer(secret)}}; }

  access::KeyWorld keys_;
  Metrics metrics_;
  std::promise<void> ended_;
  Server server_{Options(keys_.required), metrics_};
  Server within_{Options(keys_.required, ""), metrics_};
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(IdentityTest, TheHandlerLearnsWhoCalls) {
  const std::string secret = keys_.Make("shop", {"orders:read"}).secret;
  const Answer answer = Get(With(secret));
  EXPECT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_EQ(answer.client, "shop");
}

TEST_F(IdentityTest, NobodyElseIsServed) {
  EXPECT_EQ(Get({}).status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Get({}).reason(), "NO_IDENTITY");
  EXPECT_EQ(Get({{"waybill-client", "shop"}}).reason(), "NO_IDENTITY");
  const std::string secret = keys_.Make("shop", {"orders:read"}).secret;
  Headers twice = With(secret);
  twice.push_back(twice.front());
  EXPECT_EQ(Get(twice).reason(), "NO_IDENTITY") << "which of them, is anybody's guess";
  const Answer writes = Get(With(keys_.Make("shop", {"orders:write"}).secret));
  EXPECT_EQ(writes.status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(writes.reason(), "SCOPE_MISSING");
}

TEST_F(IdentityTest, HealthIsForAnybody) {
  grpc::ClientContext context;
  grpc::health::v1::HealthCheckResponse response;
  EXPECT_TRUE(grpc::health::v1::Health::NewStub(channel_)->Check(&context, {}, &response).ok());
}

TEST_F(IdentityTest, OnlyAFrontEndWithinTheProcessMayNameACertificate) {
  keys_.Make("billing", {"orders:read"}, {}, absl::InfiniteFuture(), "billing.internal");
  const Headers named = {{kCertificateNameKey, "other.internal"}, {kCertificateNameKey, "billing.internal"}};
  EXPECT_EQ(Get(named).reason(), "NO_IDENTITY");
  within_.expected().Begin();
  const Answer within = Get(named, within_.InProcessChannel());
  EXPECT_TRUE(within.status.ok()) << within.status;
  EXPECT_EQ(within.client, "billing");
  EXPECT_EQ(Get({}, within_.InProcessChannel()).reason(), "NO_IDENTITY");
}

TEST_F(IdentityTest, OpenCallsOfARevokedKeyEnd) {
  const access::KeyAdmin::Made revoked = keys_.Make("shop", {"orders:read"}), other = keys_.Make("other", {"ops"});
  grpc::ClientContext contexts[2];
  std::unique_ptr<grpc::ClientReader<OrderTransition>> streams[2];
  const std::string secrets[2] = {revoked.secret, other.secret};
  for (int i = 0; i < 2; ++i) {
    contexts[i].set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    contexts[i].AddMetadata("authorization", access::KeyWorld::Bearer(secrets[i]));
    streams[i] = OrderService::NewStub(channel_)->WatchOrder(&contexts[i], {});
    streams[i]->WaitForInitialMetadata();
  }
  ASSERT_TRUE(keys_.admin.Revoke(revoked.key.id, {"admin"}).ok());
  const absl::Status end = FromGrpcStatus(streams[0]->Finish());
  EXPECT_EQ(end.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(GetErrorDetail(end).reason, "KEY_REVOKED");
  EXPECT_EQ(ended_.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready)
      << "whoever serves it is told";
  ended_ = std::promise<void>();
  EXPECT_TRUE(Get(With(other.secret)).status.ok());
  contexts[1].TryCancel();
  EXPECT_EQ(streams[1]->Finish().error_code(), grpc::StatusCode::CANCELLED) << "it went on until then";
  EXPECT_EQ(ended_.get_future().wait_for(std::chrono::seconds(20)), std::future_status::ready);
}

TEST_F(IdentityTest, CallersAreCheckedAgainAndAgain) {
  for (int i = 0; i < 200; ++i) server_.CheckCallers();
  EXPECT_TRUE(Get(With(keys_.Make("shop", {"orders:read"}).secret)).status.ok());
  server_.Drain(SteadyTime::InfinitePast());
  server_.CheckCallers();
}

}  // namespace
}  // namespace waybill::rpc
