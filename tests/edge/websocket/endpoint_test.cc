#include "edge/websocket/endpoint.h"

#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include "edge/access/key_admin.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "storage/testing/fake_key_store.h"
#include "storage/testing/fake_limit_store.h"
#include "tests/edge/http/websocket_client.h"
#include "tests/support/eventually.h"

namespace waybill::websocket {
namespace {

using http::WebSocketClient;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Says who is there, and by which subprotocol.
class Greeter final : public http::WebSocketHandler {
 public:
  explicit Greeter(std::string greeting) : greeting_(std::move(greeting)) {}
  void OnOpen(http::WebSocketPtr socket) override {
    socket->SendIfRoom(std::make_shared<const std::string>(greeting_));
  }
  void OnMessage(std::string, bool) override {}
  void OnClose(uint16_t, std::string_view) override {}

 private:
  const std::string greeting_;
};

class EndpointTest : public ::testing::Test {
 protected:
  EndpointTest() {
    access::KeyAdmin admin(keys_, hash_, access::SystemEntropy, time_, [] {});
    access::KeyAdmin::Wanted wanted;
    wanted.name = wanted.client = "shop";
    wanted.scopes = {"orders:read"};
    reader_ = "Authorization: Bearer " + admin.Create(wanted, {"admin"})->secret + "\r\n";
    wanted.scopes = {"orders:write"};
    writer_ = "Authorization: Bearer " + admin.Create(wanted, {"admin"})->secret + "\r\n";
    EXPECT_TRUE(ring_.Refresh().ok());
    options_.origins = {"https://console.example"};
    options_.subprotocols = {"greet.v2", "greet.v1"};
    options_.method = "waybill.test.v1.Greeter/Connect";
    options_.limiter = &limiter_;
    limiter_.Start(loops_);
  }
  ~EndpointTest() override {
    limiter_.Stop();
    server_.reset();
  }

  void Start() {
    endpoint_ = std::make_unique<Endpoint>(options_, [this](const http::Request& request) {
      absl::StatusOr<access::CallerPtr> caller = gate_.Admit(domain::Scope::kOrdersRead, EvidenceOf(request));
      if (!caller.ok()) return absl::StatusOr<Admission>(caller.status());
      const std::string client = (*caller)->client;
      return absl::StatusOr<Admission>(Admission{client, [client](const std::string& subprotocol) {
                                                   return std::make_shared<Greeter>(client + " by " + subprotocol);
                                                 }});
    });
    auto started = http::Server::Start({}, metrics_, log_);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    endpoint_->ServeOn(*server_, "/greet", "greet");
  }

  // The head of the answer and, of one that was not let in, what it says.
  std::string Ask(const std::string& fields) {
    WebSocketClient client(server_->port());
    std::string answer = client.Upgrade("/greet", fields);
    if (answer.starts_with("HTTP/1.1 101 ")) return answer + client.ReadText();
    const size_t length = answer.find("Content-Length: ");
    if (length == std::string::npos) return answer;
    std::string body(std::stoul(answer.substr(length + 16)), '\0');
    EXPECT_EQ(recv(client.fd(), body.data(), body.size(), MSG_WAITALL), static_cast<ssize_t>(body.size()));
    return answer + body;
  }
  // How a page is sent away.
  std::string PageIsTold(const std::string& fields) {
    WebSocketClient client(server_->port());
    EXPECT_THAT(client.Upgrade("/greet", fields + kPage), StartsWith("HTTP/1.1 101 "));
    const std::optional<http::Frame> close = client.Read();
    return close ? WebSocketClient::Describe(*close) : "(ended)";
  }

  static constexpr char kPage[] = "Origin: https://console.example\r\n";
  static constexpr char kV1[] = "Sec-WebSocket-Protocol: greet.v1\r\n";
  testing::ManualTime time_;
  std::ostringstream out_;
  Logger log_{LogFormat::kJson, LogLevel::kDebug, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_)};
  Metrics metrics_;
  storage::testing::FakeKeyStore keys_;
  const access::KeyHash hash_{std::string(32, 'k')};
  access::KeyRing ring_{keys_, hash_, time_};
  const access::Gate gate_{access::Identity::kRequired, &ring_};
  ThreadLoops loops_;
  SystemClock clock_;
  storage::testing::FakeLimitStore limit_store_{clock_};
  limits::Limiter limiter_{limit_store_, clock_, metrics_};
  std::string reader_, writer_;
  EndpointOptions options_;
  std::unique_ptr<Endpoint> endpoint_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(EndpointTest, LetsInWhoMay) {
  Start();
  EXPECT_THAT(Ask(reader_ + kV1), AllOf(StartsWith("HTTP/1.1 101 "), HasSubstr("Sec-WebSocket-Protocol: greet.v1\r\n"),
                                        EndsWith("\r\n\r\nshop by greet.v1")));
  EXPECT_THAT(Ask(reader_ + kV1 + kPage), EndsWith("shop by greet.v1"));
}

TEST_F(EndpointTest, PagesOfOtherOriginsAreRefusedWhateverTheyShow) {
  Start();
  for (const char* origin : {"https://evil.example", "null", "", "https://console.example.evil.example",
                             "http://console.example", "HTTPS://CONSOLE.EXAMPLE"}) {
    EXPECT_THAT(Ask(fmt::format("{}{}Origin: {}\r\n", reader_, kV1, origin)), StartsWith("HTTP/1.1 403 ")) << origin;
  }
  EXPECT_THAT(Ask(reader_ + kV1 + kPage + "Origin: https://evil.example\r\n"), StartsWith("HTTP/1.1 403 "));
}

TEST_F(EndpointTest, WithoutAListNoPageMayConnect) {
  options_.origins = {};
  Start();
  EXPECT_THAT(Ask(reader_ + kV1 + kPage), StartsWith("HTTP/1.1 403 "));
}

TEST_F(EndpointTest, TheFirstSubprotocolThatIsKnownIsChosen) {
  Start();
  EXPECT_THAT(Ask(reader_ + "Sec-WebSocket-Protocol: other, greet.v1, greet.v2\r\n"), EndsWith("shop by greet.v1"));
  EXPECT_THAT(Ask(reader_ + "Sec-WebSocket-Protocol: greet.v9\r\n"),
              AllOf(StartsWith("HTTP/1.1 400 "), HasSubstr("greet.v2, greet.v1")));
  EXPECT_THAT(Ask(reader_), StartsWith("HTTP/1.1 400 "));
}

TEST_F(EndpointTest, NoIdentityAndNoScopeAreRefused) {
  Start();
  EXPECT_THAT(Ask(kV1), AllOf(StartsWith("HTTP/1.1 401 "), HasSubstr("NO_IDENTITY")));
  EXPECT_THAT(Ask(std::string(kV1) + "Authorization: Bearer wb_nonsense\r\n"), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(Ask(reader_ + reader_ + kV1), StartsWith("HTTP/1.1 401 ")) << "two of them";
  EXPECT_THAT(Ask(writer_ + kV1), AllOf(StartsWith("HTTP/1.1 403 "), HasSubstr("SCOPE_MISSING")));
}

TEST_F(EndpointTest, APageIsToldWhyByTheCloseCode) {
  Start();
  EXPECT_EQ(PageIsTold(kV1), "4401 NO_IDENTITY");
  EXPECT_EQ(PageIsTold(writer_ + kV1), "4403 SCOPE_MISSING");
}

TEST_F(EndpointTest, HowOftenIsLimited) {
  limits::Rule rule;
  rule.name = "connects";
  rule.client = rule.method = "*";
  rule.rate = {1, absl::Hours(1), 3};
  limiter_.Use({rule});
  Start();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Ask(reader_ + kV1), StartsWith("HTTP/1.1 101 ")) << i;
  EXPECT_THAT(Ask(reader_ + kV1),
              AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr("RATE_LIMITED"), HasSubstr("Retry-After: ")));
  EXPECT_EQ(PageIsTold(reader_ + kV1), "4429 RATE_LIMITED");
}

TEST_F(EndpointTest, AClientHasSoManyOpen) {
  options_.per_client_max = 2;
  Start();
  auto first = std::make_unique<WebSocketClient>(server_->port());
  WebSocketClient second(server_->port());
  EXPECT_THAT(first->Upgrade("/greet", reader_ + kV1), StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(second.Upgrade("/greet", reader_ + kV1), StartsWith("HTTP/1.1 101 "));
  EXPECT_THAT(Ask(reader_ + kV1), AllOf(StartsWith("HTTP/1.1 429 "), HasSubstr("QUEUE_FULL")));
  first.reset();
  EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return Ask(reader_ + kV1).starts_with("HTTP/1.1 101 "); }));
}

}  // namespace
}  // namespace waybill::websocket
