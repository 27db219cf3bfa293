#include <memory>
#include <vector>

#include "storage/postgres/order_tables.h"
#include "tests/storage/journal_contract.h"
#include "tests/support/eventually.h"
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

// What an advance does about a row that somebody else is changing, in both forms of the statement.
class RacingAdvance : public OrderJournalPgTest, public ::testing::WithParamInterface<bool> {
 protected:
  // Runs `change` on a started order's row, lets the journal's write wait for it, and commits it.
  absl::StatusOr<saga::WriteResult> AdvanceDuring(const std::string& change) {
    auto opened = OrderJournal::Open(world_.tables, {"a", "1", absl::Seconds(60)}, world_.database.url(), world_.pool,
                                     {.writers = 1});
    EXPECT_TRUE(opened.ok()) << opened.status();
    OrderJournal& journal = **opened;
    const bool careful = GetParam();
    if (careful) {  // a repeated key makes it so
      for (int i = 0; i < 2; ++i) {
        OrderRecord repeated = NewOrder("repeated");
        std::promise<void> begun;
        journal.Begin(repeated, [&](auto) { begun.set_value(); });
        begun.get_future().wait();
      }
    }
    auto [finished, log] = Finish(Started(journal, "key"), "driver-1");
    waybill::testing::Sql other(world_.database.url());
    other.Exec("BEGIN");
    other.Exec("UPDATE order_sagas SET " + change + " WHERE idempotency_key = 'key'");
    std::promise<absl::StatusOr<saga::WriteResult>> answer;
    journal.Advance({&finished, log, 0}, [&](auto result) { answer.set_value(std::move(result)); });
    EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
      return sql().Value(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                 "current_database()") == "1";
    }));
    other.Exec("COMMIT");
    return answer.get_future().get();
  }
  std::string Booked() {
    return sql().Value(
        "SELECT concat_ws(' ', state, seq, (SELECT count(*) FROM order_saga_steps), (SELECT count(*) FROM payments), "
        "(SELECT count(*) FROM order_assignments)) FROM order_sagas WHERE idempotency_key = 'key'");
  }
};
INSTANTIATE_TEST_SUITE_P(QuickAndCareful, RacingAdvance, ::testing::Bool(),
                         [](const auto& form) { return form.param ? "Careful" : "Quick"; });

TEST_P(RacingAdvance, IsBookedWholeWhenItsLeaseIsRenewedMeanwhile) {
  auto result = AdvanceDuring("lease_until = lease_until + interval '1 second'");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, saga::WriteResult::kApplied);
  EXPECT_EQ(Booked(), "succeeded 2 2 1 1");
}

TEST_P(RacingAdvance, IsFencedWholeWhenItIsTakenOverMeanwhile) {
  auto result = AdvanceDuring("epoch = epoch + 1, owner = 'b/1'");
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(*result, saga::WriteResult::kFenced);
  EXPECT_EQ(Booked(), "running 0 0 0 0");
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
  std::string arguments = "1";
  for (size_t i = 0; i < text.advance_oids.size(); ++i) arguments += ", NULL";
  for (const std::string* advance : {&text.advance, &text.advance_quick}) {
    planner.Exec("DEALLOCATE ALL");
    planner.Exec("PREPARE advance AS " + *advance);
    std::string plan;
    for (const auto& row : planner.Rows("EXPLAIN EXECUTE advance(" + arguments + ")")) plan += row[0] + "\n";
    EXPECT_EQ(plan.find("Seq Scan"), std::string::npos) << plan;
    EXPECT_NE(plan.find("order_sagas_pkey"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("order_sagas_by_user"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("Index Scan using order_assignments_slot_taken"), std::string::npos) << plan;
  }
}

}  // namespace
}  // namespace waybill::storage
