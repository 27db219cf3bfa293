// What the ledger's queues do with a message, without RabbitMQ: nobody is to be answered.
#include "services/ledger/broker_queues.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "nlohmann/json.hpp"
#include "runtime/testing/manual_time.h"
#include "storage/testing/memory_ledger_store.h"

namespace waybill::ledger {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr char kClient[] = "broker";

// Runs tasks at once, or none.
class InlineExecutor final : public Executor {
 public:
  bool Submit(Task& task) override {
    if (full) return false;
    task();
    return true;
  }
  size_t queue_depth() const override { return 0; }

  bool full = false;
};

class BrokerHandlers : public ::testing::Test {
 protected:
  BrokerHandlers() {
    NewAccount account;
    account.currency = "EUR";
    account.kind = "wallet";
    account.code = 1;
    for (const char* id : {"wallet", "shop"}) {
      account.id = id;
      EXPECT_TRUE(store_.CreateAccounts(kClient, {account}).ok());
    }
  }

  amqp::Verdict Say(const amqp::Handler& handler, const Json& body, bool redelivered = false, int attempts = 0) {
    auto delivery = std::make_shared<amqp::Delivery>();
    delivery->message.body = body.dump();
    delivery->redelivered = redelivered;
    delivery->attempts = attempts;
    std::optional<amqp::Verdict> said;
    handler(delivery, [&](amqp::Verdict verdict) { said = std::move(verdict); });
    return said.value_or(amqp::Verdict{amqp::Outcome::kDead, "NO_ANSWER"});
  }
  Balance BalanceOf(const std::string& account) { return store_.GetAccount(kClient, account).value().balance; }

  static Json Transfer(const std::string& id) {
    return {{"idempotencyKey", id},
            {"debitAccountId", "wallet"},
            {"creditAccountId", "shop"},
            {"currency", "EUR"},
            {"amountMinor", 100}};
  }
  static Json RefundOf(const std::string& id, const std::string& transfer) {
    return {{"idempotencyKey", id}, {"transferId", transfer}};
  }

  testing::ManualTime time_;
  SeededRandom random_{1};
  Metrics metrics_;
  BrokerMetrics broker_metrics_{metrics_};
  Logger log_{LogFormat::kText, LogLevel::kOff, time_};
  storage::testing::MemoryLedgerStore store_{time_};
  InlineExecutor workers_;
  BrokerQueues queues_{BrokerOptions{}, store_, workers_, time_, random_, broker_metrics_, log_};
};

TEST_F(BrokerHandlers, ARedeliveredTransferIsTheSame) {
  EXPECT_EQ(Say(queues_.TransactionHandler(), Transfer("pay-1")).outcome, amqp::Outcome::kDone);
  EXPECT_EQ(Say(queues_.TransactionHandler(), Transfer("pay-1"), true).outcome, amqp::Outcome::kDone);
  EXPECT_EQ(Say(queues_.TransactionHandler(), Transfer("pay-1"), false, 3).outcome, amqp::Outcome::kDone);
  EXPECT_EQ(BalanceOf("shop").credits_posted, 100);
}

TEST_F(BrokerHandlers, ARedeliveredRefundGivesNothingBackAgainAndTakesNothing) {
  ASSERT_EQ(Say(queues_.TransactionHandler(), Transfer("pay-1")).outcome, amqp::Outcome::kDone);
  EXPECT_EQ(Say(queues_.RefundHandler(), RefundOf("back-1", "pay-1")).outcome, amqp::Outcome::kDone);
  for (const bool redelivered : {true, false}) {
    EXPECT_EQ(Say(queues_.RefundHandler(), RefundOf("back-1", "pay-1"), redelivered, 1).outcome, amqp::Outcome::kDone);
  }
  EXPECT_EQ(BalanceOf("shop").debits_posted, 100) << "given back more than once";
  EXPECT_EQ(BalanceOf("shop").credits_posted, 100) << "taken again";
  const amqp::Verdict flipped = Say(queues_.RefundHandler(), RefundOf("back-2", "back-1"));
  EXPECT_EQ(flipped.outcome, amqp::Outcome::kDead);
  EXPECT_EQ(flipped.reason, "BAD_REQUEST");
  EXPECT_EQ(BalanceOf("shop").credits_posted, 100);
}

TEST_F(BrokerHandlers, WhatIsNotTheMessagesFaultIsAPause) {
  store_.set_error(absl::UnavailableError("away"));
  EXPECT_EQ(Say(queues_.TransactionHandler(), Transfer("pay-1")).outcome, amqp::Outcome::kPause);
  EXPECT_EQ(Say(queues_.RefundHandler(), RefundOf("back-1", "pay-1")).outcome, amqp::Outcome::kPause);
  store_.set_error(absl::InternalError("a bug"));
  EXPECT_EQ(Say(queues_.TransactionHandler(), Transfer("pay-1")).outcome, amqp::Outcome::kRetry);
  store_.set_error(absl::OkStatus());
  workers_.full = true;
  const amqp::Verdict busy = Say(queues_.RefundHandler(), RefundOf("back-1", "pay-1"));
  EXPECT_EQ(busy.outcome, amqp::Outcome::kPause);
  EXPECT_EQ(busy.reason, "QUEUE_FULL");
}

TEST_F(BrokerHandlers, ARefundOfNothingIsTriedAgainAndThenDead) {
  const int last = static_cast<int>(BrokerOptions().delays.size());
  EXPECT_EQ(Say(queues_.RefundHandler(), RefundOf("back-1", "none"), false, 0).outcome, amqp::Outcome::kRetry);
  EXPECT_EQ(Say(queues_.RefundHandler(), RefundOf("back-1", "none"), false, last - 1).outcome, amqp::Outcome::kRetry);
  const amqp::Verdict dead = Say(queues_.RefundHandler(), RefundOf("back-1", "none"), false, last);
  EXPECT_EQ(dead.outcome, amqp::Outcome::kDead);
  EXPECT_EQ(dead.reason, "TRANSFER_NOT_FOUND");
  EXPECT_EQ(dead.id, "back-1");
}

TEST_F(BrokerHandlers, SaysThatRabbitmqIsNotThere) { EXPECT_TRUE(absl::IsUnavailable(queues_.Check())); }

TEST_F(BrokerHandlers, AQuestionWithoutAPlaceForItsAnswerIsDead) {
  const amqp::Verdict dead = Say(queues_.BalanceHandler(), {{"requestId", "q"}, {"accountId", "wallet"}});
  EXPECT_EQ(dead.outcome, amqp::Outcome::kDead);
  EXPECT_THAT(dead.detail, HasSubstr("answerQueue"));
  EXPECT_EQ(Say(queues_.BalanceHandler(), {{"accountId", "wallet"}, {"answerQueue", "refunds"}}).reason, "BAD_REQUEST");
}

}  // namespace
}  // namespace waybill::ledger
