#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/eventually.h"
#include "tests/support/postgres.h"

namespace waybill::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(WithDatabase, ReplacesOnlyTheDatabase) {
  EXPECT_EQ(WithDatabase("postgresql://u:p@h:1/old?sslmode=disable", "new"),
            "postgresql://u:p@h:1/new?sslmode=disable");
  EXPECT_EQ(WithDatabase("postgresql://u@h:1", "new"), "postgresql://u@h:1/new");
  EXPECT_EQ(WithDatabase("postgresql://u@h:1?sslmode=disable", "new"), "postgresql://u@h:1/new?sslmode=disable");
}

TEST(TestDatabase, IsItsOwnAndGoneAfterwards) {
  std::string name;
  {
    TestDatabase one;
    TestDatabase other;
    name = one.name();
    Sql sql(one.url());
    sql.Exec("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    EXPECT_EQ(Sql(other.url()).Run("SELECT * FROM t").sqlstate, "42P01");
    EXPECT_EQ(sql.Value("SELECT current_database()"), name);
  }
  EXPECT_EQ(Sql(SharedPostgresUrl()).Value("SELECT count(*) FROM pg_database WHERE datname = $1", {name}), "0");
}

TEST(Sql, ReadsRowsAndErrors) {
  TestDatabase database;
  Sql sql(database.url());
  EXPECT_THAT(sql.Rows("SELECT $1::int + 1, NULL, 'x' UNION ALL SELECT 9, NULL, 'y'", {"1"}),
              ElementsAre(ElementsAre("2", "NULL", "x"), ElementsAre("9", "NULL", "y")));
  sql.Exec("CREATE TABLE t (id int CONSTRAINT id_is_positive CHECK (id > 0))");
  const SqlResult refused = sql.Run("INSERT INTO t VALUES (-1)");
  EXPECT_EQ(refused.sqlstate, "23514");
  EXPECT_EQ(refused.constraint, "id_is_positive");
  EXPECT_THAT(refused.message, HasSubstr("violates check constraint"));
}

TEST(Sql, SaysWhenThereIsNoServer) {
  Sql sql("postgresql://postgres@127.0.0.1:1/postgres");
  EXPECT_FALSE(sql.connected());
  EXPECT_EQ(sql.Run("SELECT 1").sqlstate, "08006");
}

TEST(PostgresServer, KeepsWhatWasCommittedThroughEveryKindOfStop) {
  auto server = PostgresServer::Start({{"shared_buffers", "16MB"}});
  ASSERT_TRUE(server.ok()) << server.status();
  Sql(server->get()->Url()).Exec("CREATE TABLE t (id int)");
  const std::string url = (*server)->Url();
  int rows = 0;
  const auto insert_and_count = [&] {
    Sql sql(url);
    sql.Exec("INSERT INTO t VALUES (1)");
    EXPECT_EQ(sql.Value("SELECT count(*) FROM t"), std::to_string(++rows));
  };
  insert_and_count();
  for (const auto mode : {PostgresServer::StopMode::kFast, PostgresServer::StopMode::kImmediate}) {
    Sql open(url);
    ASSERT_TRUE((*server)->Restart(mode).ok());
    EXPECT_EQ(open.Run("SELECT 1").ok(), false);  // clients of the old one are cut off
    insert_and_count();
  }
  Sql open(url);
  (*server)->Kill();
  EXPECT_FALSE(Sql(url).connected());
  const absl::Status again = (*server)->StartAgain();
  ASSERT_TRUE(again.ok()) << again;
  insert_and_count();
  EXPECT_THAT((*server)->Log(), HasSubstr("automatic recovery in progress"));
}

TEST(PostgresServer, IsDurableAndReachableByLoopbackOnly) {
  auto server = PostgresServer::Start({{"shared_buffers", "16MB"}});
  ASSERT_TRUE(server.ok()) << server.status();
  Sql sql((*server)->Url());
  EXPECT_EQ(sql.Value("SHOW fsync"), "on");
  EXPECT_EQ(sql.Value("SHOW synchronous_commit"), "on");
  EXPECT_EQ(sql.Value("SHOW listen_addresses"), "127.0.0.1");
  EXPECT_EQ(sql.Value("SHOW shared_buffers"), "16MB");
  EXPECT_THAT(sql.Value("SELECT version()"), HasSubstr("PostgreSQL 15"));
}

TEST(PostgresServer, SaysWhyItDidNotStart) {
  const auto server = PostgresServer::Start({{"shared_buffers", "nonsense"}});
  ASSERT_FALSE(server.ok());
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("shared_buffers"));
}

}  // namespace
}  // namespace waybill::testing
