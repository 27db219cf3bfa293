#include <netinet/in.h>
#include <netinet/tcp.h>
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
#include "gmock/gmock.h"
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
  EXPECT_EQ(Metadata(results.status(), "sqlstate"), "26000");
  ASSERT_TRUE(connection_->EnsureConnected().ok());
  EXPECT_EQ(Count("accounts"), 0);
}

// --- Trouble

TEST_F(ConnectionTest, ASlowStatementFailsAndTheConnectionLives) {
  ConnectionOptions options;
  options.statement_timeout = absl::Seconds(5);
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

// A port of this machine where connections are taken by the kernel and nobody speaks; with a full backlog they are not
// even taken, as with a host that is gone.
class SilentPort {
 public:
  explicit SilentPort(bool full) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    EXPECT_EQ(bind(fds_[0], reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(listen(fds_[0], full ? 0 : 8), 0);
    EXPECT_EQ(getsockname(fds_[0], reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
    for (int i = 0; full && i < 4; ++i) {
      fds_.push_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      connect(fds_.back(), reinterpret_cast<sockaddr*>(&address), length);
    }
  }
  ~SilentPort() {
    for (int fd : fds_) close(fd);
  }
  int port() const { return port_; }

 private:
  std::vector<int> fds_ = {socket(AF_INET, SOCK_STREAM, 0)};
  int port_ = 0;
};

TEST(ConnectionTrouble, AServerThatTakesConnectionsAndSaysNothingCostsTheTimeout) {
  SilentPort silent(/*full=*/false);
  ConnectionOptions options;
  options.connect_timeout = absl::Milliseconds(100);
  absl::Time before = absl::Now();
  auto connection = Connection::Open(fmt::format("postgresql://a@127.0.0.1:{}/b", silent.port()), options);
  EXPECT_EQ(Reason(connection.status()), "STORE_UNAVAILABLE");
  EXPECT_GE(absl::Now() - before, absl::Seconds(1));  // of libpq's whole seconds, two at least
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
}

// "postgresql://user@127.0.0.1:5432/database" with a host before its own.
std::string WithHostBefore(std::string url, int port) {
  return url.insert(url.find('@') + 1, fmt::format("127.0.0.1:{},", port));
}

TEST_F(ConnectionTest, EachHostHasTimeOfItsOwn) {
  SilentPort silent(/*full=*/true);
  const std::string url = WithHostBefore(database_.url(), silent.port());
  // The options' time would do for one host only.
  auto connection = Connection::Open(url + "?connect_timeout=2", {});
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_TRUE((*connection)->Execute("SELECT 1").ok());
  ConnectionOptions options;
  options.connect_timeout = absl::Seconds(2);
  EXPECT_TRUE(Connection::Open(url, options).ok());
}

TEST_F(ConnectionTest, TheTimeoutOfTheUrlGoesBeforeTheOptions) {
  SilentPort silent(/*full=*/true);
  ConnectionOptions options;
  options.connect_timeout = absl::Hours(1);
  const absl::Time before = absl::Now();
  EXPECT_TRUE(Connection::Open(WithHostBefore(database_.url(), silent.port()) + "?connect_timeout=2", options).ok());
  EXPECT_LT(absl::Now() - before, absl::Seconds(30));
}

// An option of the one socket of this process that is connected to that port.
int SocketOption(int port, int level, int option) {
  for (int fd = 0; fd < 1'024; ++fd) {
    sockaddr_in peer{};
    socklen_t length = sizeof(peer);
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &length) != 0 || ntohs(peer.sin_port) != port) continue;
    int value = -1;
    length = sizeof(value);
    EXPECT_EQ(getsockopt(fd, level, option, &value, &length), 0);
    return value;
  }
  return -1;
}

// --- Servers and sessions that are of no use

TEST_F(ConnectionTest, AServerThatTakesNoWritesIsNoServer) {
  Sql admin(database_.url());
  admin.Exec(fmt::format("ALTER DATABASE {} SET default_transaction_read_only = on", database_.name()));
  auto refused = Connection::Open(database_.url(), {});
  EXPECT_EQ(Reason(refused.status()), "STORE_UNAVAILABLE");
  EXPECT_NE(refused.status().message().find("read-only"), std::string::npos) << refused.status();
  // Reading there would be reading what may have been left behind.
  auto any = Connection::Open(database_.url() + "?target_session_attrs=any", {});
  EXPECT_EQ(Reason(any.status()), "STORE_UNAVAILABLE");
  EXPECT_NE(std::string(any.status().message()).find(kTakesNoWrites), std::string::npos) << any.status();
  admin.Exec(fmt::format("ALTER DATABASE {} RESET default_transaction_read_only", database_.name()));
  EXPECT_TRUE(Connection::Open(database_.url(), {}).ok());
}

TEST_F(ConnectionTest, ASessionThatTakesNoWritesIsGivenUpAtItsFirst) {
  ASSERT_TRUE(connection_->ExecuteScript("CREATE TABLE t (n int8)").ok());
  ASSERT_TRUE(connection_->Prepare("insert", "INSERT INTO t VALUES ($1)").ok());
  const Param one[] = {Param::Int8(1)};
  // The transaction alone: nothing of this is announced by the server.
  for (auto write : {+[](Connection& c) { return c.Execute("INSERT INTO t VALUES (1)").status(); },
                     +[](Connection& c) { return c.ExecuteScript("INSERT INTO t VALUES (1)"); }}) {
    ASSERT_TRUE(connection_->EnsureConnected().ok());
    ASSERT_TRUE(connection_->ExecuteScript("BEGIN; SET TRANSACTION READ ONLY").ok());
    const absl::Status status = write(*connection_);
    EXPECT_EQ(Reason(status), "STORE_UNAVAILABLE");
    EXPECT_EQ(Metadata(status, "sqlstate"), "25006");
    EXPECT_TRUE(connection_->Broken());
  }
  ASSERT_TRUE(connection_->EnsureConnected().ok());
  EXPECT_TRUE(connection_->Pipeline({{"insert", one}}).ok());
  EXPECT_EQ(Count("t"), 1);
}

TEST_F(ConnectionTest, WhenPreparedStatementsAreGoneTheSessionIsGivenUp) {
  ASSERT_TRUE(connection_->Prepare("one", "SELECT 1").ok());
  ASSERT_TRUE(connection_->ExecuteScript("DEALLOCATE ALL").ok());
  const absl::Status gone = connection_->Pipeline({{"one", {}}}).status();
  EXPECT_EQ(Reason(gone), "STORE_UNAVAILABLE");
  EXPECT_EQ(Metadata(gone, "sqlstate"), "26000");
  EXPECT_NE(gone.message().find("pooler"), std::string::npos) << gone;
  ASSERT_TRUE(connection_->Broken());
  ASSERT_TRUE(connection_->Reset().ok());
  EXPECT_TRUE(connection_->Pipeline({{"one", {}}}).ok());

  ASSERT_TRUE(connection_->ExecuteScript("PREPARE two AS SELECT 3").ok());
  const absl::Status taken = connection_->Prepare("two", "SELECT 2");
  EXPECT_EQ(Reason(taken), "STORE_UNAVAILABLE");
  EXPECT_EQ(Metadata(taken, "sqlstate"), "42P05");
  EXPECT_TRUE(connection_->Broken());
}

TEST_F(ConnectionTest, APlanThatWentStaleIsMadeAnewInANewSession) {
  ASSERT_TRUE(connection_->ExecuteScript("CREATE TABLE t (n int8)").ok());
  ASSERT_TRUE(connection_->Prepare("all", "SELECT * FROM t").ok());
  ASSERT_TRUE(connection_->ExecutePrepared("all").ok());
  Sql(database_.url()).Exec("ALTER TABLE t ADD COLUMN m int8");
  EXPECT_EQ(Reason(connection_->ExecutePrepared("all").status()), "STORE_UNAVAILABLE");
  ASSERT_TRUE(connection_->EnsureConnected().ok());
  auto rows = connection_->ExecutePrepared("all");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->columns(), 2);
}

TEST_F(ConnectionTest, SomebodyElsesTriggerRefusesTheDataAndMissingRightsDoNot) {
  ASSERT_TRUE(connection_
                  ->ExecuteScript("CREATE TABLE t (n int8); CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS "
                                  "'BEGIN RAISE EXCEPTION ''sealed''; END';"
                                  "CREATE TRIGGER sealed BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION no()")
                  .ok());
  EXPECT_EQ(ToBatchResult(connection_->Execute("INSERT INTO t VALUES (1)").status()), BatchResult::kBadData);
  const std::string role = "waybill_nobody_" + database_.name();
  ASSERT_TRUE(connection_->ExecuteScript(fmt::format("CREATE ROLE {0}; SET ROLE {0}", role)).ok());
  const absl::Status status = connection_->Execute("SELECT FROM t").status();
  EXPECT_EQ(Reason(status), "RIGHTS_MISSING");
  EXPECT_EQ(ToBatchResult(status), BatchResult::kTryAgain);
  EXPECT_FALSE(connection_->Broken());
  EXPECT_TRUE(connection_->ExecuteScript(fmt::format("RESET ROLE; DROP ROLE {}", role)).ok());
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
  options.statement_timeout = absl::Seconds(1);
  auto connection = Connect(server_->Url(), options);
  ASSERT_TRUE(connection->Prepare("one", "SELECT 1").ok());
  auto backend = static_cast<pid_t>(connection->Execute("SELECT pg_backend_pid()")->Int(0, 0));
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  absl::Time before = absl::Now();
  auto results = connection->Pipeline({{"one", {}}, {"one", {}}});
  EXPECT_EQ(Reason(results.status()), "STORE_UNAVAILABLE");
  EXPECT_GE(absl::Now() - before, absl::Seconds(1));
  EXPECT_LT(absl::Now() - before, absl::Seconds(10));
  EXPECT_TRUE(connection->Broken());
  ASSERT_TRUE(connection->Reset().ok());  // another backend
  EXPECT_TRUE(connection->Pipeline({{"one", {}}}).ok());
  kill(backend, SIGCONT);
}

TEST_F(OwnServerTest, AHungServerThatTakesNothingCostsNoMore) {
  ConnectionOptions options;
  options.statement_timeout = absl::Seconds(1);
  auto connection = Connect(server_->Url(), options);
  ASSERT_TRUE(connection->Prepare("length", "SELECT length($1::text)").ok());
  auto backend = static_cast<pid_t>(connection->Execute("SELECT pg_backend_pid()")->Int(0, 0));
  ASSERT_EQ(kill(backend, SIGSTOP), 0);
  const std::string large(32 << 20, 'x');  // more than any socket buffer
  const Param params[] = {Param::Text(large)};
  absl::Time before = absl::Now();
  auto results = connection->Pipeline({{"length", params}});
  EXPECT_EQ(Reason(results.status()), "STORE_UNAVAILABLE");
  EXPECT_LT(absl::Now() - before, absl::Seconds(10));
  kill(backend, SIGCONT);
}

TEST_F(OwnServerTest, WhatTheUrlSaysOfDeadPeersCounts) {
  auto asked = Connect(server_->Url() + "?tcp_user_timeout=1234&keepalives_idle=77");
  EXPECT_EQ(SocketOption(server_->port(), IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
  EXPECT_EQ(SocketOption(server_->port(), IPPROTO_TCP, TCP_KEEPIDLE), 77);
  asked.reset();
  auto silent = Connect(server_->Url() + "?keepalives=0");
  EXPECT_EQ(SocketOption(server_->port(), SOL_SOCKET, SO_KEEPALIVE), 0);
  silent.reset();
  auto unasked = Connect(server_->Url());
  EXPECT_EQ(SocketOption(server_->port(), IPPROTO_TCP, TCP_USER_TIMEOUT), 10'000);
  EXPECT_EQ(SocketOption(server_->port(), IPPROTO_TCP, TCP_KEEPIDLE), 10);
}

TEST_F(OwnServerTest, AServerThatTakesWritesNoLongerIsLeftAtItsNextAnswer) {
  auto connection = Connect(server_->Url());
  Sql admin(server_->Url());
  admin.Exec("ALTER SYSTEM SET default_transaction_read_only = on");
  admin.Exec("SELECT pg_reload_conf()");
  // A session that only reads would otherwise read there for ever what others no longer write.
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    EXPECT_TRUE(connection->Execute("SELECT 1").ok());
    return connection->Broken();
  }));
  EXPECT_EQ(Reason(connection->Reset()), "STORE_UNAVAILABLE");
  admin.Exec("SET default_transaction_read_only = off");
  admin.Exec("ALTER SYSTEM RESET default_transaction_read_only");
  admin.Exec("SELECT pg_reload_conf()");
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return connection->Reset().ok(); }));
}

TEST_F(OwnServerTest, AServerWithoutAPlaceForAnotherSessionIsUnavailable) {
  auto server = PostgresServer::Start({{"max_connections", "4"}, {"superuser_reserved_connections", "0"}});
  ASSERT_TRUE(server.ok()) << server.status();
  std::vector<std::unique_ptr<Connection>> open;
  absl::Status status;
  while (status.ok()) {
    auto connection = Connection::Open((*server)->Url(), {});
    status = connection.status();
    if (connection.ok()) open.push_back(*std::move(connection));
  }
  EXPECT_EQ(Reason(status), "STORE_UNAVAILABLE");
  EXPECT_NE(status.message().find("too many clients"), std::string::npos) << status;
}

TEST_F(OwnServerTest, OfSeveralHostsTheOneThatTakesWritesIsTaken) {
  auto standby = PostgresServer::Start({{"default_transaction_read_only", "on"}});
  ASSERT_TRUE(standby.ok()) << standby.status();
  auto connection = Connection::Open(WithHostBefore(server_->Url(), (*standby)->port()), {});
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ((*connection)->Execute("SELECT inet_server_port()")->Int(0, 0), server_->port());
  EXPECT_FALSE(
      Connection::Open(WithHostBefore(server_->Url(), (*standby)->port()) + "?target_session_attrs=read-only", {})
          .ok());
}

// --- A synchronous standby that is gone

// Sessions that are not told otherwise commit without it, as those of the test itself.
class SynchronousStandbyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = PostgresServer::Start({{"synchronous_commit", "local"}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    admin_ = std::make_unique<Sql>(server_->Url());
    admin_->Exec("CREATE TABLE t (n int8 PRIMARY KEY)");
  }

  static ConnectionOptions Writing() {
    ConnectionOptions options = WriteConnectionOptions();
    options.statement_timeout = absl::Seconds(1);
    return options;
  }
  void LoseStandby() {
    admin_->Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    admin_->Exec("SELECT pg_reload_conf()");
    // The processes take the setting over one after the other.
    EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return !Connection::Open(server_->Url(), Writing()).ok(); }));
  }
  void NeedNone() {
    admin_->Exec("ALTER SYSTEM RESET synchronous_standby_names");
    admin_->Exec("SELECT pg_reload_conf()");
  }
  std::string Waiting() { return admin_->Value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"); }
  std::string Rows() { return admin_->Value("SELECT count(*) FROM t"); }
  bool WaitUntilWaiting(const std::string& count) {
    return Eventually(absl::Seconds(10), [&] { return Waiting() == count; });
  }

  std::unique_ptr<PostgresServer> server_;
  std::unique_ptr<Sql> admin_;
};

TEST_F(SynchronousStandbyTest, ASessionThatPromisesWaitsForTheStandbyWhateverTheDefaultIs) {
  auto connection = Connect(server_->Url(), WriteConnectionOptions());
  EXPECT_EQ(connection->Execute("SHOW synchronous_commit")->Text(0, 0), "on");
  EXPECT_EQ(Connect(server_->Url())->Execute("SHOW synchronous_commit")->Text(0, 0), "local");
  ConnectionOptions stronger = WriteConnectionOptions();
  stronger.settings.emplace_back("synchronous_commit", "remote_apply");
  EXPECT_EQ(Connect(server_->Url(), stronger)->Execute("SHOW synchronous_commit")->Text(0, 0), "remote_apply");
}

TEST_F(SynchronousStandbyTest, WhileItIsGoneConnectingSaysSoAndLeavesNoSessionBehind) {
  LoseStandby();
  for (int i = 0; i < 3; ++i) {
    auto connection = Connection::Open(server_->Url(), Writing());
    EXPECT_EQ(Reason(connection.status()), "STORE_UNAVAILABLE");
    EXPECT_NE(connection.status().message().find("synchronous standby"), std::string::npos) << connection.status();
  }
  EXPECT_TRUE(WaitUntilWaiting("0"));
  EXPECT_TRUE(Connect(server_->Url())->Execute("SELECT 1").ok());  // reading goes on
  NeedNone();
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return Connection::Open(server_->Url(), Writing()).ok(); }));
}

TEST_F(SynchronousStandbyTest, AWriteThatWaitsForItIsLeftWaitingOnceAndIsFoundWhenItIsDurable) {
  auto connection = Connect(server_->Url(), Writing());
  ASSERT_TRUE(connection->Prepare("insert", "INSERT INTO t VALUES ($1) ON CONFLICT DO NOTHING").ok());
  LoseStandby();
  const Param one[] = {Param::Int8(1)};
  EXPECT_EQ(Reason(connection->Pipeline({{"insert", one}}).status()), "STORE_UNAVAILABLE");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Reason(connection->EnsureConnected()), "STORE_UNAVAILABLE");
  // Nobody may see it before it is where it was promised to be: so its wait is not ended.
  EXPECT_TRUE(WaitUntilWaiting("1"));
  EXPECT_EQ(Rows(), "0");
  NeedNone();
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return connection->EnsureConnected().ok(); }));
  EXPECT_TRUE(connection->Pipeline({{"insert", one}}).ok());
  EXPECT_EQ(Rows(), "1");
}

TEST_F(SynchronousStandbyTest, AWaitThatSomebodyEndedIsNoSuccess) {
  auto connection = Connect(server_->Url(), WriteConnectionOptions());
  LoseStandby();
  EXPECT_TRUE(connection->Execute("SELECT 1").ok());  // reading goes on
  std::thread canceller([&] {
    Sql other(server_->Url());
    EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
      return other.Value("SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") ==
             "1";
    }));
  });
  const absl::Status status = connection->Execute("INSERT INTO t VALUES (1)").status();
  canceller.join();
  EXPECT_EQ(Reason(status), "STORE_UNAVAILABLE");
  EXPECT_NE(status.message().find("synchronous standby"), std::string::npos) << status;
  EXPECT_TRUE(connection->Broken());
  // It can be seen now, and may yet be lost with this server: whoever finds it there may not promise it.
  EXPECT_EQ(Rows(), "1");
  ConnectionOptions options = Writing();
  EXPECT_EQ(Reason(Connection::Open(server_->Url(), options).status()), "STORE_UNAVAILABLE");
  NeedNone();
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] { return connection->Reset().ok(); }));
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

// What libpq says of a connection string holds parts of it, and with luck not those of the password.
TEST(CheckConnectionString, SaysWhatIsWrongWithoutAnyOfIt) {
  for (const std::string good :
       {"", "waybill", "a database of ours", "postgresql:///waybill", "host=/tmp user=me password='a b'"}) {
    EXPECT_EQ(CheckConnectionString(good), absl::OkStatus()) << good;
  }
  for (const std::string bad : {"postgresql://me:secret@[::1/orders", "postgresql://me:secret%zz@h/d", "host=h secret",
                                "postgresql://h/d?secret=1", "password='secret"}) {
    const absl::Status status = CheckConnectionString(bad);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), ::testing::AllOf(::testing::StartsWith("is no connection string: "),
                                                                ::testing::Not(::testing::HasSubstr("secret"))));
  }
}

}  // namespace
}  // namespace waybill::storage
