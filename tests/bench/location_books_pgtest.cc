#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/location_books.h"
#include "bench/location_ceiling.h"
#include "tests/support/migrated_database.h"
#include "tests/support/redis.h"

namespace waybill::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using waybill::testing::MigratedDatabase;
using waybill::testing::RedisCommand;
using waybill::testing::TestRedis;

constexpr int64_t kEpochSeconds = 1'800'000'000;  // 2027-01-15, 08:00 UTC
constexpr int64_t kEpochMicros = kEpochSeconds * 1'000'000;

// Two drivers: "a" with three points, 1, 2 and 4 s in; "b" with one, 7 µs in.
class LocationBooksTest : public ::testing::Test {
 protected:
  LocationBooksTest() {
    database_.sql().Exec(R"sql(
      CREATE TABLE day PARTITION OF driver_locations FOR VALUES FROM ('2027-01-15 00:00Z') TO ('2027-01-16 00:00Z');
      INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id)
      SELECT timestamptz '2027-01-15 08:00Z' + after, now(), lat, 13.1, driver
      FROM (VALUES ('a', interval '1 s', 52.1), ('a', '2 s', 52.2), ('a', '4 s', 52.4), ('b', '7 us', 52.7))
        AS p(driver, after, lat))sql");
  }

  std::vector<std::string> Check() {
    return *CheckHistory(database_.url(), drivers_, absl::FromUnixSeconds(kEpochSeconds));
  }
  void Break(const std::string& sql) { database_.sql().Exec(sql); }

  MigratedDatabase database_;
  std::vector<DriverTally> drivers_ = {{"a", 3, 7'000'000, kEpochMicros + 4'000'000, 52.4, 13.1},
                                       {"b", 1, 7, kEpochMicros + 7, 52.7, 13.1},
                                       {"never sent", 0, 0, 0, 0, 13.1}};
};

TEST_F(LocationBooksTest, Balance) { EXPECT_THAT(Check(), IsEmpty()); }

TEST_F(LocationBooksTest, AMissingPointShows) {
  Break("DELETE FROM driver_locations WHERE lat = 52.2");
  EXPECT_THAT(Check(), ElementsAre("1 acked points are not in the history"));
}

TEST_F(LocationBooksTest, AMissingDriverShows) {
  Break("DELETE FROM driver_locations WHERE driver_id = 'a'");
  EXPECT_THAT(Check(), ElementsAre("3 acked points are not in the history"));
}

TEST_F(LocationBooksTest, APointThatIsThereTwiceShows) {
  Break(R"sql(
    ALTER TABLE driver_locations DROP CONSTRAINT driver_locations_once;
    INSERT INTO driver_locations SELECT * FROM driver_locations WHERE driver_id = 'b')sql");
  EXPECT_THAT(Check(), ElementsAre("1 points too many are in the history"));
}

TEST_F(LocationBooksTest, APointOfADriverWhoSentNoneShows) {
  Break("UPDATE driver_locations SET driver_id = 'never sent' WHERE driver_id = 'b'");
  EXPECT_THAT(Check(), ElementsAre("1 acked points are not in the history",
                                   "1 points of drivers that nobody sent are in the history"));
}

TEST_F(LocationBooksTest, ATimeThatChangedByAMicrosecondShows) {
  Break("UPDATE driver_locations SET recorded_at = recorded_at + interval '1 us' WHERE lat = 52.2");
  EXPECT_THAT(Check(), ElementsAre("1 drivers have points at other times than they were sent with"));
}

TEST_F(LocationBooksTest, ANewestPointAtAnotherPlaceShows) {
  Break("UPDATE driver_locations SET lat = 52.41 WHERE lat = 52.4");
  EXPECT_THAT(Check(), ElementsAre("1 drivers' newest points are not as they were sent"));
}

class HotViewTest : public ::testing::Test {
 protected:
  HotViewTest() {
    for (int i = 0; i < 10; ++i) {
      const std::string id = "driver-" + std::to_string(i);
      drivers_.push_back({id, 1, 0, kEpochMicros + i, 52.5, 13.1});
      Run({"HSET", "driver:" + id, "timestamp", std::to_string(kEpochMicros + i), "lat", "52.5", "long", "13.1"});
      Run({"GEOADD", "drivers:geo", "13.1", "52.5", id});
    }
  }

  void Run(const std::vector<std::string>& command) { ASSERT_TRUE(RedisCommand(redis_.url(), command).ok()); }
  std::vector<std::string> Check(size_t sample = 10) { return *CheckHotView(redis_.url(), drivers_, sample); }

  TestRedis redis_;
  std::vector<DriverTally> drivers_;
};

TEST_F(HotViewTest, HoldsTheNewestPoints) { EXPECT_THAT(Check(), IsEmpty()); }

TEST_F(HotViewTest, ADriverThatIsNotThereShows) {
  Run({"DEL", "driver:driver-3"});
  EXPECT_THAT(Check(), ElementsAre("1 sampled drivers are not in the hot view"));
  EXPECT_THAT(Check(5), IsEmpty()) << "every other driver, from the first";
}

TEST_F(HotViewTest, AnOlderPointShows) {
  Run({"HSET", "driver:driver-3", "timestamp", std::to_string(kEpochMicros - 1)});
  EXPECT_THAT(Check(), ElementsAre("1 sampled drivers have another point than their newest in the hot view"));
}

TEST_F(HotViewTest, AnotherPlaceShows) {
  Run({"HSET", "driver:driver-3", "long", "13.2"});
  Run({"HSET", "driver:driver-4", "lat", "north"});
  EXPECT_THAT(Check(), ElementsAre("2 sampled drivers have another point than their newest in the hot view"));
}

TEST_F(HotViewTest, ADriverWhoIsNotInTheGeoSetShows) {
  Run({"ZREM", "drivers:geo", "driver-3"});
  EXPECT_THAT(Check(), ElementsAre("1 sampled drivers are not in the geo set"));
}

TEST_F(HotViewTest, EventsCountAlsoThoseThatAreNoLongerKept) {
  EXPECT_THAT(*CheckEvents(redis_.url(), 3), ElementsAre("3 points were never told as events"));
  for (int i = 0; i < 3; ++i) Run({"XADD", "location_events", "MAXLEN", "1", "*", "driver_id", "a"});
  EXPECT_THAT(*CheckEvents(redis_.url(), 3), IsEmpty());
  EXPECT_THAT(*CheckEvents(redis_.url(), 4), ElementsAre("1 points were never told as events"));
}

TEST(LocationCeiling, WritesPointsWhoseBooksBalance) {
  MigratedDatabase database;
  TestRedis redis;
  LocationCeilingOptions options;
  options.database_url = database.url();
  options.redis_url = redis.url();
  options.drivers = 16;
  options.batch = 64;
  options.epoch = absl::FromUnixSeconds(kEpochSeconds);
  options.warm_up = absl::ZeroDuration();
  options.duration = absl::Milliseconds(100);
  const absl::StatusOr<LocationCeilingResult> ceiling = MeasureLocationCeiling(options);
  ASSERT_TRUE(ceiling.ok()) << ceiling.status();
  EXPECT_GT(ceiling->points, 0);
  EXPECT_GT(ceiling->points_per_second, 0);
  ASSERT_THAT(ceiling->drivers, SizeIs(16));
  EXPECT_EQ(ceiling->drivers[0].points * 16, ceiling->points);
  EXPECT_THAT(*CheckHistory(database.url(), ceiling->drivers, options.epoch), IsEmpty());
  EXPECT_THAT(*CheckEvents(redis.url(), ceiling->points), IsEmpty());
  EXPECT_EQ(*RedisCommand(redis.url(), {"ZCARD", "drivers:geo"}), "16");
}

TEST(LocationCeiling, TellsWhenTheDatabaseIsNotMigratedOrRedisIsAway) {
  waybill::testing::TestDatabase empty;
  LocationCeilingOptions options;
  options.database_url = empty.url();
  options.redis_url = "redis://127.0.0.1:1/0";
  options.warm_up = absl::ZeroDuration();
  options.duration = absl::Milliseconds(1);
  EXPECT_FALSE(MeasureLocationCeiling(options).ok());
  MigratedDatabase migrated;
  options.database_url = migrated.url();
  EXPECT_FALSE(MeasureLocationCeiling(options).ok());
}

}  // namespace
}  // namespace waybill::bench
