// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "edge/connect/gzip.h"
#include "edge/connect/protocol.h"
#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill::connect {
namespace {

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds = {""};
  for (const char* json : {R"({"idempotencyKey":"k","userId":"u","amount":{"minorUnits":"1250","currency":"EUR"}})",
                           R"({"pickup":{"latitude":-90,"longitude":1.8e2},"metadata":{"a":"b","é":"\u0000"}})",
                           R"({"amount":{"minorUnits":9223372036854775807}})", "{\"wait\":\"UNTIL_ACCEPTED\"}", "null",
                           "[[[[[[[[", "{\"userId\":\"\\ud800\"}"}) {
    seeds.push_back('\0' + std::string(json));
  }
  seeds.push_back('\1' + Envelope(0, "{}"));
  seeds.push_back('\1' + Envelope(kCompressed, Gzip("{}")));
  seeds.push_back('\2' + Gzip(std::string(1 << 20, 'x')));
  seeds.push_back('\2' + Gzip("short"));
  seeds.push_back(
      "\x03"
      "2500");
  seeds.push_back(
      "\x04"
      "authorization:Bearer t\nwaybill-client:shop\nwaybill-certificate-name:x\ncookie:c");
  seeds.push_back(
      "\x05"
      "gzip;q=0.5, br");
  seeds.push_back(
      "\x05"
      "https://console.example,http://[::1]:80");
  seeds.push_back(
      "\x05"
      "connect=v1&encoding=json&message=%7B%7D&base64=1");
  return seeds;
}

TEST(ConnectFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) testing::RunTarget(seed);
}

TEST(ConnectFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(Seeds(), 30'000, 20'261'128); }

}  // namespace
}  // namespace waybill::connect
