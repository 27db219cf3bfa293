// Debian's python3-grpcio, which has no generated code of ours, streams positions, watches them and reads them back.
#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/ingest_stack.h"

namespace waybill::testing {
namespace {

using nlohmann::json;

constexpr char kPython[] = "/usr/bin/python3";

std::unique_ptr<Process> Python(std::vector<std::string> args) {
  ProcessOptions options;
  options.args = std::move(args);
  options.env = {{"PYTHONDONTWRITEBYTECODE", "1"}};
  auto process = Process::Start(kPython, options);
  return process.ok() ? *std::move(process) : nullptr;
}

TEST(StockLocationClientTest, StreamsWatchesAndReadsByReflectionAlone) {
  auto probe = Python({"-c", "import grpc, google.protobuf"});
  ASSERT_TRUE(probe && probe->Wait(absl::Seconds(30)) == 0) << "needs Debian's python3-grpcio";

  IngestStack stack;
  stack.AddReplica("a").Start();
  auto client = Python({WAYBILL_STOCK_LOCATION_CLIENT, fmt::format("127.0.0.1:{}", stack.replica().port())});
  ASSERT_TRUE(client);
  ASSERT_EQ(client->Wait(absl::Seconds(60)), 0) << client->Output();

  std::map<std::string, std::vector<json>> said;
  std::istringstream lines(client->Output());
  for (std::string line; std::getline(lines, line);) {
    const json one = json::parse(line);
    said[one["what"]].push_back(one);
  }
  SCOPED_TRACE(client->Output());
  ASSERT_EQ(said["services"].size(), 1u);
  EXPECT_EQ(said["services"][0]["services"], json({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
                                                   "waybill.location.v1.LocationService"}));

  ASSERT_FALSE(said["ack"].empty());
  EXPECT_EQ(said["ack"].back()["durable_sequence"], "9");
  std::vector<json> rejected;
  for (const json& ack : said["ack"]) {
    for (const json& one : ack.value("rejected", json::array())) rejected.push_back(one);
  }
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0]["sequence"], "2");
  EXPECT_EQ(rejected[0]["index"], 1);
  EXPECT_EQ(rejected[0]["reason"], "BAD_COORDINATE");
  EXPECT_EQ(rejected[0]["field"], "latitude");

  EXPECT_EQ(said["event"].size(), 10u);
  for (const json& event : said["event"]) EXPECT_EQ(event["point"]["driver_id"], "stock-1");
  ASSERT_EQ(said["driver"].size(), 1u);
  EXPECT_EQ(said["driver"][0]["source"], "HOT_VIEW");
  EXPECT_NEAR(said["driver"][0]["point"]["latitude"].get<double>(), 52.5209, 1e-9);
  EXPECT_EQ(said["driver"][0]["point"]["speed_mps"], 11.5);
  ASSERT_EQ(said["near"].size(), 1u);
  ASSERT_EQ(said["near"][0]["drivers"].size(), 2u);
  EXPECT_EQ(said["near"][0]["drivers"][0]["point"]["driver_id"], "stock-2");

  std::vector<std::string> times;
  for (const json& page : said["page"]) {
    EXPECT_LE(page["points"].size(), 4u);
    for (const json& point : page["points"]) times.push_back(point["recorded_at"]);
  }
  EXPECT_EQ(times.size(), 10u);
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
  ASSERT_EQ(said["unknown"].size(), 1u);
  EXPECT_EQ(said["unknown"][0]["code"], "NOT_FOUND");
  EXPECT_EQ(stack.StoredCount(), 11);
}

}  // namespace
}  // namespace waybill::testing
