#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <future>
#include <limits>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/sqlstate.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"

namespace waybill::storage {
namespace {

using waybill::testing::Eventually;
using waybill::testing::PostgresServer;
using waybill::testing::Sql;
using waybill::testing::TestDatabase;

std::unique_ptr<Connection> Connect(const std::string& url, const ConnectionOptions& options = {}) {
  auto connection = Connection::Open(url, options);
  EXPECT_TRUE(connection.ok()) << connection.status();
  return connection.ok() ? *std::move(connection) : nullptr;
}

std::string Reason(const absl::Status& status) { return GetErrorDetail(status).reason; }

std::string Metadata(const absl::Status& status, const std::string& key) {
  for (const auto& [name, value] : GetErrorDetail(status).metadata) {
    if (name == key) return value;
  }
  return "";
}

class ConnectionTest : public ::testing::Test {
 protected:
  absl::StatusOr<Rows> Execute(const std::string& sql, absl::Span<const Param> params = {}) {
    auto rows = connection_->Execute(sql, params);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows;
  }
  int64_t Count(const std::string& table) { return Execute("SELECT count(*) FROM " + table)->Int(0, 0); }

  TestDatabase database_;
  std::unique_ptr<Connection> connection_ = Connect(database_.url());
};

TEST_F(ConnectionTest, ScalarsComeBackAsTheyWent) {
  const Uuid id = *Uuid::Parse("0190163d-8694-739b-aea5-966c26f8ad91");
  const absl::Time time = absl::FromUnixMicros(1'800'000'000'123'456);
  auto rows = Execute(
      "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float8, $6::timestamptz, $7::uuid, $8::text, $9::bytea",
      {Param::Bool(true), Param::Int2(-2), Param::Int4(-70'000), Param::Int8(std::numeric_limits<int64_t>::min()),
       Param::Double(-0.1), Param::Time(time), Param::Id(id), Param::Text("naïve ✓"),
       Param::Bytes(std::string_view("\0\xff\n", 3))});
  ASSERT_EQ(rows->size(), 1);
  EXPECT_EQ(rows->Bool(0, 0), true);
  EXPECT_EQ(rows->Int(0, 1), -2);
  EXPECT_EQ(rows->Int(0, 2), -70'000);
  EXPECT_EQ(rows->Int(0, 3), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(rows->Double(0, 4), -0.1);
  EXPECT_EQ(rows->Time(0, 5), time);
  EXPECT_EQ(rows->Id(0, 6), id);
  EXPECT_EQ(rows->Text(0, 7), "naïve ✓");
  EXPECT_EQ(rows->Bytes(0, 8), std::string_view("\0\xff\n", 3));
}

TEST_F(ConnectionTest, NullsAndEmptyTextsDiffer) {
  auto rows =
      Execute("SELECT $1::text, $2::text, $3::int8", {Param::Null(kOidText), Param::Text({}), Param::Null(kOidInt8)});
  EXPECT_TRUE(rows->IsNull(0, 0));
  EXPECT_FALSE(rows->IsNull(0, 1));
  EXPECT_EQ(rows->Text(0, 1), "");
  EXPECT_TRUE(rows->IsNull(0, 2));
  EXPECT_EQ(rows->Int(0, 2), 0);
}

TEST_F(ConnectionTest, ThePastAndTheFutureMayBeInfinite) {
  auto rows = Execute("SELECT $1::timestamptz, $2::timestamptz, $1::timestamptz::text, $2::timestamptz::text",
                      {Param::Time(absl::InfinitePast()), Param::Time(absl::InfiniteFuture())});
  EXPECT_EQ(rows->Time(0, 0), absl::InfinitePast());
  EXPECT_EQ(rows->Time(0, 1), absl::InfiniteFuture());
  EXPECT_EQ(rows->Text(0, 2), "-infinity");
  EXPECT_EQ(rows->Text(0, 3), "infinity");
}

TEST_F(ConnectionTest, TimesBeforeTheirEpochRoundDown) {
  auto rows = Execute(
      "SELECT $1::timestamptz = '1999-12-31 23:59:59.999999+00', $2::timestamptz = '1969-07-20 20:17:40+00'",
      {Param::Time(absl::FromUnixNanos(946'684'799'999'999'500)), Param::Time(absl::FromUnixSeconds(-14'182'940))});
  EXPECT_TRUE(rows->Bool(0, 0));
  EXPECT_TRUE(rows->Bool(0, 1));
}

TEST_F(ConnectionTest, ArraysOfEveryElementTypeUnnestInOrder) {
  const Uuid id = *Uuid::Parse("0190163d-8694-739b-aea5-966c26f8ad91");
  const absl::Time time = absl::FromUnixMicros(1'800'000'000'123'456);
  ArrayParam ids(kOidUuid), texts(kOidText), bytes(kOidBytea), int2s(kOidInt2), int4s(kOidInt4), int8s(kOidInt8),
      float4s(kOidFloat4), float8s(kOidFloat8), bools(kOidBool), times(kOidTimestamptz);
  ids.AddId(id);
  texts.AddText("a,\"b\"{}\\NULL");
  bytes.AddBytes(std::string_view("\0x", 2));
  int2s.AddInt(-7);
  int4s.AddInt(1 << 30);
  int8s.AddInt(int64_t{1} << 60);
  float4s.AddDouble(0.5);
  float8s.AddDouble(0.1);
  bools.AddBool(true);
  times.AddTime(time);
  for (ArrayParam* array : {&ids, &texts, &bytes, &int2s, &int4s, &int8s, &float4s, &float8s, &bools, &times})
    array->AddNull();
  auto rows = Execute(
      "SELECT * FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::int2[], $5::int4[], $6::int8[], $7::float4[],"
      " $8::float8[], $9::bool[], $10::timestamptz[])",
      {ids, texts, bytes, int2s, int4s, int8s, float4s, float8s, bools, times});
  ASSERT_EQ(rows->size(), 2);
  EXPECT_EQ(rows->Id(0, 0), id);
  EXPECT_EQ(rows->Text(0, 1), "a,\"b\"{}\\NULL");
  EXPECT_EQ(rows->Bytes(0, 2), std::string_view("\0x", 2));
  EXPECT_EQ(rows->Int(0, 3), -7);
  EXPECT_EQ(rows->Int(0, 4), 1 << 30);
  EXPECT_EQ(rows->Int(0, 5), int64_t{1} << 60);
  EXPECT_EQ(rows->Double(0, 6), 0.5);
  EXPECT_EQ(rows->Double(0, 7), 0.1);
  EXPECT_EQ(rows->Bool(0, 8), true);
  EXPECT_EQ(rows->Time(0, 9), time);
  for (int column = 0; column < 10; ++column) EXPECT_TRUE(rows->IsNull(1, column)) << column;
}

TEST_F(ConnectionTest, AnArrayCanBeEmptyAndFilledAgain) {
  ArrayParam array(kOidInt4);
  EXPECT_EQ(Execute("SELECT cardinality($1::int4[])", {array})->Int(0, 0), 0);
  array.AddNull();
  array.AddInt(1);
  EXPECT_EQ(Execute("SELECT cardinality($1::int4[])", {array})->Int(0, 0), 2);
  array.Clear();
  EXPECT_EQ(Execute("SELECT cardinality($1::int4[])", {array})->Int(0, 0), 0);
  array.AddInt(5);
  array.AddInt(6);
  EXPECT_EQ(Execute("SELECT sum(n) FROM unnest($1::int4[]) n", {array})->Int(0, 0), 11);
}

TEST_F(ConnectionTest, SqlTextIsData) {
  ASSERT_TRUE(connection_->ExecuteScript("CREATE TABLE books (title text)").ok());
  const std::string evil = "x'); DROP TABLE books; --\\ $1 %s \"\n";
  ArrayParam array(kOidText);
  array.AddText(evil);
  ASSERT_TRUE(Execute("INSERT INTO books VALUES ($1)", {Param::Text(evil)}).ok());
  ASSERT_TRUE(Execute("INSERT INTO books SELECT * FROM unnest($1::text[])", {array}).ok());
  EXPECT_EQ(Execute("SELECT count(*) FROM books WHERE title = $1", {Param::Text(evil)})->Int(0, 0), 2);
}

TEST_F(ConnectionTest, TextThatIsNoUtf8IsRefusedAsBadData) {
  for (std::string_view text : {std::string_view("\xff\xfe"), std::string_view("a\0b", 3)}) {
    auto rows = connection_->Execute("SELECT $1::text", {Param::Text(text)});
    EXPECT_EQ(Reason(rows.status()), "STORE_REFUSED");
    EXPECT_EQ(ToBatchResult(rows.status()), BatchResult::kBadData);
    EXPECT_FALSE(connection_->Broken());
  }
}

TEST_F(ConnectionTest, RunsScriptsOfManyStatements) {
  ASSERT_TRUE(
      connection_->ExecuteScript("CREATE TABLE t (n int); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").ok());
  EXPECT_EQ(Count("t"), 2);
  absl::Status status = connection_->ExecuteScript("INSERT INTO t VALUES (3); INSERT INTO nonesuch VALUES (4)");
  EXPECT_EQ(Reason(status), "SCHEMA_MISMATCH");
  EXPECT_EQ(Metadata(status, "sqlstate"), "42P01");
  EXPECT_EQ(Count("t"), 2);
}

TEST_F(ConnectionTest, CountsAffectedRows) {
  ASSERT_TRUE(connection_->ExecuteScript("CREATE TABLE t (n int)").ok());
  EXPECT_EQ(Execute("INSERT INTO t SELECT generate_series(1, 7)")->affected(), 7);
  EXPECT_EQ(Execute("DELETE FROM t WHERE n > 4")->affected(), 3);
}

TEST_F(ConnectionTest, AppliesTheSessionsSettings) {
  ConnectionOptions options;
  options.application_name = "waybill-test";
  options.statement_timeout = absl::Seconds(20);
  options.settings = {{"enable_seqscan", "off"}};
  auto connection = Connect(database_.url(), options);
  auto rows = connection->Execute(
      "SELECT current_setting('enable_seqscan'), current_setting('application_name'), "
      "current_setting('statement_timeout')");
  EXPECT_EQ(rows->Text(0, 0), "off");
  EXPECT_EQ(rows->Text(0, 1), "waybill-test");
  EXPECT_EQ(rows->Text(0, 2), "18s");
  options.settings = {{"no_such_setting", "1"}};
  EXPECT_FALSE(Connection::Open(database_.url(), options).ok());
}

// --- Pipelines

class PipelineTest : public ConnectionTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(
        connection_
            ->ExecuteScript(
                "CREATE TABLE accounts (id int8 CONSTRAINT accounts_pkey PRIMARY KEY, owner text);"
                "CREATE TABLE entries (account int8, amount int8 CONSTRAINT entries_positive CHECK (amount > 0))")
            .ok());
    ASSERT_TRUE(connection_->Prepare("account", "INSERT INTO accounts VALUES ($1, $2) RETURNING id").ok());
    ASSERT_TRUE(connection_->Prepare("entry", "INSERT INTO entries VALUES ($1, $2)").ok());
    ASSERT_TRUE(connection_->Prepare("accounts", "SELECT id, owner FROM accounts ORDER BY id").ok());
  }
};

TEST_F(PipelineTest, AnswersEachStatementsRows) {
  const Param account[] = {Param::Int8(1), Param::Text("ada")};
  const Param entry[] = {Param::Int8(1), Param::Int8(100)};
  auto results = connection_->Pipeline({{"account", account}, {"entry", entry}, {"accounts", {}}});
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 3u);
  EXPECT_EQ((*results)[0].Int(0, 0), 1);
  EXPECT_EQ((*results)[1].affected(), 1);
  EXPECT_EQ((*results)[2].Text(0, 1), "ada");
}

TEST_F(PipelineTest, IsOneTransaction) {
  ASSERT_TRUE(connection_->Prepare("xid", "SELECT pg_current_xact_id()::text").ok());
  auto results = connection_->Pipeline({{"xid", {}}, {"accounts", {}}, {"xid", {}}});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ((*results)[0].Text(0, 0), (*results)[2].Text(0, 0));
}

TEST_F(PipelineTest, AFailingStatementLeavesNothingBehindAndTheConnectionUsable) {
  const Param account[] = {Param::Int8(1), Param::Text("ada")};
  const Param bad[] = {Param::Int8(1), Param::Int8(-5)};
  const Param good[] = {Param::Int8(1), Param::Int8(5)};
  for (auto& statements :
       std::vector<std::vector<Statement>>{{{"account", account}, {"entry", bad}, {"entry", good}},
                                           {{"entry", bad}, {"account", account}},
                                           {{"account", account}, {"entry", good}, {"entry", bad}}}) {
    auto results = connection_->Pipeline(statements);
    EXPECT_EQ(Reason(results.status()), "STORE_REFUSED");
    EXPECT_EQ(Metadata(results.status(), "constraint"), "entries_positive");
    EXPECT_EQ(Metadata(results.status(), "table"), "entries");
    EXPECT_EQ(Metadata(results.status(), "sqlstate"), "23514");
    EXPECT_FALSE(connection_->Broken());
    EXPECT_EQ(Count("accounts"), 0);
    EXPECT_EQ(Count("entries"), 0);
  }
  EXPECT_TRUE(connection_->Pipeline({{"account", account}, {"entry", good}}).ok());
}

TEST_F(PipelineTest, AConstraintThatFailsAtTheCommitIsAnErrorToo) {
  ASSERT_TRUE(connection_
                  ->ExecuteScript("ALTER TABLE entries ADD CONSTRAINT entries_account FOREIGN KEY (account) "
                                  "REFERENCES accounts DEFERRABLE INITIALLY DEFERRED")
                  .ok());
  const Param entry[] = {Param::Int8(99), Param::Int8(5)};
  auto results = connection_->Pipeline({{"entry", entry}, {"accounts", {}}});
  EXPECT_EQ(Reason(results.status()), "STORE_REFUSED");
  EXPECT_EQ(Metadata(results.status(), "constraint"), "entries_account");
  EXPECT_EQ(Count("entries"), 0);
  EXPECT_TRUE(connection_->Pipeline({{"accounts", {}}}).ok());
}

TEST_F(PipelineTest, WhatExceedsEveryBufferInBothDirectionsDoesNotDeadlock) {
  ASSERT_TRUE(connection_->Prepare("echo", "SELECT t FROM unnest($1::text[]) t").ok());
  ArrayParam texts(kOidText);
  for (int i = 0; i < 8'000; ++i) texts.AddText(std::string(1'000, 'x'));
  const Param params[] = {texts};
  auto results = connection_->Pipeline({{"echo", params}, {"echo", params}, {"echo", params}, {"echo", params}});
  ASSERT_TRUE(results.ok()) << results.status();
  for (const Rows& rows : *results) EXPECT_EQ(rows.size(), 8'000);
}

TEST_F(PipelineTest, AnUnknownStatementIsAnErrorAndNothingMore) {
  const Param account[] = {Param::Int8(1), Param::Text("ada")};
  auto results = connection_->Pipeline({{"account", account}, {"nonesuch", {}}});
  EXPECT_EQ(results.status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(Count("accounts"), 0);
}

// --- Trouble

TEST_F(ConnectionTest, ASlowStatementFailsAndTheConnectionLives) {
  ConnectionOptions options;
  options.statement_timeout = absl::Milliseconds(500);
  auto connection = Connect(database_.url(), options);
  auto rows = connection->Execute("SELECT pg_sleep(30)");
  EXPECT_EQ(Reason(rows.status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(Metadata(rows.status(), "sqlstate"), "57014");
  EXPECT_FALSE(connection->Broken());
  EXPECT_TRUE(connection->Execute("SELECT 1").ok());
}

TEST_F(ConnectionTest, ATerminatedSessionIsBrokenUntilReset) {
  ASSERT_TRUE(connection_->Prepare("one", "SELECT $1::int8 + 1").ok());
  int64_t backend = Execute("SELECT pg_backend_pid()")->Int(0, 0);
  Sql other(database_.url());
  other.Exec("SELECT pg_terminate_backend($1)", {std::to_string(backend)});
  auto rows = connection_->ExecutePrepared("one", {Param::Int8(1)});
  EXPECT_EQ(Reason(rows.status()), "STORE_UNAVAILABLE");
  EXPECT_TRUE(connection_->Broken());
  EXPECT_EQ(Reason(connection_->Execute("SELECT 1").status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(Reason(connection_->Pipeline({{"one", {}}}).status()), "STORE_UNAVAILABLE");
  ASSERT_TRUE(connection_->EnsureConnected().ok());
  rows = connection_->ExecutePrepared("one", {Param::Int8(41)});
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->Int(0, 0), 42);
}

TEST_F(ConnectionTest, ASessionTerminatedWithinAPipelineIsBroken) {
  ASSERT_TRUE(connection_->Prepare("one", "SELECT 1").ok());
  ASSERT_TRUE(connection_->Prepare("die", "SELECT pg_terminate_backend(pg_backend_pid())").ok());
  auto results = connection_->Pipeline({{"one", {}}, {"die", {}}, {"one", {}}});
  EXPECT_EQ(Reason(results.status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(ToBatchResult(results.status()), BatchResult::kTryAgain);
  EXPECT_TRUE(connection_->Broken());
  ASSERT_TRUE(connection_->Reset().ok());
  EXPECT_TRUE(connection_->Pipeline({{"one", {}}, {"one", {}}}).ok());
}

TEST(ConnectionTrouble, AServerThatDoesNotExistIsUnavailable) {
  auto connection = Connection::Open("postgresql://nobody@127.0.0.1:1/none", {});
  EXPECT_EQ(Reason(connection.status()), "STORE_UNAVAILABLE");
}

TEST(ConnectionTrouble, AServerThatTakesConnectionsAndSaysNothingCostsTheTimeout) {
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  ConnectionOptions options;
  options.connect_timeout = absl::Milliseconds(100);
  absl::Time before = absl::Now();
  auto connection = Connection::Open(fmt::format("postgresql://a@127.0.0.1:{}/b", ntohs(address.sin_port)), options);
  EXPECT_EQ(Reason(connection.status()), "STORE_UNAVAILABLE");
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(100));
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
  close(listener);
}

class OwnServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = PostgresServer::Start();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  std::unique_ptr<PostgresServer> server_;
};

TEST_F(OwnServerTest, ARestartIsSurvivedByReset) {
  auto connection = Connect(server_->Url());
  ASSERT_TRUE(connection->ExecuteScript("CREATE TABLE t (n int8)").ok());
  ASSERT_TRUE(connection->Prepare("insert", "INSERT INTO t VALUES ($1)").ok());
  ASSERT_TRUE(connection->ExecutePrepared("insert", {Param::Int8(1)}).ok());
  server_->Kill();
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return !connection->CheckAlive(); }));
  EXPECT_EQ(Reason(connection->ExecutePrepared("insert", {Param::Int8(2)}).status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(Reason(connection->Reset()), "STORE_UNAVAILABLE");
  EXPECT_TRUE(connection->Broken());
  ASSERT_TRUE(server_->StartAgain().ok());
  absl::Status status = connection->Reset();
  ASSERT_TRUE(status.ok()) << status;
  ASSERT_TRUE(connection->ExecutePrepared("insert", {Param::Int8(2)}).ok());
  EXPECT_EQ(connection->Execute("SELECT count(*) FROM t")->Int(0, 0), 2);
}

TEST_F(OwnServerTest, AHungServerCostsTheTimeoutAndTheConnection) {
  ConnectionOptions options;
  options.statement_timeout = absl::Milliseconds(200);
  auto connection = Connect(server_->Url(), options);
  ASSERT_TRUE(connection->Prepare("one", "SELECT 1").ok());
  auto backend = static_cast<pid_t>(connection->Execute("SELECT pg_backend_pid()")->Int(0, 0));
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  absl::Time before = absl::Now();
  auto results = connection->Pipeline({{"one", {}}, {"one", {}}});
  EXPECT_EQ(Reason(results.status()), "STORE_UNAVAILABLE");
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(200));
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
  EXPECT_TRUE(connection->Broken());
  ASSERT_TRUE(connection->Reset().ok());  // another backend
  EXPECT_TRUE(connection->Pipeline({{"one", {}}}).ok());
  kill(backend, SIGCONT);
}

TEST_F(OwnServerTest, AHungServerThatTakesNothingCostsNoMore) {
  ConnectionOptions options;
  options.statement_timeout = absl::Milliseconds(300);
  auto connection = Connect(server_->Url(), options);
  ASSERT_TRUE(connection->Prepare("length", "SELECT length($1::text)").ok());
  auto backend = static_cast<pid_t>(connection->Execute("SELECT pg_backend_pid()")->Int(0, 0));
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  const std::string large(32 << 20, 'x');  // more than any socket buffer
  const Param params[] = {Param::Text(large)};
  absl::Time before = absl::Now();
  auto results = connection->Pipeline({{"length", params}});
  EXPECT_EQ(Reason(results.status()), "STORE_UNAVAILABLE");
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
  kill(backend, SIGCONT);
}

// --- Pool

TEST(PoolTest, KeepsConnectionsAndCountsThem) {
  TestDatabase database;
  Pool pool(database.url(), {}, {});
  EXPECT_EQ(pool.use().idle, 0u);
  int64_t backend = 0;
  {
    auto lease = pool.Acquire();
    ASSERT_TRUE(lease.ok()) << lease.status();
    EXPECT_EQ(pool.use().in_use, 1u);
    backend = (*lease)->Execute("SELECT pg_backend_pid()")->Int(0, 0);
  }
  EXPECT_EQ(pool.use().in_use, 0u);
  EXPECT_EQ(pool.use().idle, 1u);
  auto lease = pool.Acquire();
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_EQ((*lease)->Execute("SELECT pg_backend_pid()")->Int(0, 0), backend);
}

TEST(PoolTest, AnExhaustedPoolIsUnavailableAfterTheWait) {
  TestDatabase database;
  PoolOptions options;
  options.size = 2;
  options.wait_max = absl::Milliseconds(20);
  Pool pool(database.url(), {}, options);
  auto one = pool.Acquire();
  {
    auto two = pool.Acquire();
    ASSERT_TRUE(one.ok() && two.ok());
    EXPECT_EQ(Reason(pool.Acquire().status()), "STORE_UNAVAILABLE");
  }
  EXPECT_TRUE(pool.Acquire().ok());
}

TEST(PoolTest, AWaiterGetsWhatIsReturned) {
  TestDatabase database;
  PoolOptions options;
  options.size = 1;
  options.wait_max = absl::Seconds(30);
  Pool pool(database.url(), {}, options);
  std::promise<void> held;
  std::thread holder([&] {
    auto lease = pool.Acquire();
    EXPECT_TRUE(lease.ok()) << lease.status();
    held.set_value();
    EXPECT_TRUE((*lease)->Execute("SELECT pg_sleep(0.05)").ok());
  });
  held.get_future().wait();
  auto lease = pool.Acquire();
  EXPECT_TRUE(lease.ok()) << lease.status();
  holder.join();
}

TEST(PoolTest, AConnectionThatDiedWhileIdleIsReplacedUnnoticed) {
  TestDatabase database;
  Pool pool(database.url(), {}, {});
  Sql other(database.url());
  {
    auto lease = pool.Acquire();
    ASSERT_TRUE(lease.ok()) << lease.status();
    int64_t backend = (*lease)->Execute("SELECT pg_backend_pid()")->Int(0, 0);
    other.Exec("SELECT pg_terminate_backend($1, 10000)", {std::to_string(backend)});  // waits for its end
  }
  auto lease = pool.Acquire();
  ASSERT_TRUE(lease.ok()) << lease.status();
  EXPECT_TRUE((*lease)->Execute("SELECT 1").ok());
}

TEST(PoolTest, AFailureToConnectFreesItsPlace) {
  PoolOptions options;
  options.size = 1;
  Pool pool("postgresql://nobody@127.0.0.1:1/none", {}, options);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Reason(pool.Acquire().status()), "STORE_UNAVAILABLE");
  EXPECT_EQ(pool.use().in_use, 0u);
}

}  // namespace
}  // namespace waybill::storage
