#include "runtime/side_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <latch>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"

namespace waybill {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr auto kRequired = Readiness::Severity::kRequired;
constexpr auto kDegraded = Readiness::Severity::kDegraded;

class Connection {
 public:
  explicit Connection(int port, int family = AF_INET) : fd_(socket(family, SOCK_STREAM, 0)) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(static_cast<uint16_t>(port));
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = v4.sin_port;
    v6.sin6_addr = in6addr_loopback;
    const int connected = family == AF_INET ? connect(fd_, reinterpret_cast<sockaddr*>(&v4), sizeof v4)
                                            : connect(fd_, reinterpret_cast<sockaddr*>(&v6), sizeof v6);
    EXPECT_EQ(connected, 0);
  }
  ~Connection() { close(fd_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Send(const std::string& text) {
    EXPECT_EQ(send(fd_, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  std::string ReadAll() {
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = recv(fd_, buffer, sizeof buffer, 0)) > 0;) text.append(buffer, static_cast<size_t>(n));
    return text;
  }

 private:
  int fd_;
};

class SidePortTest : public ::testing::Test {
 protected:
  void Start(SidePortOptions options = {}) {
    auto started = SidePort::Start(options, metrics_, readiness_, log_);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    side_port_ = *std::move(started);
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
    Connection connection(side_port_->port());
    connection.Send(fmt::format("{} {} HTTP/1.1\r\nHost: x\r\n{}\r\n", method, target, headers));
    return connection.ReadAll();
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
  std::unique_ptr<SidePort> side_port_;
};

TEST_F(SidePortTest, LivezAnswersWithoutAskingAnyCheck) {
  readiness_.Add("postgres", kRequired, absl::Minutes(5), [&] {
    let_go_.wait();
    return absl::OkStatus();
  });
  Start();
  EXPECT_GT(side_port_->port(), 0);
  std::string response = Get("/livez");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(Body(response), "alive\n");
  let_go_.count_down();
}

TEST_F(SidePortTest, ReadyzIs200WhenEverythingIsUp) {
  readiness_.Add("postgres", kRequired, absl::Minutes(5), [] { return absl::OkStatus(); });
  AwaitChecked();
  Start();
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(Body(Get("/readyz?verbose")), "[+] postgres ok\nready\n");
}

TEST_F(SidePortTest, ReadyzIs503AndNamesWhatIsDown) {
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

TEST_F(SidePortTest, ReadyzIs200AndNamesWhatIsDownWhenTheRestIsServed) {
  readiness_.Add("postgres", kRequired, absl::Minutes(5), [] { return absl::OkStatus(); });
  readiness_.Add("redis", kDegraded, absl::Minutes(5), [] { return absl::UnavailableError("gone"); });
  AwaitChecked();
  Start();
  std::string response = Get("/readyz");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(Body(response), "degraded: redis UNAVAILABLE: gone\n");
  EXPECT_EQ(Body(Get("/readyz?verbose")), "[+] postgres ok\n[!] redis UNAVAILABLE: gone\ndegraded\n");
}

TEST_F(SidePortTest, ReadyzSaysDraining) {
  Start();
  readiness_.SetDraining();
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(Body(Get("/readyz?verbose")), "not ready: draining\n");
}

TEST_F(SidePortTest, ReadyzTimesOutACheckThatHangs) {
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

TEST_F(SidePortTest, MetricsAreTextUnlessJsonIsAskedFor) {
  metrics_.AddCounter("waybill_a_total", "a").Increment();
  Start();
  std::string text = Get("/metrics");
  EXPECT_THAT(text, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
  EXPECT_THAT(text, EndsWith("waybill_a_total 1\n"));
  std::string json = Get("/metrics", "Accept: application/json\r\n");
  EXPECT_THAT(json, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_EQ(nlohmann::json::parse(Body(json))["waybill_a_total"]["samples"][0]["value"], 1);
}

TEST_F(SidePortTest, LargeMetricsArriveWhole) {
  for (int i = 0; i < 5000; ++i) metrics_.AddCounter("waybill_a_total", "a", {{"n", std::to_string(i)}}).Increment();
  Start();
  EXPECT_EQ(Body(Get("/metrics")), metrics_.ToText());
}

TEST_F(SidePortTest, UnknownPathsAre404) {
  Start();
  for (const char* path : {"/", "/livezz", "/livez/x", "/metrics/", "/../etc/passwd", "/etc/passwd"}) {
    EXPECT_THAT(Get(path), StartsWith("HTTP/1.1 404 Not Found\r\n")) << path;
  }
}

TEST_F(SidePortTest, OtherMethodsAre405) {
  Start();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    std::string response = Request(method, "/livez", "Content-Length: 0\r\n");
    EXPECT_THAT(response, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n")) << method;
    EXPECT_THAT(response, HasSubstr("Allow: GET, HEAD\r\n")) << method;
  }
}

TEST_F(SidePortTest, HeadHasTheHeadersAndNoBody) {
  Start();
  std::string response = Request("HEAD", "/livez");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(response, HasSubstr("Content-Length: 6\r\n"));
  EXPECT_EQ(Body(response), "");
}

TEST_F(SidePortTest, HangingClientsDoNotBlockProbes) {
  SidePortOptions options;
  options.connections_max = 4;
  options.request_timeout = absl::Minutes(5);
  Start(options);
  std::vector<std::unique_ptr<Connection>> hanging;
  for (int i = 0; i < 3; ++i) {
    hanging.push_back(std::make_unique<Connection>(side_port_->port()));
    hanging.back()->Send("GET /livez HTTP/1.1\r\nHost");
  }
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
  hanging.clear();
}

TEST_F(SidePortTest, MoreHangingClientsThanConnectionsAreCutOff) {
  SidePortOptions options;
  options.connections_max = 2;
  options.request_timeout = absl::Milliseconds(50);
  Start(options);
  std::vector<std::unique_ptr<Connection>> hanging;
  for (int i = 0; i < 6; ++i) {
    hanging.push_back(std::make_unique<Connection>(side_port_->port()));
    hanging.back()->Send("GET");
  }
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_F(SidePortTest, GarbageIsRefusedAndTheNextRequestServed) {
  Start();
  for (const std::string& garbage : {std::string("\x16\x03\x01 not http\r\n\r\n"), std::string("GET\r\n\r\n"),
                                     std::string(40'000, 'a') + "\r\n\r\n", std::string("\0\0\0\r\n\r\n", 7)}) {
    Connection connection(side_port_->port());
    connection.Send(garbage);
    EXPECT_THAT(connection.ReadAll(), Not(HasSubstr(" 200 ")));
  }
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_F(SidePortTest, AnswersEvenIfTheRequestsBodyIsNotRead) {
  Start();
  std::string response = Request("POST", "/livez", "Content-Length: 100000\r\n");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
}

TEST_F(SidePortTest, AClientThatTakesNoAnswerIsCutOff) {
  for (int i = 0; i < 100'000; ++i) metrics_.AddCounter("waybill_a_total", "a", {{"n", std::to_string(i)}});
  SidePortOptions options;
  options.connections_max = 1;
  options.answer_timeout = absl::Milliseconds(50);
  Start(options);
  Connection hanging(side_port_->port());
  hanging.Send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
}

TEST_F(SidePortTest, HeadersThatAreTooLongAreRefused) {
  Start();
  EXPECT_THAT(Get("/livez", "X: " + std::string(20'000, 'a') + "\r\n"), StartsWith("HTTP/1.1 431 "));
}

TEST_F(SidePortTest, StopsAlthoughClientsHang) {
  SidePortOptions options;
  options.request_timeout = absl::Minutes(5);
  Start(options);
  Connection hanging(side_port_->port());
  hanging.Send("GET /livez HTTP/1.1\r\nHost");
  EXPECT_THAT(Get("/livez"), StartsWith("HTTP/1.1 200"));
  side_port_.reset();
  EXPECT_EQ(hanging.ReadAll(), "");
}

TEST_F(SidePortTest, ListensOnIPv6) {
  SidePortOptions options;
  options.listen = "[::1]:0";
  Start(options);
  Connection connection(side_port_->port(), AF_INET6);
  connection.Send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(connection.ReadAll(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(SidePortTest, TheIPv6WildcardTakesBothFamilies) {
  SidePortOptions options;
  options.listen = "[::]:0";
  Start(options);
  for (int family : {AF_INET, AF_INET6}) {
    Connection connection(side_port_->port(), family);
    connection.Send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(connection.ReadAll(), StartsWith("HTTP/1.1 200 OK\r\n")) << family;
  }
}

TEST_F(SidePortTest, ManyProbesAtOnceAllGetAnswers) {
  Start();
  std::vector<std::thread> probes;
  for (int i = 0; i < 4; ++i) {
    probes.emplace_back([&] {
      for (int n = 0; n < 20; ++n) EXPECT_THAT(Get("/metrics"), StartsWith("HTTP/1.1 200"));
    });
  }
  for (std::thread& probe : probes) probe.join();
}

TEST_F(SidePortTest, TakenPortAndBadAddressesAreErrors) {
  Start();
  SidePortOptions options;
  options.listen = fmt::format("127.0.0.1:{}", side_port_->port());
  EXPECT_EQ(SidePort::Start(options, metrics_, readiness_, log_).status().code(), absl::StatusCode::kUnavailable);
  for (const char* listen :
       {"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:0s", "127.0.0.1:0,127.0.0.1:0",
        "127.0.0.1:-1", "::1:0", "[::1]", "[]:0", "[::1:0", "127.0.0.1:99999"}) {
    options.listen = listen;
    EXPECT_EQ(SidePort::Start(options, metrics_, readiness_, log_).status().code(), absl::StatusCode::kInvalidArgument)
        << listen;
  }
}

}  // namespace
}  // namespace waybill
