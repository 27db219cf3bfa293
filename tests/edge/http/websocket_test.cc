#include "edge/http/websocket.h"

#include <malloc.h>

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "boost/asio/ssl/context.hpp"
#include "edge/http/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/edge/http/websocket_client.h"
#include "tests/support/eventually.h"

namespace waybill::http {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

WebSocket::Message Text(std::string text) { return std::make_shared<const std::string>(std::move(text)); }

// What a test sees of the sockets that were opened, in their order.
class Seen {
 public:
  void Opened(WebSocketPtr socket) {
    std::lock_guard lock(mutex_);
    sockets_.push_back(std::move(socket));
  }
  void Closed(uint16_t code, std::string_view reason) {
    std::lock_guard lock(mutex_);
    closes_.push_back(reason.empty() ? fmt::format("{}", code) : fmt::format("{} {}", code, reason));
  }
  std::vector<WebSocketPtr> sockets() const {
    std::lock_guard lock(mutex_);
    return sockets_;
  }
  std::vector<std::string> closes() const {
    std::lock_guard lock(mutex_);
    return closes_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<WebSocketPtr> sockets_;
  std::vector<std::string> closes_;
};

// Says again what it hears, of other than text how much. "quiet" is answered by nothing.
class Echo final : public WebSocketHandler {
 public:
  explicit Echo(Seen& seen) : seen_(seen) {}
  void OnOpen(WebSocketPtr socket) override {
    socket_ = socket;
    seen_.Opened(std::move(socket));
  }
  void OnMessage(std::string message, bool is_text) override {
    if (message == "quiet") return;
    socket_->SendIfRoom(Text(is_text ? std::move(message) : fmt::format("binary {}", message.size())));
  }
  void OnClose(uint16_t code, std::string_view reason) override { seen_.Closed(code, reason); }

 private:
  Seen& seen_;
  WebSocketPtr socket_;
};

class WebSocketTest : public ::testing::Test {
 protected:
  void Start(WebSocketOptions options = {}, ServerOptions server = {}) {
    auto started = Server::Start(server, metrics_, log_);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    server_ = *std::move(started);
    server_->Serve("/ws", {"ws"}, [this, options](const ExchangePtr& exchange) {
      const std::vector<std::string> offered = OfferedSubprotocols(exchange->request());
      exchange->Upgrade(options, offered.empty() ? "" : offered.front(), std::make_shared<Echo>(seen_));
    });
  }

  std::unique_ptr<WebSocketClient> Open(const std::string& fields = "") {
    auto client = std::make_unique<WebSocketClient>(server_->port());
    EXPECT_THAT(client->Upgrade("/ws", fields), StartsWith("HTTP/1.1 101 "));
    return client;
  }
  // The first that was opened.
  WebSocketPtr Socket() {
    EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return !seen_.sockets().empty(); }));
    return seen_.sockets().at(0);
  }
  // What the server says to such bytes on a fresh socket, before it ends.
  std::string CloseAfter(const std::string& bytes) {
    auto client = Open();
    client->RawClient::Send(bytes);
    return client->ReadClose();
  }
  std::string CloseAfter(const Frame& frame) { return CloseAfter(Bytes(frame)); }
  bool EventuallyClosed(std::vector<std::string> closes) {
    return testing::Eventually(absl::Seconds(10), [&] { return seen_.closes() == closes; });
  }

  testing::ManualTime time_;
  std::ostringstream out_;
  Logger log_{LogFormat::kJson, LogLevel::kDebug, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_)};
  Metrics metrics_;
  Seen seen_;
  std::unique_ptr<Server> server_;
};

// --- the upgrade ---

TEST_F(WebSocketTest, AnswersAsTheStandardsExample) {
  Start();
  WebSocketClient client(server_->port());
  EXPECT_THAT(client.Upgrade("/ws"),
              AllOf(StartsWith("HTTP/1.1 101 "), HasSubstr("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
                    Not(HasSubstr("Sec-WebSocket-Extensions")), Not(HasSubstr("Sec-WebSocket-Protocol"))));
  client.SendText("hello");
  EXPECT_EQ(client.ReadText(), "hello");
}

TEST_F(WebSocketTest, OverIPv6) {
  ServerOptions options;
  options.listen = "[::1]:0";
  Start({}, options);
  WebSocketClient client(server_->port(), AF_INET6);
  EXPECT_THAT(client.Upgrade("/ws"), StartsWith("HTTP/1.1 101 "));
  client.SendText("six");
  EXPECT_EQ(client.ReadText(), "six");
}

TEST_F(WebSocketTest, TheSubprotocolThatTheHandlerChoosesIsSaid) {
  Start();
  WebSocketClient client(server_->port());
  EXPECT_THAT(client.Upgrade("/ws", "Sec-WebSocket-Protocol: one, two\r\nSec-WebSocket-Protocol: three\r\n"),
              HasSubstr("Sec-WebSocket-Protocol: one\r\n"));
}

TEST_F(WebSocketTest, NamesTheSubprotocolsThatAreOfferedInTheirOrder) {
  Request request;
  request.fields = {{"sec-websocket-protocol", "b, a"}, {"other", "x"}, {"sec-websocket-protocol", "c"}};
  EXPECT_THAT(OfferedSubprotocols(request), ElementsAre("b", "a", "c"));
}

TEST_F(WebSocketTest, CompressionIsOfferedInVain) {
  Start();
  WebSocketClient client(server_->port());
  EXPECT_THAT(client.Upgrade("/ws", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
              AllOf(StartsWith("HTTP/1.1 101 "), Not(HasSubstr("Extensions"))));
}

TEST_F(WebSocketTest, WhatIsNoUpgradeIsAnsweredWithWhatIsWrong) {
  Start();
  const auto without = [](const std::string& part, const std::string& with) {
    std::string request = UpgradeRequest("/ws");
    return request.replace(request.find(part), part.size(), with);
  };
  RawClient plain(server_->port());
  plain.Send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(plain.ReadAll(), AllOf(StartsWith("HTTP/1.1 426 "), HasSubstr("Upgrade: websocket\r\n")));
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {without("Version: 13", "Version: 8"), "HTTP/1.1 426 "},
      {without("Sec-WebSocket-Version: 13\r\n", ""), "HTTP/1.1 426 "},
      {without("dGhlIHNhbXBsZSBub25jZQ==", "short"), "HTTP/1.1 400 "},
      {without("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=!"), "HTTP/1.1 400 "},
      {without("HTTP/1.1", "HTTP/1.0"), "HTTP/1.1 400 "},
      {without("Host: x\r\n", "Host: x\r\nContent-Length: 2\r\n") + "ab", "HTTP/1.1 400 "},
      {without("GET", "POST"), "HTTP/1.1 405 "},
  };
  for (const auto& [request, answer] : wrong) {
    WebSocketClient client(server_->port());
    client.RawClient::Send(request);
    EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith(answer)) << request;
  }
  EXPECT_TRUE(seen_.sockets().empty());
}

TEST_F(WebSocketTest, FramesThatCameWithTheRequestAreRead) {
  Start();
  WebSocketClient client(server_->port());
  client.RawClient::Send(UpgradeRequest("/ws") + Bytes({true, 0, kText, "at once"}) + Bytes({true, 0, kText, "two"}));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 101 "));
  EXPECT_EQ(client.ReadText(), "at once");
  EXPECT_EQ(client.ReadText(), "two");
}

TEST_F(WebSocketTest, NoMoreThanTheServerHasRoomFor) {
  ServerOptions options;
  options.websockets_max = 2;
  Start({}, options);
  auto first = Open(), second = Open();
  WebSocketClient third(server_->port());
  EXPECT_THAT(third.Upgrade("/ws"), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("Retry-After: 1\r\n")));
  second.reset();
  EXPECT_TRUE(EventuallyClosed({"1006"}));
  Open();
}

TEST_F(WebSocketTest, TheConnectionsThatAreOneMakeNoRoomForOthers) {
  ServerOptions options;
  options.connections_max = 1;
  Start({}, options);
  auto client = Open();
  RawClient other(server_->port());  // waits in the kernel
  client->SendText("still here");
  EXPECT_EQ(client->ReadText(), "still here");
}

// --- frames ---

TEST_F(WebSocketTest, MessagesOfEveryLengthOfTheLength) {
  WebSocketOptions options;
  options.message_bytes_max = 100'000;
  Start(options);
  auto client = Open();
  for (const size_t size : {0, 1, 125, 126, 127, 1535, 1536, 1537, 65'535, 65'536, 100'000}) {
    client->SendText(std::string(size, 'x'));
    EXPECT_EQ(client->ReadText(), std::string(size, 'x')) << size;
    client->Send({true, 0, kBinary, std::string(size, '\xFF')});
    EXPECT_EQ(client->ReadText(), fmt::format("binary {}", size));
  }
}

TEST_F(WebSocketTest, EveryByteByItself) {
  Start();
  auto client = Open();
  for (const char c : Bytes({true, 0, kText, "slowly"})) client->RawClient::Send(std::string(1, c));
  EXPECT_EQ(client->ReadText(), "slowly");
}

TEST_F(WebSocketTest, ControlFramesStandBetweenFragments) {
  Start();
  auto client = Open();
  client->Send({false, 0, kText, "one "});
  client->Send({true, 0, kPing, "between"});
  client->Send({false, 0, kContinuation, ""});
  client->Send({true, 0, kPong, "unasked"});
  client->Send({false, 0, kContinuation, "two "});
  client->Send({true, 0, kPing, ""});
  client->Send({true, 0, kContinuation, "three"});
  for (const char* payload : {"between", ""}) {
    const std::optional<Frame> pong = client->Read();
    ASSERT_TRUE(pong.has_value());
    EXPECT_EQ(pong->opcode, kPong);
    EXPECT_EQ(pong->payload, payload);
  }
  EXPECT_EQ(client->ReadText(), "one two three");
}

TEST_F(WebSocketTest, ACharacterMayBeSplitOverFrames) {
  Start();
  auto client = Open();
  const std::string text = "€uro 🚚";
  for (size_t at = 0; at < text.size(); ++at) {
    client->Send({at + 1 == text.size(), 0, at == 0 ? kText : kContinuation, text.substr(at, 1)});
  }
  EXPECT_EQ(client->ReadText(), text);
}

TEST_F(WebSocketTest, TextThatIsNoUtf8Is1007) {
  Start();
  const char* const wrong[] = {
      "\xC0\xAF",          // longer than needed
      "\xED\xA0\x80",      // half of a pair
      "\xF4\x90\x80\x80",  // beyond the last
      "\xFF",
      "a\x80",
      "\xE2\x82",  // unfinished
  };
  for (const char* text : wrong) EXPECT_EQ(CloseAfter({true, 0, kText, text}), "1007");
  EXPECT_EQ(CloseAfter(Bytes({false, 0, kText, "\xE2\x82"}) + Bytes({true, 0, kContinuation, "x"})), "1007");
  EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return seen_.closes().size() == 7; }));
  EXPECT_THAT(seen_.closes(), ::testing::Each("1007"));
}

TEST_F(WebSocketTest, BadUtf8IsSeenBeforeTheMessageIsWhole) {
  Start();
  EXPECT_EQ(CloseAfter(Bytes({false, 0, kText, "a\xFF"})), "1007");
}

TEST_F(WebSocketTest, FramesThatTheProtocolForbidsAre1002) {
  Start();
  EXPECT_EQ(CloseAfter(Bytes({true, 0, kText, "bare"}, /*masked=*/false)), "1002") << "not masked";
  for (const int reserved : {1, 2, 4}) EXPECT_EQ(CloseAfter({true, reserved, kText, "x"}), "1002") << reserved;
  for (const int opcode : {3, 7, 11, 15}) EXPECT_EQ(CloseAfter({true, 0, opcode, "x"}), "1002") << opcode;
  EXPECT_EQ(CloseAfter({true, 0, kPing, std::string(126, 'x')}), "1002") << "a long ping";
  EXPECT_EQ(CloseAfter({false, 0, kPing, "x"}), "1002") << "a ping in pieces";
  EXPECT_EQ(CloseAfter({true, 0, kContinuation, "x"}), "1002") << "continues nothing";
  EXPECT_EQ(CloseAfter(Bytes({false, 0, kText, "x"}) + Bytes({true, 0, kText, "y"})), "1002")
      << "begins within another";
  EXPECT_EQ(CloseAfter(std::string("\x81\xFE\0\1maskx", 9)), "1002") << "a length that is longer than needed";
}

TEST_F(WebSocketTest, WhatIsTooBigIs1009AndNotReadForIt) {
  WebSocketOptions options;
  options.message_bytes_max = 1000;
  Start(options);
  EXPECT_EQ(CloseAfter({true, 0, kText, std::string(1001, 'x')}), "1009");
  EXPECT_EQ(CloseAfter(std::string("\x81\xFF\0\0\0\1\0\0\0\0mask", 14)), "1009") << "said to be 4 GiB";
  EXPECT_EQ(CloseAfter(std::string("\x81\xFF\xFF\0\0\0\0\0\0\1mask", 14)), "1009") << "a length with its highest bit";
  std::string pieces = Bytes({false, 0, kText, std::string(600, 'x')});
  EXPECT_EQ(CloseAfter(pieces + Bytes({true, 0, kContinuation, std::string(401, 'x')})), "1009");
  auto client = Open();
  client->RawClient::Send(pieces + Bytes({true, 0, kContinuation, std::string(400, 'x')}));
  EXPECT_EQ(client->ReadText(), std::string(1000, 'x'));
}

// --- closing ---

TEST_F(WebSocketTest, TheClientsCloseIsAnsweredWithItsCode) {
  Start();
  EXPECT_EQ(CloseAfter(CloseFrame(1000, "bye")), "1000");
  EXPECT_EQ(CloseAfter(CloseFrame(4321)), "4321");
  EXPECT_EQ(CloseAfter({true, 0, kClose, ""}), "1000") << "one without a code";
  EXPECT_TRUE(EventuallyClosed({"1000 bye", "4321", "1005"}));
}

TEST_F(WebSocketTest, ACloseFrameThatSaysNothingSensibleIs1002) {
  Start();
  EXPECT_EQ(CloseAfter({true, 0, kClose, "x"}), "1002") << "half a code";
  for (const uint16_t code : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999}) {
    EXPECT_EQ(CloseAfter(CloseFrame(code)), "1002") << code;
  }
  EXPECT_EQ(CloseAfter(CloseFrame(1000, "\xFF")), "1002") << "a reason that is no UTF-8";
}

TEST_F(WebSocketTest, TheServersCloseComesAfterWhatIsQueued) {
  Start();
  auto client = Open();
  const WebSocketPtr socket = Socket();
  socket->SendIfRoom(Text("first"));
  socket->SendIfRoom(Text("second"));
  socket->Close(4007, "that was all");
  socket->SendIfRoom(Text("too late"));
  EXPECT_EQ(client->ReadText(), "first");
  EXPECT_EQ(client->ReadText(), "second");
  const std::optional<Frame> close = client->Read();
  ASSERT_TRUE(close.has_value());
  EXPECT_EQ(WebSocketClient::Describe(*close), "4007 that was all");
  client->SendText("crossing");
  client->Send(CloseFrame(4007));
  EXPECT_FALSE(client->Read().has_value());
  client.reset();
  EXPECT_TRUE(EventuallyClosed({"4007 that was all"}));
}

TEST_F(WebSocketTest, AReasonIsCutOffAtAWholeCharacter) {
  Start();
  auto client = Open();
  std::string reason(121, 'x');
  Socket()->Close(4000, reason + "€");
  const std::optional<Frame> close = client->Read();
  ASSERT_TRUE(close.has_value());
  EXPECT_EQ(WebSocketClient::Describe(*close), "4000 " + reason);
}

TEST_F(WebSocketTest, WhoNeverAnswersTheCloseIsLeft) {
  WebSocketOptions options;
  options.close_timeout = absl::Milliseconds(50);
  Start(options);
  auto client = Open();
  Socket()->Close(4000, "");
  EXPECT_EQ(client->ReadClose(), "4000");
  EXPECT_TRUE(EventuallyClosed({"4000"}));
}

TEST_F(WebSocketTest, WhoClosesAndKeepsTheConnectionIsLeft) {
  WebSocketOptions options;
  options.close_timeout = absl::Milliseconds(50);
  Start(options);
  auto client = Open();
  client->Send(CloseFrame(1000));
  EXPECT_TRUE(EventuallyClosed({"1000"}));
}

TEST_F(WebSocketTest, WhoGoesWithoutAWordIs1006) {
  Start();
  Open();
  EXPECT_TRUE(EventuallyClosed({"1006"}));
}

TEST_F(WebSocketTest, AHandleOutlivesItsSocketAndItsServer) {
  Start();
  Open();
  EXPECT_TRUE(EventuallyClosed({"1006"}));
  const WebSocketPtr socket = Socket();
  socket->SendIfRoom(Text("x"));
  socket->Close(4000, "");
  server_.reset();
  socket->SendIfRoom(Text("x"));
  EXPECT_FALSE(socket->SendLatest("k", Text("x")));
}

// --- silence ---

TEST_F(WebSocketTest, WhoIsSilentIsPingedAndLivesByItsPongs) {
  WebSocketOptions options;
  options.ping_after = absl::Milliseconds(20);
  options.pong_timeout = absl::Seconds(1);
  Start(options);
  auto client = Open();
  for (int i = 0; i < 70; ++i) {  // longer than one pong may take
    const std::optional<Frame> ping = client->Read();
    ASSERT_TRUE(ping.has_value()) << i;
    EXPECT_EQ(ping->opcode, kPing);
    client->Send({true, 0, kPong, ping->payload});
  }
  EXPECT_TRUE(seen_.closes().empty());
  while (client->Read().has_value()) continue;  // and then no more
  EXPECT_TRUE(EventuallyClosed({"1006"}));
}

// --- queues ---

TEST_F(WebSocketTest, WhoTakesTooSlowlyHearsWhyBehindWhatIsQueued) {
  WebSocketOptions options;
  options.queue_bytes_max = 1 << 20;
  Start(options);
  auto client = Open();
  const WebSocketPtr socket = Socket();
  const WebSocket::Message chunk = Text(std::string(256 << 10, 'x'));
  int queued = 0;
  while (queued < 200 && socket->SendIfRoom(chunk)) ++queued;  // 50 MiB would be more than the kernel takes
  EXPECT_LT(queued, 200);
  socket->Close(kCloseTryAgainLater, "what must arrive is not taken in time");
  EXPECT_FALSE(socket->SendIfRoom(chunk));
  for (int i = 0; i < queued; ++i) EXPECT_EQ(client->ReadText().size(), chunk->size());
  const std::optional<Frame> last = client->Read();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(WebSocketClient::Describe(*last), "1013 what must arrive is not taken in time");
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_websocket_too_slow_total 1"));
}

TEST_F(WebSocketTest, AHandlersOwnWordThatAClientIsTooSlowCountsOnce) {
  Start();
  auto client = Open();
  const WebSocketPtr socket = Socket();
  for (int i = 0; i < 2; ++i) socket->Close(kCloseTryAgainLater, "later");
  const std::optional<Frame> frame = client->Read();
  ASSERT_TRUE(frame.has_value());
  EXPECT_EQ(WebSocketClient::Describe(*frame), "1013 later");
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_websocket_too_slow_total 1"));
}

// Who has more than the queue takes goes on as there is room, and nothing is lost.
TEST_F(WebSocketTest, WhoCanWaitIsToldWhenThereIsRoom) {
  class Teller final : public WebSocketHandler {
   public:
    void OnOpen(WebSocketPtr socket) override {
      socket_ = std::move(socket);
      OnRoom();
    }
    void OnRoom() override {
      while (told_ < 5'000 && socket_->SendIfRoom(Text(fmt::format("{}", told_)))) ++told_;
    }
    void OnMessage(std::string, bool) override {}
    void OnClose(uint16_t, std::string_view) override {}

   private:
    WebSocketPtr socket_;
    int told_ = 0;
  };
  Start();
  WebSocketOptions options;
  options.queue_messages_max = 8;
  server_->Serve("/teller", {"teller"}, [options](const ExchangePtr& exchange) {
    exchange->Upgrade(options, "", std::make_shared<Teller>());
  });
  WebSocketClient client(server_->port());
  EXPECT_THAT(client.Upgrade("/teller"), StartsWith("HTTP/1.1 101 "));
  for (int i = 0; i < 5'000; ++i) ASSERT_EQ(client.ReadText(), fmt::format("{}", i));
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_websocket_too_slow_total 0"));
}

TEST_F(WebSocketTest, WhoTakesNothingIsLeft) {
  WebSocketOptions options;
  options.queue_bytes_max = 128 << 20;
  options.write_timeout = absl::Milliseconds(100);
  Start(options);
  auto client = Open();
  for (int i = 0; i < 200; ++i) Socket()->SendIfRoom(Text(std::string(256 << 10, 'x')));
  EXPECT_TRUE(EventuallyClosed({"1006"}));
}

TEST_F(WebSocketTest, OfWhatOnlyCountsUntilThereIsNewerTheNewestArrives) {
  WebSocketOptions options;
  options.queue_bytes_max = 128 << 20;
  Start(options);
  auto client = Open();
  const WebSocketPtr socket = Socket();
  const std::string filler(8 << 20, 'x');
  for (int i = 0; i < 4; ++i) socket->SendIfRoom(Text(filler));  // so that what follows waits
  socket->SendLatest("driver-1", Text("d1 old"));
  socket->SendLatest("driver-2", Text("d2 old"));
  socket->SendIfRoom(Text("must"));
  socket->SendLatest("driver-1", Text("d1 new"));
  socket->SendLatest("driver-2", Text("d2 new"));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(client->ReadText().size(), filler.size());
  EXPECT_EQ(client->ReadText(), "d1 new");
  EXPECT_EQ(client->ReadText(), "d2 new");
  EXPECT_EQ(client->ReadText(), "must");
}

TEST_F(WebSocketTest, WhatOnlyCountsForNowIsDroppedRatherThanTheSocket) {
  WebSocketOptions options;
  options.queue_messages_max = 4;
  Start(options);
  auto client = Open();
  const WebSocketPtr socket = Socket();
  socket->SendIfRoom(Text(std::string(16 << 20, 'x')));
  int queued = 0;
  for (int i = 0; i < 100; ++i) queued += socket->SendLatest(fmt::format("driver-{}", i), Text("move")) ? 1 : 0;
  EXPECT_LE(queued, 5);
  EXPECT_EQ(client->ReadText().size(), 16U << 20);
  for (int i = 0; i < queued; ++i) EXPECT_EQ(client->ReadText(), "move");
  client->SendText("and on");
  EXPECT_EQ(client->ReadText(), "and on");
}

TEST_F(WebSocketTest, MessagesOfManyThreadsArriveWholeAndInTheOrderOfEach) {
  WebSocketOptions options;
  options.queue_messages_max = 100'000;
  options.queue_bytes_max = 128 << 20;
  Start(options);
  auto client = Open();
  const WebSocketPtr socket = Socket();
  std::vector<std::future<void>> senders;
  for (int thread = 0; thread < 4; ++thread) {
    senders.push_back(std::async(std::launch::async, [&, thread] {
      for (int i = 0; i < 500; ++i) socket->SendIfRoom(Text(fmt::format("{} {}", thread, i)));
    }));
  }
  int next[4] = {0, 0, 0, 0};
  for (int i = 0; i < 2000; ++i) {
    const std::string text = client->ReadText();
    const int thread = text.at(0) - '0';
    ASSERT_EQ(text, fmt::format("{} {}", thread, next[thread]++));
  }
}

// --- the server's end ---

TEST_F(WebSocketTest, ADrainClosesEachInItsTimeWith1012) {
  Start();
  std::vector<std::unique_ptr<WebSocketClient>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(Open());
  SeededRandom random(7);
  const auto began = std::chrono::steady_clock::now();
  server_->DrainWebSockets(absl::Milliseconds(300), random);
  for (auto& client : clients) {
    const std::optional<Frame> close = client->Read();
    ASSERT_TRUE(close.has_value());
    EXPECT_EQ(WebSocketClient::Describe(*close), "1012 the server restarts");
    client->Send(CloseFrame(1012));
    client.reset();
  }
  EXPECT_TRUE(testing::Eventually(absl::Seconds(10), [&] { return seen_.closes().size() == 20; }));
  EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(150)) << "all at once";
  RawClient late(server_->port());
  late.Send(UpgradeRequest("/ws"));
  EXPECT_THAT(late.ReadAll(), AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("Retry-After")));
}

TEST_F(WebSocketTest, WhatIsOpenWhenTheServerEndsIsClosedWith1001) {
  ServerOptions options;
  options.stop_timeout = absl::Milliseconds(200);
  Start({}, options);
  auto polite = Open(), mute = Open();
  auto ended = std::async(std::launch::async, [&] { server_.reset(); });
  const std::optional<Frame> close = polite->Read();
  ASSERT_TRUE(close.has_value());
  EXPECT_EQ(WebSocketClient::Describe(*close), "1001 the server ends");
  polite->Send(CloseFrame(1001));
  EXPECT_FALSE(polite->Read().has_value());
  ended.get();
  EXPECT_EQ(seen_.closes().size(), 2U);
}

TEST_F(WebSocketTest, AnIdleOneTakesTwelveKibibytesAtMost) {
  Start();
  constexpr int kSockets = 400;
  std::vector<std::unique_ptr<WebSocketClient>> clients;
  for (int i = 0; i < 50; ++i) clients.push_back(Open());  // what grows once
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kSockets; ++i) {
    clients.push_back(Open());
    clients.back()->SendText("once");
    EXPECT_EQ(clients.back()->ReadText(), "once");
  }
  const size_t each = (mallinfo2().uordblks - before) / kSockets;
  RecordProperty("bytes_each", static_cast<int>(each));
  std::printf("an idle WebSocket takes %zu bytes\n", each);
  EXPECT_LE(each, 12U << 10);
}

}  // namespace
}  // namespace waybill::http
