// Limits before every call of a server, over a real Redis: what calls notice of it, and what they do not.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "edge/limits/limiter.h"
#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/metrics.h"
#include "storage/redis/redis_limit_store.h"
#include "tests/support/redis.h"
#include "waybill/order/v1/order.grpc.pb.h"

namespace waybill::rpc {
namespace {

using order::v1::GetOrderRequest;
using order::v1::Order;
using order::v1::OrderService;
using std::chrono::steady_clock;
using PlainGetCall = UnaryCall<GetOrderRequest, Order>;

class RpcLimitsRedisTest : public ::testing::Test {
 protected:
  RpcLimitsRedisTest() {
    limiter_.Start(loops_);
    ServerOptions options;
    options.limiter = &limiter_;
    server_ = std::make_unique<Server>(options, metrics_);
    server_->Unary<GetOrderRequest, Order>("waybill.order.v1.OrderService/GetOrder", domain::Scope::kOrdersRead,
                                           [](PlainGetCall::Ptr call) { call->Finish(absl::OkStatus()); });
    EXPECT_TRUE(server_->Start().ok());
    channel_ = MakeChannel("127.0.0.1:" + std::to_string(server_->port()));
  }
  ~RpcLimitsRedisTest() override {
    server_->Drain(SteadyTime::InfinitePast());
    limiter_.Stop();
  }

  grpc::Status Get(OrderService::Stub& stub, const std::string& client = "shop") {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.AddMetadata("waybill-client", client);
    Order order;
    return stub.GetOrder(&context, {}, &order);
  }
  static limits::Rule Rule(int64_t count, int64_t burst) {
    limits::Rule rule;
    rule.name = "reads";
    rule.client = "*";
    rule.method = "*";
    rule.rate = {count, absl::Seconds(1), burst};
    return rule;
  }

  const std::unique_ptr<waybill::testing::RedisServer> redis_ = waybill::testing::RedisServer::Start().value();
  const SystemClock clock_;
  const ThreadLoops loops_;
  Metrics metrics_;
  storage::RedisLimitStore store_{storage::RedisUrl::Parse(redis_->Url()).value(),
                                  {absl::Milliseconds(250), absl::Milliseconds(250)}};
  limits::Limiter limiter_{store_, clock_, metrics_};
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(RpcLimitsRedisTest, ARedisThatHangsHoldsUpCallsForAMomentOnly) {
  limiter_.Use({Rule(1'000, 10)});
  const auto stub = OrderService::NewStub(channel_);
  EXPECT_TRUE(Get(*stub).ok());
  ASSERT_TRUE(redis_->Signal(SIGSTOP));
  const auto start = steady_clock::now();
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(Get(*stub, fmt::format("client-{}", i)).ok());
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(2)) << "each waited by itself";
  ASSERT_TRUE(redis_->Signal(SIGCONT));
}

// 5,000 calls a second by a few callers, with and without limits in turns; percentiles of the whole call.
TEST_F(RpcLimitsRedisTest, DISABLED_LatencyOfACall) {
  constexpr int kCallers = 8, kPerSecond = 5'000, kSeconds = 4;
  struct Turn {
    const char* what;
    std::vector<limits::Rule> rules;
    uint64_t clients;  // whose calls come in no order
  };
  std::vector<Turn> turns;
  for (int round = 0; round < 3; ++round) {
    turns.push_back({"no rules", {}, 1});
    turns.push_back({"one client", {Rule(6'000, 6'000)}, 1});
    turns.push_back({"100 clients", {Rule(100, 100)}, 100});
  }
  for (const Turn& turn : turns) {
    limiter_.Use(turn.rules);
    const double waits =
        metrics_.AddCounter("waybill_limit_waits_total", "Calls that waited for Redis to say whether they pass.")
            .Value();
    const steady_clock::time_point start = steady_clock::now() + std::chrono::milliseconds(50);
    std::vector<std::future<std::vector<double>>> callers;
    for (int caller = 0; caller < kCallers; ++caller) {
      callers.push_back(std::async(std::launch::async, [&, caller] {
        const auto stub = OrderService::NewStub(channel_);
        std::vector<double> took;
        for (int i = caller; i < kPerSecond * kSeconds; i += kCallers) {
          std::this_thread::sleep_until(start + std::chrono::microseconds(int64_t{1'000'000} * i / kPerSecond));
          const auto began = steady_clock::now();
          EXPECT_TRUE(Get(*stub, fmt::format("client-{}",
                                             (uint64_t{2'654'435'761} * static_cast<uint64_t>(i) >> 7) % turn.clients))
                          .ok());
          took.push_back(std::chrono::duration<double, std::milli>(steady_clock::now() - began).count());
        }
        return took;
      }));
    }
    std::vector<double> took;
    for (auto& caller : callers) {
      for (const double one : caller.get()) took.push_back(one);
    }
    std::sort(took.begin(), took.end());
    const double all = std::chrono::duration<double>(steady_clock::now() - start).count();
    std::printf(
        "%-12s %6.0f calls/s  p50 %.3f ms  p99 %.3f ms  waited %.2f %%\n", turn.what,
        static_cast<double>(took.size()) / all, took[took.size() / 2], took[took.size() * 99 / 100],
        100 *
            (metrics_.AddCounter("waybill_limit_waits_total", "Calls that waited for Redis to say whether they pass.")
                 .Value() -
             waits) /
            static_cast<double>(took.size()));
  }
}

}  // namespace
}  // namespace waybill::rpc
