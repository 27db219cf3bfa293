// The command that goes straight at Postgres.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"
#include "tests/support/postgres.h"

namespace waybill::cli {
namespace {

using ::testing::HasSubstr;

class MigrateTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> args) {
    return RunBinary(WAYBILL_BINARY, std::move(args), {{"DATABASE_URL", database_.url()}});
  }

  testing::TestDatabase database_;
};

TEST_F(MigrateTest, MigrateBringsAnEmptyDatabaseUpToDate) {
  Ran before = Run({"migrate", "--status", "--json"});
  EXPECT_EQ(before.code, 0) << before.output;
  ASSERT_FALSE(before.json.empty());
  for (const auto& row : before.json) EXPECT_EQ(row["state"], "pending");

  Ran first = Run({"migrate"});
  EXPECT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, HasSubstr("applied 0001_orders.sql in "));

  Ran second = Run({"migrate"});
  EXPECT_EQ(second.code, 0);
  EXPECT_THAT(second.output, HasSubstr("nothing to apply"));

  for (const auto& row : Run({"migrate", "--status", "--json"}).json) EXPECT_EQ(row["state"], "applied");
}

TEST_F(MigrateTest, MigrateRefusesAnEditedMigration) {
  ASSERT_EQ(Run({"migrate"}).code, 0);
  testing::Sql sql(database_.url());
  sql.Exec("UPDATE schema_migrations SET checksum = 'edited' WHERE version = 1");
  Ran status = Run({"migrate", "--status"});
  EXPECT_EQ(status.code, 4) << status.output;
  EXPECT_THAT(status.output, HasSubstr("edited"));
  EXPECT_EQ(Run({"migrate"}).code, 4);
}

TEST_F(MigrateTest, MigrateGrantsWhatTheServicesNeed) {
  Ran nobody = Run({"migrate", "--grant", "nobody of that name"});
  EXPECT_NE(nobody.code, 0);
  EXPECT_THAT(nobody.output, HasSubstr("does not exist"));
  const std::string role = database_.name() + "_app";
  testing::Sql sql(database_.url());
  sql.Exec("CREATE ROLE " + role);
  Ran granted = Run({"migrate", "--grant", role, "--json"});
  EXPECT_EQ(granted.code, 0) << granted.output;
  ASSERT_FALSE(granted.json.empty());
  EXPECT_EQ(granted.json[0]["granted"], "GRANT USAGE ON SCHEMA public TO " + role);
  EXPECT_EQ(sql.Value("SELECT has_table_privilege('" + role + "', 'order_sagas', 'UPDATE')"), "t");
  EXPECT_EQ(Run({"migrate", "--grant", role, "--status"}).code, 2);
  sql.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_F(MigrateTest, MigrateSaysWhereItLooked) {
  Ran ran = Run({"migrate", "--database-url", "postgresql://127.0.0.1:1/none"});
  EXPECT_EQ(ran.code, 5) << ran.output;
  EXPECT_EQ(Run({"migrate", "--database-url", "postgresql://[nonsense"}).code == 0, false);
}

}  // namespace
}  // namespace waybill::cli
