#include <functional>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_split.h"
#include "fmt/format.h"
#include "runtime/executor.h"
#include "storage/postgres/audit_log.h"
#include "storage/postgres/driver_store.h"
#include "storage/postgres/order_store.h"
#include "storage/postgres/order_tables.h"
#include "storage/postgres/saga_journal.h"
#include "storage/postgres/saga_journal_sql.h"
#include "tests/storage/journal_contract.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

struct JournalWorld {
  saga::Journal& Open(const std::string& instance, const std::string& life) {
    SagaJournalOptions options;
    options.writers = writers;
    options.ledger = ledger;
    options.in_gap = [this](saga::Gap gap) { return in_gap ? in_gap(gap) : absl::OkStatus(); };
    auto journal = PostgresSagaJournal::Open({&tables}, kinds, {instance, life, absl::Seconds(60)}, database.url(),
                                             pool, ThreadLoops(), options);
    EXPECT_TRUE(journal.ok()) << journal.status();
    journals.push_back(*std::move(journal));
    return *journals.back();
  }
  void ExpireLeases() {
    database.sql().Exec(
        "UPDATE order_sagas SET lease_until = now() - interval '1 second' WHERE lease_until IS NOT NULL");
  }

  void EndWaits() { database.sql().Exec("UPDATE order_sagas SET wakes_at = now() WHERE wakes_at IS NOT NULL"); }

  void SetCapacity(const std::string& driver, int capacity) {
    PostgresDriverStore drivers(pool);
    const domain::Deed deed{{"me"}, "driver.capacity", "driver", driver};
    EXPECT_TRUE(drivers.SetDuty(driver, capacity > 0, deed).ok());
    if (capacity > 0) {
      EXPECT_TRUE(drivers.SetCapacities({{driver, capacity}}, deed).ok());
    }
  }

  std::vector<std::string> Audited() {
    AuditQuery all;
    all.oldest_first = true;
    std::vector<std::string> actions;
    const auto entries = PostgresAuditLog(pool, pool).List(all);
    for (const AuditEntry& entry : *entries) actions.push_back(entry.action);
    return actions;
  }

  int writers = SagaJournalOptions().writers;
  bool ledger = false;
  saga::GapHook in_gap;  // of every journal
  waybill::testing::MigratedDatabase database;
  OrderTables tables;
  saga::Kinds kinds{{saga::Define<domain::Order>().Step("charge_payment").Step("assign_driver").Done()}};
  Pool pool{database.url(), {}, {}};
  std::vector<std::unique_ptr<PostgresSagaJournal>> journals;
};

// The same while all that is booked posts to the ledger.
struct PostingJournalWorld : JournalWorld {
  PostingJournalWorld() { ledger = true; }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Postgres, JournalContract, JournalWorld);
INSTANTIATE_TYPED_TEST_SUITE_P(PostgresWithLedger, JournalContract, PostingJournalWorld);

class OrderJournalPgTest : public JournalContract<JournalWorld> {
 protected:
  waybill::testing::Sql& sql() { return world_.database.sql(); }
  // True as soon as so many sessions of this database wait for a lock.
  bool AwaitLockWaits(int count) {
    return waybill::testing::Eventually(absl::Seconds(20), [&] {
      return sql().Value(
                 "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                 "current_database()") == std::to_string(count);
    });
  }

  // The only writer of `journal` stands still after a write of its own, so that the next takes all that is queued
  // meanwhile at once; until what this answers is called.
  std::function<void()> StandStill(saga::Journal& journal) {
    first_ = Finish(Started(journal, "first"), "first-driver");
    std::promise<void> stands;
    Once(saga::Gap::kAfterAdvance, [this, &stands] {
      stands.set_value();
      goes_on_.get_future().wait();
    });
    journal.Advance({&first_.first, first_.second, 0, nullptr, 0}, [](auto) {});
    stands.get_future().wait();
    return [this] { goes_on_.set_value(); };
  }

  std::pair<OrderRecord, std::vector<saga::LogEntry>> first_;
  std::promise<void> goes_on_;
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

TEST_F(OrderJournalPgTest, WhatIsBookedPostsToTheLedgerInTheSameCommit) {
  world_.ledger = true;
  world_.writers = 1;
  auto& journal = world_.Open("a", "1");
  const auto advance = [&](const auto& finished) {
    std::promise<void> written;
    journal.Advance({&finished.first, finished.second, 0, nullptr, 0}, [&](auto result) {
      EXPECT_TRUE(result.ok() && *result == saga::WriteResult::kApplied);
      written.set_value();
    });
    written.get_future().wait();
  };
  const auto first = Finish(Started(journal, "one"), "driver-1");
  ASSERT_TRUE(first.first.payload.effects.charged);
  advance(first);
  const auto posted = [this] {
    return sql().Value(
        "SELECT string_agg(concat_ws(' ', t.id, t.amount, d.id, c.id), ', ') FROM ledger_transfers t JOIN "
        "ledger_accounts d ON d.number = t.debit_account JOIN ledger_accounts c ON c.number = "
        "t.credit_account");
  };
  const domain::Order& order = first.first.payload;
  const std::string expected = fmt::format("{}:charge {} gateway:default:{}:0 orders:{}:0", first.first.id.ToString(),
                                           order.charge->amount_minor, order.currency, order.currency);
  EXPECT_EQ(posted(), expected);
  // One that loses its claim books nothing, and posts nothing.
  const auto second = Finish(Started(journal, "two"), "driver-1");
  std::promise<void> written;
  journal.Advance({&second.first, second.second, 0, nullptr, 0}, [&](auto result) {
    EXPECT_TRUE(result.ok() && *result == saga::WriteResult::kConflict);
    written.set_value();
  });
  written.get_future().wait();
  EXPECT_EQ(posted(), expected);
}

TEST_F(OrderJournalPgTest, WritersOfWhateverProcessPostToAccountsOfTheirOwn) {
  world_.ledger = true;
  world_.Open("a", "1");
  world_.Open("b", "1");
  const auto taken = [this] {
    return sql().Value(
        "SELECT string_agg(objid::text, ' ' ORDER BY objid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())");
  };
  EXPECT_EQ(taken(), "0 1 2 3 4 5");
  world_.journals.front()->Stop();
  world_.journals.erase(world_.journals.begin());
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(10), [&] { return taken() == "3 4 5"; }));
  world_.Open("c", "1");
  EXPECT_EQ(taken(), "0 1 2 3 4 5") << "what is free again is taken first";
}

// In the quick form and in the careful one, which a repeated key brings about.
TEST_F(OrderJournalPgTest, AttemptsAreThereBeforeTheirCallsAndSayWhatBecameOfThem) {
  using State = domain::PaymentAttempt::State;
  auto& journal = world_.Open("a", "1");
  const auto attempts = [this](const OrderRecord& record) {
    return sql().Value(
        "SELECT string_agg(concat_ws(' ', number, gateway, state, reference, pending_token, "
        "replace(idempotency_key, order_id::text, 'ID'), amount_minor, currency, decided_at IS NOT NULL), "
        "', ' ORDER BY number) FROM payment_attempts WHERE order_id = $1",
        {record.id.ToString()});
  };
  for (const bool careful : {false, true}) {
    const std::string name = careful ? "careful" : "quick";
    if (careful) {
      std::promise<void> found;
      OrderRecord repeated = NewOrder("quick");
      repeated.version = 2;
      repeated.payload.attempts = {{"west"}};
      journal.Begin(repeated, [&](auto existing) {
        EXPECT_TRUE(existing.ok() && *existing != nullptr);
        found.set_value();
      });
      found.get_future().wait();
      EXPECT_EQ(attempts(repeated), "NULL") << "there is no such order";
    }
    OrderRecord record = NewOrder(name);
    record.version = 2;
    record.payload.attempts = {{"north"}};
    std::promise<void> begun;
    journal.Begin(record, [&](auto existing) {
      EXPECT_TRUE(existing.ok() && *existing == nullptr);
      begun.set_value();
    });
    begun.get_future().wait();
    EXPECT_EQ(attempts(record), "1 north open ID/charge_payment 1250 EUR f");

    const auto advance = [&] {
      std::vector<saga::LogEntry> log = {this->Entry(record, "charge_payment", saga::LogOutcome::kAgain)};
      std::promise<absl::StatusOr<saga::WriteResult>> written;
      journal.Advance({&record, log, record.seq - 1, nullptr, 0}, [&](auto result) { written.set_value(result); });
      EXPECT_EQ(*written.get_future().get(), saga::WriteResult::kApplied);
      record.payload.effects = {};
    };
    record.payload.attempts[0].state = State::kNotSent;
    record.payload.attempts.push_back({"south"});
    record.payload.effects.attempt_changed = 1;
    record.payload.effects.attempt_begun = 2;
    advance();
    EXPECT_EQ(attempts(record),
              "1 north not_sent ID/charge_payment 1250 EUR t, 2 south open ID/charge_payment/2 1250 EUR f");

    record.payload.attempts[1].state = State::kPending;
    record.payload.attempts[1].pending_token = "pi_1";
    record.payload.effects.attempt_changed = 2;
    advance();
    EXPECT_EQ(attempts(record),
              "1 north not_sent ID/charge_payment 1250 EUR t, 2 south pending pi_1 ID/charge_payment/2 1250 EUR f");

    record.payload.attempts[1].state = State::kApproved;
    record.payload.attempts[1].reference = "ch_2";
    record.payload.effects.attempt_changed = 2;
    advance();
    record.payload.attempts[1].state = State::kRefunded;
    record.payload.attempts[1].reference = "";  // as read
    record.payload.effects.attempt_changed = 2;
    advance();
    EXPECT_EQ(
        attempts(record),
        "1 north not_sent ID/charge_payment 1250 EUR t, 2 south refunded ch_2 pi_1 ID/charge_payment/2 1250 EUR t")
        << "by its token the gateway may say more of it";

    const auto loaded = journal.Load(record.id);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const auto& read = saga::As<domain::Order>(**loaded).payload.attempts;
    ASSERT_EQ(read.size(), 2u);
    EXPECT_EQ(read[0].gateway, "north");
    EXPECT_EQ(read[0].state, State::kNotSent);
    EXPECT_EQ(read[1].gateway, "south");
    EXPECT_EQ(read[1].state, State::kRefunded);
  }
}

// Money that is held is no charge, and what is voided no refund: not in payments, and so not in the books, entries and
// sums over them.
TEST_F(OrderJournalPgTest, WhatIsAuthorizedIsNoMoneyUntilItIsCaptured) {
  using State = domain::PaymentAttempt::State;
  auto& journal = world_.Open("a", "1");
  const absl::Time expires = absl::FromUnixMicros(1'800'604'800'000'000);
  const auto money = [this] {
    return sql().Value(
        "SELECT concat_ws(' ', (SELECT count(*) FROM payments), (SELECT count(*) FROM gateway_books), "
        "(SELECT count(*) FROM gateway_refunds), (SELECT string_agg(kind || amounts_minor::text, ' ') "
        "FROM payment_entries))");
  };
  for (const bool captured : {false, true}) {
    OrderRecord record = NewOrder(captured ? "captured" : "voided");
    record.version = 3;
    record.payload.attempts = {{"north"}};
    record.payload.attempts[0].capture_later = true;
    std::promise<void> begun;
    journal.Begin(record, [&](auto existing) {
      EXPECT_TRUE(existing.ok() && *existing == nullptr);
      begun.set_value();
    });
    begun.get_future().wait();
    const auto advance = [&] {
      std::vector<saga::LogEntry> log = {this->Entry(record, "charge_payment", saga::LogOutcome::kSucceeded)};
      record.payload.effects.attempt_changed = 1;
      std::promise<absl::StatusOr<saga::WriteResult>> written;
      journal.Advance({&record, log, record.seq - 1, nullptr, 0}, [&](auto result) { written.set_value(result); });
      EXPECT_EQ(*written.get_future().get(), saga::WriteResult::kApplied);
      record.payload.effects = {};
      const auto loaded = journal.Load(record.id);
      EXPECT_TRUE(loaded.ok()) << loaded.status();
      return saga::As<domain::Order>(**loaded).payload.attempts.at(0);
    };
    record.payload.attempts[0].state = State::kPending;
    record.payload.attempts[0].pending_token = "pi_1";
    EXPECT_TRUE(advance().capture_later);
    record.payload.attempts[0].state = State::kOpen;
    record.payload.attempts[0].authorization = domain::Authorization{record.created_at, std::nullopt};
    if (captured) record.payload.attempts[0].authorization->expires = expires;
    domain::PaymentAttempt read = advance();
    EXPECT_EQ(domain::StandingOf(read), "authorized");
    ASSERT_TRUE(read.authorization);
    EXPECT_EQ(read.authorization->at, record.created_at);
    EXPECT_EQ(read.authorization->expires, record.payload.attempts[0].authorization->expires);
    EXPECT_EQ(money(), "0 0 0");
    record.payload.attempts[0] = read;  // as the process that takes over has it
    record.payload.attempts[0].state = captured ? State::kApproved : State::kClosed;
    if (captured) {
      record.payload.charge = domain::Charge{"ch_1", 1'250, record.created_at};
      record.payload.effects.charged = true;
    }
    read = advance();
    EXPECT_EQ(domain::StandingOf(read), captured ? "approved" : "voided");
    ASSERT_TRUE(read.authorization) << "it stays written down";
    EXPECT_EQ(money(), captured ? "1 1 0 charge{1250}" : "0 0 0");
  }
}

// An order's Begin whose answer is lost is written again, perhaps when somebody has gone on with it.
TEST_F(OrderJournalPgTest, ARepeatedBeginLeavesItsAttemptAsItIs) {
  world_.writers = 1;
  auto& journal = world_.Open("a", "1");
  OrderRecord record = NewOrder("twice");
  record.version = 2;
  record.payload.attempts = {{"north"}};
  Once(
      saga::Gap::kAfterBegin,
      [this] {
        waybill::testing::Sql other(world_.database.url());
        other.Exec("UPDATE payment_attempts SET state = 'approved', decided_at = now()");
      },
      /*lost=*/true);
  std::promise<void> begun;
  journal.Begin(record, [&](auto existing) {
    EXPECT_TRUE(existing.ok() && *existing == nullptr);
    begun.set_value();
  });
  begun.get_future().wait();
  EXPECT_EQ(sql().Value("SELECT string_agg(gateway || ' ' || state, ', ') FROM payment_attempts"), "north approved");
}

// One commit with all that may be in the way of a write, and nothing of it in the way of the others.
TEST_F(OrderJournalPgTest, ABatchAnswersForEachOfItsWrites) {
  world_.writers = 1;
  auto& journal = world_.Open("a", "1");
  auto& other = world_.Open("b", "1");
  auto [plain, plain_log] = Finish(Started(journal, "plain"), "ann");
  auto [fenced, fenced_log] = Finish(Started(journal, "fenced"), "bob");
  auto [robbed, robbed_log] = Finish(Started(journal, "robbed"), "cy");
  Holding(other, "holds", {"cy", 1});
  auto [refunded, refunded_log] = Finish(Started(journal, "refunded"), "");
  refunded.state = saga::State::kCompensated;
  refunded.failure = {"NO_DRIVER_AVAILABLE", ""};
  refunded.payload.driver.reset();
  refunded.payload.effects.claimed = false;
  refunded.payload.effects.refunded = true;
  refunded.payload.refund = domain::Refund{1'250, refunded.created_at};
  auto [closed, closed_log] = Close(Holding(journal, "closed", {"dee", 1}));
  closed.payload.effects.released = true;
  ASSERT_TRUE(other.Claim(fenced.id, saga::ClaimMode::kTakeOver).ok());
  OrderRecord fresh = NewOrder("fresh"), repeated = NewOrder("plain");

  std::function<void()> go_on = StandStill(journal);
  std::promise<absl::StatusOr<saga::WriteResult>> answers[5];
  const saga::Write writes[] = {{&plain, plain_log, 0, nullptr, 0},
                                {&fenced, fenced_log, 0, nullptr, 0},
                                {&robbed, robbed_log, 0, nullptr, 0},
                                {&refunded, refunded_log, 0, nullptr, 0},
                                {&closed, closed_log, 2, nullptr, 0}};
  for (size_t i = 0; i < std::size(writes); ++i) {
    journal.Advance(writes[i], [&answers, i](auto result) { answers[i].set_value(result); });
  }
  std::promise<std::optional<OrderRecord>> begun, found;
  journal.Begin(fresh, [&](auto existing) { begun.set_value(*AsExisting(existing)); });
  journal.Begin(repeated, [&](auto existing) { found.set_value(*AsExisting(existing)); });
  go_on();

  const saga::WriteResult wanted[] = {saga::WriteResult::kApplied, saga::WriteResult::kFenced,
                                      saga::WriteResult::kConflict, saga::WriteResult::kApplied,
                                      saga::WriteResult::kApplied};
  for (size_t i = 0; i < std::size(wanted); ++i) EXPECT_EQ(*answers[i].get_future().get(), wanted[i]) << i;
  EXPECT_FALSE(begun.get_future().get().has_value());
  std::optional<OrderRecord> holder = found.get_future().get();
  ASSERT_TRUE(holder.has_value());
  EXPECT_EQ(holder->id, plain.id);
  EXPECT_EQ(sql().Value("SELECT string_agg(idempotency_key || ' ' || state || ' ' || (SELECT count(*) FROM payments p "
                        "WHERE p.order_id = s.order_id) || (SELECT count(*) FROM payments p WHERE p.order_id = "
                        "s.order_id AND refund_minor = 1250) || (SELECT count(*) FROM order_assignments a WHERE "
                        "a.order_id = s.order_id AND released_at IS NULL) || (SELECT count(*) FROM order_saga_steps l "
                        "WHERE l.order_id = s.order_id), ', ' ORDER BY idempotency_key) FROM order_sagas s "
                        "WHERE idempotency_key <> 'first'"),
            "closed closed 1003, fenced running 0000, fresh running 0000, holds succeeded 1012, "
            "plain succeeded 1012, refunded compensated 1102, robbed running 0000")
      << "payments, refunds, drivers held, entries";
}

// After an outage that outlasted a lease, a process claims a saga again whose earlier write it still has in its queue.
TEST_F(OrderJournalPgTest, OfTwoWritesOfOneSagaTheOlderClaimsIsFenced) {
  world_.writers = 1;
  auto& journal = world_.Open("a", "1");
  auto& other = world_.Open("b", "1");
  Holding(other, "holds", {"taken", 1});
  std::vector<std::pair<OrderRecord, std::vector<saga::LogEntry>>> older, newer;
  for (const char* driver : {"free", "taken"}) {
    OrderRecord order = Started(journal, driver);
    older.push_back(Finish(order, driver));
    order = *AsOrder(journal.Claim(order.id, saga::ClaimMode::kTakeOver));
    std::vector<saga::LogEntry> log = {Entry(order, "charge_payment", saga::LogOutcome::kRecovered)};
    newer.emplace_back(order, log);
  }
  // And one that neither of them may write.
  OrderRecord lost = Started(journal, "lost");
  older.push_back(Finish(lost, "nobody's"));
  lost = *AsOrder(journal.Claim(lost.id, saga::ClaimMode::kTakeOver));
  newer.push_back(Finish(lost, "nobody's"));
  ASSERT_TRUE(other.Claim(lost.id, saga::ClaimMode::kTakeOver).ok());

  std::function<void()> go_on = StandStill(journal);
  std::vector<std::promise<absl::StatusOr<saga::WriteResult>>> answers(older.size() + newer.size());
  size_t next = 0;
  for (const auto* writes : {&older, &newer}) {
    for (const auto& [record, log] : *writes) {
      journal.Advance({&record, log, 0, nullptr, 0},
                      [&answer = answers[next++]](auto result) { answer.set_value(std::move(result)); });
    }
  }
  go_on();
  using saga::WriteResult;
  const WriteResult wanted[] = {WriteResult::kFenced,  WriteResult::kFenced,  WriteResult::kFenced,
                                WriteResult::kApplied, WriteResult::kApplied, WriteResult::kFenced};
  for (size_t i = 0; i < answers.size(); ++i) EXPECT_EQ(*answers[i].get_future().get(), wanted[i]) << i;
  EXPECT_EQ(sql().Value("SELECT count(*) FROM payments JOIN order_sagas USING (order_id) WHERE idempotency_key IN "
                        "('free', 'taken', 'lost')"),
            "0");
  EXPECT_EQ(sql().Value("SELECT string_agg(idempotency_key || ' ' || outcome, ', ' ORDER BY idempotency_key) FROM "
                        "order_saga_steps JOIN order_sagas USING (order_id) WHERE idempotency_key IN ('free', 'taken', "
                        "'lost')"),
            "free recovered, taken recovered");
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
      answer.set_value(begun.ok() && *begun != nullptr ? absl::AlreadyExistsError("") : begun.status());
    });
    absl::Status status = answer.get_future().get();
    EXPECT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(sql().Value("SELECT count(*) FROM order_sagas"), "20");
}

// What a claim answers is as of the claim, and not as of when it began to wait: the payment comes with the state.
TEST_F(OrderJournalPgTest, AClaimThatWaitedForAWriteSeesAllOfIt) {
  auto& a = world_.Open("a", "1");
  auto& b = world_.Open("b", "1");
  OrderRecord order = Started(a, "key");
  waybill::testing::Sql writer(world_.database.url());
  writer.Exec("BEGIN");
  writer.Exec("UPDATE order_sagas SET state = 'succeeded', step = 1, seq = 2, lease_until = NULL");
  writer.Exec("INSERT INTO payments SELECT order_id, 1250, 'EUR', 'ch_1', now() FROM order_sagas");
  writer.Exec("INSERT INTO order_assignments SELECT order_id, 'ann', 1, now() FROM order_sagas");
  auto claim = std::async(std::launch::async, [&] { return AsOrder(b.Claim(order.id, saga::ClaimMode::kTakeOver)); });
  ASSERT_TRUE(AwaitLockWaits(1));
  writer.Exec("COMMIT");
  absl::StatusOr<OrderRecord> claimed = claim.get();
  ASSERT_TRUE(claimed.ok()) << claimed.status();
  EXPECT_EQ(claimed->state, saga::State::kSucceeded);
  EXPECT_EQ(claimed->seq, 2);
  ASSERT_TRUE(claimed->payload.charge.has_value());
  EXPECT_EQ(claimed->payload.charge->gateway_reference, "ch_1");
  ASSERT_TRUE(claimed->payload.driver.has_value());
  EXPECT_EQ(claimed->payload.driver->driver_id, "ann");
}

// Rows that a newer version has written, or a hand.
class UnreadableRow : public OrderJournalPgTest {
 protected:
  struct Change {
    const char* what;
    const char* sql;
    const char* column;
  };
  static constexpr Change kChanges[] = {
      {"a step beyond the definition", "UPDATE order_sagas SET step = 7", "step"},
      {"a negative step", "UPDATE order_sagas SET step = -1", "step"},
      {"attempt 0", "UPDATE order_sagas SET attempt = 0", "attempt"},
      {"metadata with a number", "UPDATE order_sagas SET metadata = '{\"gate\": 7}'", "metadata"},
      {"payer that is no object", "UPDATE order_sagas SET payer = '[]'", "payer"},
      {"payer with a number", "UPDATE order_sagas SET payer = '{\"card\": 7}'", "payer"},
      {"metadata that is no object", "UPDATE order_sagas SET metadata = '[\"gate\"]'", "metadata"},
      {"no end of time", "UPDATE order_sagas SET created_at = 'infinity'", "created_at"},
      {"a column of another type", "ALTER TABLE order_sagas ALTER amount_minor TYPE numeric", "amount_minor"},
      {"an unknown state",
       "ALTER TYPE saga_state ADD VALUE 'paused'; ALTER TABLE order_sagas DROP CONSTRAINT "
       "order_sagas_lease_while_unfinished; UPDATE order_sagas SET state = 'paused'",
       "state"},
  };
  static std::string ColumnOf(const absl::Status& status) {
    EXPECT_EQ(GetErrorDetail(status).reason, "UNREADABLE_ROW") << status;
    for (const auto& [key, value] : GetErrorDetail(status).metadata) {
      if (key == "column") return value;
    }
    return "";
  }
  // One order, changed and with its lease over; `told` gets what the journal says of it.
  struct Scene {
    JournalWorld world;
    std::vector<std::pair<absl::Status, bool>> told;
    std::unique_ptr<PostgresSagaJournal> journal;
    OrderRecord order;
  };
  std::unique_ptr<Scene> Set(const Change& change) {
    auto scene = std::make_unique<Scene>();
    scene->order = Started(scene->world.Open("before", "1"), "key");
    scene->world.journals.clear();
    for (absl::string_view part : absl::StrSplit(change.sql, "; ")) scene->world.database.sql().Exec(std::string(part));
    scene->world.ExpireLeases();
    SagaJournalOptions options;
    options.on_unreadable = [told = &scene->told](const absl::Status& why, bool marked) {
      told->emplace_back(why, marked);
    };
    auto journal = PostgresSagaJournal::Open({&scene->world.tables}, scene->world.kinds, {"a", "1", absl::Seconds(60)},
                                             scene->world.database.url(), scene->world.pool, ThreadLoops(), options);
    EXPECT_TRUE(journal.ok()) << journal.status();
    scene->journal = *std::move(journal);
    return scene;
  }
};

TEST_F(UnreadableRow, IsLeftAloneByRecoveryAndMarkedForAPerson) {
  for (const Change& change : kChanges) {
    SCOPED_TRACE(change.what);
    auto scene = Set(change);
    waybill::testing::Sql& sql = scene->world.database.sql();
    auto claimed = AsOrders(scene->journal->ClaimExpired(true, 10));
    ASSERT_TRUE(claimed.ok()) << claimed.status();
    EXPECT_TRUE(claimed->empty());
    ASSERT_EQ(scene->told.size(), 1u);
    EXPECT_EQ(ColumnOf(scene->told[0].first), change.column);
    EXPECT_FALSE(scene->told[0].second);
    EXPECT_EQ(sql.Value("SELECT needs_attention FROM order_sagas"), "t");
    // Not again and again, and yet for whoever can read it.
    EXPECT_TRUE(AsOrders(scene->journal->ClaimExpired(true, 10))->empty());
    EXPECT_EQ(scene->told.size(), 1u);
    EXPECT_EQ(sql.Value("SELECT lease_until BETWEEN now() + interval '50 s' AND now() + interval '60 s' "
                        "FROM order_sagas"),
              "t");
    scene->world.ExpireLeases();
    EXPECT_TRUE(AsOrders(scene->journal->ClaimExpired(true, 10))->empty());
    ASSERT_EQ(scene->told.size(), 2u);
    EXPECT_TRUE(scene->told[1].second);
  }
}

TEST_F(UnreadableRow, IsRefusedWhenItIsAskedForByItsId) {
  for (const Change& change : kChanges) {
    SCOPED_TRACE(change.what);
    auto scene = Set(change);
    EXPECT_EQ(ColumnOf(AsOrder(scene->journal->Claim(scene->order.id, saga::ClaimMode::kTakeOver)).status()),
              change.column);
    if (std::string(change.column) != "step") {
      EXPECT_EQ(ColumnOf(AsOrder(scene->journal->Load(scene->order.id)).status()), change.column);
    }
  }
}

TEST_F(UnreadableRow, AtAStepBeyondTheDefinitionIsNotTakenOver) {
  auto scene = Set(kChanges[0]);
  EXPECT_FALSE(AsOrder(scene->journal->Claim(scene->order.id, saga::ClaimMode::kTakeOver)).ok());
  EXPECT_EQ(scene->world.database.sql().Value("SELECT epoch || ' ' || owner FROM order_sagas"), "1 before/1");
}

// --- What the steps of each version are.

class OrderDefinitionsTest : public OrderJournalPgTest {
 protected:
  absl::StatusOr<std::unique_ptr<PostgresSagaJournal>> OpenWith(const saga::Kinds& kinds) {
    return PostgresSagaJournal::Open({&world_.tables}, kinds, {"b", "1", absl::Seconds(60)}, world_.database.url(),
                                     world_.pool, ThreadLoops(), {});
  }
  static saga::Definition Define(int version, std::vector<std::string> steps) {
    auto builder = saga::Define<domain::Order>();
    builder.Version(version);
    for (std::string& step : steps) builder.Step(std::move(step));
    return builder.Done();
  }
};

TEST_F(OrderDefinitionsTest, AreWrittenDownOnce) {
  world_.Open("a", "1");
  world_.Open("b", "1");
  EXPECT_EQ(sql().Value("SELECT string_agg(concat_ws(' ', kind, version, steps), '; ') FROM saga_definitions"),
            "place_order 1 {charge_payment,assign_driver}");
}

TEST_F(OrderDefinitionsTest, OtherStepsNeedAnotherVersion) {
  world_.Open("a", "1");
  for (const auto& steps : std::vector<std::vector<std::string>>{
           {"charge_payment"}, {"assign_driver", "charge_payment"}, {"charge_payment", "assign_driver", "thank"}}) {
    const absl::Status refused = OpenWith(saga::Kinds({Define(1, steps)})).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()), ::testing::HasSubstr("charge_payment, assign_driver in the database"));
  }
  EXPECT_TRUE(OpenWith(saga::Kinds({Define(1, {"charge_payment", "assign_driver"}),
                                    Define(2, {"check_risk", "charge_payment", "assign_driver"})}))
                  .ok());
}

// Each order goes on as it began, while both versions are driven; a process that has only the old one leaves the new
// one's orders alone.
TEST_F(OrderDefinitionsTest, EachSagaStaysWithItsVersion) {
  auto& old_journal = world_.Open("a", "1");
  Started(old_journal, "old");
  const saga::Kinds kinds(
      {Define(1, {"charge_payment", "assign_driver"}), Define(2, {"check_risk", "charge_payment", "assign_driver"})});
  auto opened = OpenWith(kinds);
  ASSERT_TRUE(opened.ok()) << opened.status();
  OrderRecord order = NewOrder("new");
  order.version = kinds.Newest(domain::Order::kKind)->version;
  ASSERT_TRUE(Begin(**opened, order).ok());
  EXPECT_EQ(sql().Value("SELECT string_agg(idempotency_key || version, ' ' ORDER BY version) FROM order_sagas"),
            "old1 new2");
  world_.ExpireLeases();
  auto claimed = AsOrders(old_journal.ClaimExpired(false, 10));
  ASSERT_TRUE(claimed.ok() && claimed->size() == 1u) << claimed.status();
  EXPECT_EQ((*claimed)[0].payload.idempotency_key, "old");
  EXPECT_EQ(sql().Value("SELECT epoch || ' ' || needs_attention FROM order_sagas WHERE version = 2"), "1 false");
  world_.ExpireLeases();
  claimed = AsOrders((*opened)->ClaimExpired(false, 10));
  ASSERT_TRUE(claimed.ok() && claimed->size() == 2u) << claimed.status();
  for (const OrderRecord& record : *claimed) EXPECT_EQ(record.version, record.payload.idempotency_key == "new" ? 2 : 1);
}

TEST_F(UnreadableRow, IsDrivenAgainOnceItCanBeRead) {
  auto& a = world_.Open("a", "1");
  auto& b = world_.Open("b", "1");
  Started(a, "key");
  sql().Exec("UPDATE order_sagas SET metadata = '[]'");
  world_.ExpireLeases();
  EXPECT_TRUE(AsOrders(b.ClaimExpired(false, 10))->empty());
  sql().Exec("UPDATE order_sagas SET metadata = NULL");
  world_.ExpireLeases();
  auto claimed = AsOrders(b.ClaimExpired(false, 10));
  ASSERT_EQ(claimed->size(), 1u);
  EXPECT_FALSE((*claimed)[0].needs_attention) << "nobody need look any more";
}

TEST_F(UnreadableRow, HidesNoOtherFromRecovery) {
  auto& a = world_.Open("a", "1");
  for (const char* key : {"key-1", "key-2", "key-3"}) Started(a, key);
  sql().Exec("UPDATE order_sagas SET metadata = '[]' WHERE idempotency_key = 'key-2'");
  world_.ExpireLeases();
  EXPECT_EQ(AsOrders(world_.Open("b", "1").ClaimExpired(false, 10))->size(), 2u);
}

TEST_F(UnreadableRow, AnswersOnlyTheRepetitionOfItsKeyWithAnError) {
  auto& journal = world_.Open("a", "1");
  Started(journal, "key-1");
  Started(journal, "key-2");
  sql().Exec("UPDATE order_sagas SET metadata = '[]' WHERE idempotency_key = 'key-1'");
  EXPECT_EQ(ColumnOf(Begin(journal, NewOrder("key-1")).status()), "metadata");
  auto readable = Begin(journal, NewOrder("key-2"));
  EXPECT_TRUE(readable.ok() && readable->has_value()) << readable.status();
}

TEST_F(UnreadableRow, OfTheLogIsAnError) {
  auto& journal = world_.Open("a", "1");
  OrderRecord order = Finished(journal, "key");
  sql().Exec("ALTER TABLE order_saga_steps DROP CONSTRAINT order_saga_steps_outcome");
  sql().Exec(
      "INSERT INTO order_saga_steps SELECT order_id, 3, 'x', 1, 'deferred', state, NULL, now() FROM order_sagas");
  EXPECT_EQ(ColumnOf(journal.LoadLog(order.id, 1).status()), "outcome");
  EXPECT_EQ(AsOrder(journal.Load(order.id))->state, saga::State::kSucceeded);
}

// It knows nothing of the columns that say so, and leaves them behind.
TEST_F(OrderJournalPgTest, WhatAnOlderVersionEndsIsNotTakenUpForHavingWaited) {
  auto& a = world_.Open("a", "1");
  const OrderRecord record = Started(a, "key");
  ASSERT_EQ(Wait(a, record), saga::WriteResult::kApplied);
  ASSERT_TRUE(AsOrder(a.Claim(record.id, saga::ClaimMode::kTakeOver)).ok());
  sql().Exec(
      "UPDATE order_sagas SET state = 'compensating', failure_reason = 'CANCELLED', seq = 2, lease_until = now()");
  EXPECT_EQ(sql().Value("SELECT waits_for FROM order_sagas"), "NULL") << "the trigger forgets it";
  sql().Exec("UPDATE order_sagas SET state = 'compensated', seq = 3, lease_until = NULL");
  world_.EndWaits();
  EXPECT_THAT(*AsOrders(a.ClaimExpired(true, 10)), ::testing::IsEmpty());
  EXPECT_EQ(*Say(a, record.id, saga::Outcome::Succeeded()), saga::SignalResult::kLate);
}

// Both wait for the saga's row, which somebody else holds, and get it one after the other: the second sees the first.
TEST_F(OrderJournalPgTest, AWaitAndItsSignalThatMeetAtTheRowSeeEachOther) {
  auto& a = world_.Open("a", "1");
  for (const bool signal_first : {true, false}) {
    OrderRecord record = Started(a, signal_first ? "signal" : "wait");
    waybill::testing::Sql other(world_.database.url());
    other.Exec("BEGIN");
    other.Exec("SELECT FROM order_sagas WHERE order_id = $1 FOR UPDATE", {record.id.ToString()});
    std::future<absl::StatusOr<saga::SignalResult>> said;
    std::future<saga::WriteResult> waits;
    for (int i = 0; i < 2; ++i) {
      if ((i == 0) == signal_first) {
        said = std::async(std::launch::async, [&] { return Say(a, record.id, saga::Outcome::Succeeded()); });
      } else {
        waits = std::async(std::launch::async, [&] { return Wait(a, record); });
      }
      ASSERT_TRUE(AwaitLockWaits(i + 1));
    }
    other.Exec("COMMIT");
    EXPECT_EQ(waits.get(), saga::WriteResult::kApplied);
    EXPECT_EQ(*said.get(), signal_first ? saga::SignalResult::kKept : saga::SignalResult::kWoken);
    EXPECT_EQ(signal_.has_value(), signal_first);
  }
}

// What an advance does about a row that somebody else is changing, in both forms of the statement.
class RacingAdvance : public OrderJournalPgTest, public ::testing::WithParamInterface<bool> {
 protected:
  // Runs `change` on a started order's row, lets the journal's write wait for it, and commits it.
  absl::StatusOr<saga::WriteResult> AdvanceDuring(const std::string& change) {
    auto opened = PostgresSagaJournal::Open({&world_.tables}, world_.kinds, {"a", "1", absl::Seconds(60)},
                                            world_.database.url(), world_.pool, ThreadLoops(), {.writers = 1});
    EXPECT_TRUE(opened.ok()) << opened.status();
    PostgresSagaJournal& journal = **opened;
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
    EXPECT_TRUE(AwaitLockWaits(1));
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

// A server that took over has a clock that is behind: what a dead process held seems leased for long.
TEST_F(OrderJournalPgTest, LeasesThatEndTooFarAheadAreNobodysAfterAWhileByOurOwnClock) {
  auto& dead = world_.Open("a", "1");
  Started(dead, "key");
  const OrderRecord aside = Started(dead, "aside");
  Started(dead, "stuck");
  Started(dead, "a minute");
  sql().Exec("UPDATE order_sagas SET lease_until = now() + interval '1 hour'");
  sql().Exec("UPDATE order_sagas SET needs_attention = true WHERE idempotency_key IN ('aside', 'stuck')");
  sql().Exec(
      "UPDATE order_sagas SET lease_until = now() + interval '1 minute' WHERE idempotency_key IN ('aside', 'a "
      "minute')");
  auto opened = PostgresSagaJournal::Open({&world_.tables}, world_.kinds, {"b", "1", absl::Milliseconds(200)},
                                          world_.database.url(), world_.pool, ThreadLoops(), {.writers = 1});
  ASSERT_TRUE(opened.ok()) << opened.status();
  PostgresSagaJournal& journal = **opened;
  EXPECT_THAT(*AsOrders(journal.ClaimExpired(false, 10)), ::testing::IsEmpty()) << "its owner may be about to renew it";
  std::vector<OrderRecord> claimed;
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    claimed = *AsOrders(journal.ClaimExpired(false, 10));
    return !claimed.empty();
  }));
  ASSERT_EQ(claimed.size(), 3u) << "a person's attention changes nothing about it";
  EXPECT_EQ(sql().Value("SELECT epoch FROM order_sagas WHERE idempotency_key = 'aside'"), "1") << "it was set aside";
}

// Statements count on seeing what was committed before them, so a default of the database's must not reach them.
TEST_F(OrderJournalPgTest, TheDatabasesIsolationLevelIsNotOurs) {
  sql().Exec(
      "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = %L', current_database(), "
      "'repeatable read'); END $$");
  auto& journal = world_.Open("a", "1");
  world_.SetCapacity("van", 2);
  const OrderRecord first = Holding(journal, "key-1", {"van", 1});
  Holding(journal, "key-2", {"van", 2});
  world_.SetCapacity("van", 1);  // now they are one too many
  GiveBack(journal, first);
  EXPECT_EQ(sql().Value("SELECT slot FROM order_assignments WHERE released_at IS NULL"), "1");
}

// A code that is in no rule may be about one row: the others of its batch do not wait for it.
TEST_F(OrderJournalPgTest, AnErrorThatNobodyExplainsHoldsUpNoOther) {
  sql().Exec(
      "CREATE FUNCTION damaged() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "RAISE EXCEPTION 'invalid page' USING ERRCODE = 'XX001'; END $$");
  sql().Exec(
      "CREATE TRIGGER damaged BEFORE INSERT ON order_sagas FOR EACH ROW WHEN (NEW.user_id = 'damaged') "
      "EXECUTE FUNCTION damaged()");
  auto& journal = world_.Open("a", "1");
  std::vector<OrderRecord> records;
  for (int i = 0; i < 8; ++i) records.push_back(NewOrder("key-" + std::to_string(i)));
  records[3].payload.user_id = "damaged";
  std::vector<std::promise<absl::Status>> answers(records.size());
  for (size_t i = 0; i < records.size(); ++i) {
    journal.Begin(records[i], [&answers, i](auto begun) { answers[i].set_value(begun.status()); });
  }
  for (size_t i = 0; i < records.size(); ++i) {
    auto answer = answers[i].get_future();
    ASSERT_EQ(answer.wait_for(std::chrono::seconds(30)), std::future_status::ready) << i;
    const absl::Status status = answer.get();
    EXPECT_EQ(status.code(), i == 3 ? absl::StatusCode::kInternal : absl::StatusCode::kOk) << status;
    EXPECT_EQ(GetErrorDetail(status).reason, "") << "nobody knows whether it was made";
  }
}

// What keeps leases alive waits for nothing else: neither for the connections of the other calls, nor for a row that
// somebody works on.
TEST_F(OrderJournalPgTest, RenewalsWaitForNoOtherCallAndForNoLockedRow) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord free = Started(journal, "free"), locked = Started(journal, "locked"),
                    taken = Started(journal, "taken");
  sql().Exec("UPDATE order_sagas SET lease_until = now() + interval '1 second'");
  sql().Exec("UPDATE order_sagas SET epoch = epoch + 1 WHERE idempotency_key = 'taken'");
  std::vector<Pool::Lease> busy;
  for (size_t i = 0; i < PoolOptions().size; ++i) {
    auto lease = world_.pool.Acquire();
    ASSERT_TRUE(lease.ok()) << lease.status();
    busy.push_back(*std::move(lease));
  }
  waybill::testing::Sql other(world_.database.url());
  other.Exec("BEGIN");
  other.Exec("SELECT 1 FROM order_sagas WHERE idempotency_key IN ('locked', 'taken') FOR UPDATE");
  const saga::Held keys[] = {
      {domain::Order::kKind, free.id, 1}, {domain::Order::kKind, locked.id, 1}, {domain::Order::kKind, taken.id, 1}};
  auto lost = journal.Renew(keys);
  ASSERT_TRUE(lost.ok()) << lost.status();
  EXPECT_THAT(*lost, ::testing::ElementsAre(taken.id));
  EXPECT_EQ(sql().Value("SELECT string_agg(idempotency_key, ' ') FROM order_sagas WHERE lease_until > now() + interval "
                        "'2 seconds'"),
            "free");
  other.Exec("COMMIT");
  ASSERT_TRUE(journal.Renew(keys).ok());
  EXPECT_EQ(sql().Value("SELECT count(*) FROM order_sagas WHERE lease_until > now() + interval '2 seconds'"), "2");
}

// The line of a scan of the index that is not by the saga's key, and so reads all of it; "": there is none.
std::string LookedThrough(const std::string& plan, std::string_view index) {
  std::istringstream lines(plan);
  std::string line, scan;
  while (std::getline(lines, line)) {
    if (!scan.empty() && line.find("Index Cond: ") == std::string::npos) return scan;
    if (!scan.empty() && line.find("saga_id") == std::string::npos) return scan;
    scan = line.find(index) == std::string::npos ? "" : line;
  }
  return scan;
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
  SagaJournalSql text = BuildSagaJournalSql(world_.tables.sql());
  waybill::testing::Sql planner(world_.database.url());
  for (const char* setting : {"plan_cache_mode = force_generic_plan", "enable_seqscan = off", "enable_nestloop = off",
                              "enable_mergejoin = off"}) {
    planner.Exec(std::string("SET ") + setting);
  }
  const auto plan_of = [&planner](const std::string& statement, bool lease, size_t arrays) {
    planner.Exec("DEALLOCATE ALL");
    planner.Exec("PREPARE statement AS " + statement);
    std::string arguments = lease ? "1" : "";
    for (size_t i = 0; i < arrays; ++i) arguments += arguments.empty() ? "NULL" : ", NULL";
    std::string plan;
    for (const auto& row : planner.Rows("EXPLAIN EXECUTE statement(" + arguments + ")")) plan += row[0] + "\n";
    EXPECT_EQ(plan.find("Seq Scan"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("Index Scan using order_assignments_slot_taken"), std::string::npos) << plan;
    return plan;
  };
  size_t arrays = text.move.oids.size();
  for (const ArrayStatement& book : text.books) {
    plan_of(book.text, false, book.oids.size());
    arrays += book.oids.size();
  }
  for (const std::string& plan :
       {plan_of(text.advance, true, arrays), plan_of(text.move.text, true, text.move.oids.size())}) {
    EXPECT_NE(plan.find("order_sagas_pkey"), std::string::npos) << plan;
    EXPECT_EQ(plan.find("order_sagas_by_user"), std::string::npos) << plan;
  }
  for (const auto& [statement, arguments_of] :
       {std::pair{&text.said_already, "1, NULL, NULL"}, {&text.acted_on, "NULL, NULL, NULL"}}) {
    planner.Exec("DEALLOCATE ALL");
    planner.Exec("PREPARE beside AS " + *statement);
    std::string plan;
    for (const auto& row : planner.Rows(std::string("EXPLAIN EXECUTE beside(") + arguments_of + ")"))
      plan += row[0] + "\n";
    EXPECT_EQ(plan.find("Seq Scan"), std::string::npos) << plan;
    EXPECT_NE(plan.find("order_sagas_pkey"), std::string::npos) << plan;
    EXPECT_NE(plan.find("saga_signals_pkey"), std::string::npos) << plan;
    EXPECT_EQ(LookedThrough(plan, "saga_signals_pkey"), "") << plan;
  }
}

// What looks for the few that are due, or counts those that wait, among many that wait.
TEST_F(OrderJournalPgTest, ThoseThatWaitAreNotLookedThrough) {
  sql().Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
      "created_at, updated_at, waits_for, wakes_at) SELECT gen_random_uuid(), 'shop', n::text, '', 'ada', 1, 'EUR', "
      "now(), "
      "now(), 'charge_payment/do/t', now() + interval '1 day' FROM generate_series(1, 5000) n");
  sql().Exec("VACUUM ANALYZE order_sagas");
  waybill::testing::Sql planner(world_.database.url());
  planner.Exec("PREPARE claim AS " + BuildSagaJournalSql(world_.tables.sql()).claim_woken);
  std::string claim;
  for (const auto& row : planner.Rows("EXPLAIN EXECUTE claim('b/1', 1000, 10, '{1}')")) claim += row[0] + "\n";
  EXPECT_NE(claim.find("order_sagas_wakes"), std::string::npos) << claim;
  std::string plan;
  for (const auto& row : sql().Rows("EXPLAIN SELECT count(*) FROM order_sagas WHERE needs_attention"))
    plan += row[0] + "\n";
  EXPECT_NE(plan.find("order_sagas_needing_attention"), std::string::npos) << plan;
}

// Orders that have just begun are in no index of what is unfinished; the sweep gives a due_at to what grows older.
class YoungOrders : public OrderJournalPgTest {
 protected:
  // A turn of recovery's sweep, as if leases were of no length: up to this very moment.
  void Sweep() {
    sql().Exec(statements_.sweep_ahead, {"10000000"});
    for (const std::string* statement : {&statements_.sweep, &statements_.note_next, &statements_.note_horizon}) {
      sql().Exec(*statement, {"0"});
    }
  }
  // As soon as transactions of other tests on this server have ended.
  bool AwaitSweep(const OrderRecord& order) {
    return waybill::testing::Eventually(absl::Seconds(20), [&] {
      Sweep();
      return IsBelowTheMark(order);
    });
  }
  bool IsBelowTheMark(const OrderRecord& order) {
    return sql().Value("SELECT mark >= $1::uuid FROM saga_marks WHERE sagas = 'order_sagas'", {order.id.ToString()}) ==
           "t";
  }
  std::string Due(const OrderRecord& order) {
    return sql().Value(
        "SELECT CASE WHEN due_at IS NULL THEN 'never' WHEN due_at = lease_until THEN 'at its end' ELSE 'else' END "
        "FROM order_sagas WHERE order_id = $1",
        {order.id.ToString()});
  }
  OrderRecord OrderOf(absl::Time time, const std::string& key) {
    OrderRecord order = NewOrder(key);
    const int64_t millis = absl::ToUnixMillis(time);
    for (int i = 0; i < 6; ++i) order.id.bytes[i] = static_cast<uint8_t>(millis >> (40 - 8 * i));
    return order;
  }
  // What a writer's transaction does that begins an order by what `next` was when it looked.
  static void BeginYoung(waybill::testing::Sql& writer, const OrderRecord& order) {
    writer.Exec(
        "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
        "owner, lease_until, due_at, created_at, updated_at) VALUES ($1::uuid, 'shop', $1, '', 'ada', 1, 'EUR', "
        "'dead/1', now() + interval '1 minute', NULL, now(), now())",
        {order.id.ToString()});
  }
  UnfinishedStats Unfinished() {
    auto stats = PostgresOrderStore(world_.pool).Unfinished(world_.kinds);
    EXPECT_TRUE(stats.ok()) << stats.status();
    return stats.ok() ? *stats : UnfinishedStats();
  }

  const SagaJournalSql statements_ = BuildSagaJournalSql(world_.tables.sql());
};

TEST_F(YoungOrders, EndWithoutAnEntryInAnyIndex) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord order = Started(journal, "key");
  EXPECT_EQ(Due(order), "never");
  const saga::Held held[] = {{domain::Order::kKind, order.id, 1}};
  ASSERT_THAT(*journal.Renew(held), ::testing::IsEmpty());
  EXPECT_EQ(Due(order), "never");
  auto [finished, log] = Finish(order, "ann");
  ASSERT_EQ(*Advance(journal, finished, log, 0), saga::WriteResult::kApplied);
  EXPECT_EQ(Due(order), "never");
  ASSERT_TRUE(AwaitSweep(order));
  EXPECT_EQ(Due(order), "never") << "what has ended is never due";
  world_.journals.clear();  // its sessions tell what they counted when they end
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    return sql().Value(
               "SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = "
               "'order_sagas'") == "2 2";
  })) << sql().Value("SELECT n_tup_upd || ' ' || n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'order_sagas'");
}

TEST_F(YoungOrders, AreDueOnceTheyAreSwept) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord first = Started(journal, "first");
  const OrderRecord second = Started(journal, "second");
  ASSERT_TRUE(AwaitSweep(second));
  EXPECT_EQ(Due(first), "at its end");
  EXPECT_EQ(Due(second), "at its end");
  const OrderRecord third = Started(journal, "third");
  EXPECT_EQ(Due(third), "never");
  auto [finished, log] = Finish(first, "ann");
  ASSERT_EQ(*Advance(journal, finished, log, 0), saga::WriteResult::kApplied);
  EXPECT_EQ(Due(first), "never");
  EXPECT_EQ(Unfinished().running, 2) << "one that is due, and a young one";
}

// Without anybody touching leases: who begins and dies is found soon after its lease is over.
TEST_F(YoungOrders, OfADeadProcessAreTakenUpWhenTheirLeaseIsOver) {
  const auto open = [&](const std::string& instance) {
    auto journal = PostgresSagaJournal::Open({&world_.tables}, world_.kinds, {instance, "1", absl::Milliseconds(300)},
                                             world_.database.url(), world_.pool, ThreadLoops(), {.writers = 1});
    EXPECT_TRUE(journal.ok()) << journal.status();
    return *std::move(journal);
  };
  const OrderRecord order = Started(*open("dead"), "key");
  auto journal = open("lives");
  std::vector<OrderRecord> claimed;
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    claimed = *AsOrders(journal->ClaimExpired(false, 10));
    return !claimed.empty();
  }));
  ASSERT_EQ(claimed.size(), 1u);
  EXPECT_EQ(claimed[0].id, order.id);
}

TEST_F(YoungOrders, AreTakenUpAtOnceByTheNextLifeOfTheirProcess) {
  const OrderRecord order = Started(world_.Open("a", "1"), "key");
  Started(world_.Open("ab", "1"), "of another");
  EXPECT_EQ(Due(order), "never");
  auto claimed = AsOrders(world_.Open("a", "2").ClaimExpired(true, 10));
  ASSERT_TRUE(claimed.ok() && claimed->size() == 1u) << claimed.status();
  EXPECT_EQ((*claimed)[0].id, order.id);
}

TEST_F(YoungOrders, OfAProcessThatEndsAreLeftToOthersAtOnce) {
  auto& a = world_.Open("a", "1");
  const OrderRecord old = Started(a, "old");
  ASSERT_TRUE(AwaitSweep(old));
  EXPECT_EQ(Due(Started(a, "young")), "never");
  ASSERT_TRUE(a.ReleaseAll().ok());
  EXPECT_EQ(AsOrders(world_.Open("b", "1").ClaimExpired(false, 10))->size(), 2u);
}

// Its time counts, not that of its beginning: a write may be repeated for minutes, and clocks may differ.
TEST_F(YoungOrders, AreThoseWhoseIdIsOfNow) {
  auto& journal = world_.Open("a", "1");
  const absl::Time now = absl::Now();
  const std::vector<std::pair<absl::Duration, std::string>> cases = {{-absl::Hours(1), "at its end"},
                                                                     {absl::ZeroDuration(), "never"},
                                                                     {absl::Seconds(10), "never"},
                                                                     {absl::Hours(1), "at its end"}};
  for (const auto& [ahead, due] : cases) {
    const OrderRecord order = OrderOf(now + ahead, absl::FormatDuration(ahead));
    ASSERT_TRUE(Begin(journal, order).ok());
    EXPECT_EQ(Due(order), due) << ahead;
  }
  sql().Exec("DELETE FROM saga_marks");
  EXPECT_EQ(Due(Started(journal, "unmarked")), "at its end");
  world_.Open("b", "1");
  EXPECT_EQ(Due(Started(journal, "marked")), "never");
}

// A renewal touches the lease alone; when it is due after all, recovery looks, and looks again at the lease's end.
TEST_F(YoungOrders, WhatIsRenewedIsLookedAtLater) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord order = Started(journal, "key");
  ASSERT_TRUE(AwaitSweep(order));
  sql().Exec("UPDATE order_sagas SET due_at = now() - interval '1 second'");
  const saga::Held held[] = {{domain::Order::kKind, order.id, 1}};
  ASSERT_THAT(*journal.Renew(held), ::testing::IsEmpty());
  EXPECT_EQ(Due(order), "else");
  EXPECT_TRUE(AsOrders(world_.Open("b", "1").ClaimExpired(false, 10))->empty());
  EXPECT_EQ(Due(order), "at its end");
  EXPECT_EQ(sql().Value("SELECT epoch FROM order_sagas"), "1");
}

// It began an order by what it saw before the sweep was announced, and has not committed. An earlier one ends
// meanwhile, so that the newest number that has ended is not the newest that was given.
TEST_F(YoungOrders, OfATransactionThatIsOpenAreNotPassedOver) {
  auto& journal = world_.Open("a", "1");
  waybill::testing::Sql earlier(world_.database.url()), writer(world_.database.url());
  for (waybill::testing::Sql* session : {&earlier, &writer}) {
    session->Exec("BEGIN");
    session->Exec(statements_.number);
  }
  const OrderRecord late = NewOrder("late");
  BeginYoung(writer, late);
  const OrderRecord seen = Started(journal, "seen");
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    Sweep();
    return Due(seen) == "at its end";
  })) << "what can be seen is swept all the same";
  earlier.Exec("COMMIT");
  for (int turn = 0; turn < 3; ++turn) Sweep();
  EXPECT_FALSE(IsBelowTheMark(late));
  EXPECT_GT(Unfinished().unswept, absl::ZeroDuration());
  writer.Exec("COMMIT");
  ASSERT_TRUE(AwaitSweep(late));
  EXPECT_EQ(Due(late), "at its end");
  EXPECT_EQ(sql().Value("SELECT count(*) FROM leased_sagas"), "2");
}

// Its number was given after the announcement's, and it has not seen that: when it looked, that was not committed.
TEST_F(YoungOrders, OfATransactionThatCameBetweenAreNotPassedOver) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord late = NewOrder("late");
  const OrderRecord seen = Started(journal, "seen");
  waybill::testing::Sql sweeper(world_.database.url()), writer(world_.database.url());
  sweeper.Exec("BEGIN");
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    sweeper.Exec(statements_.note_next, {"0"});
    return sweeper.Value("SELECT next >= $1::uuid FROM saga_marks WHERE sagas = 'order_sagas'", {seen.id.ToString()}) ==
           "t";
  }));
  writer.Exec("BEGIN");
  writer.Exec(statements_.number);
  BeginYoung(writer, late);
  sweeper.Exec("COMMIT");
  sql().Exec(statements_.note_horizon, {"0"});
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    sql().Exec(statements_.sweep, {"0"});
    return Due(seen) == "at its end";
  }));
  EXPECT_FALSE(IsBelowTheMark(late));
  writer.Exec("COMMIT");
  ASSERT_TRUE(AwaitSweep(late));
  EXPECT_EQ(Due(late), "at its end");
}

// Whoever comes later has seen how far the sweep will go.
TEST_F(YoungOrders, OfALaterTransactionAreAboveWhatIsSwept) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord before = Started(journal, "before");
  sql().Exec(statements_.note_next, {"0"});
  const OrderRecord below = OrderOf(absl::Now() - absl::Milliseconds(1), "below");
  sql().Exec("UPDATE saga_marks SET next = $1 WHERE sagas = 'order_sagas'", {below.id.ToString()});
  ASSERT_TRUE(Begin(journal, below).ok());
  EXPECT_EQ(Due(below), "at its end");
  EXPECT_EQ(Due(before), "never") << "it is the sweep's";
  sql().Exec(statements_.note_horizon, {"0"});
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    sql().Exec(statements_.sweep, {"0"});
    return IsBelowTheMark(below);
  }));
  EXPECT_EQ(Due(before), "at its end");
}

TEST_F(YoungOrders, ThatSomebodyWorksOnHoldUpTheMarkAndNobody) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord locked = Started(journal, "locked");
  const OrderRecord free = Started(journal, "free");
  waybill::testing::Sql worker(world_.database.url());
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    sql().Exec(statements_.note_next, {"0"});
    return sql().Value("SELECT next >= $1::uuid FROM saga_marks WHERE sagas = 'order_sagas'", {free.id.ToString()}) ==
           "t";
  }));
  sql().Exec(statements_.note_horizon, {"0"});
  worker.Exec("BEGIN");
  worker.Exec("SELECT FROM order_sagas WHERE idempotency_key = 'locked' FOR UPDATE");
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    sql().Exec(statements_.sweep, {"0"});
    return Due(free) == "at its end";
  }));
  for (int turn = 0; turn < 3; ++turn) Sweep();
  EXPECT_FALSE(IsBelowTheMark(locked));
  worker.Exec("COMMIT");
  ASSERT_TRUE(AwaitSweep(locked));
  EXPECT_EQ(Due(locked), "at its end");
}

TEST_F(YoungOrders, AreYoungAgainAfterAClockWasSetBack) {
  auto& journal = world_.Open("a", "1");
  sql().Exec(
      "UPDATE saga_marks SET mark = waybill_id_at(now() + interval '1 hour'), next = waybill_id_at(now() + "
      "interval '1 hour'), swept_at = now() + interval '1 hour' WHERE sagas = 'order_sagas'");
  const OrderRecord order = Started(journal, "key");
  EXPECT_EQ(Due(order), "at its end");
  Sweep();
  EXPECT_EQ(sql().Value("SELECT mark <= waybill_id_at(now()) FROM saga_marks WHERE sagas = 'order_sagas'"), "t");
  const OrderRecord young = Started(journal, "young");
  EXPECT_EQ(Due(young), "never");
  ASSERT_TRUE(AwaitSweep(young));
  EXPECT_EQ(Due(young), "at its end");
}

// Who began it died, and nobody else has an index to find it by: not until the clock has caught up, were it not for its
// id.
TEST_F(YoungOrders, OfAClockThatWasSetBackSinceAreFound) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord order = Started(journal, "key");
  ASSERT_EQ(Due(order), "never");
  sql().Exec(
      "UPDATE saga_marks SET mark = waybill_id_at(now() + interval '59 minutes'), next = waybill_id_at(now() + "
      "interval '59 minutes'), swept_at = now() + interval '59 minutes' WHERE sagas = 'order_sagas'");
  const std::string ahead = sql().Value(
      "UPDATE order_sagas SET order_id = overlay(waybill_id_at(now() + interval '1 hour')::text placing '7abc' from 15 "
      "for 4)"
      "::uuid, lease_until = now() + interval '1 hour' RETURNING order_id");
  Sweep();
  EXPECT_EQ(sql().Value("SELECT due_at = lease_until FROM order_sagas WHERE order_id = $1", {ahead}), "t");
}

// A turn ends in time, however far there is to go, and the next one goes on where it ended.
TEST_F(YoungOrders, AreReachedBehindMoreThanATurnLooksAt) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord order = Started(journal, "key");
  sql().Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
      "state, created_at, updated_at, due_at) SELECT waybill_id_at(now() - interval '1 day' + n * interval '1 "
      "millisecond'), 'shop', n::text, '', 'ada', 1, 'EUR', 'closed', now(), now(), NULL FROM generate_series(1, "
      "450000) n");
  sql().Exec(
      "UPDATE saga_marks SET mark = waybill_id_at('epoch'), next = waybill_id_at('epoch') WHERE sagas = 'order_sagas'");
  ASSERT_TRUE(AwaitSweep(order));
  EXPECT_EQ(Due(order), "at its end");
}

// The row came with a dump from a server whose transactions have higher numbers.
TEST_F(YoungOrders, AreSweptAfterAServersNumbersBeganAnew) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord order = Started(journal, "key");
  sql().Exec(statements_.note_next, {"0"});
  sql().Exec("UPDATE saga_marks SET noted = '999999999999'");
  EXPECT_TRUE(AwaitSweep(order));
  EXPECT_EQ(Due(order), "at its end");
}

// Nothing is written while there is nothing new.
TEST_F(YoungOrders, AreNotLookedForWhereThereAreNone) {
  auto& journal = world_.Open("a", "1");
  const OrderRecord order = Finished(journal, "key");
  ASSERT_TRUE(AwaitSweep(order));
  const std::string before = sql().Value("SELECT string_agg(m::text || m.ctid || m.xmin, ' ') FROM saga_marks m");
  for (int turn = 0; turn < 3; ++turn) Sweep();
  EXPECT_EQ(sql().Value("SELECT string_agg(m::text || m.ctid || m.xmin, ' ') FROM saga_marks m"), before);
}

// Among many that have ended, what looks for the unfinished reads a few.
TEST_F(YoungOrders, AndTheDueAreFoundByTheirIndexes) {
  sql().Exec(
      "INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, currency, "
      "state, "
      "created_at, updated_at, due_at) SELECT waybill_id_at(now() - n * interval '1 second'), 'shop', n::text, '', "
      "'ada', 1, 'EUR', 'closed', now(), now(), NULL FROM generate_series(1, 20000) n");
  sql().Exec("VACUUM ANALYZE order_sagas");
  waybill::testing::Sql planner(world_.database.url());
  const auto expect_indexes = [&](const std::string& statement, const std::string& arguments, bool prepared = false) {
    planner.Exec("DEALLOCATE ALL");
    planner.Exec("PREPARE statement AS " + statement);
    for (const char* mode : {"force_custom_plan", "force_generic_plan"}) {
      if (!prepared && mode != std::string_view("force_custom_plan")) continue;
      planner.Exec(std::string("SET plan_cache_mode = ") + mode);
      std::string plan;
      for (const auto& row : planner.Rows("EXPLAIN EXECUTE statement" + arguments)) plan += row[0] + "\n";
      EXPECT_EQ(plan.find("Seq Scan on order_sagas"), std::string::npos) << plan;
    }
  };
  expect_indexes(statements_.sweep, "(1000000)");
  expect_indexes(statements_.note_next, "(1000000)");
  expect_indexes(statements_.claim_young, "('a/1', 1000000, 'a/', 10, '{1}')", true);
  expect_indexes(statements_.release, "('a/1')");
  expect_indexes(statements_.postpone, "");
  expect_indexes(statements_.far_leases, "(1000000, '{1}')");
  expect_indexes(statements_.claim_expired, "('a/1', 1000000, 'a/', false, 10, false, '{1}')", true);
  expect_indexes("SELECT count(*) FROM leased_sagas", "");
}

// What clients are told is written with what it tells, for the endpoints that want it.
class ToldOrders : public OrderJournalPgTest {
 protected:
  void AddEndpoint(int number, const std::string& client, const std::string& types, bool enabled = true) {
    sql().Exec(fmt::format(
        "INSERT INTO webhook_endpoints (endpoint_id, client, url, types, secret, enabled, created_at) VALUES "
        "('00000000-0000-7000-8000-00000000000{}', '{}', 'https://a/', '{}', 'whsec_AAAA', {}, now())",
        number, client, types, enabled));
  }
  // "1 payment.charged, 1 order.confirmed": the endpoints' numbers, and what they are told.
  std::string Told() {
    return sql().Value(
        "SELECT COALESCE(string_agg(right(endpoint_id::text, 1) || ' ' || type, ', ' ORDER BY endpoint_id, type), '') "
        "FROM webhook_deliveries");
  }
  // From now on writes are answered for one by one.
  void WriteCarefully(saga::Journal& journal) {
    const OrderRecord again = NewOrder("again");
    ASSERT_FALSE((*Begin(journal, again)).has_value());
    ASSERT_TRUE((*Begin(journal, NewOrder("again"))).has_value());
  }
};

TEST_F(ToldOrders, AreToldToTheEndpointsThatWantThem) {
  for (const bool careful : {false, true}) {
    SCOPED_TRACE(careful);
    sql().Exec("TRUNCATE webhook_endpoints, webhook_deliveries, order_assignments");
    AddEndpoint(1, "shop", "{*}");
    AddEndpoint(2, "shop", "{order.confirmed}");
    AddEndpoint(3, "shop", "{payment.*,order.completed}");
    AddEndpoint(4, "shop", "{*}", false);
    AddEndpoint(5, "other", "{*}");
    world_.writers = 1;
    auto& journal = world_.Open(careful ? "b" : "a", "1");
    if (careful) WriteCarefully(journal);
    OrderRecord order = Finished(journal, careful ? "careful" : "quick");
    EXPECT_EQ(Told(), "1 order.confirmed, 1 payment.charged, 2 order.confirmed, 3 payment.charged");
    EXPECT_EQ(sql().Value("SELECT count(DISTINCT event_id) FROM webhook_deliveries"), "2");
    EXPECT_EQ(sql().Value("SELECT count(*) FROM webhook_deliveries WHERE body::jsonb -> 'data' ->> 'order_id' = $1 "
                          "AND order_id = $1::uuid AND state = 'waiting' AND next_at <= now()",
                          {order.id.ToString()}),
              "4");
    auto [closed, log] = Close(order);
    ASSERT_EQ(*Advance(journal, closed, log, 2), saga::WriteResult::kApplied);
    EXPECT_EQ(sql().Value("SELECT count(*) FROM webhook_deliveries WHERE type = 'order.completed'"), "2");
  }
}

TEST_F(ToldOrders, AreNotToldWhatWasNotWritten) {
  AddEndpoint(1, "shop", "{*}");
  auto& journal = world_.Open("a", "1");
  auto& other = world_.Open("b", "1");
  auto [fenced, fenced_log] = Finish(Started(journal, "fenced"), "ann");
  ASSERT_TRUE(other.Claim(fenced.id, saga::ClaimMode::kTakeOver).ok());
  EXPECT_EQ(*Advance(journal, fenced, fenced_log, 0), saga::WriteResult::kFenced);
  Holding(other, "holds", {"cy", 1});
  sql().Exec("TRUNCATE webhook_deliveries");
  auto [robbed, robbed_log] = Finish(Started(journal, "robbed"), "cy");
  EXPECT_EQ(*Advance(journal, robbed, robbed_log, 0), saga::WriteResult::kConflict);
  EXPECT_EQ(Told(), "");
}

TEST_F(ToldOrders, AreToldOnceThoughTheyCloseForLong) {
  AddEndpoint(1, "shop", "{order.completed}");
  auto& journal = world_.Open("a", "1");
  auto [closing, log] = Close(Finished(journal, "key"));
  closing.state = saga::State::kClosing;
  ASSERT_EQ(*Advance(journal, closing, log, 2), saga::WriteResult::kApplied);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const int64_t before = closing.seq;
    std::vector<saga::LogEntry> failed = {Entry(closing, "assign_driver", saga::LogOutcome::kUndoFailed)};
    ASSERT_EQ(*Advance(journal, closing, failed, before), saga::WriteResult::kApplied);
  }
  EXPECT_EQ(Told(), "1 order.completed");
}

// Where it is known that nobody wants to be told, the journal does no more than it did without.
TEST_F(ToldOrders, CostNothingWhereNobodyIsToBeTold) {
  AddEndpoint(1, "shop", "{*}");
  bool told = false;
  const OrderTables silent([&told] { return told; });
  SagaJournalOptions options;
  options.writers = 1;
  auto journal = PostgresSagaJournal::Open({&silent}, world_.kinds, {"c", "1", absl::Seconds(60)},
                                           world_.database.url(), world_.pool, ThreadLoops(), options);
  ASSERT_TRUE(journal.ok()) << journal.status();
  Finished(**journal, "untold");
  EXPECT_EQ(Told(), "");
  told = true;
  Finished(**journal, "told");
  EXPECT_EQ(Told(), "1 order.confirmed, 1 payment.charged");
  (*journal)->Stop();
}

}  // namespace
}  // namespace waybill::storage
