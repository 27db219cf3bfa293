// The commands that go straight at Postgres and Redis.
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/run_binary.h"
#include "tests/support/postgres.h"
#include "tests/support/redis.h"
#include "tests/support/temp_directory.h"

namespace waybill::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StoreCommandsTest : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> args) {
    return RunBinary(WAYBILL_BINARY, std::move(args), {{"DATABASE_URL", database_.url()}, {"REDIS_URL", redis_.url()}});
  }

  testing::TestDatabase database_;
  testing::TestRedis redis_;
};

TEST_F(StoreCommandsTest, MigrateBringsAnEmptyDatabaseUpToDate) {
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

TEST_F(StoreCommandsTest, MigrateRefusesAnEditedMigration) {
  ASSERT_EQ(Run({"migrate"}).code, 0);
  testing::Sql sql(database_.url());
  sql.Exec("UPDATE schema_migrations SET checksum = 'edited' WHERE version = 1");
  Ran status = Run({"migrate", "--status"});
  EXPECT_EQ(status.code, 4) << status.output;
  EXPECT_THAT(status.output, HasSubstr("edited"));
  EXPECT_EQ(Run({"migrate"}).code, 4);
}

TEST_F(StoreCommandsTest, MigrateGrantsWhatTheServicesNeed) {
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

TEST_F(StoreCommandsTest, MigrateSaysWhereItLooked) {
  Ran ran = Run({"migrate", "--database-url", "postgresql://127.0.0.1:1/none"});
  EXPECT_EQ(ran.code, 5) << ran.output;
  EXPECT_EQ(Run({"migrate", "--database-url", "postgresql://[nonsense"}).code == 0, false);
}

TEST_F(StoreCommandsTest, DriverPutShowsUpInDriverList) {
  ASSERT_EQ(Run({"migrate"}).code, 0);
  Ran put =
      Run({"driver", "put", "d-7", "--at", "52.52,13.405", "--heading", "90", "--speed", "8.5", "--capacity", "3"});
  EXPECT_EQ(put.code, 0) << put.output;
  EXPECT_EQ(put.output, "1 driver, fresh for 5m 00s\n");

  Ran list = Run({"driver", "list", "--json"});
  ASSERT_EQ(list.json.size(), 1u) << list.output;
  EXPECT_EQ(list.json[0]["driver_id"], "d-7");
  EXPECT_EQ(list.json[0]["latitude"], 52.52);
  EXPECT_EQ(list.json[0]["heading_deg"], 90);
  EXPECT_THAT(Run({"driver", "list"}).output, HasSubstr("52.52000,13.40500"));
  testing::Sql sql(database_.url());
  EXPECT_EQ(sql.Value("SELECT capacity FROM drivers WHERE driver_id = 'd-7'"), "3");
}

TEST_F(StoreCommandsTest, DriverPutReadsAFleetFromAFile) {
  ASSERT_EQ(Run({"migrate"}).code, 0);
  testing::TempDirectory directory;
  std::string file = directory.path() / "fleet.csv";
  std::ofstream(file) << "# a small fleet\nd-1,52.52,13.40\n\nd-2, 52.50, 13.42, 12\r\n";
  Ran put = Run({"driver", "put", "--file", file, "--json"});
  EXPECT_EQ(put.code, 0) << put.output;
  EXPECT_EQ(put.json[0]["put"], 2);
  std::vector<std::string> ids;
  for (const auto& row : Run({"driver", "list", "--json"}).json) ids.push_back(row["driver_id"]);
  EXPECT_THAT(ids, ElementsAre("d-1", "d-2"));
  testing::Sql sql(database_.url());
  EXPECT_EQ(sql.Value("SELECT capacity FROM drivers WHERE driver_id = 'd-2'"), "12");
}

TEST_F(StoreCommandsTest, DriverPutNamesTheLineThatIsWrongAndPutsNothing) {
  testing::TempDirectory directory;
  std::string file = directory.path() / "fleet.csv";
  for (const char* line : {"d-2,52.50", "d-2,95,13", ",52,13", "d-2,52,13,many", "d-2,52,13,1,5"}) {
    std::ofstream(file) << "d-1,52.52,13.40\n" << line << "\n";
    Ran put = Run({"driver", "put", "--file", file});
    EXPECT_EQ(put.code, 2) << put.output;
    EXPECT_THAT(put.output, HasSubstr("fleet.csv:2: "));
  }
  EXPECT_TRUE(Run({"driver", "list", "--json"}).json.empty());
  EXPECT_EQ(Run({"driver", "put", "--file", file + ".not-there"}).code, 3);
  EXPECT_EQ(Run({"driver", "put", "d-7"}).code, 2);
  EXPECT_EQ(Run({"driver", "put", "--at", "1,2"}).code, 2);
}

TEST_F(StoreCommandsTest, DriverSaysWhenRedisIsNotThere) {
  Ran ran = Run({"driver", "list", "--redis-url", "redis://127.0.0.1:1"});
  EXPECT_EQ(ran.code, 5) << ran.output;
}

}  // namespace
}  // namespace waybill::cli
