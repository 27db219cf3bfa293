#include <atomic>

#include "storage/postgres/location_history.h"
#include "storage/postgres/location_log.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/pool.h"
#include "tests/storage/location_contract.h"
#include "tests/support/postgres.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PostgresWorld final : public LocationWorld {
 public:
  explicit PostgresWorld(LocationLogOptions options = {}) {
    auto connection = Connection::Open(database_.url(), MigrationConnectionOptions());
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    EXPECT_TRUE(Migrate(*connection_, [](std::string_view, absl::Duration) {}).ok());
    pool_ = std::make_unique<Pool>(database_.url(), ReadConnectionOptions(), PoolOptions{});
    history_ = std::make_unique<PostgresLocationHistory>(*pool_);
    options.on_commit = [this](const LocationCommit& commit) {
      stored += commit.stored;
      locations += commit.locations;
      refused += commit.refused;
    };
    log_ = std::make_unique<PostgresLocationLog>(database_.url(), options);
  }
  LocationLog& log() override { return *log_; }
  LocationHistory& history() override { return *history_; }
  Connection& connection() { return *connection_; }
  testing::Sql& sql() { return sql_; }
  const std::string& url() const { return database_.url(); }

  std::atomic<size_t> stored{0}, locations{0}, refused{0};

 private:
  testing::TestDatabase database_;
  testing::Sql sql_{database_.url()};
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<PostgresLocationHistory> history_;
  std::unique_ptr<PostgresLocationLog> log_;
};

std::unique_ptr<LocationWorld> MakeWorld() { return std::make_unique<PostgresWorld>(); }

INSTANTIATE_TEST_SUITE_P(Postgres, LocationContract, ::testing::Values(&MakeWorld));

class PostgresLocationLogTest : public LocationContract {
 protected:
  PostgresWorld& world() { return static_cast<PostgresWorld&>(*world_); }
};
INSTANTIATE_TEST_SUITE_P(Postgres, PostgresLocationLogTest, ::testing::Values(&MakeWorld));

TEST_P(PostgresLocationLogTest, RefusesOnlyWhatTheDatabaseRefuses) {
  world().sql().Exec("ALTER TABLE driver_locations ADD CONSTRAINT no_island CHECK (lat <> 7)");
  std::vector<DriverPosition> positions;
  for (int i = 0; i < 20; ++i) positions.push_back(At("d-1", absl::Seconds(i), i == 3 || i == 17 ? 7 : 52));
  ASSERT_TRUE(Append(positions, Standing::kAhead).ok());
  ASSERT_EQ(refused_.size(), 2u);
  EXPECT_EQ(refused_[0].index, 3u);
  EXPECT_EQ(refused_[1].index, 17u);
  EXPECT_THAT(refused_[0].why, HasSubstr("no_island"));
  EXPECT_THAT(Track("d-1"), ::testing::SizeIs(18));
  EXPECT_EQ(world().refused, 2u);
}

TEST_P(PostgresLocationLogTest, CountsWhatWasStoredAndWhatWasThere) {
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(1)), At("d-1", absl::Seconds(2))}, Standing::kAhead).ok());
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(2)), At("d-1", absl::Seconds(3))}, Standing::kAhead).ok());
  EXPECT_EQ(world().locations, 4u);
  EXPECT_EQ(world().stored, 3u);
}

TEST_P(PostgresLocationLogTest, GoesOnAfterItsConnectionsWereCut) {
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(1))}).ok());
  world().sql().Exec(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waybill-location-log'");
  ASSERT_TRUE(Append({At("d-1", absl::Seconds(2))}).ok());
  EXPECT_THAT(Track("d-1"), ::testing::SizeIs(2));
}

TEST_P(PostgresLocationLogTest, ReadsOneDriversHourByTheKeyOfTheDaysItTouches) {
  std::vector<DriverPosition> positions;
  for (int day = 0; day < 5; ++day) positions.push_back(At("d-1", kDay * day));
  ASSERT_TRUE(Append(positions).ok());
  std::string plan;
  for (const auto& row : world().sql().Rows(
           "SET enable_seqscan = off; EXPLAIN SELECT * FROM driver_locations WHERE driver_id = 'd-1' AND recorded_at "
           ">= "
           "'2026-05-28 20:00+00' AND recorded_at < '2026-05-28 21:00+00' ORDER BY recorded_at LIMIT 10")) {
    plan += row[0] + "\n";
  }
  EXPECT_THAT(plan, HasSubstr("driver_locations_20260528_pkey"));
  EXPECT_THAT(plan, ::testing::Not(HasSubstr("driver_locations_20260529"))) << plan;
}

class LocationPartitionsTest : public ::testing::Test {
 protected:
  std::vector<absl::CivilDay> List() { return ListPartitions(world_.connection()).value(); }
  PostgresWorld world_;
  const absl::CivilDay day_{2026, 5, 28};
};

TEST_F(LocationPartitionsTest, AreMadeOnceHoweverOftenAndByHowManyTheyAreAskedFor) {
  ASSERT_TRUE(MakePartitions(world_.connection(), {day_, day_ + 1}).ok());
  ASSERT_TRUE(MakePartitions(world_.connection(), {day_, day_ + 1, day_ + 2}).ok());
  EXPECT_THAT(List(), ElementsAre(day_, day_ + 1, day_ + 2));
  const std::string bounds = world_.sql().Value(
      "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'driver_locations_20260528'");
  EXPECT_THAT(bounds, HasSubstr("2026-05-28"));
  EXPECT_THAT(bounds, HasSubstr("2026-05-29"));
}

TEST_F(LocationPartitionsTest, AreAttachedAlsoWhenACrashLeftThemAlone) {
  world_.sql().Exec("CREATE TABLE driver_locations_20260528 (LIKE driver_locations INCLUDING ALL)");
  ASSERT_TRUE(MakePartitions(world_.connection(), {day_}).ok());
  EXPECT_THAT(List(), ElementsAre(day_));
}

TEST_F(LocationPartitionsTest, AreDroppedOnceAllInThemIsTooOld) {
  ASSERT_TRUE(MakePartitions(world_.connection(), {day_, day_ + 1, day_ + 2}).ok());
  const absl::Time midnight = absl::FromCivil(day_ + 2, absl::UTCTimeZone());
  auto dropped = DropPartitionsBefore(world_.connection(), midnight - absl::Microseconds(1));
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_THAT(*dropped, ElementsAre(day_));
  dropped = DropPartitionsBefore(world_.connection(), midnight);
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_THAT(*dropped, ElementsAre(day_ + 1));
  EXPECT_THAT(List(), ElementsAre(day_ + 2));
  EXPECT_EQ(world_.sql().Value("SELECT to_regclass('driver_locations_20260529') IS NULL"), "t");
}

TEST_F(LocationPartitionsTest, ADropThatWaitedInVainIsGoneOnWith) {
  ASSERT_TRUE(MakePartitions(world_.connection(), {day_, day_ + 1}).ok());
  world_.sql().Exec("BEGIN; SELECT count(*) FROM driver_locations");  // a query that reads the day
  ConnectionOptions impatient;
  impatient.statement_timeout = absl::Milliseconds(200);
  auto connection = Connection::Open(world_.url(), impatient);
  ASSERT_TRUE(connection.ok()) << connection.status();
  const absl::Time oldest = absl::FromCivil(day_ + 1, absl::UTCTimeZone());
  EXPECT_FALSE(DropPartitionsBefore(**connection, oldest).ok());
  world_.sql().Exec("COMMIT");
  auto dropped = DropPartitionsBefore(**connection, oldest);
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_THAT(*dropped, ElementsAre(day_));
  EXPECT_THAT(List(), ElementsAre(day_ + 1));
}

TEST_F(LocationPartitionsTest, ADropThatACrashInterruptedIsGoneOnWithAndWhatSomebodyDetachedIsLeftAlone) {
  ASSERT_TRUE(MakePartitions(world_.connection(), {day_, day_ + 1}).ok());
  world_.sql().Exec("COMMENT ON TABLE driver_locations_20260528 IS 'waybill: to be dropped'");
  world_.sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260528");
  world_.sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260529");
  auto dropped = DropPartitionsBefore(world_.connection(), absl::FromCivil(day_ + 5, absl::UTCTimeZone()));
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_THAT(*dropped, ElementsAre(day_));
  EXPECT_EQ(world_.sql().Value("SELECT to_regclass('driver_locations_20260528') IS NULL"), "t");
  EXPECT_EQ(world_.sql().Value("SELECT to_regclass('driver_locations_20260529') IS NULL"), "f");
}

TEST_F(LocationPartitionsTest, AreMadeWhileSomebodyWrites) {
  ASSERT_TRUE(MakePartitions(world_.connection(), {day_}).ok());
  world_.sql().Exec(
      "BEGIN; INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) VALUES "
      "('2026-05-28 12:00+00', now(), 1, 1, 'd')");
  // The writer's transaction is open: this must not wait for it.
  EXPECT_TRUE(MakePartitions(world_.connection(), {day_ + 1}).ok());
  world_.sql().Exec("COMMIT");
}

}  // namespace
}  // namespace waybill::storage
