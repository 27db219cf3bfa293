// waybill-ledger as it ships, over real servers: by gRPC, by curl and by the command line; killed under load and
// started again.
#include <atomic>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "edge/access/key_admin.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "storage/postgres/key_store.h"
#include "storage/postgres/pool.h"
#include "tests/support/document.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"
#include "tests/support/reserved_port.h"
#include "tests/support/temp_directory.h"
#include "waybill/ledger/v1/ledger.grpc.pb.h"

namespace waybill::ledger {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using waybill::testing::Eventually;
using waybill::testing::Process;

constexpr absl::Duration kLongEnough = absl::Seconds(60);

struct Ran {
  int code = -1;
  std::string output;  // both streams
};

class LedgerE2eTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(Run({"migrate"}).code, 0); }

  std::vector<std::pair<std::string, std::string>> Stores() const {
    return {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}};
  }
  static Ran RunProgram(const std::string& program, std::vector<std::string> args,
                        std::vector<std::pair<std::string, std::string>> env) {
    waybill::testing::ProcessOptions options;
    options.args = std::move(args);
    options.env = std::move(env);
    auto process = Process::Start(program, options);
    if (!process.ok()) return {-1, process.status().ToString()};
    Ran ran;
    ran.code = (*process)->Wait(kLongEnough).value_or(-1);
    ran.output = (*process)->Output();
    return ran;
  }
  Ran Run(std::vector<std::string> args, std::vector<std::pair<std::string, std::string>> more = {}) const {
    auto env = Stores();
    env.emplace_back("WAYBILL_LEDGER", address());
    env.insert(env.end(), more.begin(), more.end());
    return RunProgram(WAYBILL_BINARY, std::move(args), std::move(env));
  }
  // `message` to a method of LedgerService's by curl: the status, a blank, and the body.
  std::string Curl(const std::string& method, const std::string& message, std::vector<std::string> headers = {}) const {
    std::vector<std::string> args = {"-sS", "-w", "\n%{http_code}", "-H", "content-type: application/json"};
    for (const std::string& header : headers) args.insert(args.end(), {"-H", header});
    args.insert(
        args.end(),
        {"-d", message, fmt::format("http://127.0.0.1:{}/waybill.ledger.v1.LedgerService/{}", side_.port(), method)});
    const Ran ran = RunProgram("/usr/bin/curl", args, {});
    EXPECT_EQ(ran.code, 0) << ran.output;
    const size_t end = ran.output.rfind('\n');
    return ran.output.substr(end + 1) + " " + ran.output.substr(0, end);
  }

  void Start(std::vector<std::string> more = {}, std::vector<std::pair<std::string, std::string>> env = {}) {
    waybill::testing::ProcessOptions options;
    options.args = {"--listen", address(), "--side-listen", fmt::format("127.0.0.1:{}", side_.port())};
    options.args.insert(options.args.end(), more.begin(), more.end());
    options.env = Stores();
    options.env.insert(options.env.end(), env.begin(), env.end());
    auto started = Process::Start(WAYBILL_LEDGER_BINARY, options);
    ASSERT_TRUE(started.ok()) << started.status();
    service_ = *std::move(started);
    ASSERT_TRUE(service_->WaitForLine("\"grpc_port\"", kLongEnough)) << service_->Output();
  }
  void Kill() {
    ASSERT_TRUE(service_->Signal(SIGKILL));
    ASSERT_TRUE(service_->Wait(kLongEnough));
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", port_.port()); }
  std::unique_ptr<v1::LedgerService::Stub> Connect() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
    return v1::LedgerService::NewStub(
        grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments));
  }
  static void Open(v1::LedgerService::Stub& stub, const std::vector<std::string>& wallets, bool limited) {
    v1::CreateAccountsRequest request;
    for (const std::string& id : wallets) {
      v1::NewAccount& account = *request.add_accounts();
      account.set_account_id(id);
      account.set_currency("EUR");
      account.set_kind("wallet");
      account.set_code(1);
      account.mutable_flags()->set_debits_must_not_exceed_credits(limited);
    }
    grpc::ClientContext context;
    v1::CreateAccountsResponse response;
    const grpc::Status status = stub.CreateAccounts(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const v1::AccountOutcome& outcome : response.outcomes()) {
      ASSERT_EQ(outcome.result(), v1::AccountOutcome::CREATED) << outcome.ShortDebugString();
    }
  }
  static v1::NewTransfer Of(const std::string& id, const std::string& from, const std::string& to, int64_t minor) {
    v1::NewTransfer transfer;
    transfer.set_transfer_id(id);
    transfer.set_debit_account_id(from);
    transfer.set_credit_account_id(to);
    transfer.set_currency("EUR");
    transfer.set_code(1);
    transfer.set_amount_minor(minor);
    return transfer;
  }
  // Again and again, until it is answered; its result.
  static v1::TransferOutcome::Result Post(v1::LedgerService::Stub& stub, const v1::NewTransfer& transfer,
                                          const std::atomic<bool>& stopping) {
    v1::CreateTransfersRequest request;
    *request.add_transfers() = transfer;
    while (!stopping) {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
      v1::CreateTransfersResponse response;
      const grpc::Status status = stub.CreateTransfers(&context, request, &response);
      if (status.ok()) return response.outcomes(0).result();
      std::this_thread::yield();
    }
    return v1::TransferOutcome::RESULT_UNSPECIFIED;
  }

  waybill::testing::TempDirectory folder_;
  waybill::testing::TestDatabase database_;
  waybill::testing::TestRedis redis_;
  waybill::testing::ReservedPort port_, side_;
  std::unique_ptr<Process> service_;
};

// 64 callers race for 100 cents, one at a time: exactly 100 get one, and the account is never below zero.
TEST_F(LedgerE2eTest, RacingCallersNeverOverdraw) {
  Start();
  const auto stub = Connect();
  Open(*stub, {"bank", "shop"}, false);
  Open(*stub, {"purse"}, true);
  const std::atomic<bool> stopping{false};
  ASSERT_EQ(Post(*stub, Of("fill", "bank", "purse", 100), stopping), v1::TransferOutcome::CREATED);
  std::atomic<int> made{0}, refused{0}, odd{0};
  std::vector<std::thread> threads;
  for (int caller = 0; caller < 64; ++caller) {
    threads.emplace_back([&, caller] {
      for (int i = 0; i < 4; ++i) {
        switch (Post(*stub, Of(fmt::format("t-{}-{}", caller, i), "purse", "shop", 1), stopping)) {
          case v1::TransferOutcome::CREATED:
            ++made;
            break;
          case v1::TransferOutcome::EXCEEDS_CREDITS:
            ++refused;
            break;
          default:
            ++odd;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, 100);
  EXPECT_EQ(refused, 156);
  EXPECT_EQ(odd, 0);
  EXPECT_THAT(Run({"ledger", "account", "get", "purse", "--json"}).output, HasSubstr("\"available_minor\":\"0\""));
  const Ran verified = Run({"ledger", "verify"});
  EXPECT_EQ(verified.code, 0) << verified.output;
  EXPECT_THAT(verified.output, HasSubstr("the ledger is sound"));
  service_->Signal(SIGTERM);
  EXPECT_EQ(service_->Wait(kLongEnough), 0) << service_->Output();
}

// Callers repeat what was not answered. However often the service dies, each transfer that was answered is there, once.
TEST_F(LedgerE2eTest, KilledUnderLoadItLosesNothingAndMakesNothingTwice) {
  Start();
  {
    const auto stub = Connect();
    Open(*stub, {"bank", "a", "b", "c"}, false);
  }
  std::atomic<bool> stopping{false};
  std::atomic<int64_t> answered{0};
  std::mutex mutex;
  std::map<std::string, int64_t> made;  // answered, with their amounts
  std::vector<std::string> odd;
  std::vector<std::thread> threads;
  for (int caller = 0; caller < 16; ++caller) {
    threads.emplace_back([&, caller] {
      const auto stub = Connect();
      for (int i = 0; !stopping; ++i) {
        const std::string id = fmt::format("t-{}-{}", caller, i);
        const char* const accounts[] = {"a", "b", "c"};
        const auto result = Post(*stub, Of(id, "bank", accounts[i % 3], i + 1), stopping);
        if (result == v1::TransferOutcome::RESULT_UNSPECIFIED) return;
        std::lock_guard lock(mutex);
        if (result == v1::TransferOutcome::CREATED || result == v1::TransferOutcome::EXISTS) {
          made[id] = i + 1;
          ++answered;
        } else {
          odd.push_back(fmt::format("{}: {}", id, v1::TransferOutcome::Result_Name(result)));
        }
      }
    });
  }
  for (int kill = 0; kill < 3; ++kill) {
    const int64_t before = answered;
    EXPECT_TRUE(Eventually(kLongEnough, [&] { return answered >= before + 500; })) << service_->Output();
    Kill();
    Start();
  }
  const int64_t before = answered;
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return answered >= before + 500; })) << service_->Output();
  stopping = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(odd, ::testing::IsEmpty());

  waybill::testing::Sql sql(database_.url());
  std::map<std::string, int64_t> there;
  const std::string rows =
      sql.Value("SELECT string_agg(id || '=' || amount, ',') FROM ledger_transfers WHERE refusal IS NULL");
  for (size_t at = 0; at < rows.size();) {
    const size_t equals = rows.find('=', at), comma = std::min(rows.find(',', at), rows.size());
    const std::string id = rows.substr(at, equals - at);
    EXPECT_TRUE(there.emplace(id, std::stoll(rows.substr(equals + 1, comma - equals - 1))).second) << id << " is twice";
    at = comma + 1;
  }
  for (const auto& [id, amount] : made) {
    const auto found = there.find(id);
    ASSERT_NE(found, there.end()) << id << " was answered, and is gone";
    EXPECT_EQ(found->second, amount) << id;
  }
  EXPECT_LE(there.size() - made.size(), 16u) << "not answered is what was under way at the end";
  const Ran verified = Run({"ledger", "verify"});
  EXPECT_EQ(verified.code, 0) << verified.output;
}

TEST_F(LedgerE2eTest, DeadBeforeItsAnswerItHasMadeTheTransferOnce) {
  Start({}, {{"WAYBILL_FAILPOINT", "create_transfers.before_answer=kill"}});
  const auto stub = Connect();
  Open(*stub, {"a", "b"}, false);
  v1::CreateTransfersRequest request;
  *request.add_transfers() = Of("t-1", "a", "b", 5);
  {
    grpc::ClientContext context;
    v1::CreateTransfersResponse response;
    EXPECT_EQ(stub->CreateTransfers(&context, request, &response).error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  ASSERT_TRUE(service_->Wait(kLongEnough));
  Start();
  EXPECT_EQ(Post(*stub, request.transfers(0), false), v1::TransferOutcome::EXISTS);
}

TEST_F(LedgerE2eTest, PeopleWithCurlHaveTheirRequestsOnce) {
  Start();
  EXPECT_THAT(Curl("CreateAccount", R"({"accountId":"ida","currency":"EUR","kind":"wallet","code":1,)"
                                    R"("flags":{"debitsMustNotExceedCredits":true}})"),
              AllOf(HasSubstr("200 "), HasSubstr(R"("accountId":"ida")")));
  const std::string credit = R"({"accountId":"ida","amountMinor":"1000","currency":"EUR"})";
  EXPECT_THAT(Curl("Credit", credit), AllOf(HasSubstr("400 "), HasSubstr("idempotency-key")));
  const std::string first = Curl("Credit", credit, {"Idempotency-Key: top-up"});
  EXPECT_THAT(first,
              AllOf(HasSubstr("200 "), HasSubstr(R"("transferId":"top-up")"), HasSubstr(R"("availableMinor":"1000")")));
  EXPECT_EQ(Curl("Credit", credit, {"Idempotency-Key: top-up"}), first) << "once";
  EXPECT_THAT(
      Curl("Credit", R"({"accountId":"ida","amountMinor":"1001","currency":"EUR"})", {"Idempotency-Key: top-up"}),
      AllOf(HasSubstr("400 "), HasSubstr("TRANSFER_ID_REUSED"), HasSubstr("exists_with_different_amount")));
  EXPECT_THAT(Curl("Debit", R"({"transferId":"d-1","accountId":"ida","amountMinor":"1001","currency":"EUR"})"),
              AllOf(HasSubstr("400 "), HasSubstr("TRANSFER_REFUSED"), HasSubstr("exceeds_credits")));
  EXPECT_THAT(Curl("Debit", R"({"transferId":"d-2","accountId":"ida","amountMinor":"400","currency":"EUR"})"),
              AllOf(HasSubstr("200 "), HasSubstr(R"("availableMinor":"600")")));
  EXPECT_THAT(
      Curl("Transfer", R"({"transferId":"m-1","fromId":"ida","toId":"nobody","amountMinor":"1","currency":"EUR"})"),
      AllOf(HasSubstr("400 "), HasSubstr("credit_account_not_found"), HasSubstr("to_id")));
  EXPECT_THAT(Curl("GetAccount", R"({"accountId":"external:EUR"})"), HasSubstr(R"("availableMinor":"-600")"));
  const std::string none = R"({"transfers":[{"transferId":"b-1","debitAccountId":"ida"}]})";
  EXPECT_THAT(Curl("CreateTransfers", none), HasSubstr(R"({"result":"CREDIT_ACCOUNT_MALFORMED","field":"credit_acc)"));
}

TEST_F(LedgerE2eTest, AnOldBalanceIsNoOlderThanItSaysWhateverBecomesOfRedis) {
  Start();
  const auto stub = Connect();
  Open(*stub, {"bank", "ida"}, false);
  const std::atomic<bool> stopping{false};
  const auto available = [&](const std::string& staleness) {
    const std::string body = Curl("GetBalance", fmt::format(R"({{"accountId":"ida","maxStaleness":"{}"}})", staleness));
    const size_t at = body.find("availableMinor\":\"");
    const std::string shown = at == std::string::npos ? "0" : body.substr(at + 17, body.find('"', at + 17) - at - 17);
    return shown + (body.find("\"cached\":true") == std::string::npos ? "" : " cached");
  };
  ASSERT_EQ(Post(*stub, Of("t-1", "bank", "ida", 100), stopping), v1::TransferOutcome::CREATED);
  EXPECT_EQ(available("3600s"), "100");
  EXPECT_EQ(available("3600s"), "100 cached");
  ASSERT_EQ(Post(*stub, Of("t-2", "bank", "ida", 11), stopping), v1::TransferOutcome::CREATED);
  EXPECT_EQ(available("3600s"), "100 cached") << "an hour is borne";
  EXPECT_EQ(available("0s"), "111");
  EXPECT_EQ(available("3600s"), "111 cached");
  ASSERT_TRUE(waybill::testing::RedisCommand(redis_.url(), {"FLUSHDB"}).ok());
  EXPECT_EQ(available("3600s"), "111");
  ASSERT_TRUE(waybill::testing::RedisCommand(redis_.url(), {"SET", "waybill:ledger:balance:anonymous/ida", "x"}).ok());
  EXPECT_EQ(available("3600s"), "111");
  EXPECT_THAT(Run({"ledger", "verify"}).output, AllOf(HasSubstr("1 balances in the cache"), HasSubstr("is sound")));
  ASSERT_TRUE(
      waybill::testing::RedisCommand(redis_.url(), {"SET", "waybill:ledger:balance:anonymous/ida", "1 2 0 112 0 0 EUR"})
          .ok());
  const Ran verified = Run({"ledger", "verify"});
  EXPECT_EQ(verified.code, 1);
  EXPECT_THAT(verified.output,
              HasSubstr("the cache's balance of account ida of anonymous of version 2 has debits 0 and "
                        "credits 112"));
}

TEST_F(LedgerE2eTest, KeysDecideWhoMovesAndWhoSees) {
  const std::string hash(64, 'k'), admin = "wb_admin_" + std::string(40, 'a');
  const std::string hash_file = (folder_.path() / "hash").string(), admin_file = (folder_.path() / "admin").string();
  std::ofstream(hash_file) << hash;
  std::ofstream(admin_file) << admin;
  const SystemClock clock;
  storage::Pool pool(database_.url(), storage::WriteConnectionOptions(), storage::PoolOptions{1});
  storage::PostgresKeyStore store(pool);
  access::KeyAdmin keys(store, access::KeyHash(hash), access::SystemEntropy, clock, [] {});
  const auto make = [&](const std::string& client, std::vector<std::string> scopes) {
    access::KeyAdmin::Wanted wanted;
    wanted.name = wanted.client = client;
    wanted.scopes = std::move(scopes);
    absl::StatusOr<access::KeyAdmin::Made> made = keys.Create(wanted, {"test"});
    EXPECT_TRUE(made.ok()) << made.status();
    return std::vector<std::pair<std::string, std::string>>{{"WAYBILL_KEY", made->secret}};
  };
  const auto shop = make("shop", {"ledger:write", "ledger:read"}), other = make("other", {"ledger:write"}),
             reader = make("shop", {"ledger:read"}), ops = make("ops", {"ops"});
  Start({"--identity", "required", "--key-hash-file", hash_file, "--admin-key-file", admin_file});
  const std::vector<std::string> open = {"ledger", "account", "create", "till", "--currency", "EUR", "--kind", "cash"};
  EXPECT_THAT(Run(open).output, HasSubstr("NO_IDENTITY"));
  EXPECT_EQ(Run(open, shop).code, 0);
  EXPECT_THAT(Run({"ledger", "account", "create", "b", "--currency", "EUR", "--kind", "cash"}, reader).output,
              HasSubstr("SCOPE_MISSING"));
  EXPECT_EQ(Run({"ledger", "account", "get", "till"}, reader).code, 0);
  // Another client's account is as one that is not there, and its id is free.
  EXPECT_THAT(Run({"ledger", "account", "get", "till"}, other).output, HasSubstr("SCOPE_MISSING"));
  EXPECT_EQ(Run(open, other).code, 0);
  EXPECT_THAT(Run({"ledger", "account", "get", "till", "--of", "other"}, shop).output, HasSubstr("SCOPE_MISSING"));
  EXPECT_THAT(Run({"ledger", "account", "get", "till"}, ops).output, HasSubstr("LEDGER_ACCOUNT_NOT_FOUND"));
  EXPECT_EQ(Run({"ledger", "account", "get", "till", "--of", "shop"}, ops).code, 0);
  EXPECT_THAT(Run({"ledger", "account", "list", "--all-clients"}, ops).output,
              AllOf(HasSubstr("shop"), HasSubstr("other")));
  EXPECT_THAT(Run({"ledger", "account", "create", "c", "--currency", "EUR", "--kind", "cash"}, ops).output,
              HasSubstr("SCOPE_MISSING"));
  EXPECT_THAT(Run({"ledger", "verify"}, shop).output, HasSubstr("SCOPE_MISSING"));
  EXPECT_EQ(Run({"ledger", "verify"}, ops).code, 0);
}

TEST_F(LedgerE2eTest, TheCommandLineMovesHoldsAndShows) {
  Start();
  ASSERT_EQ(Run({"ledger", "account", "create", "bank", "--currency", "EUR", "--kind", "gateway"}).code, 0);
  ASSERT_EQ(Run({"ledger", "account", "create", "ida", "--currency", "EUR", "--kind", "wallet", "--owner", "Ida",
                 "--no-overdraft", "--history", "--metadata", "tier=gold"})
                .code,
            0);
  Ran ran = Run({"ledger", "transfer", "create", "--id", "t-1", "--from", "bank", "--to", "ida", "--amount", "50 EUR"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("50.00 EUR"));
  ran = Run({"ledger", "transfer", "create", "--id", "h-1", "--from", "ida", "--to", "bank", "--amount", "30",
             "--currency", "EUR", "--pending", "--expires-in", "1h"});
  EXPECT_THAT(ran.output, AllOf(HasSubstr("pending, open"), HasSubstr("held until")));
  EXPECT_THAT(Run({"ledger", "balance", "ida"}).output, HasSubstr("20.00 EUR"));
  ran = Run({"ledger", "transfer", "create", "--id", "t-2", "--from", "ida", "--to", "bank", "--amount", "20.01 EUR"});
  EXPECT_EQ(ran.code, 4) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("TRANSFER_REFUSED"), HasSubstr("exceeds_credits")));
  EXPECT_EQ(Run({"ledger", "transfer", "get", "t-2"}).code, 4);
  ran = Run({"ledger", "transfer", "post", "h-1", "--id", "p-1", "--amount", "24.80"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("24.80 EUR"), HasSubstr("set free  5.20 EUR")));
  EXPECT_EQ(Run({"ledger", "transfer", "void", "h-1"}).code, 4);
  EXPECT_THAT(Run({"ledger", "transfer", "get", "h-1"}).output, HasSubstr("pending, posted by p-1"));
  ran = Run({"ledger", "transfer", "create", "--from", "ida", "--to", "bank", "--amount", "1.005 EUR"});
  EXPECT_EQ(ran.code, 2) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("EUR has 2 decimals"));
  ran = Run({"ledger", "transfer", "create", "--id", "t 3", "--from", "ida", "--to", "bank", "--amount", "1 EUR"});
  EXPECT_EQ(ran.code, 2) << ran.output;
  EXPECT_THAT(ran.output,
              AllOf(HasSubstr("transfer t 3 (1.00 EUR from ida to bank): --id: "), Not(HasSubstr("repeating with"))));
  ran = Run({"ledger", "transfer", "create", "--from", "ida", "--to", "nobody", "--amount", "1 EUR"});
  EXPECT_EQ(ran.code, 4) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("(1.00 EUR from ida to nobody)"), HasSubstr("field=--to"),
                                Not(HasSubstr("repeating with"))));
  ran = Run({"ledger", "transfer", "post", "h-1", "--id", "p-2", "--amount", "99 EUR"});
  EXPECT_THAT(ran.output, HasSubstr("transfer p-2 (99.00 EUR of h-1 posted)"));
  ran =
      Run({"ledger", "transfer", "create", "--from", "ida", "--to", "bank", "--amount", "1 EUR", "--expires-in", "1h"});
  EXPECT_EQ(ran.code, 2) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("--expires-in requires --pending"));
  ran = Run({"ledger", "trial-balance", "--format", "csv", "--json"});
  EXPECT_EQ(ran.code, 2) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("--format"), HasSubstr("--json")));
  EXPECT_THAT(Run({"ledger", "balance", "ida", "--at", "0s"}).output, HasSubstr("25.20 EUR"));
  EXPECT_EQ(Run({"ledger", "balance", "bank", "--at", "0s"}).code, 4) << "no history";

  const std::string file = (folder_.path() / "payouts.csv").string();
  std::ofstream(file) << "id,from,to,amount,currency\nf-1,ida,bank,5.20,EUR\nf-2,ida,bank,2000,EUR\n";
  for (const char* result : {"f-1 created 5.20 EUR", "f-1 exists 5.20 EUR"}) {
    ran = Run({"ledger", "transfer", "create", "--file", file});
    EXPECT_EQ(ran.code, 7) << ran.output;
    EXPECT_THAT(ran.output, AllOf(HasSubstr(result), HasSubstr("f-2 exceeds_credits amount: "),
                                  HasSubstr("(2000.00 EUR from ida to bank)"), HasSubstr("1 of 2 transfers are made")));
  }

  EXPECT_THAT(Run({"ledger", "statement", "ida"}).output,
              AllOf(HasSubstr("available at"), HasSubstr("20.00 EUR"), HasSubstr("f-1"), HasSubstr("p-1")));
  EXPECT_THAT(Run({"ledger", "statement", "ida", "--side", "credits", "--format", "csv"}).output,
              AllOf(HasSubstr(",t-1,single,,ida,bank,,50.00,EUR,"), Not(HasSubstr("f-1"))));
  EXPECT_THAT(Run({"ledger", "statement", "ida", "--format", "html"}).output, HasSubstr("<h1>Statement of ida</h1>"));
  ran = Run({"ledger", "trial-balance"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.output, AllOf(HasSubstr("wallet"), HasSubstr("(all)")));
  EXPECT_EQ(Run({"ledger", "account", "close", "ida"}).code, 0);
  EXPECT_THAT(Run({"ledger", "account", "list", "--kind", "wallet"}).output, HasSubstr("closed"));
  EXPECT_EQ(Run({"ledger", "account", "reopen", "ida"}).code, 0);
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return Run({"ledger", "batches"}).output.find("BATCH") == 0; }));
  EXPECT_EQ(Run({"ledger", "verify"}).code, 0);

  // Somebody who owns the tables takes a cent away.
  waybill::testing::Sql sql(database_.url());
  sql.Exec(
      "ALTER TABLE ledger_accounts DISABLE TRIGGER ALL; UPDATE ledger_accounts SET credits_posted = credits_posted + 1 "
      "WHERE id = 'ida'; ALTER TABLE ledger_accounts ENABLE TRIGGER ALL");
  ran = Run({"ledger", "verify"});
  EXPECT_EQ(ran.code, 1) << ran.output;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("fault: "), HasSubstr("ida"), HasSubstr("NOT sound")));
  EXPECT_EQ(Run({"ledger", "trial-balance"}).code, 1);
}

// The example of docs/ledger.md, as it stands there.
TEST_F(LedgerE2eTest, TheDocumentsExampleRuns) {
  Start();
  const std::string script = waybill::testing::ShellOf(WAYBILL_LEDGER_DOCUMENT);
  waybill::testing::ProcessOptions options;
  options.args = {"-c", script};
  options.env = Stores();
  const std::string binary = WAYBILL_BINARY;
  options.env.emplace_back("PATH", binary.substr(0, binary.rfind('/')) + ":/usr/bin:/bin");
  options.env.emplace_back("WAYBILL_LEDGER", address());
  options.env.emplace_back("WAYBILL_LEDGER_SIDE_PORT", fmt::format("127.0.0.1:{}", side_.port()));
  options.working_directory = folder_.path().string();
  auto process = Process::Start("/bin/sh", options);
  ASSERT_TRUE(process.ok()) << process.status();
  EXPECT_EQ((*process)->Wait(kLongEnough), 0) << (*process)->Output();
  const std::string output = (*process)->Output();
  for (const char* said : {"25.20 EUR", "TRANSFER_REFUSED", "exit code 4", "\"transferId\":\"tip-1\"", "exit code 7",
                           "the ledger is sound", "1 of 2 transfers are made"}) {
    EXPECT_THAT(output, HasSubstr(said));
  }
}

}  // namespace
}  // namespace waybill::ledger
