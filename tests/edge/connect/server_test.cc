#include "edge/connect/server.h"

#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "edge/connect/gzip.h"
#include "edge/connect/protocol.h"
#include "edge/http/probes.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/readiness.h"
#include "runtime/status.h"
#include "tests/edge/http/http_client.h"
#include "waybill/order/v1/order.pb.h"

namespace waybill::connect {
namespace {

namespace pb = waybill::order::v1;

using nlohmann::json;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using CreateCall = rpc::UnaryCall<pb::CreateOrderRequest, pb::Order>;
using GetCall = rpc::UnaryCall<pb::GetOrderRequest, pb::Order>;
using WatchCall = rpc::ServerStreamCall<pb::WatchOrderRequest, pb::OrderTransition>;

constexpr char kCreate[] = "/waybill.order.v1.OrderService/CreateOrder";
constexpr char kGet[] = "/waybill.order.v1.OrderService/GetOrder";
constexpr char kWatch[] = "/waybill.order.v1.OrderService/WatchOrder";
constexpr char kJson[] = "content-type: application/json\r\n";
constexpr char kStreamJson[] = "content-type: application/connect+json\r\n";

struct Answer {
  unsigned code = 0;
  std::string head;
  std::string body;
};

// A service whose CreateOrder answers with what it was asked, GetOrder as the test says, and WatchOrder with as many
// transitions as from_sequence says.
class ConnectTest : public ::testing::Test {
 protected:
  ConnectTest() {
    http::ServerOptions options;
    options.answer_timeout = absl::Hours(1);  // no test shall pass because somebody was cut off in the end
    http_ = *http::Server::Start(options, metrics_, log_);
    connect_.ServeOn(*http_);
  }
  ~ConnectTest() override {
    connect_.Drain(SteadyTime::InfinitePast());
    http_.reset();
  }

  void Open() {
    rpc::Server& server = connect_.server();
    server.Unary<pb::CreateOrderRequest, pb::Order>(
        "waybill.order.v1.OrderService/CreateOrder", access::kAnybody, [this](CreateCall::Ptr call) {
          call->response().set_idempotency_key(call->request().idempotency_key());
          *call->response().mutable_amount() = call->request().amount();
          *call->response().mutable_metadata() = call->request().metadata();
          call->response().set_user_id(fmt::format("{}|{}|{}", call->Metadata("waybill-client"),
                                                   call->Metadata("cookie"), call->Metadata("authorization")));
          call->AddInitialMetadata("idempotency-replayed", "true");
          call->Finish(absl::OkStatus());
        });
    server.Unary<pb::GetOrderRequest, pb::Order>("waybill.order.v1.OrderService/GetOrder", access::kAnybody,
                                                 [this](GetCall::Ptr call) { get_(std::move(call)); });
    server.ServerStream<pb::WatchOrderRequest, pb::OrderTransition>(
        "waybill.order.v1.OrderService/WatchOrder", access::kAnybody,
        [this](WatchCall::Ptr call) { watch_(std::move(call)); });
    ASSERT_TRUE(connect_.Start().ok());
  }

  // Writes transitions 1 to `left`, one after the other, then the status.
  static void WriteOn(std::shared_ptr<WatchCall::Ptr> call, int64_t next, int64_t last, absl::Status status) {
    if (next > last) {
      (*call)->Finish(status);
      return;
    }
    pb::OrderTransition transition;
    transition.set_sequence(next);
    transition.set_detail(std::string(2000, 'd'));
    WatchCall& kept = **call;
    kept.Write(transition, [call = std::move(call), next, last, status](bool ok) mutable {
      if (ok) WriteOn(std::move(call), next + 1, last, status);
    });
  }

  Answer Ask(const std::string& method, const std::string& path, const std::string& fields, const std::string& body) {
    http::RawClient client(http_->port());
    client.Send(fmt::format("{} {} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}content-length: {}\r\n\r\n{}", method,
                            path, fields, body.size(), body));
    const std::string read = client.ReadAll();
    const size_t end = read.find("\r\n\r\n");
    Answer answer;
    if (read.size() > 12) answer.code = static_cast<unsigned>(std::stoi(read.substr(9, 3)));
    answer.head = read.substr(0, end + 2);
    answer.body = end == std::string::npos ? "" : read.substr(end + 4);
    if (answer.head.find("Transfer-Encoding: chunked") != std::string::npos) answer.body = Unchunked(answer.body);
    return answer;
  }
  Answer Post(const std::string& path, const std::string& body, const std::string& fields = kJson) {
    return Ask("POST", path, fields, body);
  }
  static std::string Unchunked(std::string_view text) {
    std::string plain;
    while (!text.empty()) {
      const size_t line = text.find("\r\n");
      const size_t length = std::stoul(std::string(text.substr(0, line)), nullptr, 16);
      plain.append(text.substr(line + 2, length));
      text.remove_prefix(std::min(text.size(), line + 2 + length + 2));
    }
    return plain;
  }
  static std::vector<std::pair<int, std::string>> Envelopes(std::string_view body) {
    std::vector<std::pair<int, std::string>> all;
    while (body.size() >= 5) {
      size_t length = 0;
      for (size_t i = 1; i < 5; ++i) length = length << 8 | static_cast<unsigned char>(body[i]);
      all.emplace_back(body[0], std::string(body.substr(5, length)));
      body.remove_prefix(std::min(body.size(), 5 + length));
    }
    EXPECT_TRUE(body.empty());
    return all;
  }

  const SystemClock clock_;
  Logger log_{LogFormat::kJson, LogLevel::kError, clock_};
  Metrics metrics_;
  std::function<void(GetCall::Ptr)> get_ = [](GetCall::Ptr call) {
    call->response().set_order_id(call->request().order_id());
    call->Finish(absl::OkStatus());
  };
  std::function<void(WatchCall::Ptr)> watch_ = [](WatchCall::Ptr call) {
    const int64_t last = call->request().from_sequence();
    WriteOn(std::make_shared<WatchCall::Ptr>(std::move(call)), 1, last, absl::OkStatus());
  };
  Server connect_{clock_, metrics_, {1 << 20, 1024, {"https://console.example"}}};
  std::unique_ptr<http::Server> http_;
};

TEST_F(ConnectTest, AnswersJsonWithJson) {
  Open();
  const Answer answer = Post(kCreate,
                             R"({"idempotencyKey":"k-1","amount":{"minor_units":"9007199254740993","currency":"EUR"},)"
                             R"("metadata":{"a":"ä"},"unheardOf":1})",
                             std::string(kJson) + "waybill-client: shop\r\ncookie: c\r\nauthorization: Bearer t\r\n");
  EXPECT_EQ(answer.code, 200u) << answer.body;
  EXPECT_THAT(answer.head,
              AllOf(HasSubstr("Content-Type: application/json\r\n"), HasSubstr("idempotency-replayed: true\r\n")));
  const json order = json::parse(answer.body);
  EXPECT_EQ(order["idempotencyKey"], "k-1");
  EXPECT_EQ(order["amount"]["minorUnits"], "9007199254740993");
  EXPECT_EQ(order["metadata"]["a"], "ä");
  EXPECT_EQ(order["userId"], "shop||Bearer t");
  EXPECT_FALSE(order.contains("needsAttention")) << "defaults are left out";
}

TEST_F(ConnectTest, AWholeNumberIsTakenExactlyOrNotAtAll) {
  Open();
  auto amount = [this](const std::string& number) {
    return Post(kCreate, fmt::format(R"({{"amount":{{"minorUnits":{}}}}})", number));
  };
  EXPECT_THAT(amount("1234").body, HasSubstr("\"1234\""));
  EXPECT_THAT(amount("9007199254740993").body, HasSubstr("\"9007199254740993\""));
  for (const char* bad : {"1.5", "\"1,000\"", "\" 5\"", "true", "9223372036854775808", "\"abc\""}) {
    const Answer answer = amount(bad);
    EXPECT_EQ(answer.code, 400u) << bad << " became " << answer.body;
    EXPECT_THAT(answer.body, HasSubstr("(amount.minor_units)")) << bad;
  }
}

TEST_F(ConnectTest, AnswersBytesWithBytes) {
  Open();
  pb::CreateOrderRequest request;
  request.set_idempotency_key("k-2");
  const Answer answer = Post(kCreate, request.SerializeAsString(), "content-type: application/proto\r\n");
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/proto\r\n"));
  pb::Order order;
  ASSERT_TRUE(order.ParseFromString(answer.body));
  EXPECT_EQ(order.idempotency_key(), "k-2");
}

TEST_F(ConnectTest, ContentTypesMayNameTheirCharset) {
  Open();
  for (const char* type : {"application/json; charset=utf-8", "Application/JSON;charset=UTF-8"}) {
    EXPECT_EQ(Post(kCreate, "{}", fmt::format("content-type: {}\r\n", type)).code, 200u) << type;
  }
  for (const char* type : {"application/json; charset=latin1", "application/x-www-form-urlencoded", "text/plain",
                           "application/grpc", "application/connect+json", ""}) {
    const Answer answer = Post(kCreate, "{}", fmt::format("content-type: {}\r\n", type));
    EXPECT_EQ(answer.code, 415u) << type;
    EXPECT_THAT(answer.body, HasSubstr("application/json")) << type;
  }
  EXPECT_EQ(Post(kCreate, "{}", "").code, 415u);
}

TEST_F(ConnectTest, ErrorsAreJsonWithTheirDetailsWhateverTheCodec) {
  get_ = [](GetCall::Ptr call) {
    ErrorDetail detail;
    detail.reason = "QUEUE_FULL";
    detail.retry_after = absl::Milliseconds(1200);
    call->Finish(MakeError(absl::StatusCode::kResourceExhausted, "later", detail));
  };
  Open();
  for (const char* type : {"application/json", "application/proto"}) {
    const Answer answer =
        Post(kGet, type == std::string("application/json") ? "{}" : "", fmt::format("content-type: {}\r\n", type));
    EXPECT_EQ(answer.code, 429u);
    EXPECT_THAT(answer.head, AllOf(HasSubstr("Content-Type: application/json\r\n"), HasSubstr("retry-after: 2\r\n")));
    const json error = json::parse(answer.body);
    EXPECT_EQ(error["code"], "resource_exhausted");
    EXPECT_EQ(error["details"][0]["debug"]["reason"], "QUEUE_FULL");
  }
}

TEST_F(ConnectTest, RefusesWhatIsNoRequestByNameAndReason) {
  Open();
  const std::vector<std::pair<std::string, std::string>> bad = {{"", "not a valid"},
                                                                {"{", "not a valid"},
                                                                {"[]", "not a valid"},
                                                                {"{\"orderId\": 5.5}", "(order_id)"},
                                                                {"{\"orderId\": [\"a\"]}", "orderId"},
                                                                {"{\"orderId\": \"\xff\"}", ""}};
  for (const auto& [body, words] : bad) {
    const Answer answer = Post(kGet, body);
    EXPECT_EQ(answer.code, 400u) << body;
    EXPECT_THAT(answer.body, AllOf(StartsWith("{\"code\":\"invalid_argument\""), HasSubstr(words))) << body;
  }
  EXPECT_EQ(Post(kGet, "\xff\xff", "content-type: application/proto\r\n").code, 400u);
}

// protobuf's parser drops what it does not know: of a list that narrows, the rest would be all there is.
TEST_F(ConnectTest, AMisspeltNameOrANullDoesNotEmptyAList) {
  rpc::Server& server = connect_.server();
  using ListCall = rpc::UnaryCall<pb::ListOrdersRequest, pb::ListOrdersResponse>;
  server.Unary<pb::ListOrdersRequest, pb::ListOrdersResponse>(
      "waybill.order.v1.OrderService/ListOrders", access::kAnybody, [](ListCall::Ptr call) {
        call->response().set_next_page_token(std::to_string(call->request().statuses_size()));
        call->Finish(absl::OkStatus());
      });
  Open();
  const auto list = [this](const std::string& body) { return Post("/waybill.order.v1.OrderService/ListOrders", body); };
  const auto statuses = [&](const std::string& values) { return list(fmt::format("{{\"statuses\":{}}}", values)); };
  EXPECT_THAT(statuses("[\"CONFIRMED\",2,\"3\",\"FAILED\"]").body, HasSubstr("\"4\""));
  EXPECT_THAT(statuses("null").body, HasSubstr("\"0\"")) << "not said";
  EXPECT_EQ(list("{\"unheardOf\":[null,{\"statuses\":[null]}],\"pageSize\":null}").code, 200u);
  EXPECT_EQ(list("{\"statuses\":[\"confirmed\"],\"statuses\":[]}").code, 400u);
  for (const auto& [values, where] : std::vector<std::pair<std::string, std::string>>{
           {"[\"confirmed\"]", "statuses[0]"}, {"[1,\"CONFIRMD\"]", "statuses[1]"}, {"[null]", "statuses[0]"}}) {
    const Answer answer = statuses(values);
    EXPECT_EQ(answer.code, 400u) << values;
    const json error = json::parse(answer.body);
    EXPECT_THAT(answer.body, HasSubstr(where)) << values;
    EXPECT_THAT(answer.body, HasSubstr("BAD_REQUEST")) << values;
  }
  const Answer one = Post(kCreate, "{\"wait\":\"untilAccepted\"}");
  EXPECT_EQ(one.code, 400u);
  EXPECT_THAT(one.body, HasSubstr("wait"));
}

TEST_F(ConnectTest, WhatIsNestedWithoutEndIsRefused) {
  Open();
  for (const char* opening : {"[", "{\"x\":", "{\"x\":["}) {
    std::string deep = "{\"unheardOf\":";
    while (deep.size() < 900'000) deep += opening;
    EXPECT_EQ(Post(kCreate, deep).code, 400u) << opening;
  }
}

TEST_F(ConnectTest, TheVersionIsOneOrNotSaid) {
  Open();
  EXPECT_EQ(Post(kGet, "{}", std::string(kJson) + "connect-protocol-version: 1\r\n").code, 200u);
  const Answer answer = Post(kGet, "{}", std::string(kJson) + "connect-protocol-version: 2\r\n");
  EXPECT_EQ(answer.code, 400u);
  EXPECT_THAT(answer.body, HasSubstr("must be \\\"1\\\": got \\\"2\\\""));
}

TEST_F(ConnectTest, ADeadlineIsTheCallersAndEndsTheWait) {
  std::promise<SteadyTime> deadline;
  GetCall::Ptr kept;
  get_ = [&](GetCall::Ptr call) {
    if (!kept) deadline.set_value(call->deadline());
    kept = std::move(call);
  };
  Open();
  const Answer answer = Post(kGet, "{}", std::string(kJson) + "connect-timeout-ms: 30\r\n");
  EXPECT_EQ(answer.code, 504u);
  EXPECT_THAT(answer.body, HasSubstr("deadline_exceeded"));
  EXPECT_LT(deadline.get_future().get(), clock_.Steady());
  EXPECT_EQ(Post(kGet, "{}", std::string(kJson) + "connect-timeout-ms: 2500.7\r\n").code, 400u);
  EXPECT_EQ(Post(kGet, "{}", std::string(kJson) + "connect-timeout-ms: 0\r\n").code, 504u);
}

TEST_F(ConnectTest, AFarDeadlineIsFar) {
  std::promise<SteadyTime> deadline;
  get_ = [&](GetCall::Ptr call) {
    deadline.set_value(call->deadline());
    call->Finish(absl::OkStatus());
  };
  Open();
  EXPECT_EQ(Post(kGet, "{}", std::string(kJson) + "connect-timeout-ms: 9999999999\r\n").code, 200u);
  EXPECT_GT(deadline.get_future().get(), clock_.Steady() + absl::Hours(24 * 115));
}

TEST_F(ConnectTest, WhoGoesAwayCancelsTheCall) {
  std::promise<GetCall::Ptr> arrived;
  get_ = [&](GetCall::Ptr call) { arrived.set_value(std::move(call)); };
  Open();
  auto client = std::make_unique<http::RawClient>(http_->port());
  client->Send(fmt::format("POST {} HTTP/1.1\r\nhost: x\r\n{}content-length: 2\r\n\r\n{{}}", kGet, kJson));
  GetCall::Ptr call = arrived.get_future().get();
  std::promise<void> cancelled;
  call->OnCancelled([&] { cancelled.set_value(); });
  client.reset();
  cancelled.get_future().get();
}

TEST_F(ConnectTest, CompressesBothWaysWhatIsLong) {
  Open();
  const std::string request = fmt::format(R"({{"idempotencyKey":"{}"}})", std::string(3000, 'k'));
  const Answer answer =
      Post(kCreate, Gzip(request), std::string(kJson) + "content-encoding: gzip\r\naccept-encoding: br, gzip\r\n");
  EXPECT_THAT(answer.head, HasSubstr("content-encoding: gzip\r\n"));
  EXPECT_THAT(*Gunzip(answer.body, 1 << 20), HasSubstr(std::string(3000, 'k')));
  EXPECT_THAT(Post(kCreate, "{}", std::string(kJson) + "accept-encoding: gzip\r\n").head,
              Not(HasSubstr("content-encoding")));
}

TEST_F(ConnectTest, RefusesOtherCompressionAndBombs) {
  Open();
  const Answer other = Post(kGet, "{}", std::string(kJson) + "content-encoding: zstd\r\n");
  EXPECT_EQ(other.code, 501u);
  EXPECT_THAT(other.body, HasSubstr("unknown compression \\\"zstd\\\": supported encodings are gzip"));
  EXPECT_EQ(Post(kGet, "{}", std::string(kJson) + "content-encoding: gzip\r\n").code, 400u);
  const Answer bomb = Post(kGet, Gzip(std::string(50 << 20, ' ')), std::string(kJson) + "content-encoding: gzip\r\n");
  EXPECT_EQ(bomb.code, 429u);
  EXPECT_THAT(bomb.body, HasSubstr("larger than 1048576 bytes"));
}

TEST_F(ConnectTest, UnknownPathsAndMethodsAreSaid) {
  Open();
  for (const char* path : {"/", "/waybill.order.v1.OrderService/NoSuch", "/waybill.order.v1.OrderService/", "/x"}) {
    const Answer answer = Post(path, "{}");
    EXPECT_EQ(answer.code, 404u) << path;
    EXPECT_THAT(answer.body, StartsWith("{\"code\":\"unimplemented\"")) << path;
  }
  EXPECT_EQ(Ask("PUT", kGet, kJson, "{}").code, 405u);
  const Answer get = Ask("GET", std::string(kCreate) + "?connect=v1&encoding=json&message=%7B%7D", "", "");
  EXPECT_EQ(get.code, 405u);
  EXPECT_THAT(get.head, HasSubstr("Allow: POST\r\n"));
}

TEST_F(ConnectTest, WhatHasNoSideEffectsIsReadByGet) {
  Open();
  EXPECT_EQ(
      Ask("GET", std::string(kGet) + "?connect=v1&encoding=json&message=%7B%22orderId%22%3A%22o%201%22%7D", "", "")
          .body,
      "{\"orderId\":\"o 1\"}");
  const Answer binary = Ask("GET", std::string(kGet) + "?connect=v1&base64=1&encoding=proto&message=CgNvLTI", "", "");
  EXPECT_EQ(binary.code, 200u);
  EXPECT_EQ(binary.body, "\n\x03o-2");
  EXPECT_EQ(Ask("GET", std::string(kGet) + "?connect=v1&encoding=yaml&message=", "", "").code, 400u);
  EXPECT_EQ(Ask("GET", std::string(kGet) + "?connect=v2&encoding=json&message=%7B%7D", "", "").code, 400u);
  EXPECT_EQ(Ask("GET", std::string(kGet) + "?encoding=proto&base64=1&message=*", "", "").code, 400u);
}

TEST_F(ConnectTest, StreamsMessagesAndTheirEnd) {
  Open();
  const Answer answer = Post(kWatch, Envelope(0, R"({"fromSequence":"3"})"), kStreamJson);
  EXPECT_EQ(answer.code, 200u);
  EXPECT_THAT(answer.head, HasSubstr("Content-Type: application/connect+json\r\n"));
  const auto envelopes = Envelopes(answer.body);
  ASSERT_EQ(envelopes.size(), 4u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(envelopes[i].first, 0);
    EXPECT_EQ(json::parse(envelopes[i].second)["sequence"], std::to_string(i + 1));
  }
  EXPECT_EQ(envelopes[3], std::pair(int{kEnd}, std::string("{}")));
}

TEST_F(ConnectTest, StreamsCompressedToWhoTakesIt) {
  Open();
  pb::WatchOrderRequest request;
  request.set_from_sequence(2);
  const Answer answer = Post(kWatch, Envelope(kCompressed, Gzip(request.SerializeAsString())),
                             "content-type: application/connect+proto\r\nconnect-content-encoding: gzip\r\n"
                             "connect-accept-encoding: gzip,br\r\n");
  EXPECT_THAT(answer.head, HasSubstr("connect-content-encoding: gzip\r\n"));
  const auto envelopes = Envelopes(answer.body);
  ASSERT_EQ(envelopes.size(), 3u);
  EXPECT_EQ(envelopes[0].first, kCompressed);
  pb::OrderTransition transition;
  ASSERT_TRUE(transition.ParseFromString(*Gunzip(envelopes[0].second, 1 << 20)));
  EXPECT_EQ(transition.sequence(), 1);
  EXPECT_EQ(envelopes[2].first, kEnd) << "short ones stay as they are";
}

TEST_F(ConnectTest, AStreamsErrorIsInItsEnd) {
  watch_ = [](WatchCall::Ptr call) {
    ErrorDetail detail;
    detail.reason = "ORDER_NOT_FOUND";
    call->Finish(MakeError(absl::StatusCode::kNotFound, "no such order", detail));
  };
  Open();
  const Answer answer = Post(kWatch, Envelope(0, "{}"), kStreamJson);
  EXPECT_EQ(answer.code, 200u);
  const auto envelopes = Envelopes(answer.body);
  ASSERT_EQ(envelopes.size(), 1u);
  const json end = json::parse(envelopes[0].second);
  EXPECT_EQ(end["error"]["code"], "not_found");
  EXPECT_EQ(end["error"]["details"][0]["debug"]["reason"], "ORDER_NOT_FOUND");
}

TEST_F(ConnectTest, AStreamIsRefusedInItsEndToo) {
  Open();
  for (const std::string& body : {std::string(), std::string("{}"), Envelope(kEnd, "{}"), Envelope(kCompressed, "{}"),
                                  Envelope(0, "{"), Envelope(0, "{}") + Envelope(0, "{}")}) {
    const Answer answer = Post(kWatch, body, kStreamJson);
    EXPECT_EQ(answer.code, 200u);
    const auto envelopes = Envelopes(answer.body);
    ASSERT_EQ(envelopes.size(), 1u);
    EXPECT_EQ(json::parse(envelopes[0].second)["error"]["code"], "invalid_argument") << body;
  }
  EXPECT_EQ(Post(kWatch, "{}").code, 415u) << "no stream without envelopes";
}

TEST_F(ConnectTest, HeadersOfAStreamComeAtOnce) {
  std::promise<WatchCall::Ptr> arrived;
  watch_ = [&](WatchCall::Ptr call) {
    call->Open();
    arrived.set_value(std::move(call));
  };
  Open();
  http::RawClient client(http_->port());
  const std::string body = Envelope(0, "{}");
  client.Send(fmt::format("POST {} HTTP/1.1\r\nhost: x\r\n{}content-length: {}\r\n\r\n{}", kWatch, kStreamJson,
                          body.size(), body));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200 OK\r\n"));
  arrived.get_future().get()->Finish(absl::OkStatus());
  EXPECT_THAT(client.ReadUntil("0\r\n\r\n"), HasSubstr("{}"));
}

TEST_F(ConnectTest, WhoReadsNoMoreEndsTheStream) {
  std::promise<void> ended;
  std::function<void(std::shared_ptr<WatchCall::Ptr>, int64_t)> write_on = [&](std::shared_ptr<WatchCall::Ptr> call,
                                                                               int64_t sequence) {
    pb::OrderTransition transition;
    transition.set_sequence(sequence);
    WatchCall& kept = **call;
    kept.Write(transition, [&, call = std::move(call), sequence](bool ok) mutable {
      ok ? write_on(std::move(call), sequence + 1) : ended.set_value();
    });
  };
  watch_ = [&](WatchCall::Ptr call) { write_on(std::make_shared<WatchCall::Ptr>(std::move(call)), 1); };
  Open();
  {
    http::RawClient client(http_->port());
    const std::string body = Envelope(0, "{}");
    client.Send(fmt::format("POST {} HTTP/1.1\r\nhost: x\r\n{}content-length: {}\r\n\r\n{}", kWatch, kStreamJson,
                            body.size(), body));
    client.ReadUntil("\"sequence\":\"3\"");
  }
  ended.get_future().get();
}

TEST_F(ConnectTest, BeforeThereIsSomethingToCallItSaysSo) {
  const Answer answer = Post(kGet, "{}");
  EXPECT_EQ(answer.code, 503u);
  EXPECT_THAT(answer.body, HasSubstr("\"unavailable\""));
}

TEST_F(ConnectTest, ADrainRefusesCallsAndAwaitsThoseUnderWay) {
  std::promise<GetCall::Ptr> arrived;
  get_ = [&](GetCall::Ptr call) { arrived.set_value(std::move(call)); };
  Open();
  http::RawClient client(http_->port());
  client.Send(fmt::format("POST {} HTTP/1.1\r\nhost: x\r\n{}content-length: 2\r\n\r\n{{}}", kGet, kJson));
  GetCall::Ptr call = arrived.get_future().get();
  connect_.SendAway();
  const Answer refused = Post(kGet, "{}");
  EXPECT_EQ(refused.code, 503u);
  EXPECT_THAT(refused.body, HasSubstr("SHUTTING_DOWN"));
  std::thread drain([this] { connect_.Drain(clock_.Steady() + absl::Minutes(1)); });
  call->response().set_order_id("under way");
  call->Finish(absl::OkStatus());
  call.reset();
  EXPECT_THAT(client.ReadUntil("}"), HasSubstr("under way"));
  drain.join();
  EXPECT_EQ(Post(kGet, "{}").code, 503u);
}

TEST_F(ConnectTest, AClientThatDoesNotReadHoldsUpNoDrain) {
  watch_ = [](WatchCall::Ptr call) {
    WriteOn(std::make_shared<WatchCall::Ptr>(std::move(call)), 1, 1'000'000, absl::OkStatus());
  };
  Open();
  http::RawClient client(http_->port());
  const std::string body = Envelope(0, "{}");
  client.Send(fmt::format("POST {} HTTP/1.1\r\nhost: x\r\n{}content-length: {}\r\n\r\n{}", kWatch, kStreamJson,
                          body.size(), body));
  client.ReadUntil("\"sequence\":\"3\"");
  connect_.Drain(SteadyTime::InfinitePast());
}

TEST_F(ConnectTest, WhatIsNotDoneAtTheEndOfTheDrainIsCutOff) {
  std::promise<GetCall::Ptr> arrived;
  get_ = [&](GetCall::Ptr call) { arrived.set_value(std::move(call)); };
  Open();
  http::RawClient client(http_->port());
  client.Send(fmt::format("POST {} HTTP/1.1\r\nhost: x\r\n{}content-length: 2\r\n\r\n{{}}", kGet, kJson));
  GetCall::Ptr call = arrived.get_future().get();
  connect_.Drain(SteadyTime::InfinitePast());
  EXPECT_THAT(client.ReadUntil("}"), StartsWith("HTTP/1.1 503 "));
}

TEST_F(ConnectTest, ProbesStandBesideIt) {
  Readiness readiness(clock_);
  http::AddProbes(*http_, metrics_, readiness);
  Open();
  EXPECT_EQ(Ask("GET", "/livez", "", "").body, "alive\n");
  http_.reset();
}

// --- pages in browsers ---

TEST_F(ConnectTest, PagesOfAllowedOriginsMayCall) {
  Open();
  const std::string origin = "origin: https://console.example\r\n";
  const Answer preflight = Ask("OPTIONS", kGet, origin + "access-control-request-method: POST\r\n", "");
  EXPECT_EQ(preflight.code, 204u);
  EXPECT_THAT(preflight.head, AllOf(HasSubstr("access-control-allow-origin: https://console.example\r\n"),
                                    HasSubstr("connect-protocol-version"), HasSubstr("authorization")));
  EXPECT_THAT(Post(kGet, "{}", kJson + origin).head,
              HasSubstr("access-control-allow-origin: https://console.example\r\n"));
  EXPECT_THAT(Post(kWatch, Envelope(0, "{}"), kStreamJson + origin).head,
              HasSubstr("access-control-allow-origin: https://console.example\r\n"));
}

TEST_F(ConnectTest, PagesReadWhyTheyAreRefused) {
  const std::string origin = "origin: https://console.example\r\n";
  const auto allowed = HasSubstr("access-control-allow-origin: https://console.example\r\n");
  EXPECT_THAT(Post(kGet, "{}", kJson + origin).head, AllOf(StartsWith("HTTP/1.1 503 "), allowed));
  Open();
  EXPECT_THAT(Post("/nothing", "{}", kJson + origin).head, AllOf(StartsWith("HTTP/1.1 404 "), allowed));
  EXPECT_THAT(Post(kGet, "{}", origin).head, AllOf(StartsWith("HTTP/1.1 415 "), allowed));
  EXPECT_THAT(Ask("GET", kCreate, origin, "").head, AllOf(StartsWith("HTTP/1.1 405 "), allowed));
}

TEST_F(ConnectTest, PagesOfOtherOriginsReachNothing) {
  int served = 0;
  get_ = [&](GetCall::Ptr call) {
    ++served;
    call->Finish(absl::OkStatus());
  };
  Open();
  for (const char* origin :
       {"https://evil.example", "http://console.example", "https://console.example.evil", "null"}) {
    const std::string field = fmt::format("origin: {}\r\n", origin);
    EXPECT_EQ(Ask("OPTIONS", kGet, field + "access-control-request-method: POST\r\n", "").code, 403u) << origin;
    const Answer answer = Post(kGet, "{}", kJson + field);
    EXPECT_EQ(answer.code, 403u) << origin;
    EXPECT_THAT(answer.head, Not(HasSubstr("access-control"))) << origin;
  }
  EXPECT_EQ(served, 0);
}

}  // namespace
}  // namespace waybill::connect
