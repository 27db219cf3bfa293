// Debian's python3-grpcio, which has no generated code of ours, makes an order, watches it and reads it.

#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/e2e/stack.h"

namespace waybill::testing {
namespace {

using nlohmann::json;

constexpr char kPython[] = "/usr/bin/python3";

std::unique_ptr<Process> Python(std::vector<std::string> args) {
  ProcessOptions options;
  options.args = std::move(args);
  auto process = Process::Start(kPython, options);
  return process.ok() ? *std::move(process) : nullptr;
}

TEST(StockClientTest, CreatesWatchesAndReadsAnOrderByReflectionAlone) {
  auto probe = Python({"-c", "import grpc, google.protobuf"});
  ASSERT_TRUE(probe && probe->Wait(absl::Seconds(30)) == 0) << "needs Debian's python3-grpcio";

  StackOptions options;
  options.builtin_gateway = true;
  Stack stack(options);
  stack.AddReplica("a").Start();
  stack.PutDrivers(1);
  auto client = Python({WAYBILL_STOCK_CLIENT, fmt::format("127.0.0.1:{}", stack.replica().port())});
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
  EXPECT_EQ(
      said["services"][0]["services"],
      json({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "waybill.fleet.v1.FleetService",
            "waybill.ops.v1.AuditAdmin", "waybill.ops.v1.DeadLetterAdmin", "waybill.ops.v1.GatewayAdmin",
            "waybill.ops.v1.RiskAdmin", "waybill.ops.v1.SagaAdmin", "waybill.ops.v1.WebhookInboxAdmin",
            "waybill.order.v1.OrderService", "waybill.payments.v1.PaymentService", "waybill.payouts.v1.PayoutService",
            "waybill.reconciliation.v1.ReconciliationService", "waybill.webhook.v1.WebhookService"}));

  ASSERT_EQ(said["created"].size(), 1u);
  const json& created = said["created"][0];
  EXPECT_EQ(created["status"], "CONFIRMED");
  EXPECT_EQ(created["driver_id"], "driver-1");
  EXPECT_EQ(created["metadata"], json({{"shop", "ours"}}));
  EXPECT_EQ(created["payment"]["charged_minor_units"], "1250");
  EXPECT_EQ(created["replayed"], "false");
  ASSERT_EQ(said["repeated"].size(), 1u);
  EXPECT_EQ(said["repeated"][0]["order_id"], created["order_id"]);
  EXPECT_EQ(said["repeated"][0]["replayed"], "true");

  std::vector<std::string> outcomes;
  for (const json& transition : said["transition"]) outcomes.push_back(transition["outcome"]);
  EXPECT_EQ(outcomes, (std::vector<std::string>{"accepted", "succeeded", "succeeded", "closed"}));
  ASSERT_EQ(said["read"].size(), 1u);
  EXPECT_EQ(said["read"][0]["order_id"], created["order_id"]);
  EXPECT_EQ(said["read"][0]["status"], "COMPLETED");
  EXPECT_EQ(said["read"][0]["transitions"].size(), outcomes.size());

  ASSERT_EQ(said["refused"].size(), 1u);
  EXPECT_EQ(said["refused"][0]["code"], "INVALID_ARGUMENT");
  EXPECT_EQ(stack.sql().Value("SELECT count(*) FROM order_sagas"), "1");
  EXPECT_EQ(stack.sql().Value("SELECT client FROM order_sagas"), "stock");
}

}  // namespace
}  // namespace waybill::testing
