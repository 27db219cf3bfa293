#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/location_history.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/location_partitions.h"
#include "tests/support/migrated_database.h"

namespace waybill::bench {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using waybill::testing::MigratedDatabase;

TEST(FillHistory, MakesADayOfEveryDriverInTheOrderOfArrivalAndAPartitionLikeAnyOther) {
  MigratedDatabase database;
  HistoryOptions options;
  options.database_url = database.url();
  options.rows = 3 * kHistoryPointsADriver - 1;
  options.day = absl::CivilDay(2026, 3, 9);
  const auto drivers = FillHistory(options, [](const std::string&) {});
  ASSERT_TRUE(drivers.ok()) << drivers.status();
  EXPECT_THAT(*drivers, ElementsAre("0000000-track", "0000001-track"));
  auto& sql = database.sql();
  EXPECT_THAT(
      sql.Rows("SELECT driver_id, count(*), min(recorded_at) = '2026-03-09 00:00Z',"
               "       max(recorded_at) = '2026-03-09 23:59:57Z',"
               "       sum(extract(epoch FROM recorded_at)::bigint % 3) FROM driver_locations GROUP BY 1 ORDER BY 1"),
      ElementsAre(ElementsAre("0000000-track", "28800", "t", "t", "0"),
                  ElementsAre("0000001-track", "28800", "t", "t", "0")));
  EXPECT_EQ(sql.Value("SELECT count(*) FROM (SELECT recorded_at < lag(recorded_at) OVER (ORDER BY ctid) AS back"
                      "                      FROM driver_locations) AS rows WHERE back"),
            "0");
  auto connection = storage::Connection::Open(database.url(), {});
  ASSERT_TRUE(connection.ok());
  EXPECT_THAT(
      storage::ListPartitions(**connection)->days,
      ElementsAre(AllOf(Field(&storage::Partition::day, options.day), Field(&storage::Partition::attached, true))));
  EXPECT_EQ(sql.Run("INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) "
                    "VALUES ('2026-03-09 00:00Z', now(), 1, 1, '0000000-track')")
                .sqlstate,
            "23505")
      << "a point is there once";
  EXPECT_EQ(sql.Value("SELECT count(*) FROM pg_indexes WHERE tablename = 'driver_locations_20260309'"), "2");
}

}  // namespace
}  // namespace waybill::bench
