#include <atomic>
#include <memory>
#include <string>

#include "bench/plain_race.h"
#include "edge/http/client.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/eventually.h"
#include "tests/support/redis.h"

namespace waybill::bench {
namespace {

using testing::Eventually;

constexpr absl::Duration kPatience = absl::Seconds(20);
constexpr char kPayment[] = R"({"correlationId":"4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3","amount":20.05})";

// A processor that answers as it is told.
class FakeProcessor {
 public:
  FakeProcessor() {
    auto server = http::Server::Start({}, metrics_, log_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Serve("/payments", {"pay", {"POST"}}, [this](const http::ExchangePtr& exchange) {
      ++asked;
      exchange->Answer({static_cast<unsigned>(code), "", "", {}});
    });
    server_->Serve("/payments/service-health", {"health", {"GET"}}, [this](const http::ExchangePtr& exchange) {
      ++health_asked;
      exchange->Answer(
          {200, "application/json", fmt::format(R"({{"failing":{},"minResponseTime":0}})", failing.load()), {}});
    });
  }
  int port() const { return server_->port(); }

  std::atomic<int> code = 200, asked = 0, health_asked = 0;
  std::atomic<bool> failing = false;

 private:
  const SystemClock clock_;
  Metrics metrics_;
  const Logger log_{LogFormat::kText, LogLevel::kError, clock_};
  std::unique_ptr<http::Server> server_;
};

class PlainRaceTest : public ::testing::Test {
 protected:
  void Start() {
    auto redis = testing::RedisServer::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    PlainRaceOptions options;
    options.redis_url = redis_->Url();
    options.default_port = default_.port();
    options.fallback_port = fallback_.port();
    auto race = PlainRace::Start(options);
    ASSERT_TRUE(race.ok()) << race.status();
    race_ = *std::move(race);
  }
  http::ClientAnswer Ask(const std::string& method, const std::string& target, const std::string& body = "") const {
    auto answer = http::CallAndWait({"127.0.0.1", race_->port(), target, {}, body, method}, nullptr, 10'000, kPatience);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : http::ClientAnswer();
  }
  bool AwaitPaid(int by_default, int by_fallback) const {
    const std::string summary = fmt::format(
        R"({{"default":{{"totalRequests":{},"totalAmount":{}}},"fallback":{{"totalRequests":{},"totalAmount":{}}}}})",
        by_default, by_default == 0 ? "0.00" : "20.05", by_fallback, by_fallback == 0 ? "0.00" : "20.05");
    return Eventually(kPatience, [&] { return Ask("GET", "/payments-summary").body == summary; });
  }

  FakeProcessor default_, fallback_;
  std::unique_ptr<testing::RedisServer> redis_;
  std::unique_ptr<PlainRace> race_;
};

TEST_F(PlainRaceTest, TheDefaultIsPaidFirst) {
  Start();
  EXPECT_EQ(Ask("POST", "/payments", kPayment).status, 202u);
  EXPECT_TRUE(AwaitPaid(1, 0));
  EXPECT_EQ(fallback_.asked, 0);
  EXPECT_EQ(Ask("GET", "/payments-summary?to=2020-07-10T12:34:56.000Z").body,
            R"({"default":{"totalRequests":0,"totalAmount":0.00},"fallback":{"totalRequests":0,"totalAmount":0.00}})");
  EXPECT_EQ(Ask("POST", "/purge-payments").status, 200u);
  EXPECT_TRUE(AwaitPaid(0, 0));
}

TEST_F(PlainRaceTest, TheFallbackIsPaidWhenTheDefaultFails) {
  default_.code = 500;
  Start();
  Ask("POST", "/payments", kPayment);
  EXPECT_TRUE(AwaitPaid(0, 1));
  EXPECT_EQ(default_.asked, 1);
}

TEST_F(PlainRaceTest, WhatBothRefuseIsPutBackUntilOneTakesIt) {
  default_.code = fallback_.code = 500;
  Start();
  Ask("POST", "/payments", kPayment);
  EXPECT_TRUE(Eventually(kPatience, [&] { return default_.asked > 2 && fallback_.asked > 1; }));
  fallback_.code = 200;
  EXPECT_TRUE(AwaitPaid(0, 1));
}

TEST_F(PlainRaceTest, WhatWasBookedBeforeIsPaid) {
  default_.code = 422;
  Start();
  Ask("POST", "/payments", kPayment);
  EXPECT_TRUE(AwaitPaid(1, 0));
  EXPECT_EQ(default_.asked, 1);
}

TEST_F(PlainRaceTest, WhoSaysThatItFailsIsNotTriedFirst) {
  default_.failing = true;
  Start();
  // The first to pay may still have come before its health.
  EXPECT_TRUE(Eventually(kPatience, [&] {
    const int before = default_.asked, paid = fallback_.asked;
    Ask("POST", "/payments", kPayment);
    return Eventually(kPatience, [&] { return default_.asked > before || fallback_.asked > paid; }) &&
           default_.asked == before;
  }));
  EXPECT_EQ(default_.health_asked, 1);
}

TEST_F(PlainRaceTest, WhatIsNoPaymentIsRefused) {
  Start();
  for (const char* body : {"", "{}", R"({"correlationId":"x","amount":1})",
                           R"({"correlationId":"4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3"})"}) {
    EXPECT_EQ(Ask("POST", "/payments", body).status, 400u) << body;
  }
}

}  // namespace
}  // namespace waybill::bench
