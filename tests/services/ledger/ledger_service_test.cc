// waybill.ledger.v1 as a client sees it: real gRPC, over a store of which the tests say what it answers.
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "edge/rpc/server.h"
#include "edge/rpc/status.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "runtime/worker_pool.h"
#include "services/ledger/chores.h"
#include "services/ledger/grpc_ledger_admin.h"
#include "services/ledger/grpc_ledger_service.h"
#include "services/ledger/requests.h"
#include "tests/services/ledger/mock_ledger_store.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::ledger {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::Return;
using ::testing::UnorderedElementsAre;

class LedgerServiceTest : public ::testing::Test {
 protected:
  LedgerServiceTest() {
    AddLedgerService(server_, service_);
    AddLedgerAdmin(server_, store_, verifier_, workers_, time_);
    EXPECT_TRUE(server_.Start().ok());
    const auto channel =
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server_.port()), grpc::InsecureChannelCredentials());
    stub_ = v1::LedgerService::NewStub(channel);
    admin_ = v1::LedgerAdmin::NewStub(channel);
  }
  ~LedgerServiceTest() override {
    verifier_.Stop();
    server_.Drain(SteadyTime::InfinitePast());
    verifying_.Stop();
    workers_.Stop();
  }

  struct Answer {
    absl::Status status;
    bool replayed = false;
    std::string reason() const { return GetErrorDetail(status).reason; }
  };
  template <typename Stub, typename Request, typename Response>
  Answer Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
              const Request& request, Response& response, const std::string& key = "") {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.AddMetadata("waybill-client", client_);
    if (!key.empty()) context.AddMetadata("idempotency-key", key);
    Answer answer;
    answer.status = rpc::FromGrpcStatus((stub.*method)(&context, request, &response));
    answer.replayed = context.GetServerInitialMetadata().contains("idempotency-replayed");
    return answer;
  }

  static Outcome Created(int64_t amount, int64_t number) {
    return {TransferResult::kCreated, amount, number, absl::FromUnixSeconds(1'800'000'000)};
  }
  static Account Wallet(const std::string& id, int64_t credits) {
    Account account;
    account.id = id;
    account.client = "shop";
    account.currency = "EUR";
    account.kind = "wallet";
    account.code = 1;
    account.balance.credits_posted = credits;
    account.balance.version = 1;
    return account;
  }
  static storage::TransferRecord Moved(const std::string& id) {
    storage::TransferRecord record;
    record.id = id;
    record.client = "shop";
    record.amount_minor = 1250;
    record.currency = "EUR";
    record.number = 4;
    return record;
  }

  std::string client_ = "shop";
  waybill::testing::ManualTime time_;
  ::testing::StrictMock<MockLedgerStore> store_;
  WorkerPool workers_{2, 100};
  WorkerPool verifying_{1, 1};
  Metrics metrics_registry_;
  LedgerMetrics metrics_{metrics_registry_};
  Counterparts counterparts_{store_};
  ::testing::StrictMock<MockBalanceCache> cache_;
  LedgerService service_{store_, workers_, counterparts_, metrics_, time_, &cache_};
  Verifier verifier_{store_, verifying_, metrics_, time_};
  rpc::Server server_{rpc::ServerOptions{}, metrics_registry_};
  std::unique_ptr<v1::LedgerService::Stub> stub_;
  std::unique_ptr<v1::LedgerAdmin::Stub> admin_;
};

TEST_F(LedgerServiceTest, NothingIsWrittenAsWaybillItself) {
  client_ = "(waybill)";
  v1::CreateAccountsResponse accounts;
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::CreateAccounts, {}, accounts).reason(), "CLIENT_RESERVED");
  v1::CreateTransfersResponse transfers;
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::CreateTransfers, {}, transfers).reason(), "CLIENT_RESERVED");
  v1::Posting posting;
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::Credit, {}, posting).reason(), "CLIENT_RESERVED");
  v1::Account account;
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::CreateAccount, {}, account).reason(), "CLIENT_RESERVED");
  v1::CloseAccountRequest close;
  close.set_account_id("orders:EUR:1");
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::CloseAccount, close, account).reason(), "CLIENT_RESERVED");
}

TEST_F(LedgerServiceTest, EachTransferHasItsResult) {
  v1::CreateTransfersRequest request;
  for (const char* id : {"t-1", "t-2", "t-3"}) request.add_transfers()->set_transfer_id(id);
  EXPECT_CALL(store_, Made("shop", ElementsAre(Field(&NewTransfer::id, "t-1"), Field(&NewTransfer::id, "t-2"),
                                               Field(&NewTransfer::id, "t-3"))))
      .WillOnce(Return(std::vector<Outcome>{
          Created(5, 9), {TransferResult::kExceedsCredits}, {TransferResult::kExistsWithDifferentCode}}));
  v1::CreateTransfersResponse response;
  ASSERT_TRUE(Call(*stub_, &v1::LedgerService::Stub::CreateTransfers, request, response).status.ok());
  ASSERT_EQ(response.outcomes_size(), 3);
  EXPECT_EQ(response.outcomes(0).result(), v1::TransferOutcome::CREATED);
  EXPECT_EQ(response.outcomes(0).amount_minor(), 5);
  EXPECT_EQ(response.outcomes(0).number(), 9);
  EXPECT_EQ(response.outcomes(0).create_time().seconds(), 1'800'000'000);
  EXPECT_EQ(response.outcomes(1).result(), v1::TransferOutcome::EXCEEDS_CREDITS);
  EXPECT_EQ(response.outcomes(1).field(), "amount_minor");
  EXPECT_FALSE(response.outcomes(1).has_create_time());
  EXPECT_EQ(response.outcomes(2).result(), v1::TransferOutcome::EXISTS_WITH_DIFFERENT_CODE);
  EXPECT_EQ(response.outcomes(2).field(), "code");
  const std::string counted = metrics_registry_.ToText();
  for (const char* result : {"created", "refused", "conflict"}) {
    EXPECT_THAT(counted, HasSubstr("waybill_ledger_transfers_total{result=\"" + std::string(result) + "\"} 1"));
  }
}

TEST_F(LedgerServiceTest, AFullQueueIsSaid) {
  EXPECT_CALL(store_, Made).WillOnce(Return(domain::QueueFull("full", absl::Milliseconds(100))));
  v1::CreateTransfersRequest request;
  request.add_transfers();
  v1::CreateTransfersResponse response;
  const Answer answer = Call(*stub_, &v1::LedgerService::Stub::CreateTransfers, request, response);
  EXPECT_EQ(answer.reason(), "QUEUE_FULL");
  EXPECT_EQ(GetErrorDetail(answer.status).retry_after, absl::Milliseconds(100));
}

TEST_F(LedgerServiceTest, EachAccountHasItsResult) {
  v1::CreateAccountsRequest request;
  request.add_accounts()->set_account_id("alice");
  request.add_accounts()->set_account_id("?");
  EXPECT_CALL(store_, CreateAccounts("shop", ::testing::SizeIs(2)))
      .WillOnce(Return(std::vector{AccountResult::kCreated, AccountResult::kIdMalformed}));
  v1::CreateAccountsResponse response;
  ASSERT_TRUE(Call(*stub_, &v1::LedgerService::Stub::CreateAccounts, request, response).status.ok());
  EXPECT_EQ(response.ShortDebugString(),
            "outcomes { result: CREATED } outcomes { result: ID_MALFORMED field: \"account_id\" }");
}

TEST_F(LedgerServiceTest, OneAccountIsAnsweredOrRefused) {
  v1::NewAccount request;
  request.set_account_id("alice");
  v1::Account response;
  EXPECT_CALL(store_, CreateAccounts)
      .WillOnce(Return(std::vector{AccountResult::kCreated}))
      .WillOnce(Return(std::vector{AccountResult::kExists}))
      .WillOnce(Return(std::vector{AccountResult::kExistsWithDifferentOwner}))
      .WillOnce(Return(std::vector{AccountResult::kKindMalformed}));
  EXPECT_CALL(store_, GetAccount("shop", "alice")).WillRepeatedly(Return(Wallet("alice", 7)));
  const auto create = [&] { return Call(*stub_, &v1::LedgerService::Stub::CreateAccount, request, response); };
  Answer answer = create();
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_FALSE(answer.replayed);
  EXPECT_EQ(response.available_minor(), 7);
  EXPECT_TRUE(create().replayed);
  answer = create();
  EXPECT_EQ(answer.reason(), "ACCOUNT_ID_REUSED");
  EXPECT_THAT(GetErrorDetail(answer.status).metadata,
              UnorderedElementsAre(Pair("result", "exists_with_different_owner"), Pair("field", "owner")));
  answer = create();
  EXPECT_EQ(answer.reason(), "BAD_REQUEST");
  EXPECT_THAT(GetErrorDetail(answer.status).violations, ElementsAre(Pair("kind", HasSubstr("1 to 32"))));
}

TEST_F(LedgerServiceTest, ACreditOpensItsCounterpartOnceAndAnswersTheTransfer) {
  v1::CreditRequest request;
  request.set_account_id("alice");
  request.set_amount_minor(1250);
  request.set_currency("EUR");
  EXPECT_CALL(store_, CreateAccounts("shop", ElementsAre(Counterpart("external:EUR", "EUR"))))
      .WillOnce(Return(std::vector{AccountResult::kCreated}));
  NewTransfer wanted;
  wanted.id = "key-1";
  wanted.debit_account = "external:EUR";
  wanted.credit_account = "alice";
  wanted.currency = "EUR";
  wanted.code = 1;
  wanted.amount_minor = 1250;
  EXPECT_CALL(store_, Made("shop", ElementsAre(wanted)))
      .WillOnce(Return(std::vector<Outcome>{Created(1250, 4)}))
      .WillOnce(Return(std::vector<Outcome>{{TransferResult::kExists, 1250, 4}}));
  EXPECT_CALL(store_, GetTransfer("shop", "key-1")).WillRepeatedly(Return(Moved("key-1")));
  EXPECT_CALL(store_, GetAccount("shop", "alice")).WillRepeatedly(Return(Wallet("alice", 1250)));
  v1::Posting response;
  Answer answer = Call(*stub_, &v1::LedgerService::Stub::Credit, request, response, "key-1");
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  EXPECT_FALSE(answer.replayed);
  EXPECT_EQ(response.transfer().transfer_id(), "key-1");
  ASSERT_EQ(response.accounts_size(), 1);
  EXPECT_EQ(response.accounts(0).available_minor(), 1250);
  answer = Call(*stub_, &v1::LedgerService::Stub::Credit, request, response, "key-1");
  EXPECT_TRUE(answer.replayed);
}

TEST_F(LedgerServiceTest, ARefusedVerbNamesTheFieldsOfItsOwnRequest) {
  v1::TransferRequest request;
  request.set_transfer_id("t-1");
  request.set_from_id("alice");
  request.set_to_id("bob");
  v1::Posting response;
  EXPECT_CALL(store_, Made)
      .WillOnce(Return(std::vector<Outcome>{{TransferResult::kExceedsCredits}}))
      .WillOnce(Return(std::vector<Outcome>{{TransferResult::kCreditAccountNotFound}}))
      .WillOnce(Return(std::vector<Outcome>{{TransferResult::kDebitAccountMalformed}}));
  const auto move = [&] { return Call(*stub_, &v1::LedgerService::Stub::Transfer, request, response); };
  Answer answer = move();
  EXPECT_EQ(answer.reason(), "TRANSFER_REFUSED");
  EXPECT_THAT(GetErrorDetail(answer.status).metadata,
              UnorderedElementsAre(Pair("result", "exceeds_credits"), Pair("field", "amount_minor")));
  answer = move();
  EXPECT_THAT(GetErrorDetail(answer.status).metadata,
              UnorderedElementsAre(Pair("result", "credit_account_not_found"), Pair("field", "to_id")));
  answer = move();
  EXPECT_THAT(GetErrorDetail(answer.status).violations, ElementsAre(Pair("from_id", _)));
}

TEST_F(LedgerServiceTest, WhatWasRefusedIsSaidForEver) {
  v1::GetTransferRequest request;
  request.set_transfer_id("t-1");
  v1::Transfer response;
  EXPECT_CALL(store_, GetTransfer("shop", "t-1")).WillRepeatedly(Return(storage::TransferNotFound("t-1")));
  EXPECT_CALL(store_, GetRefusal("shop", "t-1"))
      .WillOnce(Return(std::optional(TransferResult::kExceedsCredits)))
      .WillOnce(Return(std::optional<TransferResult>()));
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::GetTransfer, request, response).reason(), "TRANSFER_REFUSED");
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::GetTransfer, request, response).reason(), "TRANSFER_NOT_FOUND");
}

TEST_F(LedgerServiceTest, StatementsComePageByPage) {
  v1::ListTransfersRequest request;
  request.set_account_id("alice");
  request.set_page_size(2);
  std::vector<storage::TransferRecord> three = {Moved("t-3"), Moved("t-2"), Moved("t-1")};
  for (size_t i = 0; i < three.size(); ++i) three[i].number = static_cast<int64_t>(3 - i);
  EXPECT_CALL(store_, Statement(Field(&storage::StatementQuery::before, std::nullopt))).WillOnce(Return(three));
  v1::ListTransfersResponse response;
  ASSERT_TRUE(Call(*stub_, &v1::LedgerService::Stub::ListTransfers, request, response).status.ok());
  EXPECT_EQ(response.transfers_size(), 2);
  request.set_page_token(response.next_page_token());
  EXPECT_CALL(store_, Statement(Field(&storage::StatementQuery::before, std::optional<int64_t>(2))))
      .WillOnce(Return(std::vector{three[2]}));
  ASSERT_TRUE(Call(*stub_, &v1::LedgerService::Stub::ListTransfers, request, response).status.ok());
  EXPECT_EQ(response.transfers_size(), 1);
  EXPECT_THAT(response.next_page_token(), IsEmpty());
}

TEST_F(LedgerServiceTest, BalancesAreThoseOfNowOrOfThen) {
  EXPECT_CALL(store_, GetAccount("shop", "alice")).WillRepeatedly(Return(Wallet("alice", 1250)));
  v1::GetBalanceRequest request;
  request.set_account_id("alice");
  v1::GetBalanceResponse response;
  ASSERT_TRUE(Call(*stub_, &v1::LedgerService::Stub::GetBalance, request, response).status.ok());
  EXPECT_EQ(response.balance().credits_posted(), 1250);
  EXPECT_EQ(response.currency(), "EUR");
  const absl::Time then = time_.Now() - absl::Hours(1);
  request.mutable_at()->set_seconds(absl::ToUnixSeconds(then));
  storage::BalanceMoment moment;
  moment.at = then - absl::Seconds(5);
  moment.balance.credits_posted = 50;
  moment.balance.version = 3;
  moment.settled = true;
  EXPECT_CALL(store_, BalanceAt("shop", "alice", then))
      .WillOnce(Return(moment))
      .WillOnce(Return(storage::HistoryNotKept("alice")));
  ASSERT_TRUE(Call(*stub_, &v1::LedgerService::Stub::GetBalance, request, response).status.ok());
  EXPECT_EQ(response.balance().credits_posted(), 50);
  EXPECT_EQ(response.since().seconds(), absl::ToUnixSeconds(then) - 5);
  EXPECT_TRUE(response.settled());
  EXPECT_EQ(Call(*stub_, &v1::LedgerService::Stub::GetBalance, request, response).reason(), "HISTORY_NOT_KEPT");
}

TEST_F(LedgerServiceTest, AnOldBalanceMayComeFromTheCache) {
  v1::GetBalanceRequest request;
  request.set_account_id("alice");
  request.mutable_max_staleness()->set_seconds(2);
  v1::GetBalanceResponse response;
  const auto get = [&] { return Call(*stub_, &v1::LedgerService::Stub::GetBalance, request, response); };
  // Not there: the store is asked, and what it says is kept as of before.
  storage::BalanceCache::Found nothing;
  nothing.now = absl::FromUnixSeconds(77);
  const Account alice = Wallet("alice", 1250);
  EXPECT_CALL(cache_, Get("shop", "alice", absl::Seconds(2)))
      .WillOnce(Return(nothing))
      .WillOnce(Return(storage::BalanceCache::Found{storage::CachedBalance{alice.balance, "EUR"}, nothing.now}))
      .WillOnce(Return(absl::UnavailableError("")));
  EXPECT_CALL(store_, GetAccount("shop", "alice")).Times(2).WillRepeatedly(Return(alice));
  EXPECT_CALL(cache_, Put("shop", "alice", storage::CachedBalance{alice.balance, "EUR"}, nothing.now))
      .WillOnce(Return(absl::UnavailableError("")));
  ASSERT_TRUE(get().status.ok());
  EXPECT_FALSE(response.cached());
  ASSERT_TRUE(get().status.ok());
  EXPECT_TRUE(response.cached());
  EXPECT_EQ(response.available_minor(), 1250);
  EXPECT_EQ(response.currency(), "EUR");
  ASSERT_TRUE(get().status.ok()) << "without the cache";
  EXPECT_FALSE(response.cached());
  const std::string counted = metrics_registry_.ToText();
  for (const char* source : {"cache", "store", "cache_away"}) {
    EXPECT_THAT(counted, HasSubstr("waybill_ledger_balance_reads_total{source=\"" + std::string(source) + "\"} 1"));
  }
}

TEST_F(LedgerServiceTest, VerifyTellsOfProgressAndThenReports) {
  EXPECT_CALL(store_, Verify).WillOnce([&](const std::function<bool(const storage::VerifyProgress&)>& progress) {
    EXPECT_TRUE(progress({"chain", 1, 10}));
    time_.Advance(absl::Seconds(1));
    EXPECT_TRUE(progress({"balances", 5, 10}));
    storage::VerifyReport report;
    report.accounts = 2;
    report.faults = {"account shop/alice: credits are 5, its transfers' 6"};
    return report;
  });
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const auto reader = admin_->Verify(&context, {});
  v1::VerifyResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.progress().stage(), "balances") << "of one that comes too soon nothing is said";
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_FALSE(message.report().sound());
  EXPECT_THAT(message.report().faults(), ElementsAre(HasSubstr("alice")));
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(metrics_registry_.ToText(), HasSubstr("waybill_ledger_sound 0"));
}

TEST_F(LedgerServiceTest, OneVerifiesAtATime) {
  grpc::ClientContext second;
  EXPECT_CALL(store_, Verify).WillOnce([&](const std::function<bool(const storage::VerifyProgress&)>&) {
    const auto reader = admin_->Verify(&second, {});
    v1::VerifyResponse message;
    EXPECT_FALSE(reader->Read(&message));
    EXPECT_EQ(GetErrorDetail(rpc::FromGrpcStatus(reader->Finish())).reason, "QUEUE_FULL");
    return storage::VerifyReport();
  });
  grpc::ClientContext context;
  const auto reader = admin_->Verify(&context, {});
  v1::VerifyResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(message.report().sound());
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(LedgerServiceTest, AnOperatorSeesTheTrialBalanceAndTheChain) {
  storage::TrialBalanceLine line{"shop", "EUR", "wallet", 2, 1, 2, 3, 4};
  EXPECT_CALL(store_, TrialBalance(storage::Owner("shop"))).WillOnce(Return(std::vector{line}));
  v1::TrialBalanceRequest request;
  request.set_client("shop");
  v1::TrialBalanceResponse response;
  ASSERT_TRUE(Call(*admin_, &v1::LedgerAdmin::Stub::TrialBalance, request, response).status.ok());
  EXPECT_EQ(response.lines(0).ShortDebugString(),
            "client: \"shop\" currency: \"EUR\" kind: \"wallet\" accounts: 2 debits_posted: 1 credits_posted: 2 "
            "debits_pending: 3 credits_pending: 4");
  EXPECT_CALL(store_, Batches(0, 51)).WillOnce(Return(std::vector{storage::SealedBatch{1, 1, 5, 5, "00", "ab"}}));
  v1::ListBatchesResponse batches;
  ASSERT_TRUE(Call(*admin_, &v1::LedgerAdmin::Stub::ListBatches, v1::ListBatchesRequest(), batches).status.ok());
  EXPECT_EQ(batches.batches(0).hash(), "ab");
}

TEST_F(LedgerServiceTest, ChoresComeAgainAtOnceWhileThereIsMore) {
  EXPECT_CALL(store_, ExpireDue(1'000)).WillOnce(Return(1'000)).WillOnce(Return(3));
  const Chore expire = ExpireChore(store_, metrics_);
  EXPECT_LT(*expire.run(), absl::Milliseconds(100));
  EXPECT_EQ(*expire.run(), absl::Seconds(1));
  EXPECT_CALL(store_, Seal(10'000)).WillOnce(Return(10'000)).WillOnce(Return(absl::UnavailableError("")));
  const Chore seal = SealChore(store_, metrics_);
  EXPECT_LT(*seal.run(), absl::Milliseconds(100));
  EXPECT_FALSE(seal.run().ok());
  EXPECT_THAT(metrics_registry_.ToText(), HasSubstr("waybill_ledger_expired_total 1003"));
}

}  // namespace
}  // namespace waybill::ledger
