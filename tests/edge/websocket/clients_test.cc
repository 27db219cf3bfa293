// Stock clients of others: npm's `ws` in Node, and Debian's python3-websockets.
#include <charconv>
#include <filesystem>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "boost/asio/ssl/context.hpp"
#include "edge/websocket/endpoint.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/support/certificates.h"
#include "tests/support/process.h"
#include "tests/support/temp_directory.h"

namespace waybill::websocket {
namespace {

using ::testing::EndsWith;

using testing::Process;
using testing::ProcessOptions;

constexpr absl::Duration kClientWait = absl::Seconds(60);

// Says again what it hears; "close CODE REASON" it does.
class Echo final : public http::WebSocketHandler {
 public:
  void OnOpen(http::WebSocketPtr socket) override { socket_ = std::move(socket); }
  void OnMessage(std::string message, bool is_text) override {
    if (message.starts_with("close ")) {
      int code = 0;
      std::from_chars(message.data() + 6, message.data() + 10, code);
      socket_->Close(static_cast<uint16_t>(code), message.substr(11));
    } else {
      if (!is_text) message = fmt::format("binary {}", message.size());
      socket_->SendIfRoom(std::make_shared<const std::string>(std::move(message)));
    }
  }
  void OnClose(uint16_t, std::string_view) override {}

 private:
  http::WebSocketPtr socket_;
};

class StockClientsTest : public ::testing::Test {
 protected:
  StockClientsTest() {
    EndpointOptions options;
    options.subprotocols = {"echo.v1"};
    options.socket.message_bytes_max = 100'000;
    options.socket.ping_after = absl::Milliseconds(50);
    endpoint_ = std::make_unique<Endpoint>(options, [](const http::Request&) {
      return Admission{"", [](const std::string&) { return std::make_shared<Echo>(); }};
    });
  }
  void Start(const http::ServerOptions& options = {}) {
    auto started = http::Server::Start(options, metrics_, log_);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    endpoint_->ServeOn(*server_, "/echo", "echo");
  }
  // What it printed.
  std::string Run(const std::string& program, std::vector<std::string> args) {
    ProcessOptions options;
    options.args = std::move(args);
    auto process = Process::Start(program, options);
    if (!process.ok()) return process.status().ToString();
    EXPECT_EQ((*process)->Wait(kClientWait), 0) << (*process)->Output();
    return (*process)->Output();
  }
  static bool HasWs() { return std::filesystem::exists(WAYBILL_CLIENT_TESTS "/node_modules/ws"); }

  testing::ManualTime time_;
  std::ostringstream out_;
  Logger log_{LogFormat::kJson, LogLevel::kDebug, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_)};
  Metrics metrics_;
  std::unique_ptr<Endpoint> endpoint_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(StockClientsTest, WsOfNode) {
  if (!HasWs()) GTEST_SKIP() << "needs the packages of tests/clients/package-lock.json; ./dev test fetches them";
  Start();
  EXPECT_THAT(Run("/usr/bin/env", {"node", WAYBILL_CLIENT_TESTS "/websocket.mjs",
                                   fmt::format("ws://127.0.0.1:{}/echo", server_->port())}),
              EndsWith("ok no subprotocol\ndone\n"));
}

TEST_F(StockClientsTest, WsOfNodeOverTls) {
  if (!HasWs()) GTEST_SKIP() << "needs the packages of tests/clients/package-lock.json; ./dev test fetches them";
  const testing::TempDirectory directory;
  const testing::TestCa ca;
  const testing::Issued issued = ca.Issue();
  const std::filesystem::path files = directory.path();
  testing::ReplaceFile(files / "tls.crt", issued.certificate);
  testing::ReplaceFile(files / "tls.key", issued.key);
  testing::ReplaceFile(files / "ca.crt", ca.certificate());
  boost::asio::ssl::context context(boost::asio::ssl::context::tls_server);
  context.use_certificate_chain_file((files / "tls.crt").string());
  context.use_private_key_file((files / "tls.key").string(), boost::asio::ssl::context::pem);
  const auto shared = std::make_shared<boost::asio::ssl::context>(std::move(context));
  http::ServerOptions options;
  options.tls = [shared] { return shared; };
  Start(options);
  EXPECT_THAT(
      Run("/usr/bin/env", {"node", WAYBILL_CLIENT_TESTS "/websocket.mjs",
                           fmt::format("wss://localhost:{}/echo", server_->port()), (files / "ca.crt").string()}),
      EndsWith("ok no subprotocol\ndone\n"));
}

TEST_F(StockClientsTest, WebsocketsOfPython) {
  if (!std::filesystem::exists("/usr/lib/python3/dist-packages/websockets")) GTEST_SKIP() << "needs python3-websockets";
  Start();
  EXPECT_EQ(Run("/usr/bin/python3",
                {WAYBILL_CLIENT_TESTS "/websocket_client.py", fmt::format("ws://127.0.0.1:{}/echo", server_->port())}),
            "done\n");
}

}  // namespace
}  // namespace waybill::websocket
