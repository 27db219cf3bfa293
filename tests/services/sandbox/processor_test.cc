#include "services/sandbox/processor.h"

#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "edge/http/client.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/testing/manual_time.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_directory.h"

namespace waybill::sandbox {
namespace {

using testing::Eventually;
using ::testing::HasSubstr;
using testing::ManualTime;

constexpr absl::Duration kPatience = absl::Seconds(20);

class ProcessorTest : public ::testing::Test {
 protected:
  void Open(ProcessorOptions options = {}) {
    options.name = "east";
    options.listen = "127.0.0.1:0";
    options.log = directory_.path() / "books";
    auto opened = Processor::Open(options, time_, time_, random_, metrics_, ThreadLoops(), log_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    processor_ = *std::move(opened);
  }

  http::ClientAnswer Ask(const std::string& method, const std::string& target, const std::string& body = "",
                         const std::string& token = "123") const {
    auto answer = http::CallAndWait({"127.0.0.1", processor_->port(), target, {{"x-rinha-token", token}}, body, method},
                                    nullptr, 10'000, kPatience);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : http::ClientAnswer();
  }
  void Configure(const std::string& what, const std::string& value) const {
    EXPECT_EQ(Ask("PUT", "/admin/configurations/" + what, fmt::format(R"({{"{}":{}}})", what, value)).status, 200u);
  }
  std::future<http::ClientAnswer> Pay(int number) const {
    const std::string body = fmt::format(
        R"({{"correlationId":"4a7901b8-7d26-4d9d-aa19-{:012}","amount":20.05,"requestedAt":"2027-01-15T08:00:00.000Z"}})",
        number);
    return std::async(std::launch::async, [this, body] { return Ask("POST", "/payments", body); });
  }
  static bool Answered(const std::future<http::ClientAnswer>& answer) {
    return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  // A payment's delay has begun.
  bool AwaitDelayed() const {
    return Eventually(kPatience, [&] { return time_.pending() > 0; });
  }
  std::string Summary() const { return Ask("GET", "/admin/payments-summary").body; }

  testing::TempDirectory directory_;
  ManualTime time_;
  SeededRandom random_{1};
  Metrics metrics_;
  const Logger log_{LogFormat::kText, LogLevel::kError, time_};
  std::unique_ptr<Processor> processor_;
};

TEST_F(ProcessorTest, WhetherItFailsShowsWhenTheDelayIsOver) {
  Open();
  Configure("delay", "5000");
  auto healthy_at_first = Pay(1);
  ASSERT_TRUE(AwaitDelayed());
  Configure("failure", "true");
  time_.Advance(absl::Milliseconds(4999));
  EXPECT_FALSE(Answered(healthy_at_first));
  time_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(healthy_at_first.get().status, 500u);
  EXPECT_THAT(Summary(), HasSubstr(R"("totalRequests":0)"));

  auto failing_at_first = Pay(1);
  ASSERT_TRUE(AwaitDelayed());
  Configure("failure", "false");
  time_.Advance(absl::Seconds(5));
  EXPECT_EQ(failing_at_first.get().status, 200u);
  EXPECT_THAT(Summary(), HasSubstr(R"("totalRequests":1)"));
}

TEST_F(ProcessorTest, WhatExceedsItsPlacesWaitsForOneAndWhatExceedsTheLineIsRefused) {
  ProcessorOptions options;
  options.under_way_max = 1;
  options.waiting_max = 1;
  Open(options);
  Configure("delay", "1000");
  auto first = Pay(1);
  ASSERT_TRUE(AwaitDelayed());
  auto one = Pay(2), other = Pay(3);
  ASSERT_TRUE(Eventually(kPatience, [&] { return Answered(one) || Answered(other); }));
  auto& refused = Answered(one) ? one : other;
  auto& waiting = &refused == &one ? other : one;
  const http::ClientAnswer refusal = refused.get();
  EXPECT_EQ(refusal.status, 429u);
  EXPECT_EQ(refusal.retry_after, "5");

  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(first.get().status, 200u);
  EXPECT_FALSE(Answered(waiting)) << "its delay begins when its turn comes";
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(waiting.get().status, 200u);
  EXPECT_EQ(time_.pending(), 0u);
}

TEST_F(ProcessorTest, ANewTokenIsTheOnlyOneFromThenOn) {
  Open();
  EXPECT_EQ(Ask("PUT", "/admin/configurations/token", R"({"token":"other"})").status, 204u);
  EXPECT_EQ(Ask("GET", "/admin/payments-summary").status, 401u);
  EXPECT_EQ(Ask("GET", "/admin/payments-summary", "", "other").status, 200u);
}

}  // namespace
}  // namespace waybill::sandbox
