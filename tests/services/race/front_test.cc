// The race contract over real connections, with waybill-order played: what is answered, and what is asked again.
#include "services/race/front.h"

#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "edge/http/channel.h"
#include "edge/http/server.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/random.h"
#include "tests/support/eventually.h"

namespace waybill::race {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr char kId[] = "4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3";
constexpr char kPayment[] = R"({"correlationId":"4a7901b8-7d26-4d9d-aa19-4dc1c7cf60b3","amount":19.90})";

class FakePayments final : public Payments {
 public:
  void Take(const Uuid& id, int64_t amount_minor, SteadyTime, absl::AnyInvocable<void(absl::Status)> done) override {
    absl::Status said;
    {
      std::lock_guard lock(mutex_);
      asked_.push_back(id.ToString() + " " + std::to_string(amount_minor));
      if (hold_) {
        held_.push_back(std::move(done));
        return;
      }
      said = Next();
    }
    done(said);
  }
  void Summarize(absl::Time from, absl::Time to, SteadyTime,
                 absl::AnyInvocable<void(absl::StatusOr<std::vector<Total>>)> done) override {
    absl::Status said;
    {
      std::lock_guard lock(mutex_);
      from_ = from;
      to_ = to;
      said = Next();
    }
    if (said.ok()) {
      done(totals);
    } else {
      done(said);
    }
  }

  // What the next calls meet; then all are OK.
  void WillMeet(std::deque<absl::Status> fates) {
    std::lock_guard lock(mutex_);
    fates_ = std::move(fates);
  }
  void Hold() {
    std::lock_guard lock(mutex_);
    hold_ = true;
  }
  void Release(const absl::Status& status) {
    std::vector<absl::AnyInvocable<void(absl::Status)>> held;
    {
      std::lock_guard lock(mutex_);
      hold_ = false;
      held.swap(held_);
    }
    for (auto& done : held) done(status);
  }
  std::vector<std::string> asked() const {
    std::lock_guard lock(mutex_);
    return asked_;
  }
  std::pair<absl::Time, absl::Time> time() const {
    std::lock_guard lock(mutex_);
    return {from_, to_};
  }

  std::vector<Total> totals;  // set before use

 private:
  absl::Status Next() {
    if (fates_.empty()) return absl::OkStatus();
    absl::Status next = std::move(fates_.front());
    fates_.pop_front();
    return next;
  }

  mutable std::mutex mutex_;
  std::deque<absl::Status> fates_;
  bool hold_ = false;
  std::vector<absl::AnyInvocable<void(absl::Status)>> held_;
  std::vector<std::string> asked_;
  absl::Time from_, to_;
};

class FrontTest : public ::testing::Test {
 protected:
  FrontTest() { Serve({.timeout = absl::Seconds(20), .pause = absl::Milliseconds(1)}); }
  ~FrontTest() override {
    channel_->Stop();
    payments_.Release(absl::CancelledError(""));
    front_->Drain(clock_.Steady());
    scheduler_->Stop();
    server_.reset();
  }

  void Serve(FrontOptions options) {
    server_.reset();
    scheduler_ = std::make_unique<ThreadScheduler>(clock_);
    front_ = std::make_unique<Front>(payments_, *scheduler_, clock_, random_, metrics_, std::move(options));
    auto server = http::Server::Start({}, metrics_, log_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    front_->ServeOn(*server_);
    http::ChannelOptions channel;
    channel.host = "127.0.0.1";
    channel.port = server_->port();
    channel_ = std::make_unique<http::Channel>(channel);
  }
  http::ClientAnswer Call(std::string method, std::string target, std::string body = "") {
    std::promise<http::Channel::Result> promise;
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.body = std::move(body);
    channel_->Call(std::move(request), absl::Seconds(30),
                   [&](http::Channel::Result result) { promise.set_value(std::move(result)); });
    http::Channel::Result result = promise.get_future().get();
    EXPECT_TRUE(result.answer.ok()) << result.answer.status();
    return result.answer.ok() ? *std::move(result.answer) : http::ClientAnswer();
  }
  http::ClientAnswer Pay(const std::string& body = kPayment) { return Call("POST", "/payments", body); }
  std::vector<std::string> FieldsOf(const http::ClientAnswer& answer) {
    std::vector<std::string> names;
    const Json json = Json::parse(answer.body, nullptr, false);
    if (!json.is_object() || !json.contains("fields")) return names;
    for (const Json& field : json["fields"]) names.push_back(field["field"]);
    return names;
  }
  std::string ReasonIn(const http::ClientAnswer& answer) {
    const Json json = Json::parse(answer.body, nullptr, false);
    return json.is_object() ? json.value("reason", "") : "";
  }

  SystemClock clock_;
  SeededRandom random_{1};
  Metrics metrics_;
  Logger log_{LogFormat::kJson, LogLevel::kError, clock_};
  FakePayments payments_;
  std::unique_ptr<ThreadScheduler> scheduler_;
  std::unique_ptr<Front> front_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Channel> channel_;
};

TEST_F(FrontTest, APaymentIsTakenInMinorUnits) {
  EXPECT_EQ(Pay().status, 202);
  EXPECT_THAT(payments_.asked(), ElementsAre(std::string(kId) + " 1990"));
}

TEST_F(FrontTest, WhatIsWrongIsNamedAndNotAsked) {
  EXPECT_THAT(FieldsOf(Pay("[]")), ElementsAre("body"));
  EXPECT_THAT(FieldsOf(Pay("no json")), ElementsAre("body"));
  EXPECT_THAT(FieldsOf(Pay(R"({"correlationId":"1","amount":0})")), ElementsAre("correlationId", "amount"));
  for (const char* amount : {"-1", "19.905", "1e2", "9999999999999999999"}) {
    const http::ClientAnswer answer = Pay(R"({"correlationId":")" + std::string(kId) + R"(","amount":)" + amount + "}");
    EXPECT_EQ(answer.status, 400) << amount;
    EXPECT_THAT(FieldsOf(answer), ElementsAre("amount")) << amount;
  }
  EXPECT_THAT(payments_.asked(), IsEmpty());
  EXPECT_EQ(Call("GET", "/payments").status, 405);
  EXPECT_EQ(Call("GET", "/payments-summary?from=yesterday&to=now").status, 400);
  EXPECT_THAT(FieldsOf(Call("GET", "/payments-summary?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z")),
              ElementsAre("to"));
}

TEST_F(FrontTest, AsksAgainUnderTheSameIdWhileThatCanHelp) {
  payments_.WillMeet({absl::UnavailableError("gone"), absl::DeadlineExceededError("slow"),
                      domain::QueueFull("full", absl::Milliseconds(1)), absl::AbortedError("taken over")});
  EXPECT_EQ(Pay().status, 202);
  EXPECT_EQ(payments_.asked(), std::vector<std::string>(5, std::string(kId) + " 1990"));
  payments_.WillMeet({domain::ReasonError("PAYMENT_ID_REUSED", "another amount")});
  const http::ClientAnswer refused = Pay();
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(ReasonIn(refused), "PAYMENT_ID_REUSED");
  EXPECT_EQ(payments_.asked().size(), 6u) << "that cannot help";
}

TEST_F(FrontTest, SaysSoWhenItsTimeIsOver) {
  Serve({.timeout = absl::Milliseconds(50), .pause = absl::Milliseconds(1)});
  payments_.WillMeet(std::deque<absl::Status>(10'000, absl::UnavailableError("gone")));
  const http::ClientAnswer away = Pay();
  EXPECT_EQ(away.status, 503);
  EXPECT_EQ(ReasonIn(away), "UNAVAILABLE");
  payments_.WillMeet(std::deque<absl::Status>(10'000, domain::QueueFull("full", absl::Seconds(2))));
  EXPECT_EQ(Pay().status, 429);
}

TEST_F(FrontTest, NobodyIsAskedForAClientThatHasGone) {
  payments_.Hold();
  http::ClientRequest request;
  request.method = "POST";
  request.target = "/payments";
  request.body = kPayment;
  channel_->Call(std::move(request), absl::Seconds(30), [](http::Channel::Result) {});
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(10), [&] { return payments_.asked().size() == 1; }));
  channel_->Stop();  // and its connections
  const auto connections = [&] { return metrics_.ToText().find("waybill_http_connections 0") != std::string::npos; };
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(10), connections));
  payments_.Release(absl::UnavailableError("gone"));
  front_->Drain(clock_.Steady() + absl::Seconds(10));
  EXPECT_EQ(payments_.asked().size(), 1u);
}

TEST_F(FrontTest, WhatWaitsToBeAskedAgainIsAnsweredAtTheStop) {
  Serve({.timeout = absl::Hours(2), .pause = absl::Hours(1), .pause_max = absl::Hours(1)});
  payments_.WillMeet({absl::UnavailableError("gone")});
  std::promise<http::Channel::Result> promise;
  http::ClientRequest request;
  request.target = "/payments";
  request.body = kPayment;
  channel_->Call(std::move(request), absl::Seconds(30),
                 [&](http::Channel::Result result) { promise.set_value(std::move(result)); });
  const auto waits = [&] { return metrics_.ToText().find("waybill_race_repeated_total 1") != std::string::npos; };
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(10), waits));
  front_->Drain(clock_.Steady() + absl::Seconds(10));
  const http::Channel::Result result = promise.get_future().get();
  ASSERT_TRUE(result.answer.ok()) << result.answer.status();
  EXPECT_EQ(result.answer->status, 503);
  EXPECT_EQ(payments_.asked().size(), 1u);
}

TEST_F(FrontTest, TheSummaryIsOfTheTwoGatewaysAndItsBoundsAreInIt) {
  payments_.totals = {
      {"default", "BRL", 3, 5970}, {"default", "EUR", 1, 1}, {"fallback", "BRL", 1, 5}, {"another", "BRL", 7, 7}};
  const http::ClientAnswer all = Call("GET", "/payments-summary");
  EXPECT_EQ(all.status, 200);
  EXPECT_EQ(all.body,
            R"({"default":{"totalRequests":3,"totalAmount":59.70},"fallback":{"totalRequests":1,"totalAmount":0.05}})");
  EXPECT_EQ(payments_.time(), std::pair(absl::InfinitePast(), absl::InfiniteFuture()));
  payments_.WillMeet({absl::UnavailableError("gone")});
  ASSERT_EQ(Call("GET", "/payments-summary?from=2026-07-10T12:34:56.000Z&to=2026-07-10T12:35:56").status, 200);
  const absl::Time from = absl::FromUnixSeconds(1'783'686'896);
  EXPECT_EQ(payments_.time(), std::pair(from, from + absl::Minutes(1) + absl::Microseconds(1)));
  payments_.totals.clear();
  EXPECT_EQ(Call("GET", "/payments-summary").body,
            R"({"default":{"totalRequests":0,"totalAmount":0.00},"fallback":{"totalRequests":0,"totalAmount":0.00}})");
}

TEST_F(FrontTest, APurgeIsRefusedUnlessItIsAllowed) {
  EXPECT_EQ(Call("POST", "/purge-payments").status, 403);
  Serve({.purge_allowed = true});
  EXPECT_EQ(Call("POST", "/purge-payments").status, 200);
}

}  // namespace
}  // namespace waybill::race
