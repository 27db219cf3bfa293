#include "services/ledger/requests.h"

#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "services/ledger/results.h"

namespace waybill::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

access::Caller Of(const std::string& client, domain::Scopes scopes = {domain::Scope::kLedgerRead}) {
  access::Caller caller;
  caller.client = client;
  caller.scopes = scopes;
  return caller;
}

std::vector<std::string> Wrong(const absl::Status& status) {
  EXPECT_EQ(GetErrorDetail(status).reason, "BAD_REQUEST") << status;
  std::vector<std::string> fields;
  for (const auto& [field, what] : GetErrorDetail(status).violations) fields.push_back(field);
  return fields;
}

template <typename Result>
std::string WireName(Result result) {
  return google::protobuf::GetEnumDescriptor<Result>()->FindValueByNumber(result)->name();
}

TEST(LedgerResults, EachHasItsNameOnTheWireAndAFieldThatTheRequestHas) {
  std::set<int> numbers;
  for (size_t i = 0; i < std::size(kAccountResults); ++i) {
    const auto result = static_cast<AccountResult>(i);
    EXPECT_EQ(WireName(ToWire(result)), absl::AsciiStrToUpper(std::string(Name(result))));
    EXPECT_TRUE(numbers.insert(ToWire(result)).second) << Name(result);
    const std::string field(FieldOf(result));
    EXPECT_EQ(field.empty(), Done(result)) << Name(result);
    if (field.empty()) continue;
    EXPECT_NE(v1::NewAccount::descriptor()->FindFieldByName(field), nullptr) << field;
  }
  numbers.clear();
  for (size_t i = 0; i < std::size(kTransferResults); ++i) {
    const auto result = static_cast<TransferResult>(i);
    EXPECT_EQ(WireName(ToWire(result)), absl::AsciiStrToUpper(std::string(Name(result))));
    EXPECT_TRUE(numbers.insert(ToWire(result)).second) << Name(result);
    const std::string field(FieldOf(result));
    EXPECT_EQ(field.empty(), Done(result)) << Name(result);
    if (field.empty()) continue;
    EXPECT_NE(v1::NewTransfer::descriptor()->FindFieldByName(field), nullptr) << field;
  }
}

TEST(LedgerResults, FieldsAreThoseThatTheyAreAbout) {
  EXPECT_EQ(FieldOf(AccountResult::kIdMalformed), "account_id");
  EXPECT_EQ(FieldOf(AccountResult::kParentHasDifferentCurrency), "parent_id");
  EXPECT_EQ(FieldOf(AccountResult::kExistsWithDifferentCurrency), "currency");
  EXPECT_EQ(FieldOf(TransferResult::kLinkedChainOpen), "linked");
  EXPECT_EQ(FieldOf(TransferResult::kExistsWithDifferentDebitAccount), "debit_account_id");
  EXPECT_EQ(FieldOf(TransferResult::kExistsWithDifferentPendingId), "pending_id");
  EXPECT_EQ(FieldOf(TransferResult::kCreditAccountNotFound), "credit_account_id");
  EXPECT_EQ(FieldOf(TransferResult::kDebitAccountHasDifferentCurrency), "currency");
  EXPECT_EQ(FieldOf(TransferResult::kPendingTransferHasDifferentAmount), "amount_minor");
  EXPECT_EQ(FieldOf(TransferResult::kPendingTransferAlreadyVoided), "pending_id");
  EXPECT_EQ(FieldOf(TransferResult::kCorrectedTransferHasDifferentCurrency), "corrects_id");
  EXPECT_EQ(FieldOf(TransferResult::kExceedsCredits), "amount_minor");
}

TEST(LedgerResults, AreErrorsWhereACallIsAboutOne) {
  EXPECT_TRUE(StatusOf(TransferResult::kCreated, "t").ok());
  EXPECT_TRUE(StatusOf(TransferResult::kExists, "t").ok());
  EXPECT_THAT(Wrong(StatusOf(TransferResult::kAmountMustBePositive, "t")), ElementsAre("amount_minor"));
  const absl::Status reused = StatusOf(TransferResult::kExistsWithDifferentAmount, "t");
  EXPECT_EQ(GetErrorDetail(reused).reason, "TRANSFER_ID_REUSED");
  EXPECT_THAT(GetErrorDetail(reused).metadata,
              UnorderedElementsAre(Pair("result", "exists_with_different_amount"), Pair("field", "amount_minor")));
  const absl::Status refused = StatusOf(TransferResult::kExceedsCredits, "t-1");
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(refused).reason, "TRANSFER_REFUSED");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("t-1"));
  EXPECT_EQ(GetErrorDetail(StatusOf(AccountResult::kParentNotFound, "a")).reason, "ACCOUNT_REFUSED");
  EXPECT_EQ(GetErrorDetail(StatusOf(AccountResult::kExistsWithDifferentKind, "a")).reason, "ACCOUNT_ID_REUSED");
}

TEST(LedgerRequests, PhasesAndResolutionsKeepTheirNames) {
  for (const Phase phase : {Phase::kSingle, Phase::kPending, Phase::kPost, Phase::kVoid, Phase::kExpired}) {
    storage::TransferRecord record;
    record.phase = phase;
    v1::Transfer out;
    Fill(record, out);
    EXPECT_EQ(absl::AsciiStrToLower(v1::Phase_Name(out.phase())), Name(phase));
    v1::CreateTransfersRequest request;
    request.add_transfers()->set_phase(out.phase());
    EXPECT_EQ(TakeTransfers(request)->at(0).phase, phase);
  }
  using storage::Resolution;
  for (const Resolution resolution :
       {Resolution::kOpen, Resolution::kPosted, Resolution::kVoided, Resolution::kExpired}) {
    storage::TransferRecord record;
    record.resolution = resolution;
    v1::Transfer out;
    Fill(record, out);
    EXPECT_EQ(absl::AsciiStrToLower(v1::Transfer::Resolution_Name(out.resolution())), Name(resolution));
  }
}

TEST(LedgerRequests, TransfersAreTakenWhole) {
  v1::CreateTransfersRequest request;
  v1::NewTransfer& asked = *request.add_transfers();
  asked.set_transfer_id("t-1");
  asked.set_phase(v1::PENDING);
  asked.set_debit_account_id("a");
  asked.set_credit_account_id("b");
  asked.set_currency("EUR");
  asked.set_code(7);
  asked.set_user_data("rent");
  asked.set_amount_minor(1250);
  asked.set_timeout_seconds(60);
  asked.set_linked(true);
  asked.set_balancing_debit(true);
  asked.set_balancing_credit(true);
  asked.set_corrects_id("t-0");
  v1::NewTransfer& post = *request.add_transfers();
  post.set_phase(v1::POST);
  post.set_pending_id("t-1");
  NewTransfer wanted;
  wanted.id = "t-1";
  wanted.phase = Phase::kPending;
  wanted.debit_account = "a";
  wanted.credit_account = "b";
  wanted.currency = "EUR";
  wanted.code = 7;
  wanted.user_data = "rent";
  wanted.amount_minor = 1250;
  wanted.timeout_seconds = 60;
  wanted.linked = wanted.balancing_debit = wanted.balancing_credit = true;
  wanted.corrects = "t-0";
  NewTransfer second;
  second.phase = Phase::kPost;
  second.pending_id = "t-1";
  absl::StatusOr<std::vector<NewTransfer>> taken = TakeTransfers(request);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(*taken, (std::vector<NewTransfer>{wanted, second}));
}

TEST(LedgerRequests, BatchesHaveBounds) {
  v1::CreateTransfersRequest none;
  EXPECT_THAT(Wrong(TakeTransfers(none).status()), ElementsAre("transfers"));
  v1::CreateTransfersRequest full;
  for (size_t i = 0; i < kBatchMax; ++i) full.add_transfers();
  v1::CreateTransfersRequest more = full;
  EXPECT_EQ(TakeTransfers(full)->size(), kBatchMax);
  more.add_transfers();
  EXPECT_THAT(Wrong(TakeTransfers(more).status()), ElementsAre("transfers"));
  v1::CreateTransfersRequest odd;
  odd.add_transfers();
  odd.add_transfers()->set_phase(static_cast<v1::Phase>(9));
  EXPECT_THAT(Wrong(TakeTransfers(odd).status()), ElementsAre("transfers[1].phase"));
  v1::CreateAccountsRequest nobody;
  EXPECT_THAT(Wrong(TakeAccounts(nobody).status()), ElementsAre("accounts"));
}

TEST(LedgerRequests, AccountsAreTakenAndShownWhole) {
  v1::NewAccount asked;
  asked.set_account_id("alice");
  asked.set_owner("Alice A.");
  asked.set_currency("EUR");
  asked.set_kind("wallet");
  asked.set_code(3);
  asked.mutable_flags()->set_debits_must_not_exceed_credits(true);
  asked.mutable_flags()->set_history(true);
  asked.set_parent_id("household");
  (*asked.mutable_metadata())["tier"] = "gold";
  Account account;
  static_cast<NewAccount&>(account) = TakeAccount(asked);
  account.client = "shop";
  account.balance = {100, 1350, 50, 7, 12};
  account.created_at = absl::FromUnixSeconds(1'800'000'000);
  v1::Account out;
  Fill(account, out);
  EXPECT_EQ(out.ShortDebugString(),
            "account_id: \"alice\" client: \"shop\" owner: \"Alice A.\" currency: \"EUR\" kind: \"wallet\" code: 3 "
            "flags { debits_must_not_exceed_credits: true history: true } parent_id: \"household\" metadata { key: "
            "\"tier\" value: \"gold\" } create_time { seconds: 1800000000 } balance { debits_posted: 100 "
            "credits_posted: 1350 debits_pending: 50 credits_pending: 7 version: 12 } available_minor: 1200");
}

TEST(LedgerRequests, PlainWordsBecomeTransfers) {
  v1::CreditRequest credit;
  credit.set_account_id("alice");
  credit.set_amount_minor(1250);
  credit.set_currency("EUR");
  EXPECT_THAT(Wrong(TakeVerb(credit, "").status()), ElementsAre("transfer_id"));
  absl::StatusOr<Verb> verb = TakeVerb(credit, "key-1");
  ASSERT_TRUE(verb.ok()) << verb.status();
  EXPECT_EQ(verb->transfer.id, "key-1");
  EXPECT_EQ(verb->transfer.debit_account, "external:EUR");
  EXPECT_EQ(verb->transfer.credit_account, "alice");
  EXPECT_EQ(verb->transfer.code, 1);
  EXPECT_EQ(verb->counterpart, "external:EUR");

  v1::DebitRequest debit;
  debit.set_transfer_id("t-2");
  debit.set_account_id("alice");
  debit.set_counterpart_id("bank");
  debit.set_amount_minor(1);
  debit.set_currency("EUR");
  debit.set_code(9);
  verb = TakeVerb(debit, "key-1");
  ASSERT_TRUE(verb.ok()) << verb.status();
  EXPECT_EQ(verb->transfer.id, "t-2") << "what the body says counts";
  EXPECT_EQ(verb->transfer.debit_account, "alice");
  EXPECT_EQ(verb->transfer.credit_account, "bank");
  EXPECT_EQ(verb->transfer.code, 9);
  EXPECT_EQ(verb->counterpart, "");

  v1::CreditRequest odd;
  odd.set_transfer_id("t-3");
  odd.set_currency("../x");
  EXPECT_THAT(Wrong(TakeVerb(odd, "").status()), ElementsAre("currency"));
}

TEST(LedgerRequests, WaybillsOwnAccountsAreWrittenByNoClient) {
  EXPECT_EQ(*ClientToWrite(Of("shop")), "shop");
  EXPECT_EQ(*ClientToWrite(Of("")), "anonymous");
  EXPECT_EQ(GetErrorDetail(ClientToWrite(Of("(waybill)", {domain::Scope::kOps})).status()).reason, "CLIENT_RESERVED");
  EXPECT_EQ(*ClientToRead(Of("op", {domain::Scope::kOps}), "(waybill)"), "(waybill)");
}

TEST(LedgerRequests, OthersAreReadByOperatorsOnly) {
  EXPECT_EQ(*ClientToRead(Of("shop"), ""), "shop");
  EXPECT_EQ(*ClientToRead(Of("shop"), "shop"), "shop");
  EXPECT_EQ(*ClientToRead(Of(""), ""), "anonymous");
  EXPECT_EQ(GetErrorDetail(ClientToRead(Of("shop"), "other").status()).reason, "SCOPE_MISSING");
  EXPECT_EQ(*ClientToRead(Of("op", {domain::Scope::kOps}), "other"), "other");

  v1::ListAccountsRequest all;
  all.set_all_clients(true);
  EXPECT_EQ(GetErrorDetail(TakeQuery(all, Of("shop")).status()).reason, "SCOPE_MISSING");
  EXPECT_EQ(TakeQuery(all, Of("op", {domain::Scope::kOps}))->client, std::nullopt);
  all.set_parent_id("a");
  EXPECT_THAT(Wrong(TakeQuery(all, Of("op", {domain::Scope::kOps})).status()), ElementsAre("all_clients"));
}

TEST(LedgerRequests, ListsNameEachWrongField) {
  v1::ListAccountsRequest accounts;
  accounts.set_owner("a\nb");
  accounts.set_currency("EURO");
  accounts.set_kind("Wallet");
  accounts.set_code(-1);
  accounts.set_parent_id("a/b");
  accounts.set_page_size(501);
  accounts.set_page_token("x");
  EXPECT_THAT(Wrong(TakeQuery(accounts, Of("shop")).status()),
              UnorderedElementsAre("owner", "currency", "kind", "code", "parent_id", "page_size", "page_token"));
  v1::ListTransfersRequest transfers;
  transfers.set_side(static_cast<v1::ListTransfersRequest::Side>(7));
  transfers.mutable_from()->set_nanos(-1);
  EXPECT_THAT(Wrong(TakeQuery(transfers, Of("shop")).status()), UnorderedElementsAre("account_id", "from", "side"));
  v1::ListTransfersRequest reversed;
  reversed.set_account_id("alice");
  reversed.mutable_from()->set_seconds(2);
  reversed.mutable_to()->set_seconds(1);
  EXPECT_THAT(Wrong(TakeQuery(reversed, Of("shop")).status()), ElementsAre("to"));
  v1::GetBalanceRequest balance;
  balance.set_account_id("alice");
  balance.mutable_at()->set_seconds(1'800'000'001);
  balance.mutable_max_staleness()->set_seconds(-1);
  EXPECT_THAT(Wrong(TakeBalance(balance, Of("shop"), absl::FromUnixSeconds(1'800'000'000)).status()),
              UnorderedElementsAre("at", "max_staleness", "max_staleness"));
}

TEST(LedgerRequests, TokensGoOnWithTheSameListOnly) {
  v1::ListTransfersRequest list;
  list.set_account_id("alice");
  storage::TransferRecord last;
  last.number = 77;
  list.set_page_token(MakeToken(last, list));
  list.set_page_size(3);
  absl::StatusOr<storage::StatementQuery> query = TakeQuery(list, Of("shop"));
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->before, 77);
  EXPECT_EQ(query->limit, 4);
  list.set_account_id("bob");
  EXPECT_THAT(Wrong(TakeQuery(list, Of("shop")).status()), ElementsAre("page_token"));

  v1::ListAccountsRequest accounts;
  Account account;
  account.client = "a/b";
  account.id = "x:1";
  accounts.set_page_token(MakeToken(account, accounts));
  absl::StatusOr<storage::AccountQuery> after = TakeQuery(accounts, Of("shop"));
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->after->client, "a/b");
  EXPECT_EQ(after->after->id, "x:1");
}

}  // namespace
}  // namespace waybill::ledger
