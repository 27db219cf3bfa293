#include <algorithm>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "runtime/executor.h"
#include "storage/postgres/driver_store.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/order_rows.h"
#include "storage/postgres/order_store.h"
#include "storage/postgres/order_tables.h"
#include "storage/postgres/saga_journal.h"
#include "tests/storage/order_store_contract.h"
#include "tests/support/eventually.h"
#include "tests/support/postgres.h"

namespace waybill::storage {
namespace {

using waybill::testing::Sql;
using waybill::testing::TestDatabase;

constexpr char kInsertOrder[] =
    "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
    "pickup_lat,"
    " pickup_long, metadata, state, step, attempt, seq, needs_attention, failure_reason, failure_detail, owner, epoch,"
    " lease_until, traceparent, created_at, updated_at, waits_for, wakes_at, payer) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11::text::saga_state, $12, $13, $14, $15,"
    " nullif($16::text, ''), nullif($17::text, ''), 'host/1', $18,"
    " CASE WHEN $11::text IN ('running', 'compensating') AND $22::text IS NULL THEN now() + interval '1 minute' END,"
    " nullif($19::text, ''), $20, $21, $22, $23, $24::text::jsonb)";
constexpr char kInsertLog[] =
    "INSERT INTO order_saga_steps (order_id, seq, step, attempt, outcome, state, detail, at) "
    "VALUES ($1, $2, $3, $4, $5, $6::text::saga_state, nullif($7::text, ''), $8)";
constexpr char kInsertPayment[] = "INSERT INTO payments VALUES ($1, $2, $3, $4, $5, $6, $7)";
constexpr char kInsertAssignment[] =
    "INSERT INTO order_assignments (order_id, driver_id, slot, assigned_at) VALUES ($1, $2, $3, $4)";

class PostgresHarness final : public OrderStoreHarness {
 public:
  PostgresHarness() {
    auto connection = Connection::Open(database_.url(), MigrationConnectionOptions());
    EXPECT_TRUE(connection.ok()) << connection.status();
    connection_ = *std::move(connection);
    auto migrated = Migrate(*connection_, nullptr);
    EXPECT_TRUE(migrated.ok()) << migrated.status();
  }

  OrderStore& store() override { return store_; }
  absl::Time Now() override { return absl::FromUnixMicros(absl::ToUnixMicros(absl::Now())); }

  void Add(const OrderRecord& order, const std::vector<saga::LogEntry>& log) override {
    const domain::Order& payload = order.payload;
    const std::string metadata = EncodeMetadata(payload.metadata);
    const std::string payer = payload.payer ? EncodePayer(*payload.payer) : "";
    const Param no_double = Param::Null(kOidFloat8);
    Insert(kInsertOrder, {Param::Id(order.id),
                          Param::Text(payload.client),
                          Param::Text(payload.idempotency_key),
                          Param::Bytes(payload.fingerprint),
                          Param::Text(payload.user_id),
                          Param::Int8(payload.amount_minor),
                          Param::Text(payload.currency),
                          payload.pickup ? Param::Double(payload.pickup->latitude) : no_double,
                          payload.pickup ? Param::Double(payload.pickup->longitude) : no_double,
                          metadata.empty() ? Param::Null(kOidText) : Param::Text(metadata),
                          Param::Text(saga::Name(order.state)),
                          Param::Int2(static_cast<int16_t>(order.step)),
                          Param::Int4(order.attempt),
                          Param::Int8(order.seq),
                          Param::Bool(order.needs_attention),
                          Param::Text(order.failure.reason),
                          Param::Text(order.failure.detail),
                          Param::Int8(order.epoch),
                          Param::Text(order.traceparent),
                          Param::Time(order.created_at),
                          Param::Time(order.updated_at),
                          order.waits_for.empty() ? Param::Null(kOidText) : Param::Text(order.waits_for),
                          order.waits_for.empty() ? Param::Null(kOidTimestamptz) : Param::Time(order.wakes_at),
                          payload.payer ? Param::Text(payer) : Param::Null(kOidText)});
    for (const saga::LogEntry& entry : log) {
      Insert(kInsertLog, {Param::Id(order.id), Param::Int8(entry.seq), Param::Text(entry.step),
                          Param::Int4(entry.attempt), Param::Text(saga::Name(entry.outcome)),
                          Param::Text(saga::Name(entry.state)), Param::Text(entry.detail), Param::Time(entry.at)});
    }
    if (payload.charge) {
      Insert(kInsertPayment,
             {Param::Id(order.id), Param::Int8(payload.charge->amount_minor), Param::Text(payload.currency),
              Param::Text(payload.charge->gateway_reference), Param::Time(payload.charge->at),
              payload.refund ? Param::Int8(payload.refund->amount_minor) : Param::Null(kOidInt8),
              payload.refund ? Param::Time(payload.refund->at) : Param::Null(kOidTimestamptz)});
    }
    if (payload.driver) {
      Insert(kInsertAssignment,
             {Param::Id(order.id), Param::Text(payload.driver->driver_id),
              Param::Int2(static_cast<int16_t>(payload.driver->slot)), Param::Time(order.created_at)});
    }
  }
  void RecordDefinitions(const saga::Kinds& kinds) override {
    const OrderTables tables;
    auto journal = PostgresSagaJournal::Open({&tables}, kinds, {"a", "1", absl::Seconds(60)}, database_.url(), pool_,
                                             ThreadLoops(), {});
    EXPECT_TRUE(journal.ok()) << journal.status();
  }
  void SetCapacity(const std::string& driver_id, int capacity) override {
    PostgresDriverStore drivers(pool_);
    const domain::Deed deed{{"me"}, "driver.capacity", "driver", driver_id};
    absl::Status set =
        capacity == 0 ? drivers.SetDuty(driver_id, false, deed) : drivers.SetCapacities({{driver_id, capacity}}, deed);
    EXPECT_TRUE(set.ok()) << set;
  }

 private:
  void Insert(const std::string& sql, absl::Span<const Param> params) {
    auto rows = connection_->Execute(sql, params);
    EXPECT_TRUE(rows.ok()) << rows.status();
  }

  TestDatabase database_;
  std::unique_ptr<Connection> connection_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresOrderStore store_{pool_};
};

INSTANTIATE_TEST_SUITE_P(Postgres, OrderStoreContract,
                         ::testing::Values([] { return std::make_unique<PostgresHarness>(); }));

class OrderStoreTest : public ::testing::Test {
 protected:
  OrderStoreTest() {
    auto connection = Connection::Open(database_.url(), MigrationConnectionOptions());
    EXPECT_TRUE(connection.ok()) << connection.status();
    EXPECT_TRUE(Migrate(**connection, nullptr).ok());
  }

  TestDatabase database_;
  Sql sql_{database_.url()};
  Pool pool_{database_.url(), ReadConnectionOptions(), PoolOptions()};
  PostgresOrderStore store_{pool_};
};

TEST_F(OrderStoreTest, AReleasedDriverIsNeitherTheOrdersNorTaken) {
  const Uuid id = *Uuid::Parse("0190163d-8694-739b-aea5-966c26f8ad91");
  sql_.Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, state,"
      " created_at, updated_at) VALUES ('" +
      id.ToString() + "', 'c', 'k', '', 'u', 1, 'EUR', 'closed', now(), now())");
  sql_.Exec("INSERT INTO order_assignments VALUES ('" + id.ToString() + "', 'ada', 1, now(), now())");
  auto order = store_.Get(id);
  ASSERT_TRUE(order.ok()) << order.status();
  EXPECT_FALSE(order->payload.driver.has_value());
  EXPECT_TRUE(store_.TakenSlots()->empty());
}

TEST_F(OrderStoreTest, AnOrderIsReachedByItsIdWhateverTheStatisticsSay) {
  for (const auto& [name, value] : ReadConnectionOptions().settings) sql_.Exec("SET " + name + " = " + value);
  sql_.Exec("PREPARE get (uuid) AS " + SelectOrder() + " WHERE s.order_id = $1");
  sql_.Exec("EXPLAIN EXECUTE get(gen_random_uuid())");  // while all is empty
  sql_.Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
      "state, "
      "created_at, updated_at) "
      "SELECT gen_random_uuid(), 'c', 'k' || n, '', 'u', 1, 'EUR', 'closed', now(), now() FROM generate_series(1, "
      "5000) n");
  sql_.Exec("INSERT INTO payments SELECT order_id, 1, 'EUR', '', now() FROM order_sagas");
  // No driver is busy now, so that reading "all" busy ones looks cheap.
  sql_.Exec("INSERT INTO order_assignments SELECT order_id, order_id::text, 1, now(), now() FROM order_sagas");
  sql_.Exec("ANALYZE order_assignments");
  std::string plan;
  for (const auto& row : sql_.Rows("EXPLAIN EXECUTE get(gen_random_uuid())")) plan += row[0] + "\n";
  for (const char* index : {"order_sagas_pkey", "payments_one_an_order", "order_assignments_one_driver"}) {
    EXPECT_NE(plan.find(index), std::string::npos) << plan;
  }
}

// The index that makes idempotency keys unique begins with the client: one more index an order is not worth it.
TEST_F(OrderStoreTest, AClientThatOrdersRarelyIsFoundByAnIndex) {
  sql_.Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
      "state, created_at, updated_at) SELECT gen_random_uuid(), CASE n WHEN 1 THEN 'rare' ELSE 'c' END, 'k' || n, '', "
      "'u', 1, 'EUR', 'closed', now(), now() FROM generate_series(1, 20000) n");
  sql_.Exec("ANALYZE order_sagas");
  const std::string scans =
      "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'order_sagas_idempotency_key'";
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] { return !sql_.Value(scans).empty(); }));
  const int before = std::stoi(sql_.Value(scans));
  OrderQuery query;
  query.owner = "rare";
  auto orders = store_.List(query);
  ASSERT_TRUE(orders.ok()) << orders.status();
  EXPECT_EQ(orders->size(), 1u);
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] { return std::stoi(sql_.Value(scans)) > before; }));
  query.owner = "c";
  EXPECT_EQ(store_.List(query)->size(), 50u);
}

// A few orders that were turned back are found without looking at all the others.
TEST_F(OrderStoreTest, RareStatusesAreFoundByAnIndex) {
  sql_.Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
      "state, "
      "failure_reason, created_at, updated_at) SELECT gen_random_uuid(), 'c', 'k' || n, '', 'u', 1, 'EUR', "
      "(CASE n WHEN 1 THEN 'resolved' WHEN 2 THEN 'compensated' ELSE 'closed' END)::saga_state, "
      "CASE WHEN n <= 2 THEN 'X' END, now(), now() FROM generate_series(1, 5000) n");
  sql_.Exec("ANALYZE order_sagas");
  const std::string scans = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'order_sagas_turned_back'";
  OrderQuery query;
  query.statuses = {{saga::State::kResolved, std::nullopt}};
  auto orders = store_.List(query);
  ASSERT_TRUE(orders.ok()) << orders.status();
  EXPECT_EQ(orders->size(), 1u);
  query.statuses = {{saga::State::kCompensated, false}, {saga::State::kResolved, std::nullopt}};
  EXPECT_EQ(store_.List(query)->size(), 2u);
  SagaQuery sagas;
  sagas.states = {saga::State::kResolved};
  EXPECT_EQ(store_.ListSagas(sagas)->size(), 1u);
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] { return sql_.Value(scans) == "3"; }))
      << sql_.Value(scans);
}

// The young are in no index of what is unfinished; they are looked for above the mark, among those that have ended.
TEST_F(OrderStoreTest, TheUnfinishedAreThoseThatAreDueAndTheYoung) {
  sql_.Exec("UPDATE saga_marks SET mark = waybill_id_at(now() - interval '10 s'), next = waybill_id_at(now())");
  sql_.Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, state,"
      " failure_reason, lease_until, due_at, waits_for, wakes_at, created_at, updated_at) "
      "SELECT waybill_id_at(now() - age), 'c', key, '', 'u', 1, 'EUR', state::saga_state, "
      "CASE WHEN state = 'compensating' THEN 'X' END, CASE WHEN leased THEN now() + interval '1 minute' END, "
      "CASE WHEN due THEN now() END, CASE WHEN NOT leased AND state = 'running' THEN 'charge_payment/do/t' END, "
      "CASE WHEN NOT leased AND state = 'running' THEN now() END, now() - age, now() "
      "FROM (VALUES ('due', 'running', interval '1 hour', true, true), ('young', 'running', '4 s', true, false), "
      "('waits', 'running', '3 s', false, false), ('turned back', 'compensating', '2 s', true, false), "
      "('ended', 'closed', '1 s', false, false), ('ended long ago', 'closed', '2 hours', false, false)) "
      "AS t (key, state, age, leased, due)");
  sql_.Exec(
      "INSERT INTO sagas (saga_id, kind, version, dedupe_key, payload, state, lease_until, due_at, created_at, "
      "updated_at) SELECT waybill_id_at(now() - age), 'book_trip', 1, age::text, '{}', state::saga_state, "
      "CASE WHEN state = 'running' THEN now() END, CASE WHEN due THEN now() END, now() - age, now() "
      "FROM (VALUES ('running', interval '90 minutes', true), ('running', '5 s', false), ('closed', '6 s', false)) "
      "AS t (state, age, due)");
  const auto keys = [this](std::vector<OrderQuery::Status> statuses) {
    OrderQuery query;
    query.statuses = std::move(statuses);
    auto orders = store_.List(query);
    EXPECT_TRUE(orders.ok()) << orders.status();
    std::vector<std::string> found;
    for (const OrderRecord& order : *orders) found.push_back(order.payload.idempotency_key);
    return found;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(keys({{saga::State::kRunning, std::nullopt}}), ElementsAre("waits", "young", "due"));
  EXPECT_THAT(keys({{saga::State::kRunning, std::nullopt}, {saga::State::kCompensating, std::nullopt}}),
              ElementsAre("turned back", "waits", "young", "due"));
  SagaQuery unfinished;
  unfinished.states = {saga::State::kRunning, saga::State::kCompensating};
  std::vector<absl::Time> created;
  const auto sagas = store_.ListSagas(unfinished);
  for (const SagaView& saga : *sagas) created.push_back(saga.header.created_at);
  EXPECT_EQ(created.size(), 6u);
  EXPECT_TRUE(std::is_sorted(created.begin(), created.end())) << "oldest first";
  unfinished.limit = 3;
  EXPECT_EQ(store_.ListSagas(unfinished)->size(), 3u);
  auto stats = store_.Unfinished(
      saga::Kinds({saga::Define<domain::Order>().Step("charge_payment").Step("assign_driver").Done()}));
  ASSERT_TRUE(stats.ok()) << stats.status();
  EXPECT_EQ(stats->running, 4);
  EXPECT_EQ(stats->compensating, 1);
  EXPECT_EQ(stats->waiting, 1);
  EXPECT_EQ(stats->not_driven_here, 2);
  EXPECT_GE(stats->oldest_age, absl::Minutes(90));
  EXPECT_GE(stats->unswept, absl::ZeroDuration());
}

// Orders have a table of their own; payments and payouts are among all others.
TEST_F(OrderStoreTest, WhatIsInReviewIsOfWhicheverTableTheNewestFirst) {
  for (int second : {5, 3}) {
    sql_.Exec(fmt::format(
        "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
        "waits_for, wakes_at, created_at, updated_at) SELECT waybill_id_at(now() - interval '{0} s'), 'c', '{0}', '', "
        "'u', 1, 'EUR', 'assess_risk/do/review', now(), now(), now()",
        second));
    sql_.Exec(fmt::format(
        "INSERT INTO sagas (saga_id, kind, version, dedupe_key, payload, waits_for, wakes_at, created_at, updated_at) "
        "SELECT waybill_id_at(now() - interval '{} s'), 'payout', 2, '{}', '{{}}', 'assess_risk/do/review', now(), "
        "now(), now()",
        second + 1, second));
  }
  const std::vector<Uuid> all = *store_.InReview(std::nullopt, 9);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_TRUE(std::is_sorted(all.rbegin(), all.rend()));
  for (size_t n = 0; n < all.size(); ++n) {
    EXPECT_EQ(store_.InReview(all[n], 9)->size(), all.size() - n - 1) << "pages go on across both";
    EXPECT_EQ(store_.GetSaga(all[n])->header.kind, n % 2 == 0 ? "place_order" : "payout");
  }
}

TEST_F(OrderStoreTest, AListThatTakesTooLongSaysWhatToNarrow) {
  ConnectionOptions impatient = ReadConnectionOptions();
  impatient.settings.emplace_back("statement_timeout", "100ms");  // the server's word comes long before ours
  Pool pool(database_.url(), impatient, PoolOptions());
  PostgresOrderStore store(pool);
  sql_.Exec("BEGIN");
  sql_.Exec("LOCK TABLE order_sagas");
  for (const absl::Status& status : {store.List({}).status(), store.ListSagas({}).status()}) {
    EXPECT_EQ(GetErrorDetail(status).reason, "LIST_TOO_BROAD") << status;
  }
  EXPECT_EQ(GetErrorDetail(store.Get(Uuid{}).status()).reason, "STORE_UNAVAILABLE");
  sql_.Exec("COMMIT");
}

TEST_F(OrderStoreTest, NoAgeIsTooGreat) {
  SagaQuery query;
  query.min_age = absl::InfiniteDuration();
  auto sagas = store_.ListSagas(query);
  EXPECT_TRUE(sagas.ok() && sagas->empty()) << sagas.status();
}

// Rows of a newer version, or changed by hand.
TEST_F(OrderStoreTest, ARowThatCannotBeReadIsAnError) {
  const Uuid id = *Uuid::Parse("0190163d-8694-739b-aea5-966c26f8ad91");
  sql_.Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, state,"
      " metadata, created_at, updated_at) VALUES ('" +
      id.ToString() + "', 'c', 'k', '', 'u', 1, 'EUR', 'succeeded', '{\"gate\": 7}', now(), now())");
  sql_.Exec("ALTER TABLE order_saga_steps DROP CONSTRAINT order_saga_steps_outcome");
  sql_.Exec("INSERT INTO order_saga_steps SELECT order_id, 1, 'x', 1, 'deferred', state, NULL, now() FROM order_sagas");
  for (const absl::Status& status : {store_.Get(id).status(), store_.List({}).status(), store_.Log(id, 0).status()}) {
    EXPECT_EQ(GetErrorDetail(status).reason, "UNREADABLE_ROW") << status;
    EXPECT_NE(std::string(status.message()).find(id.ToString()), std::string::npos) << status;
  }
  EXPECT_TRUE(store_.GetSaga(id).ok()) << "an operator sees what there is to see";
  EXPECT_EQ(store_.ListSagas({})->size(), 1u);
}

TEST_F(OrderStoreTest, AMissingTableIsASchemaMismatch) {
  sql_.Exec("DROP TABLE payments CASCADE");
  absl::Status status = store_.Get(Uuid{}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(GetErrorDetail(status).reason, "SCHEMA_MISMATCH");
}

TEST(OrderStoreWithoutServer, IsUnavailable) {
  Pool pool("postgresql://nobody@127.0.0.1:1/none", ReadConnectionOptions(), {});
  PostgresOrderStore store(pool);
  EXPECT_EQ(GetErrorDetail(store.Ping()).reason, "STORE_UNAVAILABLE");
  EXPECT_EQ(GetErrorDetail(store.Get(Uuid{}).status()).reason, "STORE_UNAVAILABLE");
  EXPECT_EQ(GetErrorDetail(store.List({}).status()).reason, "STORE_UNAVAILABLE");
}

}  // namespace
}  // namespace waybill::storage
