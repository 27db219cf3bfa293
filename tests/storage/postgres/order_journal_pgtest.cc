#include <memory>
#include <vector>

#include "storage/postgres/order_tables.h"
#include "tests/storage/journal_contract.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

struct PostgresWorld {
  saga::Journal<Order>& Open(const std::string& instance, const std::string& life) {
    auto journal = OrderJournal::Open(tables, {instance, life, absl::Seconds(60)}, database.url(), pool, {});
    EXPECT_TRUE(journal.ok()) << journal.status();
    journals.push_back(*std::move(journal));
    return *journals.back();
  }
  void ExpireLeases() {
    database.sql().Exec(
        "UPDATE order_sagas SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL");
  }

  waybill::testing::MigratedDatabase database;
  OrderTables tables;
  Pool pool{database.url(), {}, {}};
  std::vector<std::unique_ptr<OrderJournal>> journals;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, JournalContract, PostgresWorld);

class OrderJournalPgTest : public JournalContract<PostgresWorld> {
 protected:
  waybill::testing::Sql& sql() { return world_.database.sql(); }
};

TEST_F(OrderJournalPgTest, IsolatesTheItemWithBadData) {
  auto& journal = world_.Open("a", "1");
  std::vector<OrderRecord> records;
  for (int i = 0; i < 50; ++i) records.push_back(NewOrder("key-" + std::to_string(i)));
  records[17].payload.amount_minor = -5;  // the service refuses this long before; the database does too
  std::vector<std::promise<absl::Status>> answers(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    journal.Begin(records[i], [&answers, i](auto begun) { answers[i].set_value(begun.status()); });
  }
  for (size_t i = 0; i < records.size(); ++i) {
    absl::Status status = answers[i].get_future().get();
    if (i == 17) {
      EXPECT_EQ(GetErrorDetail(status).reason, "STORE_REFUSED") << status;
    } else {
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  EXPECT_EQ(sql().Value("SELECT count(*) FROM order_sagas"), "49");
}

TEST_F(OrderJournalPgTest, AnswersAreRightWhenTheConnectionBreaksMeanwhile) {
  auto& journal = world_.Open("a", "1");
  for (int i = 0; i < 20; ++i) {
    OrderRecord record = NewOrder("key-" + std::to_string(i));
    std::promise<absl::Status> answer;
    if (i % 4 == 0) {
      sql().Exec(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waybill-journal' "
          "AND datname = current_database()");
    }
    journal.Begin(record, [&](auto begun) {
      answer.set_value(begun.ok() && begun->has_value() ? absl::AlreadyExistsError("") : begun.status());
    });
    absl::Status status = answer.get_future().get();
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(sql().Value("SELECT count(*) FROM order_sagas"), "20");
}

// The hot statements must reach every table by its index, whatever the planner believed when it first saw them.
TEST_F(OrderJournalPgTest, TheAdvanceStatementReadsNoTableAsAWhole) {
  auto& journal = world_.Open("a", "1");
  Started(journal, "key");
  // No driver is busy now, so that reading "all" busy ones would look cheap.
  sql().Exec(
      "INSERT INTO order_assignments SELECT gen_random_uuid(), 'driver-' || n, 1, now(), now() FROM generate_series(1, "
      "5000) n");
  sql().Exec("ANALYZE");
  SagaJournalSql text = BuildSagaJournalSql<Order>(world_.tables.sql());
  waybill::testing::Sql planner(world_.database.url());
  for (const char* setting : {"plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_nestloop = off",
                              "enable_mergejoin = off"}) {
    planner.Exec(std::string("SET ") + setting);
  }
  planner.Exec("PREPARE advance AS " + text.advance);
  std::string arguments = "1";
  for (size_t i = 0; i < text.advance_oids.size(); ++i) arguments += ", NULL";
  std::string plan;
  for (const auto& row : planner.Rows("EXPLAIN EXECUTE advance(" + arguments + ")")) plan += row[0] + "\n";
  EXPECT_EQ(plan.find("Seq Scan"), std::string::npos) << plan;
  EXPECT_NE(plan.find("order_sagas_pkey"), std::string::npos) << plan;
  EXPECT_EQ(plan.find("order_sagas_by_user"), std::string::npos) << plan;
  EXPECT_EQ(plan.find("Index Scan using order_assignments_slot_taken"), std::string::npos) << plan;
}

}  // namespace
}  // namespace waybill::storage
