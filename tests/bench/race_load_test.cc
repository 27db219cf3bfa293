#include "bench/race_load.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "edge/http/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

namespace waybill::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A backend that books at once, and two processors with its books.
class RaceLoadTest : public ::testing::Test {
 protected:
  RaceLoadTest() {
    options_.shape = OfficialRace(absl::Milliseconds(300));
    options_.shape.clients_max = 20;
    options_.shape.pause = absl::Milliseconds(10);
    options_.shape.timeout = absl::Seconds(20);
    options_.backend = Serve([this](const http::Request& request) { return AnswerOfBackend(request); });
    options_.default_processor = Serve([this](const http::Request& request) { return AnswerOf("default", request); });
    options_.fallback_processor = Serve([this](const http::Request& request) { return AnswerOf("fallback", request); });
  }

  std::string Serve(std::function<http::Response(const http::Request&)> answer) {
    auto server = http::Server::Start({}, metrics_, log_);
    EXPECT_TRUE(server.ok()) << server.status();
    (*server)->Serve("/", {"all", {"GET", "POST", "PUT"}},
                     [answer](const http::ExchangePtr& exchange) { exchange->Answer(answer(exchange->request())); });
    servers_.push_back(*std::move(server));
    return fmt::format("127.0.0.1:{}", servers_.back()->port());
  }

  static http::Response Json(std::string body) { return {200, "application/json", std::move(body), {}}; }

  http::Response AnswerOfBackend(const http::Request& request) {
    if (request.path == "/payments") {
      if (++asked_ % refuse_each_ == 0) return {503, "", "", {}};
      ++booked_;
      return {202, "", "", {}};
    }
    if (request.path == "/payments-summary") {
      return Json(fmt::format(R"({{"default":{{"totalRequests":{}}},"fallback":{{"totalRequests":0}}}})", says_));
    }
    return Json("{}");
  }
  http::Response AnswerOf(const std::string& processor, const http::Request& request) {
    if (request.Field("x-rinha-token") != "123") return {401, "", "", {}};
    if (request.path == "/admin/payments-summary") {
      const int64_t payments = processor == "fallback" ? 0 : request.query.empty() ? booked_.load() : kInWindow;
      return Json(fmt::format(R"({{"totalRequests":{},"totalAmount":{}.5,"totalFee":0,"feePerTransaction":0.07}})",
                              payments, payments));
    }
    std::lock_guard lock(mutex_);
    told_[processor].push_back(fmt::format("{} {}", request.path.substr(request.path.rfind('/') + 1), request.body));
    return {obeys_ ? 200u : 400u, "", "", {}};
  }

  // What the processors say of any window.
  static constexpr int64_t kInWindow = 40;

  const SystemClock clock_;
  const SteadyTimer timer_;
  Metrics metrics_;
  const Logger log_{LogFormat::kText, LogLevel::kError, clock_};
  RaceLoadOptions options_;
  std::atomic<int64_t> asked_ = 0, booked_ = 0, says_ = kInWindow;
  int64_t refuse_each_ = 1'000'000;
  bool obeys_ = true;
  std::mutex mutex_;
  std::map<std::string, std::vector<std::string>> told_;
  std::vector<std::unique_ptr<http::Server>> servers_;
};

TEST_F(RaceLoadTest, CountsWhatWasTakenAndWhatTheProcessorsSayAtTheEnd) {
  bool begun = false;
  options_.begun = [&] { begun = true; };
  const auto result = RunRaceLoad(options_, timer_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(begun);
  EXPECT_GE(result->taken, 19) << "each client but the last pays at least once";
  EXPECT_EQ(result->taken, booked_);
  EXPECT_THAT(result->not_taken, IsEmpty());
  EXPECT_EQ(result->by_default.payments, booked_);
  EXPECT_DOUBLE_EQ(result->by_default.amount, static_cast<double>(booked_) + 0.5);
  EXPECT_DOUBLE_EQ(result->by_default.fee_rate, 0.07);
  EXPECT_EQ(result->by_fallback.payments, 0);
  EXPECT_GT(result->checks, 0);
  EXPECT_EQ(result->checks_unanswered, 0);
  EXPECT_EQ(result->inconsistencies, 0);
}

TEST_F(RaceLoadTest, TellsTheProcessorsTheirStagesInTheirOrder) {
  ASSERT_TRUE(RunRaceLoad(options_, timer_).ok());
  for (const char* processor : {"default", "fallback"}) {
    std::vector<std::string> expected = {"purge-payments ", R"(delay {"delay":0})", R"(failure {"failure":false})"};
    for (const RaceStage& stage : options_.shape.stages) {
      const ProcessorFare& fare = processor == std::string("default") ? stage.by_default : stage.by_fallback;
      expected.push_back(fmt::format(R"(delay {{"delay":{}}})", fare.delay_ms));
      expected.push_back(fmt::format(R"(failure {{"failure":{}}})", fare.failing));
    }
    EXPECT_EQ(told_[processor], expected);
  }
}

TEST_F(RaceLoadTest, ABackendThatSaysOtherwiseIsInconsistentAtEachCheck) {
  says_ = kInWindow - 2;
  const auto result = RunRaceLoad(options_, timer_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->checks, 0);
  EXPECT_EQ(result->inconsistencies, 2 * result->checks);
}

TEST_F(RaceLoadTest, WhatIsRefusedIsNotTakenAndItsTimeDoesNotCount) {
  refuse_each_ = 2;
  const auto result = RunRaceLoad(options_, timer_);
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->not_taken.size(), 1u);
  EXPECT_EQ(result->not_taken.begin()->first, 503);
  EXPECT_EQ(result->not_taken.begin()->second, asked_ / 2);
  EXPECT_EQ(result->taken, booked_);
  // Besides the payments: three summaries a check, six calls to set up and one of the backend's, four a stage, and the
  // two sums at the end.
  EXPECT_EQ(static_cast<int64_t>(result->took_ms.size()), booked_ + 3 * result->checks + 7 + 4 * 10 + 2);
}

TEST_F(RaceLoadTest, AProcessorThatDoesNotDoAsToldEndsIt) {
  obeys_ = false;
  const auto result = RunRaceLoad(options_, timer_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(result.status().message(), HasSubstr("POST /admin/purge-payments by 400"));
}

}  // namespace
}  // namespace waybill::bench
