// The adapter of the processors' contract against each answer that a processor can give, over real connections.
#include "services/order/processor_gateway.h"

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/order.h"
#include "edge/http/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "payments/processor/contract.h"
#include "runtime/status.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kOrderId[] = "0190a0b0-0000-7000-8000-000000000001";

class ProcessorGatewayTest : public ::testing::Test {
 protected:
  ProcessorGatewayTest() {
    order_.amount_minor = 1250;
    order_.currency = "EUR";
    auto server = http::Server::Start({}, metrics_, log_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    server_->Serve("/payments", {"pay", {"POST"}}, [this](http::ExchangePtr exchange) {
      Note(*exchange);
      std::lock_guard lock(mutex_);
      if (pay_.code == 0) return held_.push_back(std::move(exchange));
      exchange->Answer(pay_);
    });
    server_->Serve("/payments/", {"show", {"GET"}}, [this](http::ExchangePtr exchange) {
      Note(*exchange);  // and its health
      std::lock_guard lock(mutex_);
      exchange->Answer(show_);
    });
    Connect(server_->port());
  }
  ~ProcessorGatewayTest() override {
    channel_->Stop();
    std::lock_guard lock(mutex_);
    held_.clear();
  }

  void Connect(int port, size_t connections_max = 4, size_t calls_max = 100) {
    http::ChannelOptions options;
    options.host = "127.0.0.1";
    options.port = port;
    options.connections_max = connections_max;
    options.calls_max = calls_max;
    gateway_.reset();
    channel_ = std::make_unique<http::Channel>(options);
    gateway_ = std::make_unique<ProcessorGateway>("north", *channel_, clock_);
  }
  void Note(const http::Exchange& exchange) {
    std::lock_guard lock(mutex_);
    const http::Request& request = exchange.request();
    asked_.push_back(fmt::format("{} {} {}", request.method, request.path, request.body));
    peers_.push_back(request.peer);
  }
  ParticipantCall Call(absl::Duration timeout = absl::Seconds(20)) {
    return {domain::PaymentKey(kOrderId, 1), kOrderId, clock_.Steady() + timeout, "", ""};
  }
  absl::StatusOr<ChargeResult> Charge(absl::Duration timeout = absl::Seconds(20)) {
    std::promise<absl::StatusOr<ChargeResult>> result;
    const ParticipantCall call = Call(timeout);
    gateway_->Charge(call, order_, [&](absl::StatusOr<ChargeResult> said) { result.set_value(std::move(said)); });
    return result.get_future().get();
  }
  absl::Status Refund() {
    std::promise<absl::Status> result;
    const ParticipantCall call = Call();
    gateway_->Refund(call, order_, [&](absl::StatusOr<RefundResult> said) { result.set_value(said.status()); });
    return result.get_future().get();
  }
  HealthAnswer Health() {
    std::promise<HealthAnswer> result;
    gateway_->Health(absl::Seconds(20), [&](HealthAnswer said) { result.set_value(said); });
    return result.get_future().get();
  }
  static bool NotSent(const absl::Status& status) { return GetErrorDetail(status).reason == kCallNotSent; }
  static std::string Id() { return payments::ProcessorPaymentId(domain::PaymentKey(kOrderId, 1)).ToString(); }
  static http::Response Answer(unsigned code, std::string body = "{}") {
    return {code, "application/json", std::move(body), {}};
  }
  http::Response Shows(const std::string& amount) {
    return Answer(200, fmt::format(R"({{"correlationId":"{}","amount":{},"requestedAt":"2026-01-01T00:00:00.000Z"}})",
                                   Id(), amount));
  }

  SystemClock clock_;
  Metrics metrics_;
  Logger log_{LogFormat::kJson, LogLevel::kError, clock_};
  domain::Order order_;
  std::mutex mutex_;
  http::Response pay_ = Answer(200), show_ = Answer(404);  // pay_.code 0: never answered
  std::vector<std::string> asked_, peers_;
  std::vector<http::ExchangePtr> held_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Channel> channel_;
  std::unique_ptr<ProcessorGateway> gateway_;
};

TEST_F(ProcessorGatewayTest, A200IsApprovedUnderTheIdThatFollowsFromTheKey) {
  const absl::StatusOr<ChargeResult> result = Charge();
  ASSERT_TRUE(result.ok() && result->approved()) << result.status();
  EXPECT_EQ(result->approved()->reference, Id());
  ASSERT_TRUE(result->approved()->at.has_value());
  EXPECT_THAT(asked_, ElementsAre(fmt::format(
                          R"(POST /payments {{"correlationId":"{}","amount":12.50,"requestedAt":"{}"}})", Id(),
                          absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", *result->approved()->at, absl::UTCTimeZone()))));
  EXPECT_LT(clock_.Now() - *result->approved()->at, absl::Minutes(1)) << "of this call";
}

TEST_F(ProcessorGatewayTest, EveryCallIsOfTheSamePayment) {
  ASSERT_TRUE(Charge().ok());
  ASSERT_TRUE(Charge().ok());
  const auto without_time = [](const std::string& asked) { return asked.substr(0, asked.find("requestedAt")); };
  EXPECT_EQ(without_time(asked_[0]), without_time(asked_[1]));
  EXPECT_EQ(peers_[0], peers_[1]) << "over a connection that is kept";
}

TEST_F(ProcessorGatewayTest, A422IsApprovedOnlyIfTheProcessorShowsThePayment) {
  pay_ = Answer(422);
  show_ = Shows("12.5");
  absl::StatusOr<ChargeResult> result = Charge();
  ASSERT_TRUE(result.ok() && result->approved()) << result.status();
  EXPECT_EQ(result->approved()->reference, Id());
  EXPECT_EQ(result->approved()->at, absl::FromUnixSeconds(1'767'225'600)) << "the call's that booked it";
  EXPECT_EQ(asked_.back(), "GET /payments/" + Id() + " ");
  for (const char* time : {"2026-01-01T00:00:00", "2026-01-01T01:00:00.000+01:00"}) {
    show_ = Answer(200, fmt::format(R"({{"correlationId":"{}","amount":12.50,"requestedAt":"{}"}})", Id(), time));
    EXPECT_EQ(Charge()->approved()->at, absl::FromUnixSeconds(1'767'225'600)) << time;
  }
  for (const char* none : {"", "yesterday", "infinite-future", "2999-01-01T00:00:00Z"}) {
    show_ = Answer(200, fmt::format(R"({{"correlationId":"{}","amount":12.50,"requestedAt":"{}"}})", Id(), none));
    result = Charge();
    ASSERT_TRUE(result.ok() && result->approved()) << none;
    EXPECT_EQ(result->approved()->at, std::nullopt) << none;
  }
}

TEST_F(ProcessorGatewayTest, A422WithAnotherAmountOrNoPaymentIsNeverTakenForMoney) {
  pay_ = Answer(422);
  for (const http::Response& shown : {Shows("12.51"), Shows("1250"), Shows("1.25e1"), Answer(404), Answer(500),
                                      Answer(200, "[]"), Answer(200, R"({"amount":12.50})")}) {
    show_ = shown;
    const absl::StatusOr<ChargeResult> result = Charge();
    EXPECT_FALSE(result.ok()) << shown.code << " " << shown.body;
    EXPECT_FALSE(NotSent(result.status())) << shown.code << " " << shown.body;
  }
}

TEST_F(ProcessorGatewayTest, EveryOtherAnswerIsUnknown) {
  for (const unsigned code : {500u, 429u, 503u, 400u, 404u, 302u}) {
    pay_ = Answer(code);
    const absl::StatusOr<ChargeResult> result = Charge();
    EXPECT_FALSE(result.ok()) << code;
    EXPECT_FALSE(NotSent(result.status())) << code;
    EXPECT_THAT(result.status().message(), HasSubstr(fmt::format("{}", code)));
  }
}

TEST_F(ProcessorGatewayTest, NoAnswerIsUnknown) {
  pay_ = Answer(0);
  const absl::StatusOr<ChargeResult> result = Charge(absl::Milliseconds(200));
  EXPECT_TRUE(absl::IsDeadlineExceeded(result.status())) << result.status();
  EXPECT_FALSE(NotSent(result.status()));
}

TEST_F(ProcessorGatewayTest, OnlyWhatNeverHadAConnectionWasNotSent) {
  channel_->Stop();
  server_.reset();  // nobody listens there any more
  int port = 0;
  {
    auto gone = http::Server::Start({}, metrics_, log_);
    ASSERT_TRUE(gone.ok());
    port = (*gone)->port();
  }
  Connect(port);
  EXPECT_TRUE(NotSent(Charge().status()));
}

TEST_F(ProcessorGatewayTest, WhatWaitedForAConnectionTillItsDeadlineWasNotSentAndTooManyAreNot) {
  channel_->Stop();
  Connect(server_->port(), /*connections_max=*/1, /*calls_max=*/2);
  pay_ = Answer(0);
  std::promise<absl::Status> first, second;
  const ParticipantCall call = Call(absl::Seconds(1)), shorter = Call(absl::Milliseconds(300));
  gateway_->Charge(call, order_, [&](auto said) { first.set_value(said.status()); });
  gateway_->Charge(shorter, order_, [&](auto said) { second.set_value(said.status()); });
  const absl::Status third = Charge().status();
  EXPECT_TRUE(absl::IsResourceExhausted(third)) << third;
  EXPECT_TRUE(NotSent(third));
  EXPECT_TRUE(NotSent(second.get_future().get()));
  EXPECT_FALSE(NotSent(first.get_future().get()));
}

TEST_F(ProcessorGatewayTest, AConnectionThatTheProcessorClosedIsNotUsedAgain) {
  pay_.fields = {{"connection", "close"}};
  ASSERT_TRUE(Charge().ok());
  ASSERT_TRUE(Charge().ok());
}

TEST_F(ProcessorGatewayTest, MoneyThatIsThereHasToBeGivenBackByHand) {
  show_ = Shows("12.50");
  const absl::Status there = Refund();
  EXPECT_EQ(GetErrorDetail(there).reason, kCannotRefund);
  EXPECT_THAT(there.message(), HasSubstr("gateway north cannot refund"));
  EXPECT_THAT(there.message(), HasSubstr("give it back by hand, then resolve"));
  show_ = Answer(404);
  EXPECT_THAT(Refund().message(), HasSubstr("may still come to know it")) << "a call may still be executing there";
  EXPECT_FALSE(gateway_->can_refund());
  for (const std::string& asked : asked_) EXPECT_THAT(asked, HasSubstr("GET /payments/"));
}

TEST_F(ProcessorGatewayTest, AStopEndsWhatIsUnderWay) {
  pay_ = Answer(0);
  std::promise<absl::Status> result;
  const ParticipantCall call = Call();
  gateway_->Charge(call, order_, [&](auto said) { result.set_value(said.status()); });
  channel_->Stop();
  EXPECT_FALSE(result.get_future().get().ok());
  EXPECT_TRUE(NotSent(Charge().status()));
}

TEST(ProcessorContract, AmountsAreExact) {
  EXPECT_EQ(payments::DecimalAmount(1250, 2), "12.50");
  EXPECT_EQ(payments::DecimalAmount(5, 2), "0.05");
  EXPECT_EQ(payments::DecimalAmount(5, 0), "5");
  EXPECT_EQ(payments::DecimalAmount(1, 3), "0.001");
  EXPECT_EQ(payments::DecimalAmount(900'719'925'474'099'301, 2), "9007199254740993.01");
  const auto read = payments::ParseProcessorPayment(
      R"({"correlationId":"a","amount":9007199254740993.01,"x":{"amount":1,"correlationId":"b"}})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->amount, "9007199254740993.01");
  EXPECT_EQ(read->id, "a");
  EXPECT_FALSE(payments::ParseProcessorPayment("[]"));
  EXPECT_FALSE(payments::ParseProcessorPayment(R"({"correlationId":"a","amount":"12.50"})"));
  EXPECT_FALSE(payments::ParseProcessorPayment(std::string(100'000, '[')));
}

// uuid.uuid5(uuid.NAMESPACE_URL, "waybill:key")
TEST(ProcessorContract, TheIdIsAUuidOfVersionFive) {
  EXPECT_EQ(payments::ProcessorPaymentId("key").ToString(), "a5128475-ab2c-5176-9b67-0afcf3d635df");
}

TEST_F(ProcessorGatewayTest, TellsHowItFaresAsTheContractSays) {
  using storage::ProbeOutcome;
  struct Case {
    http::Response shows;
    ProbeOutcome outcome;
    std::optional<absl::Duration> min_response;
    absl::Duration retry_after;
  };
  http::Response limited = Answer(429), when = Answer(429);
  limited.fields = {{"Retry-After", "5"}};
  when.fields = {{"Retry-After", "Wed, 21 Oct 2026 07:28:00 GMT"}};
  const std::vector<Case> cases = {
      {Answer(200, R"({"failing":false,"minResponseTime":120})"), ProbeOutcome::kHealthy, absl::Milliseconds(120), {}},
      {Answer(200, R"({"failing":true,"minResponseTime":0})"), ProbeOutcome::kFailing, absl::ZeroDuration(), {}},
      {Answer(200, R"({"failing":"no"})"), ProbeOutcome::kNoAnswer, {}, {}},
      {Answer(200, ""), ProbeOutcome::kNoAnswer, {}, {}},
      {Answer(204, ""), ProbeOutcome::kNoAnswer, {}, {}},
      {Answer(500), ProbeOutcome::kNoAnswer, {}, {}},
      {Answer(503, R"({"failing":false,"minResponseTime":1})"), ProbeOutcome::kNoAnswer, {}, {}},
      {limited, ProbeOutcome::kLimited, {}, absl::Seconds(5)},
      {when, ProbeOutcome::kLimited, {}, {}},
      {Answer(404), ProbeOutcome::kNotServed, {}, {}},
      {Answer(405), ProbeOutcome::kNotServed, {}, {}},
  };
  for (const Case& one : cases) {
    show_ = one.shows;
    const HealthAnswer said = Health();
    EXPECT_EQ(said.answer.outcome, one.outcome) << one.shows.code << " " << one.shows.body;
    EXPECT_EQ(said.answer.min_response, one.min_response) << one.shows.code << " " << one.shows.body;
    EXPECT_EQ(said.retry_after, one.retry_after) << one.shows.code << " " << one.shows.body;
  }
  EXPECT_EQ(asked_.back(), "GET /payments/service-health ");
  server_.reset();
  EXPECT_EQ(Health().answer.outcome, ProbeOutcome::kNoAnswer);
}

}  // namespace
}  // namespace waybill::order
