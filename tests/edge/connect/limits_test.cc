// What who calls by HTTP is told of its limits: 429, Retry-After, and the fields RateLimit and RateLimit-Policy.
#include <memory>
#include <string>

#include "edge/connect/server.h"
#include "edge/limits/limiter.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "storage/testing/fake_limit_store.h"
#include "tests/edge/http/http_client.h"
#include "waybill/order/v1/order.pb.h"

namespace waybill::connect {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using LimitedCall = rpc::UnaryCall<order::v1::GetOrderRequest, order::v1::Order>;

class ConnectLimitsTest : public ::testing::Test {
 protected:
  ConnectLimitsTest() {
    limiter_.Start(loops_);
    http_ = *http::Server::Start({}, metrics_, log_);
    connect_.ServeOn(*http_);
    connect_.server().Unary<order::v1::GetOrderRequest, order::v1::Order>(
        "waybill.order.v1.OrderService/GetOrder", domain::Scope::kOrdersRead,
        [](LimitedCall::Ptr call) { call->Finish(absl::OkStatus()); });
    EXPECT_TRUE(connect_.Start().ok());
  }
  ~ConnectLimitsTest() override {
    connect_.Drain(SteadyTime::InfinitePast());
    http_.reset();
  }

  std::string Get() {
    http::RawClient client(http_->port());
    client.Send(
        "POST /waybill.order.v1.OrderService/GetOrder HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        "waybill-client: shop\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}");
    return client.ReadAll();
  }

  const SystemClock clock_;
  const ThreadLoops loops_;
  Logger log_{LogFormat::kJson, LogLevel::kError, clock_};
  Metrics metrics_;
  storage::testing::FakeLimitStore store_{clock_};
  limits::Limiter limiter_{store_, clock_, metrics_};
  Server connect_{clock_, metrics_, {1 << 20, 1024, {}, nullptr, &limiter_}};
  std::unique_ptr<http::Server> http_;
};

TEST_F(ConnectLimitsTest, EachAnswerSaysWhereTheClientStands) {
  EXPECT_EQ(Get().find("ratelimit"), std::string::npos);
  limits::Rule rule;
  rule.name = "reads";
  rule.client = "*";
  rule.method = "*";
  rule.rate = {2, absl::Minutes(30), 2};
  limiter_.Use({rule});
  EXPECT_THAT(Get(), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\nratelimit: \"reads\";r=1;t=900\r\n"),
                           HasSubstr("\r\nratelimit-policy: \"reads\";q=2;w=1800\r\n")));
  EXPECT_THAT(Get(), AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("\r\nratelimit: \"reads\";r=0;t=")));
  const std::string refused = Get();
  EXPECT_THAT(refused, AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("\r\nretry-after: "),
                             HasSubstr("\r\nratelimit: \"reads\";r=0;t="), HasSubstr("\r\nratelimit-policy: "),
                             HasSubstr("\"code\":\"resource_exhausted\""), HasSubstr("google.rpc.QuotaFailure"),
                             HasSubstr("google.rpc.RetryInfo"), HasSubstr("client:shop"), HasSubstr("RATE_LIMITED")));
}

}  // namespace
}  // namespace waybill::connect
