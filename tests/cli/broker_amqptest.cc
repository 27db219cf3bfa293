// waybill broker against a real RabbitMQ.
#include <memory>
#include <string>
#include <vector>

#include "edge/amqp/address.h"
#include "edge/amqp/connection.h"
#include "edge/amqp/topology.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"
#include "tests/support/eventually.h"
#include "tests/support/rabbitmq.h"

namespace waybill::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using waybill::testing::NewQueueName;
using waybill::testing::SharedRabbitmq;

Ran RunBroker(std::vector<std::string> args) {
  args.insert(args.begin(), "broker");
  return RunBinary(WAYBILL_BINARY, std::move(args), {{"WAYBILL_AMQP_URL", SharedRabbitmq().Url()}});
}

class BrokerCommands : public ::testing::Test {
 protected:
  BrokerCommands() : queue_(NewQueueName("letters")) {
    amqp::ConnectionOptions options;
    options.address = amqp::ParseUrl(SharedRabbitmq().Url()).value();
    connection_ = amqp::Connection::Open(options).value();
    EXPECT_TRUE(amqp::Declare(*connection_, {queue_, {}}).ok());
  }

  void Bury(const std::string& id, const std::string& reason, const std::string& body = "{}") {
    amqp::Message message;
    message.message_id = id;
    message.body = body;
    message.headers = {{std::string(amqp::kReasonHeader), reason},
                       {std::string(amqp::kDetailHeader), std::string("because")},
                       {std::string(amqp::kFailedAtHeader), std::string("2027-01-15T08:00:00Z")},
                       {std::string(amqp::kAttemptsHeader), int64_t{6}}};
    EXPECT_TRUE(connection_->Publish(amqp::DeadQueue(queue_), message).ok());
  }
  int64_t Ready(const std::string& queue) { return connection_->CountReady(queue).value_or(-1); }

  const std::string queue_;
  std::unique_ptr<amqp::Connection> connection_;
};

TEST_F(BrokerCommands, ListCountRedriveAndDiscard) {
  Bury("pay-1", "BAD_REQUEST");
  Bury("pay-2", "RETRIES");
  Bury("pay-3", "BAD_REQUEST", "\xff{");
  ASSERT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return Ready(amqp::DeadQueue(queue_)) == 3; }));

  const Ran counted = RunBroker({"count", queue_, "--json"});
  ASSERT_EQ(counted.code, 0) << counted.output;
  EXPECT_EQ(counted.json.at(0).at("dead"), 3);

  const Ran listed = RunBroker({"list", queue_});
  ASSERT_EQ(listed.code, 0) << listed.output;
  EXPECT_THAT(listed.output, HasSubstr("pay-2"));
  EXPECT_THAT(listed.output, HasSubstr("2027-01-15T08:00:00"));
  const Ran filtered = RunBroker({"list", queue_, "--cause", "BAD_REQUEST", "--limit", "1", "--json"});
  ASSERT_EQ(filtered.json.size(), 1u) << filtered.output;
  EXPECT_EQ(filtered.json[0].at("id"), "pay-1");
  EXPECT_EQ(filtered.json[0].at("attempts"), 6);
  EXPECT_THAT(filtered.output, HasSubstr("there are more than 1"));

  const Ran redriven = RunBroker({"redrive", queue_, "pay-2"});
  ASSERT_EQ(redriven.code, 0) << redriven.output;
  EXPECT_THAT(redriven.output, HasSubstr(queue_ + ": 1 redriven; dead letters left: 2"));
  EXPECT_EQ(Ready(queue_), 1);
  EXPECT_EQ(Ready(amqp::DeadQueue(queue_)), 2);

  EXPECT_EQ(RunBroker({"discard", queue_}).code, 2);
  const Ran discarded = RunBroker({"discard", queue_, "pay-3", "pay-2"});
  EXPECT_EQ(discarded.code, 7) << discarded.output;  // pay-2 is not dead any more
  ASSERT_EQ(discarded.json.size(), 1u);
  EXPECT_EQ(discarded.json[0].at("id"), "pay-3");
  EXPECT_THAT(discarded.output, HasSubstr(queue_ + ": 1 discarded; dead letters left: 1"));
  EXPECT_EQ(Ready(amqp::DeadQueue(queue_)), 1);

  EXPECT_EQ(RunBroker({"redrive", queue_, "pay-2", "--json"}).code, 7);
  EXPECT_EQ(RunBroker({"discard", queue_, "--all", "pay-1"}).code, 2);
  EXPECT_EQ(RunBroker({"discard", queue_, "--all", "--cause", "BAD_REQUEST"}).code, 2);
  EXPECT_EQ(RunBroker({"redrive", queue_, "--cause", "NONE"}).code, 0);
  EXPECT_EQ(Ready(amqp::DeadQueue(queue_)), 1);
}

TEST_F(BrokerCommands, RedriveNoFasterThanItIsTold) {
  for (int i = 0; i < 5; ++i) Bury("m-" + std::to_string(i), "R");
  ASSERT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return Ready(amqp::DeadQueue(queue_)) == 5; }));
  const absl::Time begun = absl::Now();
  const Ran redriven = RunBroker({"redrive", queue_, "--per-second", "4"});
  EXPECT_EQ(redriven.code, 0) << redriven.output;
  EXPECT_GE(absl::Now() - begun, absl::Seconds(1));
  EXPECT_EQ(Ready(queue_), 5);
}

TEST(BrokerCommandsWithout, ARightBrokerSayWhatIsWrongAndNoSecret) {
  EXPECT_EQ(RunBinary(WAYBILL_BINARY, {"broker", "count"}, {}).code, 2);
  const Ran wrong = RunBinary(WAYBILL_BINARY, {"broker", "count", "--amqp-url", "http://me:secret@host"}, {});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.output, Not(HasSubstr("secret")));
  EXPECT_EQ(RunBinary(WAYBILL_BINARY, {"broker", "count", "--amqp-url", "amqp://127.0.0.1:1"}, {}).code, 5);
  EXPECT_EQ(RunBroker({"count", "no-such-queue"}).code, 3);
}

}  // namespace
}  // namespace waybill::cli
