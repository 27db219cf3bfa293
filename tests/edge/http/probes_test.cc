#include "edge/http/probes.h"

#include <algorithm>
#include <latch>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/edge/http/http_client.h"

namespace waybill::http {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kRequired = Readiness::Severity::kRequired;
constexpr auto kDegraded = Readiness::Severity::kDegraded;

class ProbesTest : public ::testing::Test {
 protected:
  void Start() {
    auto started = Server::Start({}, server_metrics_, log_);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    server_ = *std::move(started);
    AddProbes(*server_, metrics_, readiness_);
  }

  // So that every check has run.
  void AwaitChecked() {
    auto unchecked = [](const auto& check) { return check.status.message() == "not checked yet"; };
    for (auto report = readiness_.Get(); std::any_of(report.checks.begin(), report.checks.end(), unchecked);
         report = readiness_.Get()) {
      std::this_thread::yield();
    }
  }

  // The whole response, headers included.
  std::string Request(const std::string& method, const std::string& target, const std::string& headers = "") {
    RawClient client(server_->port());
    client.Send(fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\r\n", method, target, headers));
    return client.ReadAll();
  }
  std::string Get(const std::string& target, const std::string& headers = "") {
    return Request("GET", target, headers);
  }
  static std::string Body(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

  testing::ManualTime time_;
  std::latch let_go_{1};  // outlives the check that waits for it
  std::ostringstream out_;
  Logger log_{LogFormat::kJson, LogLevel::kDebug, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_)};
  Metrics metrics_;
  Readiness readiness_{time_, absl::Milliseconds(1)};
  Metrics server_metrics_;
  std::unique_ptr<Server> server_;
};

TEST_F(ProbesTest, LivezAnswersWithoutAskingAnyCheck) {
  readiness_.Add("postgres", kRequired, absl::Minutes(5), [&] {
    let_go_.wait();
    return absl::OkStatus();
  });
  Start();
  EXPECT_GT(server_->port(), 0);
  std::string response = Get("/livez");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(Body(response), "alive\n");
  let_go_.count_down();
}

TEST_F(ProbesTest, ReadyzIs200WhenEverythingIsUp) {
  readiness_.Add("postgres", kRequired, absl::Minutes(5), [] { return absl::OkStatus(); });
  AwaitChecked();
  Start();
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(Body(Get("/readyz?verbose")), "[+] postgres ok\nready\n");
}

TEST_F(ProbesTest, ReadyzIs503AndNamesWhatIsDown) {
  readiness_.Add("postgres", kRequired, absl::Minutes(5), [] { return absl::OkStatus(); });
  readiness_.Add("redis", kRequired, absl::Minutes(5), [] { return absl::UnavailableError("connection\nrefused"); });
  AwaitChecked();
  Start();
  std::string response = Get("/readyz");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
  EXPECT_EQ(Body(response), "not ready: redis UNAVAILABLE: connection refused\n");
  std::string all = "[+] postgres ok\n[-] redis UNAVAILABLE: connection refused\nnot ready\n";
  EXPECT_EQ(Body(Get("/readyz?verbose")), all);
  EXPECT_EQ(Body(Get("/readyz?a=b&verbose=1")), all);
  EXPECT_EQ(Body(Get("/readyz?verboser")), Body(response));
}

TEST_F(ProbesTest, ReadyzIs200AndNamesWhatIsDownWhenTheRestIsServed) {
  readiness_.Add("postgres", kRequired, absl::Minutes(5), [] { return absl::OkStatus(); });
  readiness_.Add("redis", kDegraded, absl::Minutes(5), [] { return absl::UnavailableError("gone"); });
  AwaitChecked();
  Start();
  std::string response = Get("/readyz");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(Body(response), "degraded: redis UNAVAILABLE: gone\n");
  EXPECT_EQ(Body(Get("/readyz?verbose")), "[+] postgres ok\n[!] redis UNAVAILABLE: gone\ndegraded\n");
}

TEST_F(ProbesTest, ReadyzSaysDraining) {
  Start();
  readiness_.SetDraining();
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(Body(Get("/readyz?verbose")), "not ready: draining\n");
}

TEST_F(ProbesTest, ReadyzTimesOutACheckThatHangs) {
  readiness_.Add("postgres", kRequired, absl::Seconds(2), [&] {
    let_go_.wait();
    return absl::OkStatus();
  });
  Start();
  EXPECT_EQ(Body(Get("/readyz")), "not ready: postgres UNAVAILABLE: not checked yet\n") << "and nobody waits";
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(Body(Get("/readyz")), "not ready: postgres DEADLINE_EXCEEDED: timed out after 2s\n");
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
  let_go_.count_down();
}

TEST_F(ProbesTest, MetricsAreTextUnlessJsonIsAskedFor) {
  metrics_.AddCounter("waybill_a_total", "a").Increment();
  Start();
  std::string text = Get("/metrics");
  EXPECT_THAT(text, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(text, EndsWith("waybill_a_total 1\n"));
  std::string json = Get("/metrics", "Accept: application/json\r\n");
  EXPECT_THAT(json, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_EQ(nlohmann::json::parse(Body(json))["waybill_a_total"]["samples"][0]["value"], 1);
}

TEST_F(ProbesTest, LargeMetricsArriveWhole) {
  for (int i = 0; i < 5000; ++i) metrics_.AddCounter("waybill_a_total", "a", {{"n", std::to_string(i)}}).Increment();
  Start();
  EXPECT_EQ(Body(Get("/metrics")), metrics_.ToText());
}

}  // namespace
}  // namespace waybill::http
