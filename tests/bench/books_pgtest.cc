#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bench/books.h"
#include "bench/ceiling.h"
#include "bench/database.h"
#include "tests/support/migrated_database.h"

namespace waybill::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using waybill::testing::MigratedDatabase;
using waybill::testing::SharedPostgresUrl;
using waybill::testing::Sql;

// One confirmed order (…01), one that was compensated (…02), one that was declined (…03).
class BooksTest : public ::testing::Test {
 protected:
  BooksTest() {
    database_.sql().Exec(R"sql(
      INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, state, seq,
                               failure_reason, created_at, updated_at)
      SELECT ('00000000-0000-7000-8000-00000000000' || n)::uuid, 'bench', 'key-' || n, '\x00', 'user', 100 * n, 'EUR',
             state::saga_state, seq, reason, now(), now()
      FROM (VALUES (1, 'succeeded', 2, NULL), (2, 'compensated', 3, 'NO_DRIVER_AVAILABLE'), (3, 'closed', 1, 'CARD_DECLINED'))
        AS o(n, state, seq, reason);
      INSERT INTO order_saga_steps (order_id, seq, step, attempt, outcome, state, at)
      SELECT order_id, s, 'step', 1, 'succeeded', 'running', now() FROM order_sagas, generate_series(1, seq) AS s;
      INSERT INTO payments VALUES ('00000000-0000-7000-8000-000000000001', 100, 'EUR', 'ref-1', now(), NULL, NULL),
                                  ('00000000-0000-7000-8000-000000000002', 200, 'EUR', 'ref-2', now(), 200, now());
      INSERT INTO order_assignments VALUES ('00000000-0000-7000-8000-000000000001', 'driver-1', 1, now()))sql");
  }

  std::vector<std::string> Check(int64_t orders = 3) { return *CheckBooks(database_.url(), orders); }
  void Break(const std::string& sql) { database_.sql().Exec(sql); }

  MigratedDatabase database_;
};

constexpr char kFirst[] = "order_id = '00000000-0000-7000-8000-000000000001'";
constexpr char kSecond[] = "order_id = '00000000-0000-7000-8000-000000000002'";

TEST_F(BooksTest, Balance) { EXPECT_THAT(Check(), IsEmpty()); }

TEST_F(BooksTest, AMissingOrderShows) { EXPECT_THAT(Check(4), ElementsAre("3 orders are in the database, not 4")); }

TEST_F(BooksTest, AnUnfinishedSagaShows) {
  Break("UPDATE order_sagas SET state = 'compensating', failure_reason = 'X', lease_until = now() WHERE " +
        std::string(kFirst));
  EXPECT_THAT(Check(), ElementsAre("1 orders are unfinished"));
}

TEST_F(BooksTest, AConfirmedOrderWithoutPaymentShows) {
  Break("DELETE FROM payments WHERE " + std::string(kFirst));
  EXPECT_THAT(Check(), ElementsAre("1 confirmed orders are not charged exactly their amount"));
}

TEST_F(BooksTest, AConfirmedOrderThatWasRefundedShows) {
  Break("UPDATE payments SET refund_minor = 100, refunded_at = now() WHERE " + std::string(kFirst));
  EXPECT_THAT(Check(), ElementsAre("1 confirmed orders are not charged exactly their amount"));
}

TEST_F(BooksTest, AConfirmedOrderWithoutDriverShows) {
  Break("UPDATE order_assignments SET released_at = now()");
  EXPECT_THAT(Check(), ElementsAre("1 confirmed orders have no driver"));
}

TEST_F(BooksTest, APartialRefundShows) {
  Break("UPDATE payments SET refund_minor = 199 WHERE " + std::string(kSecond));
  EXPECT_THAT(Check(), ElementsAre("1 failed orders were charged and not given back"));
}

TEST_F(BooksTest, AFailedOrderThatHoldsADriverShows) {
  Break("INSERT INTO order_assignments VALUES ('00000000-0000-7000-8000-000000000003', 'driver-2', 1, now())");
  EXPECT_THAT(Check(), ElementsAre("1 failed orders still hold a driver"));
}

TEST_F(BooksTest, ADriverWithTwoOrdersShows) {
  Break(
      "DROP INDEX order_assignments_slot_taken; INSERT INTO order_assignments VALUES "
      "('00000000-0000-7000-8000-000000000003', 'driver-1', 1, now())");
  EXPECT_THAT(Check(), ElementsAre("1 failed orders still hold a driver", "1 drivers hold more than one order"));
}

TEST_F(BooksTest, RowsWithoutAnOrderShow) {
  Break(
      "INSERT INTO payments VALUES ('00000000-0000-7000-8000-000000000009', 100, 'EUR', 'ref', now()); "
      "INSERT INTO order_assignments VALUES ('00000000-0000-7000-8000-000000000009', 'driver-9', 1, now())");
  EXPECT_THAT(Check(), ElementsAre("1 payments belong to no order", "1 assignments belong to no order"));
}

TEST_F(BooksTest, AGapInTheLogShows) {
  Break("DELETE FROM order_saga_steps WHERE seq = 1 AND " + std::string(kFirst));
  EXPECT_THAT(Check(), ElementsAre("1 orders have a log with gaps"));
}

TEST_F(BooksTest, AnswersAreComparedByStatus) {
  EXPECT_THAT(*CheckAnswers(database_.url(), {{"CONFIRMED", 1}, {"FAILED", 2}}), IsEmpty());
  EXPECT_THAT(*CheckAnswers(database_.url(), {{"CONFIRMED", 2}, {"PENDING", 1}}),
              ElementsAre("1 orders are CONFIRMED, but 2 callers were told so",
                          "2 orders are FAILED, but 0 callers were told so",
                          "0 orders are PENDING, but 1 callers were told so"));
}

TEST_F(BooksTest, GatewaysMustHoldTheMoneyOfConfirmedOrdersOnly) {
  const std::string prefix = "00000000-0000-7000-8000-00000000000";
  EXPECT_THAT(*CheckGateways(database_.url(), {{prefix + "1", 100, 0, 1, 0}, {prefix + "2", 200, 200, 1, 1}}),
              IsEmpty());
  EXPECT_THAT(*CheckGateways(database_.url(), {{prefix + "2", 200, 0, 1, 0}}),
              ElementsAre("1 confirmed orders are not charged their amount at a gateway",
                          "1 failed orders are still charged at a gateway"));
  EXPECT_THAT(*CheckGateways(database_.url(),
                             {{prefix + "1", 200, 100, 2, 1}, {prefix + "3", 0, 0, 0, 1}, {prefix + "9", 5, 5, 1, 1}}),
              ElementsAre("1 orders moved money twice at a gateway", "1 orders of a gateway are not in the database"));
  // One that was given back by the first gateway, and is at the second.
  EXPECT_THAT(*CheckGateways(database_.url(), {{prefix + "1", 100, 100, 1, 1}, {prefix + "1", 100, 0, 1, 0}}),
              IsEmpty());
  EXPECT_THAT(*CheckGateways(database_.url(), {{prefix + "1", 100, 0, 1, 0}, {prefix + "1", 100, 0, 1, 0}}),
              ElementsAre("1 confirmed orders are not charged their amount at a gateway"));
}

TEST(Ceiling, WritesConfirmedOrdersWhoseBooksBalance) {
  MigratedDatabase database;
  CeilingOptions options;
  options.database_url = database.url();
  options.batch = 16;
  options.warm_up = absl::ZeroDuration();
  options.duration = absl::Milliseconds(100);
  const absl::StatusOr<CeilingResult> ceiling = MeasureCeiling(options);
  ASSERT_TRUE(ceiling.ok()) << ceiling.status();
  EXPECT_GT(ceiling->orders, 0);
  EXPECT_GT(ceiling->orders_per_second, 0);
  EXPECT_THAT(*CheckBooks(database.url(), ceiling->orders), IsEmpty());
  EXPECT_THAT(*CheckAnswers(database.url(), {{"CONFIRMED", ceiling->orders}}), IsEmpty());
}

TEST(Ceiling, TellsWhenTheDatabaseIsNotMigrated) {
  waybill::testing::TestDatabase empty;
  CeilingOptions options;
  options.database_url = empty.url();
  EXPECT_FALSE(MeasureCeiling(options).ok());
}

TEST(FreshDatabase, ReplacesOneOfItsNameAndIsGoneAtTheEnd) {
  const std::string server = SharedPostgresUrl();
  auto first = *FreshDatabase::Create(server, "waybill_bench_of_test");
  Sql(first->url()).Exec("CREATE TABLE left_over ()");
  auto second = *FreshDatabase::Create(server, "waybill_bench_of_test");
  EXPECT_EQ(Sql(second->url()).Value("SELECT count(*) FROM pg_tables WHERE tablename = 'left_over'"), "0");
  second.reset();
  EXPECT_EQ(Sql(server).Value("SELECT count(*) FROM pg_database WHERE datname = 'waybill_bench_of_test'"), "0");
}

TEST(WithDatabase, ReplacesTheDatabaseOnly) {
  EXPECT_EQ(WithDatabase("postgresql://me@127.0.0.1:5432/postgres?sslmode=disable", "x"),
            "postgresql://me@127.0.0.1:5432/x?sslmode=disable");
  EXPECT_EQ(WithDatabase("postgresql://me@127.0.0.1:5432/", "x"), "postgresql://me@127.0.0.1:5432/x");
  EXPECT_EQ(WithDatabase("postgresql://me@127.0.0.1:5432", "x"), "postgresql://me@127.0.0.1:5432/x");
  EXPECT_EQ(WithDatabase("postgresql://me@127.0.0.1:5432?host=/run", "x"),
            "postgresql://me@127.0.0.1:5432/x?host=/run");
}

}  // namespace
}  // namespace waybill::bench
