#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "services/ingest/partition_keeper.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/migrate.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"

namespace waybill::ingest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class PartitionKeeperTest : public ::testing::Test {
 protected:
  PartitionKeeperTest() {
    auto connection = storage::Connection::Open(database_.url(), storage::MigrationConnectionOptions());
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    EXPECT_TRUE(storage::Migrate(*connection_, [](std::string_view, absl::Duration) {}).ok());
    today_ = storage::PartitionDay(time_.Now());
    UseRetention(absl::Hours(24 * 3));
  }
  void UseRetention(absl::Duration retention) {
    PartitionOptions options;
    options.retention = retention;
    options.statement_timeout = absl::Seconds(3);
    keeper_ = std::make_unique<PartitionKeeper>(database_.url(), time_, log_, metrics_, options);
  }
  std::vector<int> Days() {  // attached; relative to today
    std::vector<int> days;
    const storage::PartitionList list = storage::ListPartitions(*connection_).value();
    for (const storage::Partition& partition : list.days) {
      if (partition.attached && !partition.detaching) days.push_back(static_cast<int>(partition.day - today_));
    }
    return days;
  }
  void Make(int day) { ASSERT_TRUE(storage::MakePartition(*connection_, today_ + day).ok()); }
  std::string Name(int day) {
    const absl::CivilDay civil = today_ + day;
    return fmt::format("driver_locations_{:04}{:02}{:02}", civil.year(), civil.month(), civil.day());
  }
  double Metric(const std::string& name) {
    for (const prometheus::MetricFamily& family : registry_.Collect()) {
      if (family.name == name) return family.metric.front().gauge.value;
    }
    return -1;
  }
  testing::Sql& sql() { return sql_; }

  testing::TestDatabase database_;
  testing::Sql sql_{database_.url()};
  std::unique_ptr<storage::Connection> connection_;
  testing::ManualTime time_{absl::Now()};  // near the server's clock, with which it is compared
  Logger log_{LogFormat::kText, LogLevel::kOff, time_};
  Metrics registry_;
  IngestMetrics metrics_{registry_};
  absl::CivilDay today_;
  std::unique_ptr<PartitionKeeper> keeper_;
};

TEST_F(PartitionKeeperTest, MakesTheDaysAheadAndDropsThoseThatAreTooOld) {
  for (int day : {-9, -5, -3, -2}) Make(day);
  ASSERT_TRUE(keeper_->Keep().ok());
  EXPECT_THAT(Days(), ElementsAre(-3, -2, -1, 0, 1, 2));
  EXPECT_EQ(Metric("waybill_partitions_failing"), 0);
  EXPECT_EQ(Metric("waybill_partitions_default"), 0);
}

TEST_F(PartitionKeeperTest, OneDayThatFailsStopsNoOther) {
  for (int day : {-9, -8}) Make(day);
  // Tomorrow cannot be made, and the oldest cannot be dropped.
  sql().Exec(
      fmt::format("CREATE TABLE evening PARTITION OF driver_locations FOR VALUES FROM ('{} 23:00+00') TO "
                  "('{} 23:30+00')",
                  storage::DayText(today_ + 1), storage::DayText(today_ + 1)));
  sql().Exec(fmt::format("CREATE VIEW kept AS SELECT * FROM {}", Name(-9)));
  const absl::Status kept = keeper_->Keep();
  EXPECT_THAT(std::string(kept.message()), HasSubstr("making " + storage::DayText(today_ + 1)));
  EXPECT_THAT(std::string(kept.message()), HasSubstr("dropping " + storage::DayText(today_ - 9)));
  EXPECT_THAT(Days(), ElementsAre(-1, 0, 2));
  EXPECT_EQ(Metric("waybill_partitions_failing"), 2);
}

// The day in whose making it is told to stop is made, and no other.
TEST_F(PartitionKeeperTest, StopsBetweenTwoDays) {
  sql().Exec("BEGIN; LOCK TABLE driver_locations IN ACCESS EXCLUSIVE MODE");
  std::thread keeping([this] { EXPECT_TRUE(keeper_->Keep().ok()); });
  testing::Sql other(database_.url());
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] {
    return other.Value("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'driver_locations'::regclass") !=
           "0";
  }));
  keeper_->Stop();
  sql().Exec("COMMIT");
  keeping.join();
  EXPECT_THAT(Days(), ::testing::SizeIs(::testing::Le(1)));
  EXPECT_TRUE(keeper_->Keep().ok());
  EXPECT_THAT(Days(), ::testing::SizeIs(::testing::Le(1)));
}

TEST_F(PartitionKeeperTest, ADayDetachedByHandIsLeftAloneAndNoFailure) {
  Make(1);
  sql().Exec("ALTER TABLE driver_locations DETACH PARTITION " + Name(1));
  EXPECT_TRUE(keeper_->Keep().ok());
  EXPECT_THAT(Days(), ElementsAre(-1, 0, 2));
}

TEST_F(PartitionKeeperTest, RetentionThatIsRaisedTakesBackWhatWasBegun) {
  Make(-5);
  sql().Exec(fmt::format("COMMENT ON TABLE {} IS 'waybill: to be dropped'", Name(-5)));
  sql().Exec("ALTER TABLE driver_locations DETACH PARTITION " + Name(-5));
  UseRetention(absl::Hours(24 * 30));
  ASSERT_TRUE(keeper_->Keep().ok());
  EXPECT_THAT(Days(), ElementsAre(-5, -1, 0, 1, 2));
}

TEST_F(PartitionKeeperTest, BesideADefaultPartitionDaysAreMadeAndDroppedAndTheRestIsTrimmed) {
  Make(-9);
  sql().Exec("CREATE TABLE rest PARTITION OF driver_locations DEFAULT");
  auto put = [&](int day, const std::string& driver) {
    sql().Exec(
        fmt::format("INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) VALUES "
                    "('{} 12:00+00', now(), 1, 1, '{}')",
                    storage::DayText(today_ + day), driver));
  };
  put(0, "today");
  put(-2, "late");
  put(-20, "old");
  const absl::Status kept = keeper_->Keep();
  EXPECT_TRUE(kept.ok()) << kept;
  EXPECT_THAT(Days(), ElementsAre(-1, 0, 1, 2));
  EXPECT_EQ(sql().Value("SELECT tableoid::regclass FROM driver_locations WHERE driver_id = 'today'"), Name(0));
  EXPECT_EQ(sql().Value("SELECT tableoid::regclass FROM driver_locations WHERE driver_id = 'late'"), "rest");
  EXPECT_EQ(sql().Value("SELECT count(*) FROM driver_locations WHERE driver_id = 'old'"), "0");
  EXPECT_EQ(Metric("waybill_partitions_default"), 1);
}

TEST_F(PartitionKeeperTest, AClockThatIsAheadDropsNothingThatIsWanted) {
  for (int day : {-9, -2}) Make(day);
  time_.Advance(absl::Hours(24 * 365));
  ASSERT_TRUE(keeper_->Keep().ok());
  EXPECT_THAT(Days(), ElementsAre(-2, 364, 365, 366, 367));
}

}  // namespace
}  // namespace waybill::ingest
