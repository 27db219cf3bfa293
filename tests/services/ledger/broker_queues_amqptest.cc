// The ledger's queues in a real RabbitMQ, over the ledger in memory, which the Postgres one keeps to by contract.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "edge/amqp/dead_letters.h"
#include "nlohmann/json.hpp"
#include "runtime/worker_pool.h"
#include "services/ledger/broker_queues.h"
#include "storage/testing/memory_ledger_store.h"
#include "tests/edge/amqp/world.h"
#include "tests/support/eventually.h"
#include "tests/support/rabbitmq.h"

namespace waybill::ledger {
namespace {

using ::testing::HasSubstr;
using waybill::amqp::kPatience;
using waybill::testing::Eventually;
using waybill::testing::NewQueueName;
using waybill::testing::RabbitmqServer;
using waybill::testing::SharedRabbitmq;
using Json = nlohmann::json;

constexpr char kClient[] = "broker";

NewAccount AccountOf(const std::string& id) {
  NewAccount account;
  account.id = id;
  account.currency = "EUR";
  account.kind = "wallet";
  account.code = 1;
  account.flags.debits_must_not_exceed_credits = id.starts_with("wallet");
  return account;
}

// A ledger with its queues, and somebody who puts messages there. Each test has the broker's queues for itself: they
// are emptied first.
class Desk {
 public:
  explicit Desk(const std::string& url, const std::function<void(BrokerOptions&)>& change = nullptr)
      : url_(url), store_(world_.clock), answers_(NewQueueName("answers")) {
    EXPECT_TRUE(store_.CreateAccounts(kClient, {AccountOf("world"), AccountOf("wallet"), AccountOf("shop")}).ok());
    EXPECT_EQ(Post("load", "world", "wallet", 100'000), TransferResult::kCreated);
    options_.connection = amqp::OptionsOf(url);
    options_.client = kClient;
    options_.delays = {absl::ZeroDuration(), absl::Seconds(3)};
    if (change) change(options_);
    client_ = amqp::Connection::Open(amqp::OptionsOf(url)).value();
    EXPECT_TRUE(client_->DeclareQueue(answers_).ok());
    for (const char* queue : {"transactions", "balance-calculation", "refunds"}) {
      EXPECT_TRUE(amqp::Declare(*client_, {queue, options_.delays}).ok());
      for (const std::string& each : {std::string(queue), amqp::DeadQueue(queue)}) {
        while (const std::optional<amqp::Arrived> old = client_->Get(each).value()) {
          EXPECT_TRUE(client_->Ack(old->tag, false).ok());
        }
      }
    }
    queues_.emplace(options_, store_, workers_, world_.clock, world_.random, metrics_, world_.log);
    queues_->Start(world_.loops);
  }
  ~Desk() { queues_->Stop(world_.Soon()); }

  TransferResult Post(const std::string& id, const std::string& from, const std::string& to, int64_t amount) {
    NewTransfer transfer;
    transfer.id = id;
    transfer.debit_account = from;
    transfer.credit_account = to;
    transfer.currency = "EUR";
    transfer.code = 1;
    transfer.amount_minor = amount;
    return store_.PostAndWait(kClient, {transfer}).value().front().result;
  }

  static std::string Transfer(const std::string& id, int64_t amount = 100, const std::string& from = "wallet",
                              const std::string& to = "shop") {
    return Json{{"idempotencyKey", id},
                {"debitAccountId", from},
                {"creditAccountId", to},
                {"currency", "EUR"},
                {"amountMinor", amount}}
        .dump();
  }

  void Put(const std::string& queue, const std::string& body, bool wants_answer = true) {
    amqp::Message message;
    message.body = body;
    message.correlation_id = "c-" + std::to_string(++put_);
    if (wants_answer) message.reply_to = answers_;
    EXPECT_TRUE(client_->Publish(queue, message).ok());
  }

  // The next one; null: none came.
  Json Answer() {
    std::optional<amqp::Arrived> arrived;
    if (!Eventually(kPatience, [&] { return (arrived = client_->Get(answers_).value()).has_value(); })) return nullptr;
    EXPECT_EQ(arrived->message.content_type, "application/json");
    EXPECT_TRUE(client_->Ack(arrived->tag, false).ok());
    Json answer = Json::parse(arrived->message.body);
    answer["correlation"] = arrived->message.correlation_id;
    return answer;
  }

  // The next one that dies.
  amqp::DeadLetter Dead(const std::string& queue) {
    std::unique_ptr<amqp::DeadLetterQueue> dead;
    EXPECT_TRUE(Eventually(kPatience, [&] {
      dead = amqp::DeadLetterQueue::Open(amqp::OptionsOf(url_), queue, world_.clock).value();
      return dead->count() > 0;
    })) << queue;
    std::optional<amqp::DeadLetter> letter = dead->Next().value();
    if (!letter) return {};
    EXPECT_TRUE(dead->Discard(*letter).ok());
    dead->Close();
    return *letter;
  }

  int64_t Credits(const std::string& account) {
    return store_.GetAccount(kClient, account).value().balance.credits_posted;
  }
  int64_t Ready(const std::string& queue) {
    return amqp::Connection::Open(amqp::OptionsOf(url_)).value()->CountReady(queue).value_or(-1);
  }
  storage::testing::MemoryLedgerStore& store() { return store_; }
  BrokerQueues& queues() { return *queues_; }
  std::string MetricsText() { return world_.metrics.ToText(); }

 private:
  const std::string url_;
  amqp::World world_;
  BrokerMetrics metrics_{world_.metrics};
  storage::testing::MemoryLedgerStore store_;
  WorkerPool workers_{2, 1'000};
  const std::string answers_;
  BrokerOptions options_;
  std::unique_ptr<amqp::Connection> client_;
  int put_ = 0;
  std::optional<BrokerQueues> queues_;
};

class BrokerQueuesTest : public ::testing::Test {
 protected:
  Desk desk_{SharedRabbitmq().Url()};
};

TEST_F(BrokerQueuesTest, ATransferIsMadeOnceHoweverOftenItIsAskedFor) {
  for (int i = 0; i < 3; ++i) desk_.Put("transactions", Desk::Transfer("pay-1"));
  const Json first = desk_.Answer();
  EXPECT_EQ(first.at("idempotencyKey"), "pay-1");
  EXPECT_EQ(first.at("result"), "created");
  EXPECT_EQ(first.at("amountMinor"), "100");
  EXPECT_EQ(first.at("correlation"), "c-1");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(desk_.Answer().at("result"), "exists");
  EXPECT_EQ(desk_.Credits("shop"), 100);
}

TEST_F(BrokerQueuesTest, ARefusalIsAnAnswerAndWithoutAReaderADeadLetter) {
  desk_.Put("transactions", Desk::Transfer("much", 1'000'000));
  const Json refused = desk_.Answer();
  EXPECT_EQ(refused.at("result"), "exceeds_credits");
  EXPECT_EQ(refused.at("error").at("reason"), "TRANSFER_REFUSED");
  EXPECT_EQ(desk_.Ready("transactions.dead"), 0);

  desk_.Put("transactions", Desk::Transfer("much", 1'000'000), /*wants_answer=*/false);
  const amqp::DeadLetter letter = desk_.Dead("transactions");
  EXPECT_EQ(letter.id, "much");
  EXPECT_EQ(letter.reason, "TRANSFER_REFUSED");
  EXPECT_THAT(letter.detail, HasSubstr("exceeds_credits"));
  EXPECT_EQ(letter.attempts, 1);
  EXPECT_EQ(desk_.Credits("shop"), 0);
}

TEST_F(BrokerQueuesTest, AnotherTransferOfTheSameKeyIsDeadAndSaysWhy) {
  desk_.Put("transactions", Desk::Transfer("pay-1", 100));
  EXPECT_EQ(desk_.Answer().at("result"), "created");
  desk_.Put("transactions", Desk::Transfer("pay-1", 101));
  EXPECT_EQ(desk_.Answer().at("result"), "exists_with_different_amount");
  EXPECT_EQ(desk_.Dead("transactions").reason, "TRANSFER_ID_REUSED");
  EXPECT_EQ(desk_.Credits("shop"), 100);
}

TEST_F(BrokerQueuesTest, APoisonMessageIsDeadWithItsReasonAndHoldsNobodyUp) {
  desk_.Put("transactions", "{\"idempotencyKey\": \"odd-1\", \"amount\": ");
  desk_.Put("transactions", R"({"idempotencyKey": "odd-2", "amount": 5})");
  desk_.Put("transactions", Desk::Transfer("pay-1"));
  Json made;
  for (int i = 0; i < 3; ++i) {
    const Json answer = desk_.Answer();
    if (answer.at("idempotencyKey") == "pay-1") made = answer;
    if (answer.at("idempotencyKey") == "odd-2") {
      EXPECT_EQ(answer.at("error").at("fields").at(0).at("field"), "amount");
    }
  }
  EXPECT_EQ(made.at("result"), "created");
  std::map<std::string, std::string> dead;
  for (int i = 0; i < 2; ++i) {
    const amqp::DeadLetter letter = desk_.Dead("transactions");
    dead[letter.id] = letter.reason;
  }
  EXPECT_EQ(dead["odd-1"], "MALFORMED_REQUEST");
  EXPECT_EQ(dead["odd-2"], "BAD_REQUEST");
}

TEST_F(BrokerQueuesTest, WhatIsTooLongIsRefusedAndNotKeptWhole) {
  const std::string transfer = Desk::Transfer("long-1");
  desk_.Put("transactions", transfer + std::string(3'000'000, ' '));
  const Json answer = desk_.Answer();
  EXPECT_EQ(answer.at("idempotencyKey"), "long-1");
  EXPECT_EQ(answer.at("error").at("reason"), "MALFORMED_REQUEST");
  const amqp::DeadLetter letter = desk_.Dead("transactions");
  EXPECT_EQ(letter.reason, "MALFORMED_REQUEST");
  EXPECT_EQ(letter.message.body.size(), 64u * 1'024);
  EXPECT_EQ(desk_.Credits("shop"), 0);
}

TEST_F(BrokerQueuesTest, ABalanceIsAnsweredWhereItIsWanted) {
  desk_.Put("balance-calculation", R"({"requestId": "q-1", "accountId": "wallet"})");
  const Json answer = desk_.Answer();
  EXPECT_EQ(answer.at("requestId"), "q-1");
  EXPECT_EQ(answer.at("creditsPosted"), "100000");
  EXPECT_EQ(answer.at("available"), "100000");
  EXPECT_EQ(answer.at("correlation"), "c-1");

  desk_.Put("balance-calculation", R"({"requestId": "q-2", "accountId": "nobody"})");
  EXPECT_EQ(desk_.Answer().at("error").at("reason"), "LEDGER_ACCOUNT_NOT_FOUND");
  EXPECT_EQ(desk_.Ready("balance-calculation.dead"), 0);

  desk_.Put("balance-calculation", R"({"accountId": "wallet"})", /*wants_answer=*/false);
  EXPECT_EQ(desk_.Dead("balance-calculation").reason, "BAD_REQUEST");
  desk_.Put("balance-calculation", R"({"accountId": "wallet", "answerQueue": "nowhere"})", /*wants_answer=*/false);
  EXPECT_EQ(desk_.Dead("balance-calculation").reason, "MESSAGE_UNROUTABLE");
  desk_.Put("balance-calculation", R"({"accountId": "wallet", "answerQueue": "transactions.dead"})");
  EXPECT_EQ(desk_.Answer().at("error").at("fields").at(0).at("field"), "answerQueue");
  EXPECT_EQ(desk_.Dead("balance-calculation").reason, "BAD_REQUEST");
}

TEST_F(BrokerQueuesTest, ARefundIsGivenBackOnceAndNeverMoreThanThereWas) {
  desk_.Put("transactions", Desk::Transfer("pay-1", 1'000));
  EXPECT_EQ(desk_.Answer().at("result"), "created");
  const std::string refund = R"({"idempotencyKey": "back-1", "transferId": "pay-1", "amountMinor": 300})";
  for (int i = 0; i < 3; ++i) desk_.Put("refunds", refund);
  std::vector<std::string> results;
  for (int i = 0; i < 3; ++i) results.push_back(desk_.Answer().at("result"));
  std::sort(results.begin(), results.end());
  EXPECT_EQ(results, (std::vector<std::string>{"created", "exists", "exists"}));
  EXPECT_EQ(desk_.store().GetAccount(kClient, "shop").value().balance.debits_posted, 300);
  EXPECT_EQ(desk_.store().GetTransfer(kClient, "back-1").value().corrects, "pay-1");

  desk_.Put("refunds", R"({"idempotencyKey": "back-2", "transferId": "pay-1", "amountMinor": 1001})");
  EXPECT_EQ(desk_.Answer().at("error").at("fields").at(0).at("field"), "amountMinor");
  EXPECT_EQ(desk_.Dead("refunds").reason, "BAD_REQUEST");
}

TEST_F(BrokerQueuesTest, ARefundThatOvertakesItsTransferWaitsForIt) {
  desk_.Put("refunds", R"({"idempotencyKey": "early", "transferId": "pay-9"})");
  ASSERT_TRUE(Eventually(kPatience, [&] {
    return desk_.MetricsText().find(R"(waybill_amqp_deliveries_total{outcome="retry",queue="refunds"} 2)") !=
           std::string::npos;
  }));
  EXPECT_EQ(desk_.Post("pay-9", "wallet", "shop", 70), TransferResult::kCreated);
  EXPECT_EQ(desk_.Answer().at("amountMinor"), "70");

  desk_.Put("refunds", R"({"idempotencyKey": "of-nothing", "transferId": "none"})");
  EXPECT_EQ(desk_.Answer().at("error").at("reason"), "TRANSFER_NOT_FOUND");
  const amqp::DeadLetter letter = desk_.Dead("refunds");
  EXPECT_EQ(letter.reason, "TRANSFER_NOT_FOUND");
  EXPECT_EQ(letter.attempts, 3);
}

TEST_F(BrokerQueuesTest, NoAttemptIsCountedWhileTheStoreIsAway) {
  desk_.store().set_error(absl::UnavailableError("away"));
  desk_.Put("transactions", Desk::Transfer("pay-1"));
  ASSERT_TRUE(Eventually(kPatience, [&] {
    return desk_.MetricsText().find(R"(waybill_amqp_deliveries_total{outcome="pause",queue="transactions"} 3)") !=
           std::string::npos;
  }));
  desk_.store().set_error(absl::OkStatus());
  EXPECT_EQ(desk_.Answer().at("result"), "created");
  EXPECT_EQ(desk_.Ready("transactions.dead"), 0);
}

TEST_F(BrokerQueuesTest, AnAnswerThatNobodyTakesHoldsNothingUp) {
  amqp::Message message;
  message.body = Desk::Transfer("pay-1");
  message.reply_to = "gone";
  const std::unique_ptr<amqp::Connection> client =
      amqp::Connection::Open(amqp::OptionsOf(SharedRabbitmq().Url())).value();
  ASSERT_TRUE(client->Publish("transactions", message).ok());
  EXPECT_TRUE(Eventually(kPatience, [&] { return desk_.Credits("shop") == 100; }));
  EXPECT_TRUE(Eventually(
      kPatience, [&] { return desk_.MetricsText().find("waybill_amqp_answers_lost_total 1") != std::string::npos; }));
}

// What a client does not read, or has no room for, must not stop the others.
TEST(BrokerQueuesWithAFullReader, GoOnWithTheOthersAndGiveItsAnswersUp) {
  Desk desk(SharedRabbitmq().Url(), [](BrokerOptions& options) {
    options.prefetch = 2;
    options.delays = {absl::ZeroDuration(), absl::Milliseconds(300)};
  });
  const std::string full = NewQueueName("full");
  const std::unique_ptr<amqp::Connection> client =
      amqp::Connection::Open(amqp::OptionsOf(SharedRabbitmq().Url())).value();
  amqp::QueueArguments arguments;
  arguments.max_length = 0;
  arguments.refuse_when_full = true;
  ASSERT_TRUE(client->DeclareQueue(full, arguments).ok());
  amqp::Message message;
  message.reply_to = full;
  for (int i = 0; i < 5; ++i) {
    message.body = Desk::Transfer("unread-" + std::to_string(i));
    ASSERT_TRUE(client->Publish("transactions", message).ok());
  }
  message.body = R"({"requestId": "q-1", "accountId": "wallet"})";
  ASSERT_TRUE(client->Publish("balance-calculation", message).ok());
  desk.Put("transactions", Desk::Transfer("pay-1"));
  EXPECT_EQ(desk.Answer().at("idempotencyKey"), "pay-1");
  EXPECT_TRUE(Eventually(kPatience, [&] { return desk.Credits("shop") == 600; }));
  EXPECT_EQ(desk.Dead("balance-calculation").reason, "MESSAGE_REFUSED");
  EXPECT_TRUE(Eventually(
      kPatience, [&] { return desk.MetricsText().find("waybill_amqp_answers_lost_total 6") != std::string::npos; }));
  EXPECT_THAT(desk.MetricsText(),
              HasSubstr(R"(waybill_amqp_deliveries_total{outcome="retry",queue="transactions"} 10)"));
  EXPECT_TRUE(Eventually(kPatience, [&] {
    return desk.MetricsText().find(R"(waybill_amqp_unacked{queue="transactions"} 0)") != std::string::npos;
  }));
  EXPECT_EQ(desk.Ready("transactions.dead"), 0);
}

TEST(BrokerQueuesOfASilentBroker, StopInTimeHoweverMuchTheyWouldLikeToSay) {
  const std::unique_ptr<RabbitmqServer> server = RabbitmqServer::Start().value();
  amqp::World world;
  Desk desk(server->Url(), [](BrokerOptions& options) { options.connection.heartbeat = absl::Seconds(60); });
  ASSERT_TRUE(Eventually(kPatience, [&] { return desk.queues().Check().ok(); }));
  ASSERT_TRUE(server->Signal(SIGSTOP));
  const SteadyTime deadline = world.clock.Steady() + absl::Seconds(1);
  desk.queues().Stop(deadline);
  EXPECT_LT(world.clock.Steady() - deadline, absl::Seconds(3));
  ASSERT_TRUE(server->Signal(SIGCONT));
}

// Transfers, each put there twice, and refunds of some of them, while the broker is killed in between.
TEST(BrokerQueuesUnderLoad, LoseNothingAndBookNothingTwiceWhenTheBrokerDies) {
  const std::unique_ptr<RabbitmqServer> server = RabbitmqServer::Start().value();
  amqp::World world;
  Desk desk(server->Url());
  amqp::PublisherOptions publishing;
  publishing.connection = amqp::OptionsOf(server->Url());
  publishing.confirm_timeout = absl::Seconds(120);
  amqp::Publisher shop(publishing, world.clock, world.random, world.publisher_metrics, world.log);
  shop.Start(world.loops);
  constexpr int kTransfers = 2'000;
  std::atomic<int> told = 0, confirmed = 0;
  int sent = 0;
  const auto put = [&](const std::string& queue, const std::string& body) {
    ++sent;
    amqp::Message message;
    message.body = body;
    shop.Publish(queue, message, [&](const absl::Status& status) {
      confirmed += status.ok() ? 1 : 0;
      ++told;
    });
  };
  for (int i = 0; i < kTransfers; ++i) {
    const std::string id = "t-" + std::to_string(i);
    put("transactions", Desk::Transfer(id, 10));
    put("transactions", Desk::Transfer(id, 10));
    if (i % 10 == 0) put("refunds", Json{{"idempotencyKey", "r-" + id}, {"transferId", id}}.dump());
  }
  ASSERT_TRUE(Eventually(kPatience, [&] { return told > 500; }));
  EXPECT_EQ(desk.queues().Check(), absl::OkStatus());
  server->Kill();
  EXPECT_LT(told, sent);
  EXPECT_TRUE(Eventually(kPatience, [&] { return !desk.queues().Check().ok(); }));
  ASSERT_EQ(server->StartAgain(), absl::OkStatus());
  ASSERT_TRUE(Eventually(absl::Seconds(150), [&] { return told == sent; }));
  EXPECT_EQ(confirmed, sent);
  // Refunds that overtook their transfers too often are dead, by their own reason, and nothing else is.
  const auto settled = [&] {
    return desk.Ready("transactions") == 0 && desk.Ready("refunds") == 0 && desk.Ready("refunds.retry.3s") == 0 &&
           desk.Credits("shop") == 10 * kTransfers;
  };
  ASSERT_TRUE(Eventually(kPatience, settled)) << desk.Credits("shop");
  EXPECT_EQ(desk.Ready("transactions.dead"), 0);
  int64_t refunded = 0;
  ASSERT_TRUE(Eventually(kPatience, [&] {
    refunded = desk.store().GetAccount(kClient, "shop").value().balance.debits_posted;
    return refunded / 10 + desk.Ready("refunds.dead") >= kTransfers / 10;
  }));
  EXPECT_LE(refunded, kTransfers);
  shop.Stop(world.Soon());
}

}  // namespace
}  // namespace waybill::ledger
