#include "bench/http_loop.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "bench/reserved_port.h"
#include "edge/http/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "tests/support/eventually.h"

namespace waybill::bench {
namespace {

using ::testing::ElementsAre;
using waybill::testing::Eventually;

constexpr absl::Duration kPatience = absl::Seconds(20);

class HttpLoopTest : public ::testing::Test {
 protected:
  // Listens at `port`, 0 for any.
  void Serve(int port, const http::Handler& handler) {
    server_.reset();
    http::ServerOptions options;
    options.listen = fmt::format("127.0.0.1:{}", port);
    auto server = http::Server::Start(options, metrics_, log_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Serve("/", {"all", {"GET", "POST"}}, handler);
  }
  std::string Target() const { return fmt::format("127.0.0.1:{}", server_->port()); }

  HttpLoop::Answer Ask(HttpLoop::Caller& caller, const std::string& head, const std::string& body,
                       absl::Duration timeout = kPatience) {
    std::vector<HttpLoop::Answer> answers;
    caller.Call(head, body, timeout, [&](const HttpLoop::Answer& answer) { answers.push_back(answer); });
    EXPECT_TRUE(answers.empty()) << "never before the call returns";
    loop_.Run([&] { return !answers.empty(); });
    return answers.front();
  }

  const SystemClock clock_;
  Metrics metrics_;
  const Logger log_{LogFormat::kText, LogLevel::kError, clock_};
  std::unique_ptr<http::Server> server_;
  const SteadyTimer timer_;
  HttpLoop loop_{timer_};
};

TEST_F(HttpLoopTest, CallsAndTellsTheAnswer) {
  Serve(0, [](const http::ExchangePtr& exchange) {
    const http::Request& request = exchange->request();
    exchange->Answer({202,
                      "text/plain",
                      fmt::format("{} {} {} {}", request.method, request.path, request.Field("x-token"), request.body),
                      {}});
  });
  HttpLoop::Caller caller(loop_, Target());
  for (int i = 0; i < 3; ++i) {
    const HttpLoop::Answer answer = Ask(caller, "POST /payments\r\nX-Token: 123", "body");
    EXPECT_EQ(answer.code, 202);
    EXPECT_TRUE(answer.expected());
    EXPECT_EQ(answer.body, "POST /payments 123 body");
    EXPECT_GT(answer.took, absl::ZeroDuration());
  }
}

TEST_F(HttpLoopTest, AnswersWithoutABodyAreWhole) {
  Serve(0, [](const http::ExchangePtr& exchange) { exchange->Answer({204, "", "", {}}); });
  HttpLoop::Caller caller(loop_, Target());
  EXPECT_EQ(Ask(caller, "POST /", "").code, 204);
  EXPECT_EQ(Ask(caller, "POST /", "").code, 204);
}

TEST_F(HttpLoopTest, AnAnswerThatIsLateIsNoneAndNotTheNextOnes) {
  std::vector<http::ExchangePtr> held;
  Serve(0, [&](const http::ExchangePtr& exchange) {
    if (exchange->request().path == "/late") return held.push_back(exchange);
    exchange->Answer({200, "text/plain", "in time", {}});
  });
  HttpLoop::Caller caller(loop_, Target());
  const HttpLoop::Answer late = Ask(caller, "GET /late", "", absl::Milliseconds(1));
  EXPECT_EQ(late.code, 0);
  EXPECT_FALSE(late.expected());
  EXPECT_EQ(Ask(caller, "GET /", "").body, "in time");
  server_.reset();
  held.clear();
}

TEST_F(HttpLoopTest, NobodyThereIsNoAnswerAndOneWhoComesBackIsFound) {
  auto port = ReservedPort::Take();
  ASSERT_TRUE(port.ok());
  HttpLoop::Caller caller(loop_, fmt::format("127.0.0.1:{}", port->port()));
  EXPECT_EQ(Ask(caller, "GET /", "").code, 0);
  const auto handler = [](const http::ExchangePtr& exchange) { exchange->Answer({200, "text/plain", "here", {}}); };
  for (int life = 0; life < 2; ++life) {  // the connection of the first life has ended by the second
    Serve(port->port(), handler);
    EXPECT_EQ(Ask(caller, "GET /", "").body, "here");
    server_.reset();
  }
}

// As a child has it between its fork and its exec.
TEST_F(HttpLoopTest, AConnectionThatIsGivenUpSaysNothingMoreAlthoughAForkHoldsIt) {
  http::ExchangePtr late;
  std::atomic<bool> asked = false;
  Serve(0, [&](const http::ExchangePtr& exchange) {
    if (exchange->request().path != "/late") return exchange->Answer({200, "text/plain", "in time", {}});
    late = exchange;
    asked = true;
  });
  HttpLoop::Caller caller(loop_, Target());
  EXPECT_EQ(Ask(caller, "GET /", "").body, "in time");
  int gate[2];
  ASSERT_EQ(pipe(gate), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    close(gate[1]);
    _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(gate[0]);
  EXPECT_EQ(Ask(caller, "GET /late", "", absl::Milliseconds(1)).code, 0);
  ASSERT_TRUE(Eventually(kPatience, [&] { return asked.load(); }));
  late->Answer({200, "text/plain", "late", {}});
  // The late answer comes to what the fork holds, before this one.
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(caller, "GET /", "").body, "in time");
  close(gate[1]);
  waitpid(child, nullptr, 0);
}

TEST_F(HttpLoopTest, ACallWaitsForTheOneBefore) {
  Serve(0, [](const http::ExchangePtr& exchange) {
    exchange->Answer({200, "text/plain", exchange->request().path, {}});
  });
  HttpLoop::Caller caller(loop_, Target());
  std::vector<std::string> answers;
  for (const char* head : {"GET /1", "GET /2", "GET /3"}) {
    caller.Call(head, "", kPatience, [&](const HttpLoop::Answer& answer) { answers.push_back(answer.body); });
  }
  loop_.Run([&] { return answers.size() == 3; });
  EXPECT_THAT(answers, ElementsAre("/1", "/2", "/3"));
}

TEST_F(HttpLoopTest, WhatIsDueRunsInItsOrder) {
  std::vector<std::string> ran;
  const absl::Duration now = loop_.Now();
  loop_.At(now + absl::Milliseconds(2), [&] { ran.push_back("later"); });
  loop_.At(now, [&] {
    ran.push_back("first");
    loop_.At(now + absl::Milliseconds(1), [&] { ran.push_back("soon"); });
  });
  loop_.At(now, [&] { ran.push_back("second"); });
  loop_.Run([&] { return ran.size() == 4; });
  EXPECT_THAT(ran, ElementsAre("first", "second", "soon", "later"));
}

}  // namespace
}  // namespace waybill::bench
