#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/postgres/migrate.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using waybill::testing::Eventually;
using waybill::testing::Sql;
using waybill::testing::TestDatabase;

constexpr Migration kShop[] = {{1, "0001_shop.sql", "CREATE TABLE shop (n int); INSERT INTO shop VALUES (1);"},
                               {2, "0002_stock.sql", "CREATE TABLE stock (n int); INSERT INTO shop VALUES (2);"},
                               {3, "0003_staff.sql", "INSERT INTO shop VALUES (3);"}};

class MigrateTest : public ::testing::Test {
 protected:
  MigrateTest() {
    auto connection = Connection::Open(database_.url(), MigrationConnectionOptions());
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
  }
  absl::StatusOr<int> Run(std::span<const Migration> migrations) { return Migrate(*connection_, nullptr, migrations); }
  std::vector<MigrationState::Kind> Kinds(std::span<const Migration> migrations) {
    auto states = MigrationStatus(*connection_, migrations);
    EXPECT_TRUE(states.ok()) << states.status();
    std::vector<MigrationState::Kind> kinds;
    for (const MigrationState& state : *states) kinds.push_back(state.kind);
    return kinds;
  }
  std::string Shop() { return sql_.Value("SELECT string_agg(n::text, ' ' ORDER BY n) FROM shop"); }

  TestDatabase database_;
  Sql sql_{database_.url()};
  std::unique_ptr<Connection> connection_;
};

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST_F(MigrateTest, AppliesWhatIsMissingInOrderAndOnce) {
  std::vector<std::string> names;
  auto log = [&](std::string_view name, absl::Duration took) {
    names.emplace_back(name);
    EXPECT_GE(took, absl::ZeroDuration());
  };
  auto count = Migrate(*connection_, log, std::span(kShop).first(2));
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 2);
  count = Migrate(*connection_, log, kShop);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 1);
  EXPECT_EQ(*Run(kShop), 0);
  EXPECT_THAT(names, ElementsAre("0001_shop.sql", "0002_stock.sql", "0003_staff.sql"));
  EXPECT_EQ(Shop(), "1 2 3");
  EXPECT_EQ(sql_.Value("SELECT count(*) FROM schema_migrations WHERE applied_at <= now() AND duration_ms >= 0 "
                       "AND length(checksum) = 64"),
            "3");
}

TEST_F(MigrateTest, KnowsTheStateOfEach) {
  using Kind = MigrationState::Kind;
  EXPECT_THAT(Kinds(kShop), ElementsAre(Kind::kPending, Kind::kPending, Kind::kPending));
  EXPECT_EQ(sql_.Value("SELECT to_regclass('schema_migrations') IS NULL"), "t");  // looking changes nothing
  ASSERT_TRUE(Run(std::span(kShop).first(2)).ok());
  EXPECT_THAT(Kinds(kShop), ElementsAre(Kind::kApplied, Kind::kApplied, Kind::kPending));
  EXPECT_THAT(Kinds(std::span(kShop).first(1)), ElementsAre(Kind::kApplied, Kind::kUnknown));
  Migration edited[] = {kShop[0], kShop[1]};
  edited[1].sql = "SELECT 1";
  EXPECT_THAT(Kinds(edited), ElementsAre(Kind::kApplied, Kind::kEdited));
}

TEST_F(MigrateTest, RefusesAnEditedMigrationNamingItAndBothChecksums) {
  ASSERT_TRUE(Run(std::span(kShop).first(1)).ok());
  Migration edited[] = {kShop[0], kShop[1]};
  edited[0].sql = "abc";
  auto count = Run(edited);
  EXPECT_EQ(count.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(count.status()), HasSubstr("0001_shop.sql"));
  EXPECT_THAT(Message(count.status()), HasSubstr(sql_.Value("SELECT checksum FROM schema_migrations")));
  // SHA-256 of "abc": FIPS 180-2, appendix B.1.
  EXPECT_THAT(Message(count.status()), HasSubstr("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  EXPECT_EQ(sql_.Value("SELECT to_regclass('stock') IS NULL"), "t");
}

TEST_F(MigrateTest, RefusesADatabaseThatIsNewer) {
  ASSERT_TRUE(Run(kShop).ok());
  auto count = Run(std::span(kShop).first(2));
  EXPECT_EQ(count.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(count.status()), HasSubstr("newer"));
  EXPECT_THAT(Message(count.status()), HasSubstr("0003_staff.sql"));
}

TEST_F(MigrateTest, RefusesAGap) {
  ASSERT_TRUE(Run(kShop).ok());
  sql_.Exec("DELETE FROM schema_migrations WHERE version = 2");
  auto count = Run(kShop);
  EXPECT_EQ(count.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(count.status()), HasSubstr("0002_stock.sql"));
  EXPECT_EQ(Run(std::span(kShop).subspan(1)).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(MigrateTest, AFailingMigrationLeavesNothingBehindAndThoseBeforeItStay) {
  Migration broken[] = {kShop[0], kShop[1], kShop[2]};
  broken[1].sql = "CREATE TABLE stock (n int); INSERT INTO shop VALUES (2); INSERT INTO nonesuch VALUES (1);";
  auto count = Run(broken);
  ASSERT_FALSE(count.ok());
  EXPECT_THAT(Message(count.status()), HasSubstr("0002_stock.sql"));
  EXPECT_THAT(Message(count.status()), HasSubstr("nonesuch"));
  EXPECT_EQ(GetErrorDetail(count.status()).reason, "SCHEMA_MISMATCH");
  EXPECT_EQ(Shop(), "1");
  EXPECT_EQ(sql_.Value("SELECT to_regclass('stock') IS NULL"), "t");
  EXPECT_EQ(sql_.Value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM "
                       "pg_database WHERE datname = current_database())"),
            "0");
  count = Run(kShop);  // mended
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, 2);
}

TEST_F(MigrateTest, ManyAtOnceApplyEachOnce) {
  constexpr int kMigrators = 6;
  std::atomic<int> applied = 0, failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kMigrators; ++i) {
    threads.emplace_back([&] {
      auto connection = Connection::Open(database_.url(), MigrationConnectionOptions());
      auto count = connection.ok() ? Migrate(**connection, nullptr, kShop) : connection.status();
      if (count.ok()) {
        applied += *count;
      } else {
        ++failed;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(applied, 3);
  EXPECT_EQ(Shop(), "1 2 3");
}

TEST_F(MigrateTest, ASecondMigratorWaitsForTheFirst) {
  // The migration waits for a lock that this test holds until both migrators wait.
  constexpr Migration kSlow[] = {{1, "0001_slow.sql", "CREATE TABLE shop (n int); SELECT pg_advisory_xact_lock(42);"}};
  sql_.Exec("SELECT pg_advisory_lock(42)");
  std::atomic<int> applied = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      auto connection = Connection::Open(database_.url(), MigrationConnectionOptions());
      ASSERT_TRUE(connection.ok()) << connection.status();
      auto count = Migrate(**connection, nullptr, kSlow);
      EXPECT_TRUE(count.ok()) << count.status();
      applied += count.value_or(99);
    });
  }
  EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
    return sql_.Value(
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (SELECT oid "
               "FROM pg_database WHERE datname = current_database())") == "2";
  }));
  EXPECT_EQ(applied, 0);
  sql_.Exec("SELECT pg_advisory_unlock(42)");
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(applied, 1);
}

TEST_F(MigrateTest, ReadinessWantsAllOfOursAndToleratesNewerOnes) {
  EXPECT_THAT(Message(CheckSchema(*connection_, kShop)), HasSubstr("waybill migrate"));
  ASSERT_TRUE(Run(std::span(kShop).first(2)).ok());
  EXPECT_THAT(Message(CheckSchema(*connection_, kShop)), HasSubstr("0003_staff.sql"));
  ASSERT_TRUE(Run(kShop).ok());
  EXPECT_TRUE(CheckSchema(*connection_, kShop).ok());
  EXPECT_TRUE(CheckSchema(*connection_, std::span(kShop).first(2)).ok());
  Migration edited[] = {kShop[0]};
  edited[0].sql = "SELECT 1";
  EXPECT_THAT(Message(CheckSchema(*connection_, edited)), HasSubstr("0001_shop.sql"));
}

TEST_F(MigrateTest, TheBinaryHoldsEveryFileAsItIs) {
  std::vector<std::string> files;
  for (const Migration& migration : EmbeddedMigrations()) {
    std::ifstream in(std::filesystem::path(WAYBILL_MIGRATIONS_DIR) / migration.name);
    std::ostringstream text;
    text << in.rdbuf();
    EXPECT_EQ(text.str(), migration.sql) << migration.name;
    files.emplace_back(migration.name);
  }
  size_t on_disk = 0;
  for (const auto& entry : std::filesystem::directory_iterator(WAYBILL_MIGRATIONS_DIR))
    on_disk += entry.is_regular_file();
  EXPECT_EQ(files.size(), on_disk);
  auto count = Migrate(*connection_, nullptr);
  ASSERT_TRUE(count.ok()) << count.status();
  EXPECT_EQ(*count, static_cast<int>(files.size()));
  EXPECT_TRUE(CheckSchema(*connection_).ok());
}

}  // namespace
}  // namespace waybill::storage
