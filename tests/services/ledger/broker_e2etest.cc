// waybill-ledger as it ships, over a real RabbitMQ and Postgres: the queues as docs/broker.md has them, and the service
// killed while they are full.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/amqp/publisher.h"
#include "edge/amqp/topology.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "tests/edge/amqp/world.h"
#include "tests/support/document.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/rabbitmq.h"
#include "tests/support/redis.h"
#include "tests/support/reserved_port.h"

namespace waybill::ledger {
namespace {

using waybill::testing::Eventually;
using waybill::testing::Process;
using waybill::testing::SharedRabbitmq;
using Json = nlohmann::json;

constexpr absl::Duration kLongEnough = absl::Seconds(90);

class BrokerE2eTest : public ::testing::Test {
 protected:
  BrokerE2eTest() : client_(amqp::Connection::Open(amqp::OptionsOf(SharedRabbitmq().Url())).value()) {
    EXPECT_TRUE(client_->DeclareQueue("answers").ok());
    Run({"migrate"});
    Start();
    for (const char* account : {"bank", "wallet:u-1", "platform"}) {
      Run({"--client", "broker", "ledger", "account", "create", account, "--currency", "EUR", "--kind", "wallet"});
    }
  }

  std::vector<std::pair<std::string, std::string>> Environment() const {
    return {{"DATABASE_URL", database_.url()},
            {"REDIS_URL", redis_.url()},
            {"WAYBILL_LEDGER", address()},
            {"WAYBILL_LEDGER_AMQP_URL", SharedRabbitmq().Url()},
            {"WAYBILL_AMQP_URL", SharedRabbitmq().Url()}};
  }
  std::string Run(std::vector<std::string> args) const {
    waybill::testing::ProcessOptions options;
    options.args = std::move(args);
    options.env = Environment();
    const std::unique_ptr<Process> process = Process::Start(WAYBILL_BINARY, options).value();
    EXPECT_EQ(process->Wait(kLongEnough), 0) << process->Output();
    return process->Output();
  }
  void Start() {
    waybill::testing::ProcessOptions options;
    options.args = {"--listen", address(), "--side-listen", fmt::format("127.0.0.1:{}", side_.port())};
    options.env = Environment();
    service_ = Process::Start(WAYBILL_LEDGER_BINARY, options).value();
    ASSERT_TRUE(service_->WaitForLine("\"grpc_port\"", kLongEnough)) << service_->Output();
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", port_.port()); }

  void Put(const std::string& queue, const Json& body) {
    amqp::Message message;
    message.body = body.dump();
    message.reply_to = "answers";
    ASSERT_TRUE(client_->Publish(queue, message).ok());
  }
  Json Answer() {
    std::optional<amqp::Arrived> arrived;
    if (!Eventually(kLongEnough, [&] { return (arrived = client_->Get("answers").value()).has_value(); })) return {};
    EXPECT_TRUE(client_->Ack(arrived->tag, false).ok());
    return Json::parse(arrived->message.body);
  }
  static Json Transfer(const std::string& id, const std::string& from, const std::string& to, int64_t minor) {
    return {{"idempotencyKey", id},
            {"debitAccountId", from},
            {"creditAccountId", to},
            {"currency", "EUR"},
            {"amountMinor", minor}};
  }

  waybill::testing::TestDatabase database_;
  waybill::testing::TestRedis redis_;
  waybill::testing::ReservedPort port_, side_;
  const std::unique_ptr<amqp::Connection> client_;
  std::unique_ptr<Process> service_;
};

TEST_F(BrokerE2eTest, TheDocumentsExampleRuns) {
  waybill::testing::ProcessOptions options;
  options.args = {"-c", waybill::testing::ShellOf(WAYBILL_BROKER_DOCUMENT) +
                            "waybill --client broker ledger balance drawer | grep 10.00\n"};
  options.env = Environment();
  const std::string binary = WAYBILL_BINARY;
  options.env.emplace_back("PATH", binary.substr(0, binary.rfind('/')) + ":/usr/bin:/bin");
  const std::unique_ptr<Process> process = Process::Start("/bin/sh", options).value();
  EXPECT_EQ(process->Wait(kLongEnough), 0) << process->Output();
  EXPECT_THAT(
      process->Output(),
      ::testing::AllOf(::testing::HasSubstr(R"("result":"exists")"), ::testing::HasSubstr(R"("available":"1250")"),
                       ::testing::HasSubstr("transactions: 1 discarded; dead letters left: 0")));
}

TEST_F(BrokerE2eTest, TransfersQuestionsAndRefundsAreDoneAndNothingIsLostWhenTheServiceIsKilled) {
  Put("transactions", Transfer("load", "bank", "wallet:u-1", 5'000));
  EXPECT_EQ(Answer().at("result"), "created");
  Put("transactions", Transfer("pay-17", "wallet:u-1", "platform", 1'250));
  EXPECT_EQ(Answer().at("result"), "created");
  Put("balance-calculation", {{"requestId", "q-1"}, {"accountId", "wallet:u-1"}});
  EXPECT_EQ(Answer().at("available"), "3750");
  Put("refunds", {{"idempotencyKey", "back-17"}, {"transferId", "pay-17"}, {"amountMinor", 250}});
  EXPECT_EQ(Answer().at("result"), "created");

  // Each of a thousand twice, and the service dies in between, twice.
  amqp::World world;
  amqp::PublisherOptions publishing;
  publishing.connection = amqp::OptionsOf(SharedRabbitmq().Url());
  amqp::Publisher shop(publishing, world.clock, world.random, world.publisher_metrics, world.log);
  shop.Start(world.loops);
  constexpr int kTransfers = 2'000;
  std::atomic<int> confirmed = 0;
  for (int i = 0; i < 2 * kTransfers; ++i) {
    amqp::Message message;
    message.body = Transfer(fmt::format("t-{}", i / 2), "bank", "platform", 1).dump();
    shop.Publish("transactions", message, [&](const absl::Status& status) { confirmed += status.ok() ? 1 : 0; });
    if (i == kTransfers / 2 || i == kTransfers) {
      ASSERT_TRUE(Eventually(kLongEnough, [&] { return confirmed > i / 2; }));
      service_->Signal(SIGKILL);
      service_->Wait(kLongEnough);
      Start();
    }
  }
  ASSERT_TRUE(Eventually(kLongEnough, [&] { return confirmed == 2 * kTransfers; }));
  shop.Stop(world.Soon());
  Json balance;
  ASSERT_TRUE(Eventually(kLongEnough, [&] {
    Put("balance-calculation", {{"accountId", "platform"}});
    balance = Answer();
    return balance.value("creditsPosted", "") == fmt::format("{}", 1'250 + kTransfers);
  })) << balance;
  EXPECT_EQ(client_->CountReady("transactions.dead").value(), 0);
  EXPECT_THAT(Run({"ledger", "verify"}), ::testing::HasSubstr("sound"));

  // In order, it leaves nothing with itself.
  service_->Signal(SIGTERM);
  EXPECT_EQ(service_->Wait(kLongEnough), 0) << service_->Output();
}

}  // namespace
}  // namespace waybill::ledger
