#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "fmt/format.h"
#include "storage/postgres/ledger_store.h"
#include "storage/postgres/rights.h"
#include "storage/postgres/sqlstate.h"
#include "tests/storage/ledger_store_contract.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

// A process of its own, as it were.
class LedgerProcess {
 public:
  LedgerProcess(const std::string& url, const Clock& clock, LedgerStoreOptions options = {}, uint64_t seed = 1)
      : random_(seed),
        writes_(url, WriteConnectionOptions(), {8}),
        reads_(url, ReadConnectionOptions(), {8}),
        store_({url, writes_, reads_, clock, random_, loops_}, std::move(options)) {}

  PostgresLedgerStore& store() { return store_; }

 private:
  SeededRandom random_;
  ThreadLoops loops_;
  Pool writes_, reads_;
  PostgresLedgerStore store_;
};

class PostgresLedgerHarness final : public LedgerStoreHarness {
 public:
  explicit PostgresLedgerHarness(bool careful) : careful_(careful) {}
  LedgerStore& store() override { return process_.store(); }
  waybill::testing::ManualTime& time() override { return time_; }
  std::map<std::string, ledger::Balance> told() override {
    std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  LedgerStoreOptions Options() {
    LedgerStoreOptions options;
    options.on_changes = [this](std::span<const BalanceChange> changes) {
      std::lock_guard lock(mutex_);
      for (const BalanceChange& change : changes) told_[change.account] = change.balance;
    };
    if (careful_) options.accounts_max = 0;  // nothing is kept in memory from one batch to the next
    return options;
  }

  const bool careful_;
  waybill::testing::MigratedDatabase database_;
  waybill::testing::ManualTime time_;
  std::mutex mutex_;
  std::map<std::string, ledger::Balance> told_;
  LedgerProcess process_{database_.url(), time_, Options()};
};

INSTANTIATE_TEST_SUITE_P(Postgres, LedgerStoreContract,
                         ::testing::Values([] { return std::make_unique<PostgresLedgerHarness>(false); }));
INSTANTIATE_TEST_SUITE_P(PostgresWithoutMemory, LedgerStoreContract,
                         ::testing::Values([] { return std::make_unique<PostgresLedgerHarness>(true); }));

using ::testing::HasSubstr;
using waybill::testing::ManualTime;
using waybill::testing::MigratedDatabase;
using waybill::testing::Sql;

ledger::NewAccount Account(std::string id, ledger::AccountFlags flags = {}, std::string parent = "") {
  ledger::NewAccount account;
  account.id = std::move(id);
  account.currency = "EUR";
  account.kind = "wallet";
  account.code = 1;
  account.flags = flags;
  account.parent = std::move(parent);
  return account;
}

class LedgerPgTest : public ::testing::Test {
 protected:
  LedgerStore& store() { return process_.store(); }
  std::string Result(LedgerStore& at, const ledger::NewTransfer& transfer) {
    const auto outcomes = at.PostAndWait("acme", {transfer});
    return outcomes.ok() ? std::string(Name(outcomes->front().result)) : outcomes.status().ToString();
  }
  std::string Result(const ledger::NewTransfer& transfer) { return Result(store(), transfer); }
  void Open(const std::vector<ledger::NewAccount>& accounts) {
    ASSERT_TRUE(store().CreateAccounts("acme", accounts).ok());
  }
  std::string Faults() {
    const auto report = store().Verify(nullptr);
    if (!report.ok()) return report.status().ToString();
    std::string all;
    for (const std::string& fault : report->faults) all += fault + "\n";
    return all;
  }
  std::string Deadlocks() {
    database_.sql().Exec("SELECT pg_stat_force_next_flush()");
    return database_.sql().Value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
  }
  // As somebody who owns the tables, and takes the triggers out of the way, could do it.
  void Forge(const std::string& statement) {
    database_.sql().Exec("SET session_replication_role = replica");
    database_.sql().Exec(statement);
    database_.sql().Exec("SET session_replication_role = origin");
  }

  MigratedDatabase database_;
  ManualTime time_;
  LedgerProcess process_{database_.url(), time_};
};

// --- What raw SQL cannot break

class LedgerSqlPgTest : public LedgerPgTest {
 protected:
  LedgerSqlPgTest() {
    Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true, .history = true}),
          Account("owed", {.credits_must_not_exceed_debits = true}), Account("card", {}, "w"), Account("shut")});
    EXPECT_EQ(Result(Move("fund", "bank", "w", 100)), "created");
    EXPECT_EQ(Result(Hold("h", "w", "bank", 10, 60)), "created");
    EXPECT_EQ(Result(Hold("g", "w", "bank", 5)), "created");
    EXPECT_EQ(Result(End("pg", ledger::Phase::kPost, "g")), "created");
    EXPECT_TRUE(store().SetClosed("acme", "shut", true).ok());
  }
  ~LedgerSqlPgTest() override { EXPECT_EQ(Faults(), ""); }

  // The constraint, or SQLSTATE, by which a statement is refused; "": it went through.
  std::string Refused(const std::string& statement) {
    const waybill::testing::SqlResult result = database_.sql().Run(statement);
    return result.constraint.empty() ? result.sqlstate : result.constraint;
  }
  std::string Number(const std::string& id) {
    return database_.sql().Value("SELECT number FROM ledger_accounts WHERE id = '" + id + "'");
  }
  // A transfer as anybody may insert it.
  std::string Insert(const std::string& id, const std::string& debit, const std::string& credit,
                     const std::string& amount, const std::string& more = "", const std::string& values = "",
                     const std::string& phase = "single", const std::string& currency = "EUR") {
    return "INSERT INTO ledger_transfers (client, id, debit_account, credit_account, amount, phase, currency, code, "
           "write, "
           "created_at" +
           more + ") VALUES ('acme', '" + id + "', " + Number(debit) + ", " + Number(credit) + ", " + amount + ", '" +
           phase + "', '" + currency + "', 1, 0, now()" + values + ")";
  }
};

TEST_F(LedgerSqlPgTest, ATransferThatIsInsertedMovesTheBalances) {
  EXPECT_EQ(Refused(Insert("sql", "card", "bank", "7")), "");
  EXPECT_EQ(store().GetAccount("acme", "w")->balance.debits_posted, 12);
  EXPECT_EQ(store().GetAccount("acme", "card")->balance.debits_posted, 7);
  EXPECT_EQ(Result(Move("x", "w", "bank", 79)), "exceeds_credits") << "the writer notices";
  EXPECT_EQ(Result(Move("y", "w", "bank", 78)), "created");
}

TEST_F(LedgerSqlPgTest, BalancesAreChangedByNothingElse) {
  for (const char* column : {"debits_posted", "credits_posted", "debits_pending", "credits_pending", "version"}) {
    EXPECT_EQ(Refused(fmt::format("UPDATE ledger_accounts SET {0} = {0} + 1", column)), "ledger_balances_by_transfers");
  }
  for (const char* change : {"currency = 'USD'", "client = 'x'", "id = 'x'", "debits_must_not_exceed_credits = false",
                             "parent = NULL", "history = true"}) {
    EXPECT_EQ(Refused(fmt::format("UPDATE ledger_accounts SET {}", change)), "ledger_accounts_stay");
  }
  EXPECT_EQ(Refused("DELETE FROM ledger_accounts"), "ledger_accounts_last");
  EXPECT_EQ(Refused("TRUNCATE ledger_accounts CASCADE"), "ledger_accounts_last");
  EXPECT_EQ(Refused("INSERT INTO ledger_accounts (client, id, currency, kind, code, credits_posted) "
                    "VALUES ('acme', 'rich', 'EUR', 'wallet', 1, 100)"),
            "ledger_accounts_begin_empty");
  EXPECT_EQ(
      Refused("INSERT INTO ledger_accounts (client, id, currency, kind, code, parent) VALUES ('acme', 'c2', 'EUR', "
              "'wallet', 1, " +
              Number("card") + ")"),
      "ledger_accounts_of_a_root");
  EXPECT_EQ(Refused("INSERT INTO ledger_account_history SELECT account, version + 9, at, 0, 0, 0, 0 "
                    "FROM ledger_account_history"),
            "ledger_history_by_transfers");
  EXPECT_EQ(Refused("DELETE FROM ledger_account_history"), "ledger_history_unchanged");
  EXPECT_EQ(Refused("DELETE FROM ledger_expiries"), "ledger_expiries_by_transfers");
}

TEST_F(LedgerSqlPgTest, TransfersAreNeitherChangedNorRemoved) {
  EXPECT_EQ(Refused("UPDATE ledger_transfers SET user_data = 'x'"), "ledger_transfers_unchanged");
  EXPECT_EQ(Refused("DELETE FROM ledger_transfers"), "ledger_transfers_unchanged");
  EXPECT_EQ(Refused("TRUNCATE ledger_transfers"), "ledger_transfers_unchanged");
}

TEST_F(LedgerSqlPgTest, NoFlagIsBroken) {
  EXPECT_EQ(Refused(Insert("a", "w", "bank", "86")), "ledger_accounts_debits_within_credits");
  EXPECT_EQ(Refused(Insert("b", "card", "bank", "86")), "ledger_accounts_debits_within_credits");
  EXPECT_EQ(Refused(Insert("c", "bank", "owed", "1")), "ledger_accounts_credits_within_debits");
  EXPECT_EQ(Refused(Insert("d", "bank", "shut", "1")), "ledger_transfers_of_open_accounts");
  EXPECT_EQ(Refused(Insert("e", "bank", "w", "1", "", "", "single", "USD")), "ledger_transfers_of_open_accounts");
  EXPECT_EQ(Refused(Insert("f", "bank", "w", "0")), "ledger_transfers_amount");
  EXPECT_EQ(Refused(Insert("g2", "bank", "w", "-1")), "ledger_transfers_amount");
  EXPECT_EQ(Refused(Insert("h2", "bank", "bank", "1")), "ledger_transfers_or_refusal");
  EXPECT_EQ(Refused(Insert("i", "bank", "w", "9223372036854775807")), "22003");
  EXPECT_EQ(Refused(Insert("fund", "bank", "w", "1")), "ledger_transfers_client_id");
  EXPECT_EQ(Refused("INSERT INTO ledger_transfers (client, id, debit_account, credit_account, amount, phase, currency, "
                    "code, write, created_at) VALUES ('acme', 'j', 99999, " +
                    Number("w") + ", 1, 'single', 'EUR', 1, 0, now())"),
            "ledger_transfers_of_open_accounts");
}

TEST_F(LedgerSqlPgTest, AHoldEndsOnceAndAsItIs) {
  const auto end = [&](const std::string& pending, const std::string& amount, const std::string& released,
                       const std::string& phase, const std::string& debit = "w") {
    return Refused(Insert("e", debit, debit == "w" ? "bank" : "w", amount, ", pending_id, released",
                          ", '" + pending + "', " + released, phase));
  };
  EXPECT_EQ(end("g", "5", "5", "post"), "ledger_transfers_end_once");
  EXPECT_EQ(end("g", "0", "5", "expired"), "ledger_transfers_end_once");
  EXPECT_EQ(end("h", "10", "9", "post"), "ledger_transfers_shape");
  EXPECT_EQ(end("h", "9", "9", "post"), "ledger_transfers_end_as_pending");
  EXPECT_EQ(end("h", "10", "10", "post", "bank"), "ledger_transfers_end_as_pending");
  EXPECT_EQ(end("fund", "1", "1", "post"), "ledger_transfers_end_as_pending");
  EXPECT_EQ(end("none", "1", "1", "post"), "ledger_transfers_end_as_pending");
  EXPECT_EQ(end("h", "1", "10", "void"), "ledger_transfers_shape");
  EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM ledger_expiries"), "1");
  EXPECT_EQ(end("h", "4", "10", "post"), "");
  EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM ledger_expiries"), "0");
  EXPECT_EQ(store().GetAccount("acme", "w")->balance.debits_pending, 0);
}

TEST_F(LedgerSqlPgTest, WhoKeepsTheLedgerMayDoNoMoreThanThat) {
  const std::string role = "r_" + database_.sql().Value("SELECT md5(current_database())");
  database_.sql().Exec("CREATE ROLE " + role);
  for (const Rights& rights : LedgerRights()) {
    if (rights.on == "schema_migrations") continue;  // not in this database
    database_.sql().Exec(fmt::format("GRANT {} ON {} TO {}", rights.may, rights.on, role));
  }
  database_.sql().Exec("SET ROLE " + role);
  EXPECT_EQ(Refused(Insert("sql", "bank", "w", "7")), "");
  EXPECT_EQ(Refused("DELETE FROM ledger_transfers"), "42501");
  EXPECT_EQ(Refused("INSERT INTO ledger_account_history DEFAULT VALUES"), "42501");
  EXPECT_EQ(Refused("DELETE FROM ledger_expiries"), "42501");
  database_.sql().Exec("RESET ROLE");
  database_.sql().Exec("DROP OWNED BY " + role);
  database_.sql().Exec("DROP ROLE " + role);
}

// --- Many at once

// 64 callers over two processes empty an account that must not be overdrawn.
TEST_F(LedgerPgTest, SixtyFourRacingCallersOverdrawNothing) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true}), Account("card", {}, "w"),
        Account("shop")});
  ASSERT_EQ(Result(Move("fund", "bank", "w", 1'000)), "created");
  LedgerStoreOptions options;
  options.writers = 2;
  std::atomic<int> pauses{0};
  options.in_gap = [&](LedgerGap) {
    if (pauses.fetch_add(1) % 3 == 0) std::this_thread::yield();
    return absl::OkStatus();
  };
  LedgerProcess other(database_.url(), time_, options, 2);
  std::atomic<int64_t> spent{0};
  std::atomic<int> refused{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 64; ++caller) {
    callers.emplace_back([&, caller] {
      LedgerStore& at = caller % 2 == 0 ? store() : other.store();
      for (int n = 0; n < 12; ++n) {
        const std::string id = fmt::format("t{}.{}", caller, n);
        const auto outcomes = at.PostAndWait("acme", {Move(id, n % 3 == 0 ? "card" : "w", "shop", 1 + n % 4)});
        ASSERT_TRUE(outcomes.ok()) << outcomes.status();
        if (outcomes->front().result == ledger::TransferResult::kCreated) {
          spent += outcomes->front().amount_minor;
        } else {
          EXPECT_EQ(Name(outcomes->front().result), "exceeds_credits");
          ++refused;
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  const ledger::Balance balance = store().GetAccount("acme", "w")->balance;
  EXPECT_EQ(balance.debits_posted, spent);
  EXPECT_LE(balance.debits_posted, balance.credits_posted);
  EXPECT_GT(balance.debits_posted, 995);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM ledger_transfers"), std::to_string(1 + 64 * 12));
  EXPECT_EQ(Faults(), "");
  EXPECT_EQ(Deadlocks(), "0");
}

// Whatever another writes between two statements of ours.
TEST_F(LedgerPgTest, WhatOthersDoMeanwhileIsSeen) {
  LedgerGap at = LedgerGap::kAfterCommit;
  std::function<void()> meanwhile;
  LedgerStoreOptions options;
  options.in_gap = [&](LedgerGap gap) {
    if (gap == at && meanwhile) std::exchange(meanwhile, nullptr)();
    return absl::OkStatus();
  };
  LedgerProcess other(database_.url(), time_, options, 2);
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true})});
  const auto in_gap = [&](LedgerGap gap, std::function<void()> what) {
    at = gap;
    meanwhile = std::move(what);
  };
  const auto mine = [&](const ledger::NewTransfer& transfer) { return Result(other.store(), transfer); };
  ASSERT_EQ(mine(Move("fund", "bank", "w", 100)), "created");

  in_gap(LedgerGap::kAfterRead, [&] { EXPECT_EQ(Result(Move("a", "w", "bank", 60)), "created"); });
  EXPECT_EQ(mine(Move("b", "w", "bank", 60)), "exceeds_credits");
  in_gap(LedgerGap::kAfterRead, [&] { EXPECT_EQ(Result(Move("c", "bank", "w", 60)), "created"); });
  EXPECT_EQ(mine(Move("d", "w", "bank", 100)), "created") << "it would have been refused before";
  in_gap(LedgerGap::kAfterRead, [&] { EXPECT_EQ(Result(Move("e", "bank", "w", 5)), "created"); });
  EXPECT_EQ(mine(Move("e", "bank", "w", 5)), "exists");
  in_gap(LedgerGap::kAfterRead, [&] { EXPECT_TRUE(store().SetClosed("acme", "w", true).ok()); });
  EXPECT_EQ(mine(Move("f", "bank", "w", 5)), "credit_account_closed");
  EXPECT_TRUE(store().SetClosed("acme", "w", false).ok());
  EXPECT_EQ(mine(Move("g", "bank", "w", 5)), "created");
  ASSERT_EQ(Result(Hold("h", "bank", "w", 5)), "created");
  in_gap(LedgerGap::kAfterRead, [&] { EXPECT_EQ(Result(End("v", ledger::Phase::kVoid, "h")), "created"); });
  EXPECT_EQ(mine(End("p", ledger::Phase::kPost, "h")), "pending_transfer_already_voided");
  EXPECT_EQ(Faults(), "");
}

// A chore and a caller at the same hold, the one between the other's statements, and the chores of two processes.
TEST_F(LedgerPgTest, AHoldIsPostedOrExpiresAndNeverBoth) {
  std::function<void()> meanwhile;
  LedgerStoreOptions options;
  options.in_gap = [&](LedgerGap gap) {
    if (gap == LedgerGap::kAfterRead && meanwhile) std::exchange(meanwhile, nullptr)();
    return absl::OkStatus();
  };
  LedgerProcess other(database_.url(), time_, options, 2);
  Open({Account("bank"), Account("w")});
  ManualTime behind(time_.Now());  // a process whose clock is behind lets it be posted still
  LedgerProcess slow(database_.url(), behind, {}, 3);
  ASSERT_EQ(Result(Hold("a", "bank", "w", 5, 10)), "created");
  ASSERT_EQ(Result(Hold("b", "bank", "w", 7, 10)), "created");
  time_.Advance(absl::Seconds(10));
  meanwhile = [&] {
    EXPECT_EQ(Result(slow.store(), End("p", ledger::Phase::kPost, "a")), "created");
    EXPECT_EQ(*store().ExpireDue(10), 1);
  };
  EXPECT_EQ(*other.store().ExpireDue(10), 0);
  EXPECT_EQ(store().GetTransfer("acme", "a")->resolution, Resolution::kPosted);
  EXPECT_EQ(store().GetTransfer("acme", "b")->resolution, Resolution::kExpired);
  EXPECT_EQ(store().GetAccount("acme", "w")->balance.credits_pending, 0);
  EXPECT_EQ(Faults(), "");
}

// --- Answers that are lost

TEST_F(LedgerPgTest, ACommitWhoseAnswerIsLostIsToldAsWhatItWas) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true, .history = true})});
  int losses = 0, tries = 0;
  LedgerStoreOptions options;
  options.in_gap = [&](LedgerGap gap) {
    if (gap != LedgerGap::kAfterCommit) return absl::OkStatus();
    ++tries;
    if (losses == 0) return absl::OkStatus();
    --losses;
    // The session as well, as when a server dies.
    Sql(database_.url())
        .Run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waybill-ledger'");
    return ConnectionError("the answer is lost");
  };
  SystemClock clock;
  LedgerProcess process(database_.url(), clock, options, 2);
  losses = 1;
  const std::vector<ledger::NewTransfer> batch = {Move("a", "bank", "w", 10), Move("b", "w", "bank", 11),
                                                  Linked(Move("c", "bank", "w", 1)), Move("d", "w", "bank", 2),
                                                  Move("a", "bank", "w", 10)};
  const auto outcomes = process.store().PostAndWait("acme", batch);
  ASSERT_TRUE(outcomes.ok()) << outcomes.status();
  std::string names;
  for (const auto& outcome : *outcomes) names += std::string(Name(outcome.result)) + " ";
  EXPECT_EQ(names, "created exceeds_credits created created exists ");
  EXPECT_GT((*outcomes)[0].number, 0);
  const ledger::Balance balance = process.store().GetAccount("acme", "w")->balance;
  EXPECT_EQ(balance.credits_posted, 11);
  EXPECT_EQ(balance.debits_posted, 2);
  EXPECT_EQ(balance.version, 1);
  EXPECT_EQ(Name(process.store().PostAndWait("acme", {batch[0]})->front().result), "exists");
  EXPECT_EQ(Faults(), "");
}

TEST_F(LedgerPgTest, AStoreThatIsAwayIsWaitedForAWhile) {
  Open({Account("bank"), Account("w")});
  SystemClock clock;
  std::atomic<int> errors{0};
  LedgerStoreOptions options;
  options.on_error = [&](const absl::Status&) { ++errors; };
  options.in_gap = [&](LedgerGap gap) {
    return gap == LedgerGap::kAfterRead && errors < 3 ? ConnectionError("away") : absl::OkStatus();
  };
  LedgerProcess process(database_.url(), clock, options, 2);
  EXPECT_EQ(Result(process.store(), Move("a", "bank", "w", 10)), "created");
  EXPECT_EQ(errors, 3);
}

// --- Proof

TEST_F(LedgerPgTest, VerifyNamesWhatWasForged) {
  Open({Account("bank"), Account("w", {.history = true}), Account("card", {}, "w")});
  ASSERT_EQ(Result(Move("a", "bank", "w", 10)), "created");
  ASSERT_EQ(Result(Move("b", "card", "bank", 3)), "created");
  ASSERT_EQ(Result(Hold("h", "bank", "w", 4, 60)), "created");
  ASSERT_EQ(SealUntil(store(), 10, 3), std::vector<int64_t>({3}));
  ASSERT_EQ(Result(Move("c", "bank", "w", 1)), "created");
  ASSERT_EQ(SealUntil(store(), 10, 1), std::vector<int64_t>({1}));
  ASSERT_EQ(Faults(), "");

  const auto forged = [&](const std::string& statement, const std::string& back) {
    Forge(statement);
    const std::string faults = Faults();
    Forge(back);
    EXPECT_EQ(Faults(), "");
    return faults;
  };
  EXPECT_THAT(forged("UPDATE ledger_transfers SET amount = 11 WHERE id = 'a'",
                     "UPDATE ledger_transfers SET amount = 10 WHERE id = 'a'"),
              AllOf(HasSubstr("the transfers of batch 1 are not as sealed"), HasSubstr("account w of acme has")));
  EXPECT_THAT(forged("UPDATE ledger_transfers SET user_data = 'x' WHERE id = 'c'",
                     "UPDATE ledger_transfers SET user_data = NULL WHERE id = 'c'"),
              "the transfers of batch 2 are not as sealed\n");
  EXPECT_THAT(
      forged("UPDATE ledger_accounts SET credits_posted = 99 WHERE id = 'w'",
             "UPDATE ledger_accounts SET credits_posted = 11 WHERE id = 'w'"),
      AllOf(HasSubstr("account w of acme has"), HasSubstr("history of account w"), HasSubstr("EUR does not come")));
  EXPECT_THAT(forged("UPDATE ledger_accounts SET debits_posted = 4 WHERE id = 'card'",
                     "UPDATE ledger_accounts SET debits_posted = 3 WHERE id = 'card'"),
              AllOf(HasSubstr("account card of acme has"), HasSubstr("account w of acme has")));
  EXPECT_THAT(
      forged("INSERT INTO ledger_transfers OVERRIDING SYSTEM VALUE SELECT -number, debit_account, credit_account, "
             "amount, requested, released, write, created_at, code, timeout_seconds, linked, balancing_debit, "
             "balancing_credit, phase, currency, client, 'more', pending_id, corrects, user_data, refusal "
             "FROM ledger_transfers WHERE id = 'zz'; "
             "UPDATE ledger_batches SET hash = previous_hash WHERE number = 1",
             "UPDATE ledger_batches b SET hash = n.previous_hash FROM ledger_batches n WHERE b.number = 1 AND "
             "n.number = 2"),
      AllOf(HasSubstr("the transfers of batch 1"), HasSubstr("batch 2 does not have the hash")));
  EXPECT_THAT(forged("DELETE FROM ledger_expiries",
                     "INSERT INTO ledger_expiries SELECT number, created_at + interval '60 s' FROM ledger_transfers "
                     "WHERE id = 'h'"),
              HasSubstr("transfer h of acme"));
}

// What is open when a number was given out is waited for, though greater numbers are there long since.
TEST_F(LedgerPgTest, NothingIsCommittedBehindTheSeal) {
  Open({Account("bank"), Account("w"), Account("x"), Account("y")});
  const std::string insert =
      "INSERT INTO ledger_transfers (client, id, debit_account, credit_account, amount, phase, currency, code, write, "
      "created_at) SELECT 'acme', 'late', a.number, b.number, 1, 'single', 'EUR', 1, 0, now() FROM ledger_accounts a, "
      "ledger_accounts b WHERE a.id = 'x' AND b.id = 'y'";
  Sql late(database_.url());
  late.Exec("BEGIN");
  late.Exec(insert);
  ASSERT_EQ(Result(Move("a", "bank", "w", 1)), "created");
  for (int n = 0; n < 4; ++n) EXPECT_EQ(*store().Seal(100), 0);
  late.Exec("COMMIT");
  EXPECT_EQ(SealUntil(store(), 100, 2), std::vector<int64_t>({2}));
  EXPECT_EQ(Faults(), "");
}

TEST_F(LedgerPgTest, SealsInPartsAndPassesWhatWasRolledBack) {
  Open({Account("bank"), Account("w")});
  for (int n = 0; n < 5; ++n) {
    ASSERT_EQ(Result(Move("t" + std::to_string(n), "bank", "w", 1)), "created");
    database_.sql().Run(
        "INSERT INTO ledger_transfers (client, id, phase, write, created_at) VALUES ('a', 'b', 'single', "
        "0, now())");  // refused, and its number is gone
  }
  EXPECT_EQ(SealUntil(store(), 2, 5), std::vector<int64_t>({2, 2, 1}));
  EXPECT_EQ(*store().Seal(2), 0);
  EXPECT_EQ(store().Batches(0, 10)->size(), 3u);
  EXPECT_EQ(Faults(), "");
}

// --- Orders

class LedgerOrdersPgTest : public LedgerPgTest {
 protected:
  void Exec(const std::string& statement) {
    const waybill::testing::SqlResult result = database_.sql().Run(statement);
    ASSERT_TRUE(result.ok()) << result.message;
  }
  static std::string Order(int n) { return fmt::format("'00000000-0000-7000-8000-{:012}'", n); }
  // An order that is charged by a gateway that takes 1.5 %.
  void Charge(int n, int64_t amount, const std::string& refund = "NULL, NULL") {
    Exec(
        fmt::format("INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, "
                    "begun_at, cost_ppm) VALUES ({}, 1, 'north', 'k', {}, 'EUR', now(), 15000)",
                    Order(n), amount));
    Exec(
        fmt::format("INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, "
                    "currency, state, created_at, updated_at) VALUES ({}, 'shop', 'key-{}', '', 'ada', {}, 'EUR', "
                    "'succeeded', now(), now())",
                    Order(n), n, amount));
    Exec(
        fmt::format("INSERT INTO payments (order_id, amount_minor, currency, gateway_reference, charged_at, "
                    "refund_minor, refunded_at) VALUES ({}, {}, 'EUR', 'ch', now(), {})",
                    Order(n), amount, refund));
  }
  std::string Show(const std::string& account) {
    const auto found = store().GetAccount("(waybill)", account);
    if (!found.ok()) return "none";
    return fmt::format("{} {}", found->balance.debits_posted, found->balance.credits_posted);
  }
  std::string Transfers() {
    return database_.sql().Value(
        "SELECT string_agg(substr(id, 36) || ' ' || amount, ', ' ORDER BY number) "
        "FROM ledger_transfers");
  }
};

TEST_F(LedgerOrdersPgTest, PostNothingUnlessToldTo) {
  Charge(1, 1'000);
  EXPECT_EQ(Transfers(), "NULL");
  Exec("SET waybill.ledger = ''");
  Charge(2, 1'000);
  EXPECT_EQ(Transfers(), "NULL");
}

TEST_F(LedgerOrdersPgTest, PostWhatTheyBookInTheSameCommit) {
  Exec("SET waybill.ledger = '0'");
  Charge(1, 1'000);
  Charge(2, 2'000, "2000, now()");
  EXPECT_EQ(Transfers(), "1:charge 1000, 1:charge:fee 15, 2:charge 2000, 2:charge:fee 30, 2:refund 2000");
  EXPECT_EQ(Show("gateway:north:EUR:0"), "3000 2045");
  EXPECT_EQ(Show("orders:EUR:0"), "2000 3000");
  EXPECT_EQ(Show("fees:EUR:0"), "45 0");
  Exec("BEGIN");
  Charge(3, 500);
  Exec("ROLLBACK");
  EXPECT_EQ(Show("orders:EUR:0"), "2000 3000");
  EXPECT_EQ(Faults(), "");
}

TEST_F(LedgerOrdersPgTest, ARefundPostsWhatItsPartsHaveLeft) {
  Exec("SET waybill.ledger = '1'");
  Charge(1, 1'000);
  const auto part = [&](int n, int64_t amount, const std::string& end) {
    Exec(fmt::format(
        "INSERT INTO partial_refunds (order_id, refund_id, saga_id, gateway, idempotency_key, amount_minor, "
        "currency, begun_at) VALUES ({}, 'r{}', gen_random_uuid(), 'north', 'k', {}, 'EUR', now())",
        Order(1), n, amount));
    Exec(fmt::format("UPDATE partial_refunds SET decided_at = now(), {} WHERE refund_id = 'r{}'", end, n));
  };
  part(1, 100, "state = 'done'");
  part(2, 200, "state = 'refused', refusal = 'no'");
  part(3, 50, "state = 'resolved'");
  Exec("UPDATE payments SET refund_minor = amount_minor, refunded_at = now()");
  EXPECT_EQ(Transfers(), "1:charge 1000, 1:charge:fee 15, 1:part:r1 100, 1:part:r3 50, 1:refund 850");
  EXPECT_EQ(Show("orders:EUR:1"), "1000 1000");
  EXPECT_EQ(Faults(), "");
}

TEST_F(LedgerOrdersPgTest, AnAttemptThatWasLeftAndGivenBackIsPostedAsBoth) {
  Exec("SET waybill.ledger = '0'");
  Exec(fmt::format(
      "INSERT INTO payment_attempts (order_id, number, gateway, idempotency_key, amount_minor, currency, "
      "begun_at, cost_ppm) VALUES ({0}, 1, 'north', 'k', 400, 'EUR', now(), 0), ({0}, 2, 'south', 'k2', 400, "
      "'EUR', now(), 0)",
      Order(1)));
  Exec("UPDATE payment_attempts SET state = 'refunded', decided_at = now() WHERE number = 1");
  EXPECT_EQ(Transfers(), "1:attempt:1:charge 400, 1:attempt:1:refund 400");
  EXPECT_EQ(Show("gateway:north:EUR:0"), "400 400");
  EXPECT_EQ(Faults(), "");
}

}  // namespace
}  // namespace waybill::storage
