#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/driver_store.h"
#include "storage/postgres/rights.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"
#include "tests/support/temp_directory.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

domain::Deed SomeDeed(const std::string& subject, const std::string& action = "saga.resolve") {
  return {{"console", "k1", "ann"}, action, "saga", subject, {{"reason", "paid back \"by hand\" \xff"}}};
}

std::vector<AuditEntry> AllEntries(AuditLog& audit) {
  AuditQuery all;
  all.oldest_first = true;
  all.limit = 1'000'000;
  auto entries = audit.List(all);
  EXPECT_TRUE(entries.ok()) << entries.status();
  return entries.ok() ? *std::move(entries) : std::vector<AuditEntry>();
}

class AuditPgTest : public ::testing::Test {
 protected:
  waybill::testing::Sql& sql() { return database_.sql(); }
  void Append(int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(audit_.Append(SomeDeed("s-" + std::to_string(i + 1))).ok());
  }
  // "": the chain is whole, up to the head.
  std::string Fault() {
    AuditChain chain;
    for (const AuditEntry& entry : AllEntries(audit_)) {
      if (std::string fault = chain.Add(entry); !fault.empty()) return fault;
    }
    return *audit_.Head() == chain.head() ? "" : "ends at " + std::to_string(chain.head().sequence);
  }
  // As somebody does who may do everything.
  void Tamper(const std::string& change) {
    sql().Exec("SET session_replication_role = replica");  // no triggers
    sql().Exec(change);
    sql().Exec("SET session_replication_role = origin");
  }
  std::string Refused(const std::string& change) { return sql().Run(change).sqlstate; }

  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresAuditLog audit_{pool_, pool_};
};

TEST_F(AuditPgTest, AnEntrySaysWhatTheDeedSaid) {
  const absl::Time before = absl::Now() - absl::Minutes(1);
  ASSERT_TRUE(audit_.Append(SomeDeed("s-1")).ok());
  ASSERT_TRUE(audit_.Append({{"shop"}, "driver.capacity", "driver", ""}).ok());
  const std::vector<AuditEntry> entries = AllEntries(audit_);
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].sequence, 1);
  EXPECT_GT(entries[0].at, before);
  EXPECT_EQ(entries[0].by, (domain::Actor{"console", "k1", "ann"}));
  EXPECT_EQ(entries[0].action, "saga.resolve");
  EXPECT_EQ(entries[0].subject_kind, "saga");
  EXPECT_EQ(entries[0].subject, "s-1");
  EXPECT_EQ(entries[0].detail, "{\"reason\":\"paid back \\\"by hand\\\" \xef\xbf\xbd\"}");
  EXPECT_EQ(entries[1].detail, "{}");
  EXPECT_EQ(entries[1].previous_hash, entries[0].hash);
  EXPECT_EQ(Fault(), "");
  EXPECT_EQ(sql().Value("SELECT count(*) FROM audit_deeds"), "0");
}

TEST_F(AuditPgTest, ListsBothWaysPageByPageAndByFilter) {
  Append(5);
  ASSERT_TRUE(audit_.Append({{"admin"}, "key.revoke", "key", "k7"}).ok());
  const auto numbers = [&](const AuditQuery& query) {
    std::vector<int64_t> found;
    const auto entries = audit_.List(query);
    for (const AuditEntry& entry : *entries) found.push_back(entry.sequence);
    return found;
  };
  EXPECT_THAT(numbers({.limit = 2}), ElementsAre(6, 5));
  EXPECT_THAT(numbers({.beyond = 5, .limit = 2}), ElementsAre(4, 3));
  EXPECT_THAT(numbers({.oldest_first = true, .beyond = 4}), ElementsAre(5, 6));
  EXPECT_THAT(numbers({.client = "admin"}), ElementsAre(6));
  EXPECT_THAT(numbers({.action = "key."}), ElementsAre(6));
  EXPECT_THAT(numbers({.action = "key"}), ElementsAre());
  EXPECT_THAT(numbers({.subject_kind = "saga", .subject = "s-2"}), ElementsAre(2));
  const absl::Time third = AllEntries(audit_)[2].at;
  EXPECT_THAT(numbers({.from = third, .to = third + absl::Microseconds(1)}), ElementsAre(3));
}

TEST_F(AuditPgTest, EntriesAreNeitherChangedNorRemoved) {
  Append(2);
  EXPECT_EQ(Refused("UPDATE audit_entries SET client = 'other' WHERE sequence = 1"), "23514");
  EXPECT_EQ(Refused("DELETE FROM audit_entries WHERE sequence = 2"), "23514");
  EXPECT_EQ(Refused("TRUNCATE audit_entries"), "23514");
  EXPECT_EQ(Fault(), "");
}

TEST_F(AuditPgTest, WhatWasDoneBehindTheTriggersBackIsFound) {
  const std::pair<std::string, std::string> tampering[] = {
      {"UPDATE audit_entries SET client = 'other' WHERE sequence = 3", "entry 3 was changed"},
      {"UPDATE audit_entries e SET detail = '{}', hash = audit_hash((e.sequence, e.at, e.client, e.key_id, "
       "e.operator_name, e.action, e.subject_kind, e.subject, '{}', e.previous_hash, NULL)::audit_entries) "
       "WHERE sequence = 3",
       "entry 4 does not follow"},
      {"DELETE FROM audit_entries WHERE sequence = 3", "entry 3 is missing"},
      {"DELETE FROM audit_entries WHERE sequence > 3", "ends at 3"},
      {"UPDATE audit_entries SET sequence = CASE sequence WHEN 3 THEN -4 ELSE -3 END WHERE sequence IN (3, 4);"
       "UPDATE audit_entries SET sequence = -sequence WHERE sequence < 0",
       "entry 3 does not follow"},
      {"INSERT INTO audit_entries SELECT 6, at, client, key_id, operator_name, action, subject_kind, subject, detail, "
       "previous_hash, hash FROM audit_entries WHERE sequence = 5",
       "entry 6 does not follow"}};
  sql().Exec("ALTER TABLE audit_entries DROP CONSTRAINT audit_entries_sequence_positive");
  Append(5);
  ASSERT_EQ(Fault(), "");
  sql().Exec("CREATE TABLE kept AS SELECT * FROM audit_entries");
  for (const auto& [change, fault] : tampering) {
    Tamper(change);
    EXPECT_THAT(Fault(), HasSubstr(fault)) << change;
    Tamper("DELETE FROM audit_entries; INSERT INTO audit_entries SELECT * FROM kept");
    ASSERT_EQ(Fault(), "");
  }
}

// Several processes at once, each with several sessions.
TEST_F(AuditPgTest, ManyWritersKeepOneChain) {
  Pool other_pool(database_.url(), WriteConnectionOptions(), PoolOptions());
  PostgresAuditLog other(other_pool, other_pool);
  PostgresDriverStore drivers(other_pool);
  std::vector<std::thread> threads;
  constexpr int kEach = 30;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string subject = std::to_string(t) + "-" + std::to_string(i);
        EXPECT_TRUE((t % 2 == 0 ? audit_ : other).Append(SomeDeed(subject)).ok());
        EXPECT_TRUE(drivers.SetCapacities({{"van", 2 + i % 7}, {"bike", 2 + t}}, SomeDeed(subject)).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Fault(), "");
  EXPECT_GE(audit_.Head()->sequence, 4 * kEach);
}

// The head is locked last: whoever has it waits for nobody.
TEST_F(AuditPgTest, WhoWaitsForARowDoesNotHoldUpTheAudit) {
  PostgresDriverStore drivers(pool_);
  ASSERT_TRUE(drivers.SetCapacities({{"van", 2}}, SomeDeed("van")).ok());
  waybill::testing::Sql other(database_.url());
  other.Exec("BEGIN");
  other.Exec("SELECT FROM drivers FOR UPDATE");
  std::thread waits([&] { EXPECT_TRUE(drivers.SetCapacities({{"van", 3}}, SomeDeed("van")).ok()); });
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    return sql().Value(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
               "current_database()") == "1";
  }));
  EXPECT_TRUE(audit_.Append(SomeDeed("meanwhile")).ok());
  // Nor does an open transaction that has done something already.
  other.Exec(
      "INSERT INTO audit_deeds (client, key_id, operator_name, action, subject_kind, subject, detail) "
      "VALUES ('', '', '', 'a', 'b', '', '{}')");
  EXPECT_TRUE(audit_.Append(SomeDeed("meanwhile, too")).ok());
  other.Exec("COMMIT");
  waits.join();
  EXPECT_EQ(Fault(), "");
  EXPECT_EQ(audit_.Head()->sequence, 5);
}

TEST_F(AuditPgTest, WhoHoldsTheHeadHoldsUpADeedForASecondAndNoMore) {
  sql().Exec("BEGIN");
  sql().Exec("SELECT FROM audit_head FOR UPDATE");
  const absl::Status late = audit_.Append(SomeDeed("s-1"));
  EXPECT_EQ(GetErrorDetail(late).reason, "STORE_UNAVAILABLE") << late;
  sql().Exec("COMMIT");
  EXPECT_TRUE(audit_.Append(SomeDeed("s-2")).ok());
  const std::vector<AuditEntry> entries = AllEntries(audit_);
  ASSERT_EQ(entries.size(), 1u) << "what was answered late was not done later either";
  EXPECT_EQ(entries[0].subject, "s-2");
}

TEST_F(AuditPgTest, WhatIsRolledBackWasNotDone) {
  sql().Exec("BEGIN");
  sql().Exec(
      "INSERT INTO audit_deeds (client, key_id, operator_name, action, subject_kind, subject, detail) "
      "VALUES ('', '', '', 'a', 'b', '', '{}')");
  sql().Exec("SET CONSTRAINTS ALL IMMEDIATE");
  EXPECT_EQ(sql().Value("SELECT count(*) FROM audit_entries"), "1");
  sql().Exec("ROLLBACK");
  EXPECT_EQ(*audit_.Head(), AuditHead());
  Append(1);
  EXPECT_EQ(Fault(), "");
}

TEST_F(AuditPgTest, ADeedThatCannotBeAuditedIsNotDone) {
  sql().Exec("DELETE FROM audit_head");
  PostgresDriverStore drivers(pool_);
  EXPECT_FALSE(drivers.SetCapacities({{"van", 8}}, SomeDeed("van")).ok());
  EXPECT_FALSE(audit_.Append(SomeDeed("x")).ok());
  EXPECT_FALSE(audit_.Head().ok());
  EXPECT_EQ(sql().Value("SELECT count(*) FROM drivers"), "0");
}

TEST_F(AuditPgTest, TheServicesRoleMayAddAndNothingElse) {
  const std::string role = "r_" + sql().Value("SELECT md5(current_database())");
  sql().Exec("CREATE TABLE schema_migrations ()");  // which rights are granted on, too
  sql().Exec("CREATE ROLE " + role);
  {
    auto owner = Connection::Open(database_.url(), WriteConnectionOptions());
    const auto granted = GrantRights(**owner, role);
    ASSERT_TRUE(granted.ok()) << granted.status();
  }
  sql().Exec("SET ROLE " + role);
  // Of its own making, in the way of ours.
  sql().Exec("CREATE TEMP TABLE audit_head (one boolean, sequence bigint, hash bytea)");
  sql().Exec("INSERT INTO audit_head VALUES (true, 100, decode(repeat('ff', 32), 'hex'))");
  sql().Exec(
      "INSERT INTO audit_deeds (client, key_id, operator_name, action, subject_kind, subject, detail) "
      "VALUES ('', '', '', 'a', 'b', '', '{}')");
  sql().Exec("DROP TABLE pg_temp.audit_head");
  for (const char* change :
       {"INSERT INTO audit_entries SELECT 2, at, client, key_id, operator_name, action, subject_kind, subject, detail, "
        "hash, hash FROM audit_entries",
        "UPDATE audit_entries SET client = 'x'", "DELETE FROM audit_entries", "TRUNCATE audit_entries",
        "UPDATE audit_head SET sequence = 0", "DELETE FROM audit_deeds",
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL", "SET session_replication_role = replica"}) {
    EXPECT_EQ(Refused(change), "42501") << change;
  }
  sql().Exec("RESET ROLE");
  EXPECT_EQ(Fault(), "");
  EXPECT_EQ(audit_.Head()->sequence, 1);
  sql().Exec("DROP OWNED BY " + role);
  sql().Exec("DROP ROLE " + role);
}

TEST_F(AuditPgTest, ADumpIsRestoredWithItsChain) {
  Append(3);
  const AuditHead head = *audit_.Head();
  const waybill::testing::TempDirectory directory(waybill::testing::PostgresUser());
  const std::string dump = (directory.path() / "dump").string();
  ASSERT_TRUE(
      waybill::testing::RunPostgresProgram("pg_dump", {"--format=custom", "--file=" + dump, database_.url()}).ok());
  const waybill::testing::TestDatabase restored(waybill::testing::SharedPostgresUrl());
  const absl::Status done =
      waybill::testing::RunPostgresProgram("pg_restore", {"--exit-on-error", "--dbname=" + restored.url(), dump});
  ASSERT_TRUE(done.ok()) << done;
  Pool pool(restored.url(), WriteConnectionOptions(), PoolOptions());
  PostgresAuditLog audit(pool, pool);
  EXPECT_EQ(*audit.Head(), head);
  ASSERT_TRUE(audit.Append(SomeDeed("after")).ok());
  AuditChain chain;
  for (const AuditEntry& entry : AllEntries(audit)) EXPECT_EQ(chain.Add(entry), "");
  EXPECT_EQ(chain.head(), *audit.Head());
}

// What docs/operations.md says of its size.
TEST_F(AuditPgTest, AnEntryTakesLessThanAKibibyte) {
  sql().Exec(
      "INSERT INTO audit_deeds (client, key_id, operator_name, action, subject_kind, subject, detail) "
      "SELECT 'console', 'k3jx2m7qaaaa', 'ann', 'saga.resolve', 'saga', gen_random_uuid()::text, "
      "'{\"reason\":\"paid back by bank transfer, ticket 4711\"}' FROM generate_series(1, 2000)");
  int64_t bytes = 0;
  ASSERT_TRUE(absl::SimpleAtoi(sql().Value("SELECT pg_total_relation_size('audit_entries') / 2000"), &bytes));
  RecordProperty("bytes_an_entry", std::to_string(bytes));
  EXPECT_LT(bytes, 1'024);
  EXPECT_EQ(Fault(), "");
}

}  // namespace
}  // namespace waybill::storage
