#include "edge/http/client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "edge/http/channel.h"

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

}  // namespace
}  // namespace waybill::http
