#include "edge/http/client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "boost/asio.hpp"
#include "boost/asio/ssl.hpp"
#include "edge/http/channel.h"
#include "edge/http/server.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "tests/support/certificates.h"

namespace waybill::http {
namespace {

// Answers each request of one connection by its script, to the byte.
class ScriptedServer {
 public:
  explicit ScriptedServer(std::vector<std::string> answers) : answers_(std::move(answers)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&any), size), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&any), &size);
    listen(listener_, 1);
    port_ = ntohs(any.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~ScriptedServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }

 private:
  void Serve() {
    const int caller = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (caller < 0) return;
    for (const std::string& answer : answers_) {
      std::string request;
      for (std::array<char, 4096> buffer; request.find("\r\n\r\n") == std::string::npos;) {
        const ssize_t bytes = recv(caller, buffer.data(), buffer.size(), 0);
        if (bytes <= 0) break;
        request.append(buffer.data(), static_cast<size_t>(bytes));
      }
      send(caller, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    close(caller);
  }

  const std::vector<std::string> answers_;
  int listener_ = -1, port_ = 0;
  std::thread thread_;
};

std::string Ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}
constexpr char kHints[] = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";

Channel::Result CallOn(Channel& channel) {
  std::promise<Channel::Result> result;
  channel.Call({"", 0, "/", {}, "", "GET"}, absl::Seconds(20),
               [&](Channel::Result said) { result.set_value(std::move(said)); });
  return result.get_future().get();
}

// What is said ahead of an answer is none, and does not make the answer the next call's.
TEST(HttpClient, WaitsForTheAnswerBehindInterimOnes) {
  ScriptedServer server({kHints + Ok("one")});
  const auto answer = CallAndWait({"127.0.0.1", server.port(), "/", {}, "x"}, nullptr, 1'000, absl::Seconds(20));
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->status, 200u);
  EXPECT_EQ(answer->body, "one");
}

// Calls one after the other, each over what the one before has left.
class KeptCalls {
 public:
  // Whether the call left its connection.
  bool Call(int port, boost::asio::ssl::context* tls = nullptr) {
    ClientCall call(io_, {"127.0.0.1", port, "/", {}, "x"}, tls, 1'000, /*keep=*/true);
    const auto done = [&](boost::system::error_code failed) { said.push_back(failed ? "failed" : call.answer().body); };
    if (kept_) {
      call.Start(*std::move(kept_), absl::Seconds(20), done);
      ++over_kept;
    } else {
      call.Start({{boost::asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(port)}}, absl::Seconds(20), done);
    }
    io_.restart();
    io_.run();
    kept_ = call.Take();
    return kept_.has_value();
  }
  bool Quiet() const { return kept_->Quiet(); }

  std::vector<std::string> said;
  int over_kept = 0;

 private:
  boost::asio::io_context io_{1};
  std::optional<KeptConnection> kept_;
};

TEST(HttpClient, LeavesAConnectionThatTheServerKeepsToTheNextCall) {
  ScriptedServer server({Ok("one"), kHints + Ok("two"), Ok("three")});
  KeptCalls calls;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(calls.Call(server.port()));
  EXPECT_THAT(calls.said, ::testing::ElementsAre("one", "two", "three"));
  EXPECT_EQ(calls.over_kept, 2);
}

TEST(HttpClient, LeavesNoneOfWhichTheNextAnswerCouldBeMistaken) {
  const std::string whole = Ok("one");
  for (const std::string& answer :
       {std::string("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none"),  // it says so
        std::string("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\none"),                       // it knows no other way
        std::string("HTTP/1.1 200 OK\r\n\r\none"),                                    // it ends with the connection
        "HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + std::string(2'000, 'x'),  // too long to be read
        whole + whole}) {
    ScriptedServer server({answer});
    KeptCalls calls;
    EXPECT_FALSE(calls.Call(server.port())) << answer.substr(0, 40);
    EXPECT_THAT(calls.said, ::testing::SizeIs(1));
  }
}

// A server over TLS that answers each request with its path.
class TlsServer {
 public:
  explicit TlsServer(const testing::Issued& certificate) {
    auto context = std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server);
    context->use_certificate_chain(boost::asio::buffer(certificate.certificate));
    context->use_private_key(boost::asio::buffer(certificate.key), boost::asio::ssl::context::pem);
    ServerOptions options;
    options.tls = [this, context] {
      ++connections_;
      return context;
    };
    auto started = Server::Start(options, metrics_, log_);
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    server_->Serve("/", {"path", {"GET", "POST"}}, [this](const ExchangePtr& exchange) {
      ++requests_;
      exchange->Answer({200, "text/plain", exchange->request().path, {}});
    });
  }
  int port() const { return server_->port(); }
  int connections() const { return connections_; }
  int requests() const { return requests_; }

 private:
  std::atomic<int> connections_ = 0, requests_ = 0;
  SystemClock clock_;
  Metrics metrics_;
  Logger log_{LogFormat::kJson, LogLevel::kError, clock_};
  std::unique_ptr<Server> server_;
};

TEST(HttpClient, KeepsConnectionsOverTlsOnceTheCertificateIsVerified) {
  const testing::TestCa ca, other;
  TlsServer server(ca.Issue());
  const auto believed = MakeClientTls(ca.certificate()), unknown = MakeClientTls(other.certificate());
  KeptCalls calls;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(calls.Call(server.port(), believed.get()));
  EXPECT_THAT(calls.said, ::testing::ElementsAre("/", "/", "/"));
  EXPECT_EQ(server.connections(), 1);
  EXPECT_TRUE(calls.Quiet());
  KeptCalls strangers;
  EXPECT_FALSE(strangers.Call(server.port(), unknown.get()));
  EXPECT_THAT(strangers.said, ::testing::ElementsAre("failed"));
}

TEST(HttpChannel, WaitsForTheAnswerBehindInterimOnes) {
  ScriptedServer server({std::string(kHints) + kHints + Ok("one"), Ok("two")});
  ChannelOptions options;
  options.host = "127.0.0.1";
  options.port = server.port();
  Channel channel(options);
  for (const char* body : {"one", "two"}) {
    const Channel::Result result = CallOn(channel);
    ASSERT_TRUE(result.answer.ok()) << result.answer.status();
    EXPECT_EQ(result.answer->status, 200u);
    EXPECT_EQ(result.answer->body, body);
  }
}

// NOT_FOUND would be taken for what the server says of something.
TEST(HttpChannel, AHostThatIsNotFoundIsUnavailable) {
  ChannelOptions options;
  options.host = "1.2.3.4.5";  // neither an address nor a name: nobody is asked
  options.port = 80;
  Channel channel(options);
  const Channel::Result result = CallOn(channel);
  EXPECT_EQ(result.answer.status().code(), absl::StatusCode::kUnavailable) << result.answer.status();
  EXPECT_FALSE(result.sent);
}

ChannelOptions OverTls(const TlsServer& server, std::string ca) {
  ChannelOptions options;
  options.host = "localhost";
  options.port = server.port();
  options.ca = [ca = std::move(ca)] { return ca; };
  return options;
}

TEST(HttpChannel, KeepsAConnectionOverTls) {
  const testing::TestCa ca;
  TlsServer server(ca.Issue());
  Channel channel(OverTls(server, ca.certificate()));
  for (int i = 0; i < 3; ++i) {
    const Channel::Result result = CallOn(channel);
    ASSERT_TRUE(result.answer.ok()) << result.answer.status();
    EXPECT_EQ(result.answer->body, "/");
  }
  EXPECT_EQ(server.connections(), 1);
}

// A handshake that fails is proof: nothing of the request has left.
TEST(HttpChannel, SendsNothingToWhomItDoesNotBelieve) {
  const testing::TestCa ca, other;
  testing::CertificateRequest elsewhere;
  elsewhere.common_name = "elsewhere.example";
  elsewhere.names = {"DNS:elsewhere.example"};
  testing::CertificateRequest expired;
  expired.not_after = absl::Now() - absl::Minutes(1);
  for (const testing::Issued& shown : {other.Issue(), ca.Issue(elsewhere), ca.Issue(expired)}) {
    TlsServer server(shown);
    Channel channel(OverTls(server, ca.certificate()));
    const Channel::Result result = CallOn(channel);
    EXPECT_EQ(result.answer.status().code(), absl::StatusCode::kUnavailable) << result.answer.status();
    EXPECT_FALSE(result.sent);
    EXPECT_EQ(server.requests(), 0);
  }
}

// A certificate authority that is renewed while the process runs holds for the next connection.
TEST(HttpChannel, AsksForTheCaAtEachConnection) {
  const testing::TestCa ca, other;
  TlsServer server(ca.Issue());
  std::atomic<bool> renewed = false;
  ChannelOptions options = OverTls(server, "");
  options.ca = [&] { return renewed ? ca.certificate() : other.certificate(); };
  Channel channel(options);
  EXPECT_FALSE(CallOn(channel).answer.ok());
  renewed = true;
  EXPECT_TRUE(CallOn(channel).answer.ok());
}

}  // namespace
}  // namespace waybill::http
