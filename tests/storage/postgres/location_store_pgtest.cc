#include <atomic>
#include <future>
#include <tuple>
#include <utility>

#include "runtime/executor.h"
#include "runtime/status.h"
#include "storage/postgres/location_history.h"
#include "storage/postgres/location_log.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/sqlstate.h"
#include "tests/storage/location_contract.h"
#include "tests/support/eventually.h"
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
    options.on_bad_day = [this](const BadDay& bad) {
      std::lock_guard lock(told_mutex_);
      told_.push_back((bad.why.ok() ? "good " : bad.refused ? "refused " : "sent back ") + DayText(bad.day));
    };
    options.on_commit = [this](const LocationCommit& commit) {
      stored += commit.stored;
      locations += commit.locations;
      refused += commit.refused;
      EXPECT_GE(commit.locations, commit.stored + commit.refused);
    };
    options.on_day_forgotten = [this](absl::CivilDay day) {
      std::lock_guard lock(told_mutex_);
      told_.push_back("forgotten " + DayText(day));
    };
    log_ = std::make_unique<PostgresLocationLog>(database_.url(), options, ThreadLoops());
  }
  LocationLog& log() override { return *log_; }
  LocationHistory& history() override { return *history_; }
  Connection& connection() { return *connection_; }
  testing::Sql& sql() { return sql_; }
  const std::string& url() const { return database_.url(); }
  PostgresLocationLog& postgres_log() { return *log_; }
  // What the log said of its days.
  std::vector<std::string> told() {
    std::lock_guard lock(told_mutex_);
    return told_;
  }

  std::atomic<size_t> stored{0}, locations{0}, refused{0};

 private:
  testing::TestDatabase database_;
  testing::Sql sql_{database_.url()};
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Pool> pool_;
  std::unique_ptr<PostgresLocationHistory> history_;
  std::mutex told_mutex_;
  std::vector<std::string> told_;
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
  std::vector<domain::DriverPosition> positions;
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

// With a server that has room for few locks, and history of more than a year.
TEST(PostgresLocationHistory, ALongHistoryIsReadWithFewLocks) {
  auto server = testing::PostgresServer::Start(
      {{"max_locks_per_transaction", "10"}, {"max_connections", "20"}, {"fsync", "off"}});
  ASSERT_TRUE(server.ok()) << server.status();
  testing::TestDatabase database((*server)->Url());
  auto connection = Connection::Open(database.url(), MigrationConnectionOptions());
  ASSERT_TRUE(connection.ok()) << connection.status();
  ASSERT_TRUE(Migrate(**connection, [](std::string_view, absl::Duration) {}).ok());
  const absl::CivilDay today(2026, 5, 28);
  constexpr int kDays = 400;
  for (int day = 0; day < kDays; ++day) ASSERT_TRUE(MakePartition(**connection, today - day).ok());
  testing::Sql sql(database.url());
  auto put = [&](int days_ago, const std::string& driver) {
    sql.Exec(
        fmt::format("INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) VALUES "
                    "('{} 12:00+00', now(), 1, 1, '{}')",
                    DayText(today - days_ago), driver));
  };
  put(0, "new");
  put(200, "middle");
  put(kDays - 1, "old");
  put(0, "both");
  put(300, "both");
  EXPECT_EQ(sql.Run("SELECT * FROM driver_locations WHERE driver_id = 'x'").sqlstate, "53200")
      << "all at once is too much";
  Pool pool(database.url(), ReadConnectionOptions(), PoolOptions{});
  PostgresLocationHistory history(pool);
  auto latest = history.Latest({"old", "nobody", "new", "middle", "both"});
  ASSERT_TRUE(latest.ok()) << latest.status();
  auto days_ago = [&](const domain::DriverPosition& position) {
    return static_cast<int>(today - PartitionDay(position.recorded_at));
  };
  ASSERT_TRUE((*latest)[0] && (*latest)[2] && (*latest)[3] && (*latest)[4]);
  EXPECT_EQ(days_ago(*(*latest)[0]), kDays - 1);
  EXPECT_FALSE((*latest)[1]);
  EXPECT_EQ(days_ago(*(*latest)[2]), 0);
  EXPECT_EQ(days_ago(*(*latest)[3]), 200);
  EXPECT_EQ(days_ago(*(*latest)[4]), 0);
  auto track = history.Track({"both", absl::UnixEpoch(), absl::FromCivil(today + 1, absl::UTCTimeZone()), 10});
  ASSERT_TRUE(track.ok()) << track.status();
  ASSERT_EQ(track->size(), 2u);
  EXPECT_EQ(days_ago((*track)[0]), 300);
  track = history.Track({"both", absl::UnixEpoch(), absl::FromCivil(today + 1, absl::UTCTimeZone()), 1});
  ASSERT_TRUE(track.ok()) << track.status();
  EXPECT_EQ(track->size(), 1u);
}

TEST_P(PostgresLocationLogTest, ReadsOneDriversHourByTheKeyOfTheDaysItTouches) {
  std::vector<domain::DriverPosition> positions;
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

// One writer, so that whoever gets stuck stops everything; and no long waits for locks.
std::unique_ptr<LocationWorld> MakeOneWriterWorld() {
  LocationLogOptions options;
  options.writers = 1;
  options.lock_timeout = absl::Milliseconds(50);
  return std::make_unique<PostgresWorld>(options);
}

// The day of noon_ is the present one, and one before it goes bad.
class BadDayTest : public PostgresLocationLogTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Append({At("d-1", absl::ZeroDuration()), At("d-1", -kDay), At("d-1", -2 * kDay)}).ok());
  }
  testing::Sql& sql() { return world().sql(); }

  // Live points go on, alone and beside others; others of the past as well.
  void ExpectOthersGoOn() {
    ASSERT_TRUE(Append({At("live", absl::Seconds(1)), At("live", -kDay + absl::Seconds(1))}).ok());
    EXPECT_THAT(refused_, ::testing::SizeIs(1));
    ASSERT_TRUE(Append({At("live", absl::Seconds(2))}).ok());
    ASSERT_TRUE(Append({At("live", -2 * kDay)}).ok());
    EXPECT_THAT(Track("live"),
                ElementsAre(At("live", -2 * kDay), At("live", absl::Seconds(1)), At("live", absl::Seconds(2))));
    EXPECT_FALSE(log().stalled());
  }
  // Its points are refused, each time.
  void ExpectRefused(const std::string& why) {
    for (int n = 1; n <= 3; ++n) {
      ASSERT_TRUE(Append({At("late", absl::Seconds(n) - kDay), At("late", absl::Seconds(n + 10) - kDay)}).ok());
      ASSERT_THAT(refused_, ::testing::SizeIs(2));
      EXPECT_THAT(refused_[0].why, HasSubstr(why));
    }
    EXPECT_THAT(world().told(), ::testing::Contains("refused 2026-05-27"));
    EXPECT_THAT(world().postgres_log().bad_days(), ::testing::SizeIs(1));
  }
};
INSTANTIATE_TEST_SUITE_P(Postgres, BadDayTest, ::testing::Values(&MakeOneWriterWorld));

// Each attempt is made.
std::unique_ptr<LocationWorld> MakeUnpausedWorld() {
  LocationLogOptions options;
  options.writers = 1;
  options.lock_timeout = absl::Milliseconds(50);
  options.bad_day_pause = absl::ZeroDuration();
  options.bad_day_kept = absl::Milliseconds(50);
  return std::make_unique<PostgresWorld>(options);
}

class UnpausedBadDayTest : public BadDayTest {};
INSTANTIATE_TEST_SUITE_P(Postgres, UnpausedBadDayTest, ::testing::Values(&MakeUnpausedWorld));

TEST_P(UnpausedBadDayTest, ADayThatATriggerSealedIsRefusedOrSentBackAndAllOthersGoOn) {
  struct Case {
    std::string code;
    bool refused;  // or sent back: it may pass, or can be mended
  };
  for (const auto& [code, refused] : {Case{"raise_exception", true},
                                      {"insufficient_privilege", true},
                                      {"feature_not_supported", true},
                                      {"read_only_sql_transaction", false},
                                      {"undefined_table", true},
                                      {"connection_failure", false},
                                      {"object_not_in_prerequisite_state", true},
                                      {"index_corrupted", false},
                                      {"data_corrupted", false}}) {
    SCOPED_TRACE(code);
    sql().Exec(
        fmt::format("CREATE OR REPLACE FUNCTION sealed() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$BEGIN RAISE EXCEPTION 'sealed' USING ERRCODE = '{}'; END$$",
                    code));
    sql().Exec(
        "CREATE OR REPLACE TRIGGER sealed BEFORE INSERT ON driver_locations_20260527 FOR EACH ROW "
        "EXECUTE FUNCTION sealed()");
    for (int n = 1; n <= 2; ++n) {
      const absl::Status answer = Append({At("late", absl::Seconds(n) - kDay)});
      EXPECT_EQ(answer.code(), refused ? absl::StatusCode::kOk : absl::StatusCode::kUnavailable) << answer;
      EXPECT_THAT(refused_, ::testing::SizeIs(refused ? 1 : 0));
    }
    EXPECT_TRUE(Append({At(code, absl::Seconds(1))}).ok());
    EXPECT_TRUE(refused_.empty());
  }
  EXPECT_THAT(Track("late"), ::testing::IsEmpty());
}

// What was sent back here, another process stored: nothing of that day comes here any more.
TEST_P(UnpausedBadDayTest, ABadDayThatNobodyMeetsAnyMoreIsForgotten) {
  sql().Exec("BEGIN; LOCK TABLE driver_locations_20260527 IN ACCESS EXCLUSIVE MODE");
  EXPECT_EQ(Append({At("late", -kDay)}).code(), absl::StatusCode::kUnavailable);
  sql().Exec("COMMIT");
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return world().postgres_log().bad_days().empty(); }));
  EXPECT_THAT(world().told(), ElementsAre("sent back 2026-05-27", "forgotten 2026-05-27"));
}

TEST_P(BadDayTest, ASealedDayIsRefusedByName) {
  sql().Exec("CREATE FUNCTION sealed() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'sealed'; END$$");
  sql().Exec("CREATE TRIGGER sealed BEFORE INSERT ON driver_locations_20260527 FOR EACH ROW EXECUTE FUNCTION sealed()");
  ExpectRefused("sealed");
  ExpectOthersGoOn();
  sql().Exec("DROP TRIGGER sealed ON driver_locations_20260527");
  ASSERT_TRUE(Append({At("late", -kDay)}).ok());
  EXPECT_THAT(refused_, ::testing::IsEmpty());
  EXPECT_EQ(world().told().back(), "good 2026-05-27");
  EXPECT_THAT(world().postgres_log().bad_days(), ::testing::IsEmpty());
}

TEST_P(BadDayTest, ATriggerThatRefusesSomeCostsTheOthersOfItsDayNothing) {
  sql().Exec(
      "CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.lat = 7 THEN "
      "RAISE EXCEPTION 'seven'; END IF; RETURN NEW; END$$");
  sql().Exec("CREATE TRIGGER picky BEFORE INSERT ON driver_locations FOR EACH ROW EXECUTE FUNCTION picky()");
  std::vector<domain::DriverPosition> positions;
  for (int i = 0; i < 20; ++i) positions.push_back(At("d-2", absl::Seconds(i) - kDay, i % 9 == 3 ? 7 : 52));
  ASSERT_TRUE(Append(positions).ok());
  EXPECT_THAT(refused_, ::testing::SizeIs(2));
  EXPECT_THAT(Track("d-2"), ::testing::SizeIs(18));
  EXPECT_THAT(world().told(), ::testing::IsEmpty());
}

TEST_P(BadDayTest, ADayDetachedByHandIsLeftAlone) {
  sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260527");
  ExpectRefused("by hand");
  ExpectOthersGoOn();
  EXPECT_EQ(sql().Value("SELECT count(*) FROM pg_inherits WHERE inhrelid = 'driver_locations_20260527'::regclass"),
            "0");
}

TEST_P(BadDayTest, ADayDetachedAndAlteredIsLeftAlone) {
  sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260527");
  sql().Exec("ALTER TABLE driver_locations_20260527 DROP COLUMN marks");
  ExpectRefused("by hand");
  ExpectOthersGoOn();
}

TEST_P(BadDayTest, AViewInADaysPlaceIsLeftAlone) {
  sql().Exec("DROP TABLE driver_locations_20260527");
  sql().Exec("CREATE VIEW driver_locations_20260527 AS SELECT 1");
  ExpectRefused("by hand");
  ExpectOthersGoOn();
}

TEST_P(BadDayTest, ADayThatAnotherPartitionOverlapsInPartIsRefused) {
  sql().Exec("DROP TABLE driver_locations_20260527");
  sql().Exec(
      "CREATE TABLE evening PARTITION OF driver_locations FOR VALUES FROM ('2026-05-27 23:00+00') TO "
      "('2026-05-28 00:00+00')");
  ExpectRefused("overlap");
  ExpectOthersGoOn();
}

TEST_P(BadDayTest, ADayThatIsLockedIsSentBackAndTheOthersGoOn) {
  sql().Exec("BEGIN; LOCK TABLE driver_locations_20260527 IN ACCESS EXCLUSIVE MODE");
  const absl::Status answer = Append({At("late", -kDay), At("late", absl::ZeroDuration())});
  EXPECT_EQ(answer.code(), absl::StatusCode::kUnavailable) << answer;
  EXPECT_EQ(GetErrorDetail(answer).reason, "STORE_UNAVAILABLE");
  EXPECT_THAT(std::string(answer.message()), HasSubstr("2026-05-27"));
  ASSERT_TRUE(Append({At("live", absl::Seconds(1))}).ok());
  sql().Exec("COMMIT");
  EXPECT_THAT(Track("late"), ElementsAre(At("late", absl::ZeroDuration()))) << "what could be stored is";
  EXPECT_THAT(world().told(), ElementsAre("sent back 2026-05-27"));
}

TEST_P(BadDayTest, APresentDayWithoutItsTableIsSentBackAndTheOthersGoOn) {
  sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260528");
  EXPECT_EQ(Append({At("live", absl::ZeroDuration())}).code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(Append({At("late", -kDay)}).ok());
  EXPECT_THAT(refused_, ::testing::IsEmpty());
}

TEST_P(BadDayTest, ARoleThatOwnsNothingHasItsDaysMade) {
  sql().Exec("DO $$BEGIN IF to_regrole('waybill_app') IS NULL THEN CREATE ROLE waybill_app LOGIN; END IF; END$$");
  sql().Exec("GRANT SELECT, INSERT, DELETE ON driver_locations TO waybill_app");
  std::string url = world().url();
  const size_t at = url.find('@');
  ASSERT_NE(at, std::string::npos);
  url = "postgresql://waybill_app" + url.substr(at);
  auto connection = Connection::Open(url, {});
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_TRUE(MakePartition(**connection, absl::CivilDay(2026, 5, 20)).ok());
  auto list = ListPartitions(**connection);
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_FALSE(list->owned);
  ASSERT_EQ(list->days.front().day, absl::CivilDay(2026, 5, 20));
  EXPECT_TRUE(DropPartition(**connection, *list, list->days.front()).ok());
  sql().Exec("REVOKE DELETE, INSERT ON driver_locations FROM waybill_app");
  EXPECT_FALSE(MakePartition(**connection, absl::CivilDay(2026, 5, 20)).ok());
  EXPECT_FALSE(DropPartition(**connection, *list, list->days.back()).ok());
  sql().Exec("DROP OWNED BY waybill_app");
}

TEST_P(BadDayTest, ARoleThatMayMakeNoDayLosesNoOther) {
  sql().Exec("DROP FUNCTION waybill_attach_day(date); DROP TABLE driver_locations_20260527");
  ExpectRefused("waybill_attach_day");
  ExpectOthersGoOn();
}

TEST_P(UnpausedBadDayTest, ARoleThatLostTheRightToMakeADayHasItsPointsSentBackUntilItIsBack) {
  // A superuser has every right: the log's own session is one that has not.
  sql().Exec("DO $$BEGIN IF to_regrole('waybill_maker') IS NULL THEN CREATE ROLE waybill_maker LOGIN; END IF; END$$");
  sql().Exec("GRANT SELECT, INSERT, DELETE ON driver_locations TO waybill_maker");
  sql().Exec("REVOKE EXECUTE ON FUNCTION waybill_attach_day(date) FROM PUBLIC");
  const std::string url = world().url();
  const size_t at = url.find('@');
  ASSERT_NE(at, std::string::npos);
  LocationLogOptions options;
  options.writers = 1;
  options.bad_day_pause = absl::ZeroDuration();
  PostgresLocationLog log("postgresql://waybill_maker" + url.substr(at), options, ThreadLoops());
  auto append = [&] {
    std::promise<std::pair<absl::Status, size_t>> answer;
    LocationAppend one;
    one.received_at = noon_;
    one.locations.push_back({At("late", -5 * kDay)});
    one.done = [&](const absl::Status& status, LocationAppend& done) {
      answer.set_value({status, done.refused.size()});
    };
    EXPECT_TRUE(log.Append(one));
    return answer.get_future().get();
  };
  auto [status, refused] = append();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(refused, 0u);
  sql().Exec("GRANT EXECUTE ON FUNCTION waybill_attach_day(date) TO PUBLIC");
  std::tie(status, refused) = append();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(refused, 0u);
  EXPECT_THAT(Track("late"), ::testing::SizeIs(1));
  log.Stop();
  sql().Exec("DROP OWNED BY waybill_maker");
}

// What stops everything is nobody's fault: it is waited out.
TEST_P(BadDayTest, ATableThatIsGoneIsWaitedFor) {
  sql().Exec("ALTER TABLE driver_locations RENAME TO elsewhere");
  LocationAppend append;
  append.received_at = noon_;
  append.locations.push_back({At("d-1", -kDay + absl::Seconds(5))});
  absl::Status answer = absl::UnknownError("");
  append.done = [&](const absl::Status& status, LocationAppend& done) {
    std::lock_guard lock(mutex_);
    answer = status;
    refused_ = std::move(done.refused);
    ++answers_;
    answered_.notify_all();
  };
  const int before = answers_;
  ASSERT_TRUE(log().Append(append));
  EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] { return log().stalled(); }));
  sql().Exec("ALTER TABLE elsewhere RENAME TO driver_locations");
  std::unique_lock lock(mutex_);
  answered_.wait(lock, [&] { return answers_ > before; });
  EXPECT_TRUE(answer.ok()) << answer;
  EXPECT_THAT(refused_, ::testing::IsEmpty());
}

class LocationPartitionsTest : public ::testing::Test {
 protected:
  PartitionList List() { return ListPartitions(world_.connection()).value(); }
  std::vector<absl::CivilDay> Attached() {
    std::vector<absl::CivilDay> days;
    for (const Partition& partition : List().days) {
      if (partition.attached && !partition.detaching) days.push_back(partition.day);
    }
    return days;
  }
  void Make(const std::vector<absl::CivilDay>& days) {
    for (absl::CivilDay day : days) {
      const absl::Status made = MakePartition(world_.connection(), day);
      EXPECT_TRUE(made.ok()) << made;
    }
  }
  // The oldest one.
  absl::Status Drop(Connection& connection) {
    const PartitionList list = List();
    return DropPartition(connection, list, list.days.front());
  }
  void Put(absl::CivilDay day, const std::string& driver = "d") {
    world_.sql().Exec(
        fmt::format("INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) VALUES "
                    "('{} 12:00+00', now(), 1, 1, '{}')",
                    DayText(day), driver));
  }
  std::string TableOf(const std::string& driver) {
    return world_.sql().Value("SELECT tableoid::regclass FROM driver_locations WHERE driver_id = $1", {driver});
  }
  std::unique_ptr<Connection> Impatient() {
    ConnectionOptions options;
    options.statement_timeout = absl::Seconds(2);
    auto connection = Connection::Open(world_.url(), options);
    EXPECT_TRUE(connection.ok()) << connection.status();
    return *std::move(connection);
  }
  PostgresWorld world_;
  const absl::CivilDay day_{2026, 5, 28};
};

TEST_F(LocationPartitionsTest, AreMadeOnceHoweverOftenAndByHowManyTheyAreAskedFor) {
  Make({day_, day_ + 1});
  Make({day_, day_ + 1, day_ + 2});
  EXPECT_THAT(Attached(), ElementsAre(day_, day_ + 1, day_ + 2));
  const std::string bounds = world_.sql().Value(
      "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'driver_locations_20260528'");
  EXPECT_THAT(bounds, HasSubstr("2026-05-28"));
  EXPECT_THAT(bounds, HasSubstr("2026-05-29"));
}

TEST_F(LocationPartitionsTest, ATableThatIsNoPartitionIsLeftAlone) {
  world_.sql().Exec("CREATE TABLE driver_locations_20260528 (LIKE driver_locations INCLUDING ALL)");
  const absl::Status made = MakePartition(world_.connection(), day_);
  EXPECT_EQ(Sqlstate(made), "55000") << made;
  EXPECT_THAT(Attached(), ::testing::IsEmpty());
}

TEST_F(LocationPartitionsTest, AreDroppedWithAllThatIsInThem) {
  Make({day_, day_ + 1});
  Put(day_);
  const absl::Status dropped = Drop(world_.connection());
  ASSERT_TRUE(dropped.ok()) << dropped;
  EXPECT_THAT(Attached(), ElementsAre(day_ + 1));
  EXPECT_EQ(world_.sql().Value("SELECT to_regclass('driver_locations_20260528') IS NULL"), "t");
}

TEST_F(LocationPartitionsTest, ADropThatWaitedInVainIsGoneOnWith) {
  Make({day_, day_ + 1});
  world_.sql().Exec("BEGIN; SELECT count(*) FROM driver_locations");  // a query that reads the day
  EXPECT_FALSE(Drop(*Impatient()).ok());
  world_.sql().Exec("COMMIT");
  ASSERT_TRUE(List().days.front().detaching);
  const absl::Status dropped = Drop(world_.connection());
  ASSERT_TRUE(dropped.ok()) << dropped;
  EXPECT_THAT(Attached(), ElementsAre(day_ + 1));
}

TEST_F(LocationPartitionsTest, AnInterruptedDropThatIsNoLongerWantedIsTakenBack) {
  Make({day_, day_ + 1});
  Put(day_, "kept");
  world_.sql().Exec("BEGIN; SELECT count(*) FROM driver_locations");
  EXPECT_FALSE(Drop(*Impatient()).ok());
  world_.sql().Exec("COMMIT");
  ASSERT_TRUE(List().days.front().detaching);
  ASSERT_TRUE(List().days.front().doomed);
  Make({day_});
  EXPECT_EQ(TableOf("kept"), "driver_locations_20260528");
  EXPECT_FALSE(List().days.front().doomed);
  // The same where it was detached already.
  world_.sql().Exec("COMMENT ON TABLE driver_locations_20260528 IS 'waybill: to be dropped'");
  world_.sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260528");
  Make({day_});
  EXPECT_EQ(TableOf("kept"), "driver_locations_20260528");
}

TEST_F(LocationPartitionsTest, ACommentThatIsNoLongerTrueIsTakenAway) {
  Make({day_});
  world_.sql().Exec("COMMENT ON TABLE driver_locations_20260528 IS 'waybill: to be dropped'");
  Make({day_});
  EXPECT_FALSE(List().days.front().doomed);
}

TEST_F(LocationPartitionsTest, WhatSomebodyDetachedIsNotListed) {
  Make({day_, day_ + 1});
  world_.sql().Exec("COMMENT ON TABLE driver_locations_20260528 IS 'waybill: to be dropped'");
  world_.sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260528");
  world_.sql().Exec("ALTER TABLE driver_locations DETACH PARTITION driver_locations_20260529");
  ASSERT_THAT(List().days, ::testing::SizeIs(1));
  EXPECT_TRUE(List().days.front().doomed);
}

TEST_F(LocationPartitionsTest, AreMadeWhileSomebodyWrites) {
  Make({day_});
  world_.sql().Exec(
      "BEGIN; INSERT INTO driver_locations (recorded_at, received_at, lat, long, driver_id) VALUES "
      "('2026-05-28 12:00+00', now(), 1, 1, 'd')");
  // The writer's transaction is open: this must not wait for it.
  Make({day_ + 1});
  world_.sql().Exec("COMMIT");
}

TEST_F(LocationPartitionsTest, ADayTakesItsRowsOutOfADefaultPartition) {
  world_.sql().Exec("CREATE TABLE rest PARTITION OF driver_locations DEFAULT");
  Put(day_, "a");
  Put(day_ + 1, "b");
  ASSERT_EQ(TableOf("a"), "rest");
  EXPECT_EQ(List().rest, "rest");
  Make({day_});
  EXPECT_EQ(TableOf("a"), "driver_locations_20260528");
  EXPECT_EQ(TableOf("b"), "rest");
}

TEST_F(LocationPartitionsTest, ADayIsDroppedBesideADefaultPartitionUnlessAQueryIsInTheWay) {
  world_.sql().Exec("CREATE TABLE rest PARTITION OF driver_locations DEFAULT");
  Make({day_, day_ + 1});
  world_.sql().Exec("BEGIN; SELECT count(*) FROM driver_locations");
  EXPECT_EQ(Sqlstate(Drop(world_.connection())), "55P03");
  world_.sql().Exec("COMMIT");
  const absl::Status dropped = Drop(world_.connection());
  ASSERT_TRUE(dropped.ok()) << dropped;
  EXPECT_THAT(Attached(), ElementsAre(day_ + 1));
}

TEST_F(LocationPartitionsTest, WhatADefaultPartitionHoldsIsTrimmed) {
  EXPECT_EQ(TrimRest(world_.connection(), absl::Now()).value(), 0);
  world_.sql().Exec("CREATE TABLE rest PARTITION OF driver_locations DEFAULT");
  Put(day_, "a");
  Put(day_ + 1, "b");
  EXPECT_EQ(TrimRest(world_.connection(), absl::FromCivil(day_ + 1, absl::UTCTimeZone())).value(), 1);
  EXPECT_EQ(TableOf("b"), "rest");
  EXPECT_EQ(TableOf("a"), "");
}

}  // namespace
}  // namespace waybill::storage
