#include "edge/http/server.h"

#include <sys/socket.h>

#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "boost/asio/ssl/context.hpp"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/edge/http/http_client.h"
#include "tests/support/eventually.h"

namespace waybill::http {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Body(const std::string& response) { return response.substr(response.find("\r\n\r\n") + 4); }

// /echo answers with what it was sent; /later keeps its exchange for the test; /pieces answers in pieces.
class HttpServerTest : public ::testing::Test {
 protected:
  void Start(ServerOptions options = {}) {
    auto started = Server::Start(options, metrics_, log_);
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    server_ = *std::move(started);
    server_->Serve("/echo", {"echo", {"GET", "HEAD", "POST"}}, [](const ExchangePtr& exchange) {
      const Request& request = exchange->request();
      exchange->Answer({200,
                        "text/plain",
                        fmt::format("{} {}?{} [{}]", request.method, request.path, request.query, request.body),
                        {}});
    });
    server_->Serve("/large", {"large"}, [](const ExchangePtr& exchange) {
      exchange->Answer({200, "text/plain", std::string(8 << 20, 'x'), {}});
    });
    server_->Serve("/later", {"later"}, [this](ExchangePtr exchange) { kept_.set_value(std::move(exchange)); });
    server_->Serve("/authorized", {"authorized", {"POST"}}, [](const ExchangePtr& exchange) {
      exchange->Answer({200, "text/plain", fmt::format("[{}]", exchange->request().Field("authorization")), {}});
    });
    server_->Serve("/dropped", {"dropped"}, [](const ExchangePtr&) {});
    server_->Serve("/under/", {"under"}, [](const ExchangePtr& exchange) {
      exchange->Answer({200, "text/plain", exchange->request().path, {}});
    });
  }

  RawClient Connect() { return RawClient(server_->port()); }
  // The whole answer to one request on a connection of its own.
  std::string Ask(const std::string& bytes) {
    RawClient client(server_->port());
    client.Send(bytes);
    return client.ReadAll();
  }
  std::string Get(const std::string& target) {
    return Ask(fmt::format("GET {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target));
  }

  testing::ManualTime time_;
  std::ostringstream out_;
  Logger log_{LogFormat::kJson, LogLevel::kDebug, time_, std::make_shared<spdlog::sinks::ostream_sink_mt>(out_)};
  Metrics metrics_;
  std::promise<ExchangePtr> kept_;
  std::unique_ptr<Server> server_;
};

TEST_F(HttpServerTest, WhatItIsPreparedWithIsServedFromTheFirstRequestOn) {
  auto started = Server::Start({}, metrics_, log_, [](Server& server) {
    EXPECT_EQ(server.port(), 0) << "nobody can connect yet";
    server.Serve("/first", {"first"}, [](const ExchangePtr& exchange) { exchange->Answer({}); });
  });
  ASSERT_TRUE(started.ok()) << started.status().ToString();
  server_ = *std::move(started);
  EXPECT_THAT(Get("/first"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, KeepsAConnectionForTheNextRequest) {
  Start();
  RawClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.Send(fmt::format("POST /echo?n={} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", i));
    EXPECT_THAT(client.ReadUntil("]"), AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), Not(HasSubstr("Connection: close")),
                                             EndsWith(fmt::format("POST /echo?n={} [hello]", i))));
  }
  client.Send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("GET /echo? []")));
}

TEST_F(HttpServerTest, AnswersRequestsThatAreSentAheadInTheirOrder) {
  Start();
  std::string ahead;
  for (int i = 0; i < 50; ++i) ahead += fmt::format("GET /echo?{} HTTP/1.1\r\nHost: x\r\n\r\n", i);
  ahead += "GET /echo?last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string answers = Ask(ahead);
  size_t at = 0;
  for (int i = 0; i < 50; ++i) {
    at = answers.find(fmt::format("GET /echo?{} []", i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_THAT(answers, EndsWith("GET /echo?last []"));
}

TEST_F(HttpServerTest, OldClientsAreServedOneRequestUnlessTheyAskForMore) {
  Start();
  EXPECT_THAT(Ask("GET /echo HTTP/1.0\r\n\r\n"), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("[]")));
  RawClient client(server_->port());
  client.Send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_THAT(client.ReadUntil("[]"), HasSubstr("Connection: keep-alive\r\n"));
}

TEST_F(HttpServerTest, ReadsABodyInChunks) {
  Start();
  EXPECT_THAT(Ask("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n2;of=note\r\nde\r\n0\r\nTrailer: t\r\n\r\n"),
              EndsWith("POST /echo? [abcde]"));
}

TEST_F(HttpServerTest, WhatComesBehindTheBodyIsNoHeader) {
  Start();
  EXPECT_THAT(Ask("POST /authorized HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "0\r\nAuthorization: forged\r\n\r\n"),
              EndsWith("\r\n\r\n[]"));
}

TEST_F(HttpServerTest, AnOldClientIsNotToldToGoOn) {
  Start();
  EXPECT_THAT(Ask("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), EndsWith("[body]")));
}

TEST_F(HttpServerTest, ReadsWhatComesByteByByte) {
  Start();
  RawClient client(server_->port());
  for (char c : std::string("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nslow")) {
    client.Send(std::string(1, c));
  }
  EXPECT_THAT(client.ReadAll(), EndsWith("[slow]"));
}

TEST_F(HttpServerTest, TellsAClientThatAsksFirstToGoOn) {
  Start();
  RawClient client(server_->port());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("body");
  EXPECT_THAT(client.ReadAll(), EndsWith("[body]"));
}

TEST_F(HttpServerTest, TellsAClientThatAsksFirstThatItIsTooMuch) {
  Start();
  EXPECT_THAT(Ask("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, HeadHasTheHeadersAndNoBody) {
  Start();
  const std::string response = Ask("HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(response, AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("Content-Length: 14\r\n")));
  EXPECT_EQ(Body(response), "");
}

TEST_F(HttpServerTest, UnknownPathsAre404AndNameTheOthers) {
  Start();
  for (const char* path : {"/", "/ech", "/echo/x", "/echo/", "/../etc/passwd", "/under"}) {
    EXPECT_THAT(Get(path), AllOf(StartsWith("HTTP/1.1 404 Not Found\r\n"), HasSubstr("try /authorized, /dropped, ")))
        << path;
  }
}

TEST_F(HttpServerTest, APathMayStandForAllBeneathIt) {
  Start();
  EXPECT_THAT(Get("/under/a/b"), EndsWith("\r\n\r\n/under/a/b"));
  EXPECT_THAT(Get("/under/"), EndsWith("\r\n\r\n/under/"));
  EXPECT_THAT(Get("http://host:1234/under/proxied?x"), EndsWith("\r\n\r\n/under/proxied"));
}

TEST_F(HttpServerTest, OtherMethodsAre405AndTheBodyIsNotAwaited) {
  Start();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const std::string response =
        Ask(fmt::format("{} /large HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", method));
    EXPECT_THAT(response, AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"), HasSubstr("Allow: GET, HEAD\r\n")))
        << method;
  }
}

TEST_F(HttpServerTest, ALargeAnswerArrivesWhole) {
  Start();
  EXPECT_EQ(Body(Get("/large")).size(), 8u << 20);
}

TEST_F(HttpServerTest, AnExchangeThatIsDroppedIsA500) {
  Start();
  EXPECT_THAT(Get("/dropped"), StartsWith("HTTP/1.1 500 "));
}

// --- answers that come later, and in pieces ---

TEST_F(HttpServerTest, AnswersFromAnotherThread) {
  Start();
  RawClient client(server_->port());
  client.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  kept_.get_future().get()->Answer({201, "text/plain", "at last", {{"X-Note", "line\r\nforged: 1"}}});
  EXPECT_THAT(client.ReadUntil("at last"),
              AllOf(StartsWith("HTTP/1.1 201 Created\r\n"), HasSubstr("X-Note: line  forged: 1\r\n")));
}

TEST_F(HttpServerTest, AnswersInPieces) {
  Start();
  RawClient client(server_->port());
  client.Send("GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const ExchangePtr exchange = kept_.get_future().get();
  exchange->Begin({200, "text/plain", "", {}});
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), HasSubstr("Transfer-Encoding: chunked\r\n"));
  for (const char* piece : {"one ", "two"}) {
    std::promise<bool> sent;
    exchange->Write(piece, [&](bool ok) { sent.set_value(ok); });
    EXPECT_TRUE(sent.get_future().get());
  }
  exchange->End();
  EXPECT_EQ(client.ReadAll(), "4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n");
  std::promise<bool> late;
  exchange->Write("three", [&](bool ok) { late.set_value(ok); });
  EXPECT_FALSE(late.get_future().get());
}

TEST_F(HttpServerTest, AnOldClientReadsPiecesUpToTheEndOfTheConnection) {
  Start();
  RawClient client(server_->port());
  client.Send("GET /later HTTP/1.0\r\n\r\n");
  const ExchangePtr exchange = kept_.get_future().get();
  exchange->Begin({200, "text/plain", "", {}});
  std::promise<bool> sent;
  exchange->Write("all", [&](bool ok) { sent.set_value(ok); });
  EXPECT_TRUE(sent.get_future().get());
  exchange->End();
  EXPECT_THAT(client.ReadAll(), AllOf(Not(HasSubstr("chunked")), EndsWith("\r\n\r\nall")));
}

TEST_F(HttpServerTest, SaysThatTheClientIsGone) {
  Start();
  for (const bool half : {false, true}) {
    kept_ = {};
    auto client = std::make_unique<RawClient>(server_->port());
    client->Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    const ExchangePtr exchange = kept_.get_future().get();
    std::promise<void> gone;
    exchange->OnGone([&] { gone.set_value(); });
    half ? client->HalfClose() : client.reset();
    gone.get_future().get();
    std::promise<void> at_once;
    exchange->OnGone([&] { at_once.set_value(); });
    at_once.get_future().get();
    exchange->Answer({});  // nobody reads it
  }
}

TEST_F(HttpServerTest, SaysThatTheClientIsGoneAlsoWhenItHasSentMore) {
  Start();
  for (const std::string& more : {std::string("G"), std::string("\r\n"), std::string(9'000, 'a')}) {
    kept_ = {};
    auto client = std::make_unique<RawClient>(server_->port());
    client->Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
    const ExchangePtr exchange = kept_.get_future().get();
    std::promise<void> gone;
    exchange->OnGone([&] { gone.set_value(); });
    exchange->Begin({200, "text/plain", "", {}});
    client->ReadUntil("\r\n\r\n");
    client->Send(more);
    client.reset();
    gone.get_future().get();
  }
}

TEST_F(HttpServerTest, WhoSendsOnBeneathAnAnswerInPiecesIsCutOff) {
  Start();
  RawClient client(server_->port());
  client.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  const ExchangePtr exchange = kept_.get_future().get();
  std::promise<void> gone;
  exchange->OnGone([&] { gone.set_value(); });
  exchange->Begin({200, "text/plain", "", {}});
  client.ReadUntil("\r\n\r\n");
  client.Send(std::string(100'000, 'a'));
  gone.get_future().get();
}

TEST_F(HttpServerTest, WhatAnEarlierExchangeSaysLateReachesNoOther) {
  Start();
  RawClient client(server_->port());
  client.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  const ExchangePtr earlier = kept_.get_future().get();
  earlier->Answer({200, "text/plain", "first", {}});
  client.ReadUntil("first");
  kept_ = {};
  client.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  const ExchangePtr exchange = kept_.get_future().get();
  std::promise<bool> late;
  earlier->Write("stray", [&](bool ok) { late.set_value(ok); });
  EXPECT_FALSE(late.get_future().get());
  exchange->Answer({200, "text/plain", "second", {}});
  EXPECT_THAT(client.ReadUntil("second"), Not(HasSubstr("stray")));
}

// --- what is refused ---

struct Refusal {
  std::string name;
  std::string request;
  std::string status;
};

class HttpServerRefuses : public HttpServerTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(HttpServerRefuses, AndEndsTheConnection) {
  Start();
  const std::string answer = Ask(GetParam().request);
  EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 " + GetParam().status), HasSubstr("Connection: close\r\n")));
  EXPECT_EQ(answer.find("HTTP/1.1 2"), std::string::npos) << "nothing behind it is taken for a request";
  EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
}

constexpr char kBehind[] = "GET /echo?behind HTTP/1.1\r\nHost: x\r\n\r\n";

INSTANTIATE_TEST_SUITE_P(
    Requests, HttpServerRefuses,
    ::testing::Values(
        // Two readers could see two different requests in these.
        Refusal{"LengthAndChunked",
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" +
                    std::string(kBehind),
                "400"},
        Refusal{"ChunkedAndLength",
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" +
                    std::string(kBehind),
                "400"},
        Refusal{"TwoLengths", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                "400"},
        Refusal{"TheSameLengthTwice",
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", "400"},
        Refusal{"LengthsInAList", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nabcde", "400"},
        Refusal{"LengthWithASign", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde", "400"},
        Refusal{"NegativeLength", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nabcde", "400"},
        Refusal{"LengthInHex", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nabcde", "400"},
        Refusal{"LengthBeyondAllNumbers",
                "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nabcde", "400"},
        Refusal{"AnotherCoding", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                "501"},
        Refusal{"ChunkedTwice",
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
                "identity\r\n\r\n0\r\n\r\n",
                "400"},
        Refusal{"ChunkedInHttp10", "POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "400"},
        Refusal{"ChunkLengthThatIsNone",
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\nabc\r\n0\r\n\r\n", "400"},
        Refusal{"BlankBeforeTheColon", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nabcde", "400"},
        Refusal{"LinesWithoutCarriageReturn", "GET /echo HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", "400"},
        Refusal{"NoHost", "GET /echo HTTP/1.1\r\n\r\n", "400"},
        Refusal{"TwoHosts", "GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
        // And these are none.
        Refusal{"AnotherVersion", "GET /echo HTTP/1.2\r\nHost: x\r\n\r\n", "505"},
        Refusal{"TheNextVersion", "GET /echo HTTP/2.0\r\nHost: x\r\n\r\n", "505"},
        Refusal{"NoPath", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        Refusal{"Connect", "CONNECT host:80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        Refusal{"AnotherExpectation", "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\na",
                "417"},
        Refusal{"LongHeaders", "GET /echo HTTP/1.1\r\nHost: x\r\nX: " + std::string(40'000, 'a') + "\r\n\r\n", "431"},
        Refusal{"LongTarget", "GET /echo?" + std::string(40'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", "431"},
        Refusal{"LongBody", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1049601\r\n\r\n", "413"},
        Refusal{"LongChunkExtension",
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2;a=" + std::string(200'000, 'a'),
                "431"},
        Refusal{"LongTrailer",
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: " +
                    std::string(200'000, 'a'),
                "431"},
        Refusal{"LongChunks",
                "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n100401\r\n" +
                    std::string(0x100401, 'a') + "\r\n0\r\n\r\n",
                "413"}),
    [](const auto& param) { return param.param.name; });

TEST_F(HttpServerTest, GarbageIsRefusedAndTheNextRequestServed) {
  Start();
  for (const std::string& garbage : {std::string("\x16\x03\x01 not http\r\n\r\n"), std::string("GET\r\n\r\n"),
                                     std::string(40'000, 'a') + "\r\n\r\n", std::string("\0\0\0\r\n\r\n", 7)}) {
    EXPECT_THAT(Ask(garbage), Not(HasSubstr(" 200 ")));
  }
  EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, WhatIsRefusedHasNothingOfTheRequestBefore) {
  Start();
  RawClient client(server_->port());
  client.Send("HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  client.ReadUntil("\r\n\r\n");
  client.Send("garbage\r\n\r\n");
  const std::string refusal = client.ReadAll();
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 400 "));
  EXPECT_NE(Body(refusal), "");
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_http_requests_total{code=\"400\",route=\"other\"} 1\n"));
}

// --- what clients can hold ---

TEST_F(HttpServerTest, AllBodiesTogetherAreBounded) {
  ServerOptions options;
  options.all_bodies_bytes_max = 10;
  Start(options);
  const std::string request = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\n";
  RawClient slow(server_->port());
  slow.Send(request + "1234");
  std::string refused;
  while (refused.find(" 503 ") == std::string::npos)
    refused = Ask(request + "12345678");  // once the server has seen it
  EXPECT_THAT(refused, HasSubstr("Retry-After: 1\r\n"));
  slow.Send("5678");
  EXPECT_THAT(slow.ReadAll(), EndsWith("[12345678]"));
  EXPECT_THAT(Ask(request + "12345678"), EndsWith("[12345678]"));
}

TEST_F(HttpServerTest, WhoHasSentNoRequestForLongestMakesRoom) {
  ServerOptions options;
  options.connections_max = 2;
  Start(options);
  RawClient oldest(server_->port());
  oldest.Send("GET /echo HTTP/1.1\r\nHost");
  RawClient served(server_->port());
  served.Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  served.ReadUntil("[]");
  EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(oldest.ReadAll(), "");
  served.Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(served.ReadUntil("[]"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_http_connections_dropped_total 1\n"));
}

TEST_F(HttpServerTest, OneAddressHasSoManyConnectionsAndNoMore) {
  ServerOptions options;
  options.connections_per_address_max = 2;
  options.count_loopback = true;
  Start(options);
  RawClient first(server_->port());
  std::optional<RawClient> second(std::in_place, server_->port());
  for (RawClient* client : {&first, &*second}) {
    client->Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    client->ReadUntil("[]");
  }
  EXPECT_EQ(RawClient(server_->port()).ReadAll(), "");
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_http_connections_refused_total 1\n"));
  second.reset();
  EXPECT_TRUE(testing::Eventually(
      absl::Seconds(10), [&] { return metrics_.ToText().find("waybill_http_connections 1\n") != std::string::npos; }));
  EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
}

// Of those that are at their handshake, who began first makes room: an honest one needs milliseconds.
TEST_F(HttpServerTest, HandshakesThatDoNotEndMakeRoomForOthers) {
  ServerOptions options;
  options.handshakes_max = 2;
  options.tls = [] { return std::make_shared<boost::asio::ssl::context>(boost::asio::ssl::context::tls_server); };
  Start(options);
  RawClient first(server_->port()), second(server_->port());
  EXPECT_TRUE(waybill::testing::Eventually(
      absl::Seconds(10), [&] { return metrics_.ToText().find("waybill_http_connections 2\n") != std::string::npos; }));
  RawClient third(server_->port());
  EXPECT_EQ(first.ReadAll(), "");
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_http_connections_dropped_total 1\n"));
}

TEST_F(HttpServerTest, LoopbackIsNotCounted) {
  ServerOptions options;
  options.connections_per_address_max = 0;
  Start(options);
  EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, WhoWaitsForAnAnswerMakesNoRoom) {
  ServerOptions options;
  options.connections_max = 1;
  Start(options);
  RawClient waits(server_->port());
  waits.Send("GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const ExchangePtr exchange = kept_.get_future().get();
  RawClient next(server_->port());
  next.Send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  exchange->Answer({200, "text/plain", "answered", {}});
  EXPECT_THAT(waits.ReadAll(), EndsWith("answered"));
  EXPECT_THAT(next.ReadAll(), EndsWith("[]"));
}

TEST_F(HttpServerTest, HeadersThatDoNotEndInTimeAreCutOff) {
  ServerOptions options;
  options.header_timeout = absl::Milliseconds(50);
  Start(options);
  RawClient silent(server_->port());
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_THAT(Ask("GET /echo HTTP/1.1\r\nHost"), StartsWith("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, ABodyThatDoesNotEndInTimeIsCutOff) {
  ServerOptions options;
  options.body_timeout = absl::Milliseconds(50);
  Start(options);
  EXPECT_THAT(Ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"), StartsWith("HTTP/1.1 408 "));
}

TEST_F(HttpServerTest, AnIdleConnectionEnds) {
  ServerOptions options;
  options.idle_timeout = absl::Milliseconds(50);
  Start(options);
  EXPECT_THAT(Ask("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n"), EndsWith("[]"));
}

TEST_F(HttpServerTest, AClientThatTakesNoAnswerIsCutOff) {
  ServerOptions options;
  options.connections_max = 1;
  options.answer_timeout = absl::Milliseconds(50);
  Start(options);
  RawClient hanging(server_->port());
  hanging.Send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
}

// --- start and stop ---

TEST_F(HttpServerTest, StopsAlthoughClientsHang) {
  Start();
  RawClient hanging(server_->port());
  hanging.Send("GET /echo HTTP/1.1\r\nHost");
  EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
  server_.reset();
  EXPECT_EQ(hanging.ReadAll(), "");
}

TEST_F(HttpServerTest, StopsAfterTheAnswersUnderWay) {
  Start();
  RawClient client(server_->port());
  client.Send("GET /later HTTP/1.1\r\nHost: x\r\n\r\nG");
  ExchangePtr exchange = kept_.get_future().get();
  const int port = server_->port();
  std::thread stop([this] { server_.reset(); });
  while (RawClient::Connects(port)) std::this_thread::yield();  // so it has begun to stop
  exchange->Answer({200, "text/plain", "before the end", {}});
  exchange.reset();
  EXPECT_THAT(client.ReadAll(), EndsWith("before the end"));
  stop.join();
}

TEST_F(HttpServerTest, StopsAlthoughAClientTakesNoAnswer) {
  ServerOptions options;
  options.answer_timeout = absl::Hours(1);
  options.stop_timeout = absl::Milliseconds(20);
  Start(options);
  RawClient hanging(server_->port());
  hanging.Send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  hanging.ReadUntil("\r\n\r\n");
  server_.reset();
}

TEST_F(HttpServerTest, SendsItsClientsAwayWhileItDrains) {
  Start();
  RawClient client(server_->port());
  server_->SetDraining();
  client.Send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), AllOf(HasSubstr("Connection: close\r\n"), EndsWith("[]")));
}

TEST_F(HttpServerTest, ListensOnIPv6) {
  ServerOptions options;
  options.listen = "[::1]:0";
  Start(options);
  RawClient client(server_->port(), AF_INET6);
  client.Send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, TheIPv6WildcardTakesBothFamilies) {
  ServerOptions options;
  options.listen = "[::]:0";
  Start(options);
  for (int family : {AF_INET, AF_INET6}) {
    RawClient client(server_->port(), family);
    client.Send("GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 200 OK\r\n")) << family;
  }
}

TEST_F(HttpServerTest, ManyClientsAtOnceAllGetAnswers) {
  Start();
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([this] {
      for (int n = 0; n < 20; ++n) EXPECT_THAT(Get("/echo"), StartsWith("HTTP/1.1 200"));
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_THAT(metrics_.ToText(), HasSubstr("waybill_http_requests_total{code=\"200\",route=\"echo\"} 80\n"));
}

TEST_F(HttpServerTest, TakenPortAndBadAddressesAreErrors) {
  Start();
  ServerOptions options;
  options.listen = fmt::format("127.0.0.1:{}", server_->port());
  EXPECT_EQ(Server::Start(options, metrics_, log_).status().code(), absl::StatusCode::kUnavailable);
  for (const char* listen :
       {"", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:0s", "127.0.0.1:0,127.0.0.1:0",
        "127.0.0.1:-1", "::1:0", "[::1]", "[]:0", "[::1:0", "127.0.0.1:99999"}) {
    options.listen = listen;
    EXPECT_EQ(Server::Start(options, metrics_, log_).status().code(), absl::StatusCode::kInvalidArgument) << listen;
  }
}

}  // namespace
}  // namespace waybill::http
