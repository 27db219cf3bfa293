// Sessions on the command line with an order service of the test's own, from an empty database.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/cli/run_binary.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"

namespace waybill::cli {

// The gRPC port that a service says it serves on, once it does.
inline int PortOf(testing::Process& service) {
  auto line = service.WaitForLine("\"grpc_port\"", absl::Seconds(30));
  EXPECT_TRUE(line.has_value()) << service.Output();
  return line ? nlohmann::json::parse(*line)["grpc_port"].get<int>() : 0;
}

// The command line is told where the database is only to migrate it.
class OrderSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(RunBinary(WAYBILL_BINARY, {"migrate"}, Stores()).code, 0);
    StartOrderService();
  }
  void TearDown() override {
    if (!service_) return;
    service_->Signal(SIGTERM);
    EXPECT_EQ(service_->Wait(absl::Seconds(30)), 0) << service_->Output();
  }

  virtual void StartOrderService() { StartOrderService({}); }
  void StartOrderService(const std::vector<std::string>& more) {
    testing::ProcessOptions options;
    options.args = {"--listen", "127.0.0.1:0", "--side-listen", "127.0.0.1:0"};
    options.args.insert(options.args.end(), more.begin(), more.end());
    options.env = Stores();
    auto started = testing::Process::Start(WAYBILL_ORDER_BINARY, options);
    ASSERT_TRUE(started.ok()) << started.status();
    service_ = *std::move(started);
    env_.emplace_back("WAYBILL_SERVER", fmt::format("127.0.0.1:{}", PortOf(*service_)));
  }

  std::vector<std::pair<std::string, std::string>> Stores() const {
    return {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}};
  }
  Ran Run(std::vector<std::string> args) { return RunBinary(WAYBILL_BINARY, std::move(args), env_); }
  Ran Create(const std::string& key) {
    return Run({"order", "create", "--user", "u-17", "--amount", "12.50", "--currency", "EUR", "--pickup",
                "52.52,13.405", "--key", key, "--json"});
  }

  Ran SignalCharge(const std::string& id, const std::string& token) {
    return Run(
        {"saga", "signal", id, "--step", "charge_payment", "--token", token, "--outcome", "succeeded", "--json"});
  }

  testing::TestDatabase database_;
  testing::TestRedis redis_;
  std::unique_ptr<testing::Process> service_;
  std::vector<std::pair<std::string, std::string>> env_{{"USER", "ada"}};
};

}  // namespace waybill::cli
