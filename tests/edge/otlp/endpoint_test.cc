#include <string>

#include "edge/otlp/transport.h"
#include "fmt/format.h"
#include "gtest/gtest.h"

namespace waybill::otlp {
namespace {

std::string Read(const std::string& url) {
  const absl::StatusOr<Endpoint> read = ParseEndpoint(url);
  if (!read.ok()) return "none";
  return fmt::format("{}{} {} {} {}", read->protocol == Endpoint::Protocol::kGrpc ? "grpc" : "http",
                     read->tls ? "s" : "", read->host, read->port, read->path);
}

TEST(OtlpEndpoint, HasTheProtocolsPortAndPathUnlessItSaysOthers) {
  EXPECT_EQ(Read("grpc://collector"), "grpc collector 4317 ");
  EXPECT_EQ(Read("grpcs://collector:99/"), "grpcs collector 99 ");
  EXPECT_EQ(Read("http://127.0.0.1"), "http 127.0.0.1 4318 /v1/traces");
  EXPECT_EQ(Read("https://[::1]:8443"), "https ::1 8443 /v1/traces");
  EXPECT_EQ(Read("https://tempo.example/otlp/"), "https tempo.example 4318 /otlp/v1/traces");
  EXPECT_EQ(Read("http://host:4318/v1/traces"), "http host 4318 /v1/traces");
}

TEST(OtlpEndpoint, IsRefusedWhereItIsNone) {
  for (const char* url : {"",
                          "collector:4317",
                          "tcp://collector",
                          "grpc://",
                          "grpc://:4317",
                          "grpc://host:",
                          "grpc://host:0",
                          "grpc://host:65536",
                          "grpc://host:1x",
                          "grpc://host:4317/path",
                          "grpc://::1:4317",
                          "grpc://[::1",
                          "grpc://[::1]x",
                          "grpc://[host]",
                          "http://user:secret@host",
                          "http://host/a?b",
                          "http://host/a#b",
                          "http://ho st",
                          "http://host/\r\nx: y",
                          "GRPC://host"}) {
    EXPECT_EQ(Read(url), "none") << url;
  }
}

}  // namespace
}  // namespace waybill::otlp
