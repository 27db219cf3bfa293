#include <future>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_split.h"
#include "domain/order.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "saga/definition.h"
#include "storage/postgres/dead_letter_store.h"
#include "tests/storage/dead_letter_contract.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

// Rows that are dead, and the store that reads them.
class LetterDatabase {
 protected:
  void AddEvent(const std::string& id, const std::string& reason = "AMOUNT_MISMATCH", int minutes_ago = 40) {
    sql().Exec(
        fmt::format("INSERT INTO webhook_inbox (gateway, event_id, event_type, amount_minor, currency, body, state, "
                    "reason, settled_at) VALUES ('acme', '{}', 'payment.succeeded', 7, 'EUR', '', 'attention', "
                    "'{}', now() - {} * interval '1 minute')",
                    id, reason, minutes_ago));
  }
  void AddEndpoint(bool enabled = true) {
    sql().Exec(
        fmt::format("INSERT INTO webhook_endpoints (endpoint_id, client, url, types, secret, enabled, created_at) "
                    "VALUES ('{}', 'shop', 'https://shop.example/', '{{*}}', 's', {}, now())",
                    kLetterEndpoint, enabled));
  }
  void AddDelivery(const std::string& id, int minutes_ago = 30) {
    sql().Exec(fmt::format(
        "INSERT INTO webhook_deliveries (endpoint_id, event_id, type, body, created_at, next_at, state, attempts, "
        "last_at, last_code, last_answer, reason) VALUES ('{}', '{}', 'order.confirmed', '{{}}', now() - interval '1 "
        "h', "
        "now(), 'dead', 10, now() - {} * interval '1 minute', 500, 'oops', 'none of 10 attempts succeeded')",
        kLetterEndpoint, id, minutes_ago));
  }
  // A difference that was found in a settlement that says nothing of it any more.
  std::string AddCase() {
    sql().Exec(
        "INSERT INTO settlements (gateway, name, covers_from, covers_to, state, reconciled_at) VALUES ('acme', 'd', "
        "now() "
        "- interval '2 d', now() - interval '1 d', 'reconciled', now())");
    return sql().Value(fmt::format(
        "INSERT INTO reconciliation_cases (gateway, kind, about, order_id, ours_minor, currency, settlement_id, "
        "opened_at) SELECT 'acme', 'missing_there', 'charge', '{}', 5, 'EUR', settlement_id, now() - interval '20 "
        "minutes' FROM settlements RETURNING case_id",
        kLetterOrder));
  }
  void AddSaga(int version = 1) {
    sql().Exec(fmt::format(
        "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
        "state, step, attempt, seq, epoch, needs_attention, failure_reason, owner, lease_until, created_at, "
        "updated_at, "
        "version) VALUES ('{0}', 'shop', '{0}', '', 'u', 100, 'EUR', 'compensating', 0, 9, 3, 4, true, "
        "'NO_DRIVER_AVAILABLE', 'a', now() + interval '1 h', now(), now(), {1})",
        kLetterOrder, version));
    sql().Exec(fmt::format(
        "INSERT INTO order_saga_steps (order_id, seq, step, attempt, outcome, state, detail, at) VALUES "
        "('{0}', 2, 'charge_payment', 8, 'undo_failed', 'compensating', 'REFUND_MISMATCH: 3 instead of 100', now()), "
        "('{0}', 3, 'charge_payment', 8, 'needs_attention', 'compensating', '8 attempts to undo failed', now() - "
        "interval '10 minutes')",
        kLetterOrder));
  }

  waybill::testing::Sql& sql() { return database_.sql(); }

  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  saga::Kinds kinds_{{saga::Define<domain::Order>().Step("charge_payment").Step("assign_driver").Done()}};
  PostgresReconciliationStore reconciliation_{pool_};
  PostgresDeadLetterStore store_{kinds_, reconciliation_, pool_, pool_};
};

class PostgresLetterHarness final : public DeadLetterHarness, private LetterDatabase {
 public:
  DeadLetterStore& store() override { return store_; }
  absl::Time Now() override { return absl::Now(); }
  void AddEvent(const std::string& id, const std::string& cause, int minutes_ago) override {
    LetterDatabase::AddEvent(id, cause, minutes_ago);
  }
  void AddDelivery(const std::string& id, bool enabled, int minutes_ago) override {
    AddEndpoint(enabled);
    LetterDatabase::AddDelivery(id, minutes_ago);
  }
  void AddSaga() override { LetterDatabase::AddSaga(); }
  std::vector<std::string> Deeds() override {
    const std::string all = sql().Value(
        "SELECT COALESCE(string_agg(action || ' ' || subject, E'\\n' ORDER BY sequence), '') FROM audit_entries");
    return all.empty() ? std::vector<std::string>() : absl::StrSplit(absl::string_view(all), '\n');
  }
};

INSTANTIATE_TEST_SUITE_P(Postgres, DeadLetterContract,
                         ::testing::Values([] { return std::make_unique<PostgresLetterHarness>(); }));

class DeadLetterPgTest : public ::testing::Test, protected LetterDatabase, protected DeadLetterActs {
 protected:
  DeadLetterStore& store() override { return store_; }
  std::vector<std::string> List(const DeadLetterFilter& filter = {}, int limit = 100) {
    absl::StatusOr<std::vector<DeadLetter>> found = store_.List(filter, std::nullopt, limit);
    EXPECT_TRUE(found.ok()) << found.status();
    std::vector<std::string> shown;
    if (!found.ok()) return shown;
    for (const DeadLetter& letter : *found) {
      shown.push_back(
          fmt::format("{} {}{}", letter.id, letter.cause, letter.blocked.empty() ? "" : " " + letter.blocked));
    }
    return shown;
  }
  std::string Audit() {
    return sql().Value(
        "SELECT COALESCE(string_agg(concat_ws(' ', client, operator_name, action, subject, detail), E'\\n' ORDER BY "
        "sequence), '') FROM audit_entries");
  }
};

TEST_F(DeadLetterPgTest, ListsWhateverIsDeadTheLongestDeadFirst) {
  AddEndpoint();
  AddEvent("1");
  AddDelivery("evt/1");
  const std::string number = AddCase();
  AddSaga();
  const std::string event = "event/acme/1 AMOUNT_MISMATCH",
                    delivery = fmt::format("delivery/{}/evt/1 REFUSED", kLetterEndpoint),
                    difference = "case/" + number + " MISSING_THERE",
                    saga = fmt::format("saga/{} REFUND_MISMATCH", kLetterOrder);
  EXPECT_THAT(List(), ElementsAre(event, delivery, difference, saga));
  EXPECT_THAT(List(Of(fmt::format("delivery/{}/evt/1", kLetterEndpoint))), ElementsAre(delivery));
  EXPECT_THAT(List(Of("case/" + number)), ElementsAre(difference));
  EXPECT_THAT(List(Of("event/other/1")), IsEmpty());
  DeadLetterFilter filter;
  filter.gateway = "acme";
  EXPECT_THAT(List(filter), ElementsAre(event, difference));
  filter = {};
  filter.client = "shop";
  EXPECT_THAT(List(filter), ElementsAre(delivery, saga));
  filter.cause = "REFUND_MISMATCH";
  EXPECT_THAT(List(filter), ElementsAre(saga));
  filter = {};
  filter.since_max = absl::Now() - absl::Minutes(25);
  EXPECT_THAT(List(filter), ElementsAre(event, delivery));
  filter = {};
  filter.endpoint_id = Uuid::Parse(kLetterEndpoint);
  EXPECT_THAT(List(filter), ElementsAre(delivery));

  std::vector<std::string> paged;
  std::optional<std::pair<absl::Time, std::string>> after;
  for (;;) {
    absl::StatusOr<std::vector<DeadLetter>> page = store_.List({}, after, 1);
    ASSERT_TRUE(page.ok()) << page.status();
    if (page->empty()) break;
    ASSERT_LT(paged.size(), 4U);
    paged.push_back(fmt::format("{} {}", page->front().id, page->front().cause));
    after = {page->front().since, page->front().id};
  }
  EXPECT_THAT(paged, ElementsAre(event, delivery, difference, saga));
  absl::StatusOr<std::vector<DeadLetterCount>> counts = store_.Count({}, std::numeric_limits<int64_t>::max());
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_THAT(*counts, SizeIs(4));
}

TEST_F(DeadLetterPgTest, WhatIsRedrivenIsDueOneAfterTheOther) {
  AddEvent("older", "AMOUNT_MISMATCH", 50);
  AddEvent("newer", "AMOUNT_MISMATCH", 40);
  AddEvent("newest", "AMOUNT_MISMATCH", 30);
  EXPECT_EQ(Redrive({.kind = DeadLetterKind::kEvent}, 2), 2);
  EXPECT_THAT(List(), ElementsAre("event/acme/newest AMOUNT_MISMATCH"));
  EXPECT_EQ(
      sql().Value("SELECT string_agg(concat_ws(' ', event_id, state, attempts, COALESCE(reason, '-'), "
                  "extract(epoch FROM due_at - (SELECT min(due_at) FROM webhook_inbox))::int), ', ' ORDER BY due_at) "
                  "FROM webhook_inbox WHERE due_at IS NOT NULL"),
      "older new 0 - 0, newer new 0 - 10");
  EXPECT_EQ(sql().Value("SELECT string_agg(subject, ' ' ORDER BY subject) FROM audit_entries WHERE action = "
                        "'dead_letter.redrive' AND operator_name = 'ada'"),
            "event/acme/newer event/acme/older");
}

TEST_F(DeadLetterPgTest, ADeliveryIsSentFromTheFirstAttemptAgain) {
  AddEndpoint();
  AddDelivery("1");
  EXPECT_EQ(Redrive(Of(fmt::format("delivery/{}/1", kLetterEndpoint))), 1);
  EXPECT_EQ(sql().Value("SELECT concat_ws(' ', state, attempts, epoch, reason) FROM webhook_deliveries"),
            "waiting 0 1 ");
  EXPECT_EQ(Redrive({.kind = DeadLetterKind::kDelivery}), 0);
}

TEST_F(DeadLetterPgTest, NothingIsSentToAnEndpointThatIsDisabled) {
  AddEndpoint(/*enabled=*/false);
  AddDelivery("1");
  EXPECT_THAT(List(), ElementsAre(fmt::format("delivery/{}/1 REFUSED ENDPOINT_DISABLED", kLetterEndpoint)));
  EXPECT_EQ(Redrive({.kind = DeadLetterKind::kDelivery}), 0);
  EXPECT_EQ(Discard({.kind = DeadLetterKind::kDelivery}), 1);
  EXPECT_EQ(sql().Value("SELECT state || ' ' || reason FROM webhook_deliveries"), "discarded ticket 812");
}

TEST_F(DeadLetterPgTest, ASagaIsTakenFromItsDriverAndIsDue) {
  AddSaga();
  EXPECT_EQ(Redrive(Of(fmt::format("saga/{}", kLetterOrder))), 1);
  EXPECT_EQ(sql().Value("SELECT concat_ws(' ', state, needs_attention, attempt, epoch, lease_until <= now(), due_at = "
                        "lease_until) FROM order_sagas"),
            "compensating f 1 5 t t");
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_EQ(Discard({.kind = DeadLetterKind::kSaga}), 0);
}

TEST_F(DeadLetterPgTest, ASagaThatNobodyHereDrivesStaysWhereItIs) {
  AddSaga(/*version=*/7);
  EXPECT_THAT(List(), ElementsAre(fmt::format("saga/{} REFUND_MISMATCH SAGA_NOT_DRIVEN_HERE", kLetterOrder)));
  EXPECT_EQ(Redrive({.kind = DeadLetterKind::kSaga}), 0);
}

TEST_F(DeadLetterPgTest, ACaseIsComparedAgain) {
  const std::string number = AddCase();
  EXPECT_EQ(Redrive(Of("case/" + number)), 1) << "we have not charged it";
  EXPECT_EQ(sql().Value("SELECT concat_ws(' ', closed_by, reason) FROM reconciliation_cases"),
            " proven by settlement 1");
  EXPECT_EQ(Redrive(Of("case/" + number)), 0);
}

TEST_F(DeadLetterPgTest, ACaseThatIsStillSoStaysAndCountsAsOfThen) {
  const std::string number = AddCase();
  sql().Exec("UPDATE settlements SET covers_from = now() - interval '40 d'");
  sql().Exec(fmt::format("INSERT INTO payments VALUES ('{}', 5, 'EUR', 'ch_1', now() - interval '3 d', NULL, NULL)",
                         kLetterOrder));
  const DeadLetterFilter before = {.kind = DeadLetterKind::kCase, .since_max = absl::Now()};
  EXPECT_EQ(Redrive(before), 1);
  EXPECT_THAT(List(), ElementsAre("case/" + number + " MISSING_THERE"));
  EXPECT_EQ(Redrive(before), 0) << "not twice in one go";
  EXPECT_EQ(Discard(Of("case/" + number)), 1);
  EXPECT_EQ(sql().Value("SELECT closed_by || ' ' || reason FROM reconciliation_cases"), "ops ticket 812");
}

// A comparison takes its gateway's turn and then its cases; whoever compares again in another order would end in a
// deadlock with it.
TEST_F(DeadLetterPgTest, WhoWaitsForAComparisonHoldsNoCase) {
  const std::string number = AddCase();
  waybill::testing::Sql comparing(database_.url());
  comparing.Exec("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('waybill reconcile acme', 0))");
  std::future<int> redriven = std::async(std::launch::async, [&] { return Redrive(Of("case/" + number)); });
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    return sql().Value(
               "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = "
               "(SELECT oid FROM pg_database WHERE datname = current_database())") == "1";
  }));
  comparing.Exec("SET LOCAL lock_timeout = '5s'; UPDATE reconciliation_cases SET compared_at = now(); COMMIT");
  EXPECT_EQ(redriven.get(), 1);
}

TEST_F(DeadLetterPgTest, WhatIsDiscardedIsSaidWhyInTheAudit) {
  AddEvent("1");
  EXPECT_EQ(Discard(Of("event/acme/1")), 1);
  EXPECT_EQ(sql().Value("SELECT state || ' ' || reason FROM webhook_inbox"), "ignored DISCARDED: ticket 812");
  EXPECT_EQ(Audit(), R"(ops ada dead_letter.discard event/acme/1 {"reason":"ticket 812"})");
  EXPECT_EQ(Discard(Of("event/acme/1")), 0);
}

TEST_F(DeadLetterPgTest, OfManyWhoRedriveEachLetterIsRedrivenOnce) {
  for (int i = 0; i < 200; ++i) AddEvent(std::to_string(i));
  std::vector<std::future<int>> callers;
  for (int i = 0; i < 4; ++i) {
    callers.push_back(std::async(std::launch::async, [this] {
      int mine = 0;
      for (int n = 0; n < 20; ++n) mine += Redrive({.kind = DeadLetterKind::kEvent}, 20);
      return mine;
    }));
  }
  int all = 0;
  for (std::future<int>& caller : callers) all += caller.get();
  all += Redrive({.kind = DeadLetterKind::kEvent}, 1'000);  // what all of them passed over
  EXPECT_EQ(all, 200);
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_EQ(sql().Value("SELECT count(*) || ' ' || count(DISTINCT subject) FROM audit_entries"), "200 200");
}

TEST_F(DeadLetterPgTest, KnowsItsIds) {
  EXPECT_EQ(ParseDeadLetterId("event/acme/a/b")->second, "a/b");
  for (const char* wrong : {"", "saga", "saga/", "saga/1", "case/", "case/-1", "case/1x", "case/99999999999999999999",
                            "event/acme", "event/acme/", "event//1", "delivery/1/2", "letter/1"}) {
    EXPECT_FALSE(ParseDeadLetterId(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace waybill::storage
