#include "edge/connect/protocol.h"

#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/status.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "runtime/status.h"

namespace waybill::connect {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(ConnectCodes, AreThoseThatClientsKnow) {
  const std::vector<std::pair<grpc::StatusCode, std::pair<std::string, unsigned>>> codes = {
      {grpc::StatusCode::CANCELLED, {"canceled", 499}},
      {grpc::StatusCode::UNKNOWN, {"unknown", 500}},
      {grpc::StatusCode::INVALID_ARGUMENT, {"invalid_argument", 400}},
      {grpc::StatusCode::DEADLINE_EXCEEDED, {"deadline_exceeded", 504}},
      {grpc::StatusCode::NOT_FOUND, {"not_found", 404}},
      {grpc::StatusCode::ALREADY_EXISTS, {"already_exists", 409}},
      {grpc::StatusCode::PERMISSION_DENIED, {"permission_denied", 403}},
      {grpc::StatusCode::RESOURCE_EXHAUSTED, {"resource_exhausted", 429}},
      {grpc::StatusCode::FAILED_PRECONDITION, {"failed_precondition", 400}},
      {grpc::StatusCode::ABORTED, {"aborted", 409}},
      {grpc::StatusCode::OUT_OF_RANGE, {"out_of_range", 400}},
      {grpc::StatusCode::UNIMPLEMENTED, {"unimplemented", 501}},
      {grpc::StatusCode::INTERNAL, {"internal", 500}},
      {grpc::StatusCode::UNAVAILABLE, {"unavailable", 503}},
      {grpc::StatusCode::DATA_LOSS, {"data_loss", 500}},
      {grpc::StatusCode::UNAUTHENTICATED, {"unauthenticated", 401}},
      {static_cast<grpc::StatusCode>(20), {"unknown", 500}}};
  for (const auto& [code, expected] : codes) {
    EXPECT_EQ(CodeName(code), expected.first);
    EXPECT_EQ(HttpStatus(code), expected.second);
  }
}

TEST(ConnectErrors, HaveTheirDetailsForProgramsAndForPeople) {
  Json json;
  ErrorDetail detail;
  detail.reason = "QUEUE_FULL";
  detail.metadata = {{"limit", "7"}};
  detail.violations = {{"amount", "is negative"}};
  detail.retry_after = absl::Milliseconds(1500);
  const grpc::Status status =
      rpc::ToGrpcStatus(MakeError(absl::StatusCode::kResourceExhausted, "too \"much\"", detail));
  const auto error = nlohmann::json::parse(ErrorJson(status, json));
  EXPECT_EQ(error["code"], "resource_exhausted");
  EXPECT_EQ(error["message"], "too \"much\"");
  ASSERT_EQ(error["details"].size(), 3u);
  EXPECT_EQ(error["details"][0]["type"], "google.rpc.ErrorInfo");
  EXPECT_EQ(error["details"][0]["debug"]["reason"], "QUEUE_FULL");
  EXPECT_EQ(error["details"][0]["debug"]["metadata"]["limit"], "7");
  EXPECT_EQ(error["details"][1]["debug"]["fieldViolations"][0]["field"], "amount");
  EXPECT_EQ(error["details"][2]["type"], "google.rpc.RetryInfo");
  EXPECT_EQ(error["details"][2]["value"], "CggIARCAyrXuAQ")
      << "standard base64 of {1 s, 500,000,000 ns}, without padding";
  EXPECT_EQ(error["details"][2]["debug"]["retryDelay"], "1.500s");
  EXPECT_EQ(RetryAfter(status), absl::Milliseconds(1500));
}

TEST(ConnectErrors, AnEmptyDetailHasAValueAllTheSame) {
  google::rpc::Status wire;
  wire.add_details()->PackFrom(google::rpc::RetryInfo());
  wire.add_details()->set_type_url("type.googleapis.com/of.Somebody");
  const grpc::Status status(grpc::StatusCode::ABORTED, "", wire.SerializeAsString());
  EXPECT_EQ(ErrorJson(status, Json()),
            R"({"code":"aborted","details":[{"type":"google.rpc.RetryInfo","value":"","debug":{}},)"
            R"({"type":"of.Somebody","value":""}]})");
}

TEST(ConnectErrors, TextThatIsNoUtf8IsMadeSo) {
  EXPECT_EQ(ErrorJson({grpc::StatusCode::INTERNAL, "a\xff"}, Json()),
            "{\"code\":\"internal\",\"message\":\"a\xef\xbf\xbd\"}");
}

TEST(ConnectEnvelope, IsFlagsLengthAndMessage) {
  EXPECT_EQ(Envelope(2, "abc"), std::string("\x02\0\0\0\x03"
                                            "abc",
                                            8));
  EXPECT_EQ(Envelope(0, std::string(0x01020304 & 0xffff, 'x')).substr(0, 5), std::string("\0\0\0\x03\x04", 5));
  const std::string whole = Envelope(kCompressed, "message");
  const auto found = OnlyEnvelope(whole);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->flags, kCompressed);
  EXPECT_EQ(found->message, "message");
}

TEST(ConnectEnvelope, OfARequestIsOneAndWhole) {
  const std::string whole = Envelope(0, "message");
  for (size_t length = 0; length < whole.size(); ++length) EXPECT_FALSE(OnlyEnvelope(whole.substr(0, length)).ok());
  EXPECT_THAT(OnlyEnvelope(whole + whole).status().message(), HasSubstr("a request has one"));
  EXPECT_FALSE(OnlyEnvelope(Envelope(kEnd, "{}")).ok());
  EXPECT_FALSE(OnlyEnvelope(Envelope(0x80, "{}")).ok());
  EXPECT_FALSE(OnlyEnvelope("\xff\xff\xff\xff\xff").ok());
}

TEST(ConnectEnd, IsAnObjectAtLeast) {
  EXPECT_EQ(EndJson(grpc::Status::OK, {}, Json()), "{}");
  EXPECT_EQ(EndJson({grpc::StatusCode::ABORTED, "why"}, {{"x-t", "a"}, {"x-t", "b"}}, Json()),
            R"({"error":{"code":"aborted","message":"why"},"metadata":{"x-t":["a","b"]}})");
}

TEST(ConnectTimeout, IsOneToTenDigits) {
  EXPECT_EQ(*Timeout(""), absl::InfiniteDuration());
  EXPECT_EQ(*Timeout("0"), absl::ZeroDuration());
  EXPECT_EQ(*Timeout("2500"), absl::Milliseconds(2500));
  EXPECT_EQ(*Timeout("9999999999"), absl::Milliseconds(9'999'999'999));
  for (const char* bad : {"2500.7", "12345678901", "NaN", "Infinity", "-1", "+1", " 1", "1s", "0x1"}) {
    EXPECT_EQ(Timeout(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(ConnectMetadata, IsWhatHandlersRead) {
  http::Request request;
  request.fields = {{"host", "x"},
                    {"authorization", "Bearer t"},
                    {"cookie", "c"},
                    {"waybill-client", "shop"},
                    {"waybill-certificate-name", "forged"},
                    {"grpc-timeout", "1S"},
                    {"traceparent", "00-1-2-01"},
                    {"idempotency-key", "t-1"},
                    {"connect-timeout-ms", "5"}};
  EXPECT_THAT(*MetadataOf(request), ElementsAre(Pair("authorization", "Bearer t"), Pair("waybill-client", "shop"),
                                                Pair("traceparent", "00-1-2-01"), Pair("idempotency-key", "t-1")));
}

TEST(ConnectMetadata, WhatGrpcCannotCarryIsRefusedByName) {
  for (const char* value : {"caf\xc3\xa9", "a\tb", "\x7f", "a\x01"}) {
    http::Request request;
    request.fields = {{"waybill-client", value}};
    EXPECT_THAT(MetadataOf(request).status().message(), HasSubstr("waybill-client")) << value;
  }
  http::Request request;
  request.fields = {{"waybill-!", "x"}};
  EXPECT_FALSE(MetadataOf(request).ok());
}

TEST(Origins, AreWhatBrowsersSend) {
  EXPECT_THAT(*ParseOrigins(""), ElementsAre());
  EXPECT_THAT(*ParseOrigins("*"), ElementsAre("*"));
  EXPECT_THAT(*ParseOrigins("https://console.example,http://localhost:5173,http://[::1]:80"),
              ElementsAre("https://console.example", "http://localhost:5173", "http://[::1]:80"));
  for (const char* bad : {"console.example", "https://", "https://a/", "https://a/path", "https://A", " https://a",
                          "https://a,,https://b", "ftp://a", "null"}) {
    EXPECT_THAT(ParseOrigins(bad).status().message(), HasSubstr("is no origin")) << bad;
  }
}

TEST(AcceptEncoding, NamesGzipAmongOthers) {
  for (const char* yes :
       {"gzip", "gzip,br", "gzip, deflate, br, zstd", "br, gzip", "br;q=1.0, gzip;q=0.8", "gzip;q=0.001"}) {
    EXPECT_TRUE(Accepts(yes, "gzip")) << yes;
  }
  for (const char* no : {"", "br", "x-gzip", "identity", "gzip;q=0", "gzip; q=0.000", "gzip;q=0 ", "br, gzip;q=0"}) {
    EXPECT_FALSE(Accepts(no, "gzip")) << no;
  }
}

}  // namespace
}  // namespace waybill::connect
