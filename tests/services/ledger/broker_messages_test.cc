#include "services/ledger/broker_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"
#include "runtime/status.h"

namespace waybill::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string ReasonOf(const absl::Status& status) { return status.ok() ? "OK" : GetErrorDetail(status).reason; }

std::vector<std::string> FieldsOf(const absl::Status& status) {
  std::vector<std::string> fields;
  for (const auto& [field, problem] : GetErrorDetail(status).violations) fields.push_back(field);
  return fields;
}

TEST(BrokerMessages, ReadATransfer) {
  const absl::StatusOr<NewTransfer> transfer = ParseTransaction(R"({
    "idempotencyKey": "pay-17", "debitAccountId": "wallet:u-1", "creditAccountId": "platform", "currency": "EUR",
    "amountMinor": "9007199254740993", "code": 7, "userData": "order 5"})");
  ASSERT_TRUE(transfer.ok()) << transfer.status();
  NewTransfer expected;
  expected.id = "pay-17";
  expected.debit_account = "wallet:u-1";
  expected.credit_account = "platform";
  expected.currency = "EUR";
  expected.amount_minor = 9007199254740993;
  expected.code = 7;
  expected.user_data = "order 5";
  EXPECT_EQ(*transfer, expected);
}

TEST(BrokerMessages, ReadTransfersOfTwoPhases) {
  const NewTransfer hold = ParseTransaction(R"({"idempotencyKey": "h", "phase": "pending", "debitAccountId": "a",
    "creditAccountId": "b", "currency": "EUR", "amountMinor": 5, "timeoutSeconds": 60})")
                               .value();
  EXPECT_EQ(hold.phase, Phase::kPending);
  EXPECT_EQ(hold.timeout_seconds, 60);
  EXPECT_EQ(hold.code, 1);
  const NewTransfer post = ParseTransaction(R"({"idempotencyKey": "p", "phase": "post", "pendingId": "h"})").value();
  EXPECT_EQ(post.phase, Phase::kPost);
  EXPECT_EQ(post.pending_id, "h");
  EXPECT_EQ(post.code, 0);
}

TEST(BrokerMessages, NameEveryFieldThatIsWrong) {
  EXPECT_THAT(FieldsOf(ParseTransaction("{}").status()),
              ElementsAre("idempotencyKey", "debitAccountId", "creditAccountId", "currency", "amountMinor"));
  EXPECT_THAT(FieldsOf(ParseTransaction(R"({"idempotencyKey": 5, "debitAccountId": "a b", "creditAccountId": "",
    "currency": "EUR", "amountMinor": 1.5, "code": -1, "phase": "expired", "balancingDebit": "yes", "amount": 3})")
                           .status()),
              ElementsAre("amount", "idempotencyKey", "phase", "debitAccountId", "creditAccountId", "code",
                          "amountMinor", "balancingDebit"));
  EXPECT_THAT(FieldsOf(ParseRefund(R"({"idempotencyKey": "r", "transferId": "r", "amountMinor": "1e3"})").status()),
              ElementsAre("amountMinor", "transferId"));
  EXPECT_THAT(FieldsOf(ParseBalanceQuestion(R"({"accountId": "a", "at": "yesterday", "who": {}})").status()),
              ElementsAre("who", "at"));
}

TEST(BrokerMessages, AreWholeNumbersOfSixtyFourBitsInAnyNotationAndNothingElse) {
  const auto amount = [](const std::string& text) {
    return ParseRefund(R"({"idempotencyKey": "r", "transferId": "t", "amountMinor": )" + text + "}");
  };
  EXPECT_EQ(amount("9223372036854775807")->amount_minor, 9223372036854775807);
  EXPECT_EQ(amount("\"9223372036854775807\"")->amount_minor, 9223372036854775807);
  for (const char* wrong : {"9223372036854775808", "-1", "1e3", "1.0", "\"\"", "\" 5\"", "\"5 \"", "\"0x5\"", "true",
                            "null", "[5]", "\"9223372036854775808\""}) {
    EXPECT_EQ(ReasonOf(amount(wrong).status()), "BAD_REQUEST") << wrong;
  }
}

TEST(BrokerMessages, AreOneObjectOfJsonWithoutDoubles) {
  for (const std::string& wrong :
       {std::string(), std::string("{"), std::string("[]"), std::string("5"), std::string("null"), std::string("{}{}"),
        std::string("{\"idempotencyKey\":\"\xff\"}"), std::string(R"({"transferId":"a","transferId":"b"})"),
        std::string(100'000, '['), "{\"a\":" + std::string(60'000, '['), std::string(kMessageMax + 1, ' ')}) {
    EXPECT_EQ(ReasonOf(ParseRefund(wrong).status()), "MALFORMED_REQUEST") << wrong.substr(0, 40);
  }
}

TEST(BrokerMessages, TellTheKeyOfWhatIsWrongOtherwise) {
  EXPECT_EQ(KeyOf(R"({"idempotencyKey": "pay-1", "amount": )"), "pay-1");
  EXPECT_EQ(KeyOf(R"({"requestId": "q", "x": [1, {"idempotencyKey": "inner"}]})"), "q");
  EXPECT_EQ(KeyOf("nothing"), "");
}

Transfer Posted() {
  Transfer transfer;
  transfer.id = "pay-1";
  transfer.debit_account = "wallet";
  transfer.credit_account = "platform";
  transfer.currency = "EUR";
  transfer.code = 7;
  transfer.amount_minor = 1'250;
  return transfer;
}

TEST(BrokerRefunds, TurnTheTransferRoundAndSayWhatTheyCorrect) {
  NewTransfer expected;
  expected.id = "back-1";
  expected.debit_account = "platform";
  expected.credit_account = "wallet";
  expected.currency = "EUR";
  expected.code = 7;
  expected.amount_minor = 1'250;
  expected.corrects = "pay-1";
  EXPECT_EQ(CorrectingTransfer({"back-1", "pay-1"}, Posted()).value(), expected);
  expected.amount_minor = 50;
  expected.code = 9;
  expected.user_data = "sorry";
  EXPECT_EQ(CorrectingTransfer({"back-1", "pay-1", 50, 9, "sorry"}, Posted()).value(), expected);
}

TEST(BrokerRefunds, AreNoMoreThanThereWas) {
  EXPECT_THAT(FieldsOf(CorrectingTransfer({"back-1", "pay-1", 1'251}, Posted()).status()), ElementsAre("amountMinor"));
  Transfer back = Posted();
  back.corrects = "pay-0";
  EXPECT_THAT(FieldsOf(CorrectingTransfer({"back-1", "pay-1"}, back).status()), ElementsAre("transferId"));
  Transfer held = Posted();
  held.phase = Phase::kPending;
  EXPECT_EQ(ReasonOf(CorrectingTransfer({"back-1", "pay-1"}, held).status()), "TRANSFER_REFUSED");
}

TEST(BrokerAnswers, SayWhatBecameOfATransfer) {
  EXPECT_EQ(TransferAnswer("pay-1", {TransferResult::kCreated, 1'250, 42, absl::FromUnixSeconds(1'800'000'000)}),
            R"({"idempotencyKey":"pay-1","result":"created","amountMinor":"1250","number":"42",)"
            R"("createdAt":"2027-01-15T08:00:00+00:00"})");
  const nlohmann::json refused = nlohmann::json::parse(TransferAnswer("pay-1", {TransferResult::kExceedsCredits}));
  EXPECT_EQ(refused.at("result"), "exceeds_credits");
  EXPECT_EQ(refused.at("error").at("reason"), "TRANSFER_REFUSED");
  const nlohmann::json wrong = nlohmann::json::parse(TransferAnswer("pay-1", {TransferResult::kCurrencyUnknown}));
  EXPECT_EQ(wrong.at("error").at("reason"), "BAD_REQUEST");
  EXPECT_EQ(wrong.at("error").at("fields").at(0).at("field"), "currency");
  EXPECT_EQ(GetErrorDetail(StatusOfMessage(TransferResult::kDebitAccountMalformed, "x")).violations.at(0).first,
            "debitAccountId");
  EXPECT_EQ(GetErrorDetail(StatusOfMessage(TransferResult::kIdMalformed, "x")).violations.at(0).first,
            "idempotencyKey");
}

TEST(BrokerAnswers, SayABalance) {
  Account account;
  account.id = "wallet";
  account.currency = "EUR";
  const nlohmann::json answer = nlohmann::json::parse(BalanceAnswer(
      {"q-1", "wallet"}, account,
      {.debits_posted = 100, .credits_posted = 350, .debits_pending = 50, .credits_pending = 5, .version = 4},
      absl::FromUnixSeconds(0)));
  EXPECT_EQ(answer.at("requestId"), "q-1");
  EXPECT_EQ(answer.at("available"), "200");
  EXPECT_EQ(answer.at("creditsPending"), "5");
  EXPECT_EQ(answer.at("version"), "4");
}

TEST(BrokerAnswers, NameTheFieldsOfWhatIsWrong) {
  const nlohmann::json answer =
      nlohmann::json::parse(ErrorAnswer("idempotencyKey", "k", ParseRefund(R"({"idempotencyKey":"k"})").status()));
  EXPECT_EQ(answer.at("idempotencyKey"), "k");
  EXPECT_EQ(answer.at("error").at("reason"), "BAD_REQUEST");
  EXPECT_EQ(answer.at("error").at("fields").at(0).at("field"), "transferId");
}

}  // namespace
}  // namespace waybill::ledger
