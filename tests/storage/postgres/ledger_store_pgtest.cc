#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <sstream>
#include <thread>

#include "fmt/format.h"
#include "storage/postgres/ledger_store.h"
#include "storage/postgres/rights.h"
#include "storage/postgres/saga_journal.h"
#include "storage/postgres/sqlstate.h"
#include "tests/storage/ledger_store_contract.h"
#include "tests/storage/postgres/ledger_facts.h"
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

// What the database compares with its own clock, a minute ahead of it, so that it stands still before what it is.
absl::Time Soon() { return absl::FromUnixSeconds(absl::ToUnixSeconds(SystemClock().Now())) + absl::Minutes(1); }

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
  waybill::testing::ManualTime time_{Soon()};
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
  std::string Deadlocks() { return testing::Deadlocks(database_.sql()); }
  std::string TimesThatRunBack() { return testing::TimesThatRunBack(database_.sql()); }
  // As somebody who owns the tables, and takes the triggers out of the way, could do it.
  void Forge(const std::string& statement) {
    database_.sql().Exec("SET session_replication_role = replica");
    database_.sql().Exec(statement);
    database_.sql().Exec("SET session_replication_role = origin");
  }

  MigratedDatabase database_;
  ManualTime time_{Soon()};
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

TEST_F(LedgerSqlPgTest, NothingAbsurdIsATransfer) {
  const auto insert = [&](const std::string& set) {
    // As the one that is there, but for its id and what is set.
    database_.sql().Exec("BEGIN");
    database_.sql().Exec(
        "CREATE TEMPORARY TABLE next_one ON COMMIT DROP AS SELECT * FROM ledger_transfers WHERE id = 'fund'");
    database_.sql().Exec(
        "UPDATE next_one SET id = 'x', created_at = clock_timestamp(), number = "
        "nextval('ledger_transfers_number_seq')");
    database_.sql().Exec("UPDATE next_one SET " + set);
    const std::string refused = Refused("INSERT INTO ledger_transfers OVERRIDING SYSTEM VALUE SELECT * FROM next_one");
    database_.sql().Exec("ROLLBACK");
    return refused;
  };
  EXPECT_EQ(insert("code = 2"), "") << "the others are refused for what they are";
  EXPECT_EQ(insert("number = number + 1"), "ledger_transfers_number_drawn");
  EXPECT_EQ(insert("number = 9223372036854775807"), "ledger_transfers_number_drawn");
  EXPECT_EQ(insert("number = 0"), "ledger_transfers_within");
  EXPECT_EQ(insert("number = -5"), "ledger_transfers_within");
  EXPECT_EQ(insert("client = 'other'"), "ledger_transfers_of_open_accounts");
  EXPECT_EQ(insert("client = '(waybill)'"), "") << "who moves between clients";
  EXPECT_EQ(insert("code = NULL"), "ledger_transfers_or_refusal");
  EXPECT_EQ(insert("created_at = created_at + interval '2 hours'"), "ledger_transfers_in_time");
  EXPECT_EQ(insert("created_at = created_at - interval '2 days'"), "ledger_transfers_in_time");
  EXPECT_EQ(insert("created_at = 'infinity'"), "ledger_transfers_in_time");
  EXPECT_EQ(insert("created_at = '-infinity'"), "ledger_transfers_in_time");
  EXPECT_EQ(insert("phase = 'pending', timeout_seconds = 0"), "ledger_transfers_within");
  EXPECT_EQ(insert("phase = 'pending', timeout_seconds = -5"), "ledger_transfers_within");
  EXPECT_EQ(insert("phase = 'pending', timeout_seconds = 2147483647"), "ledger_transfers_within");
  EXPECT_EQ(insert("id = ''"), "ledger_transfers_within");
  EXPECT_EQ(insert("id = 'a b'"), "ledger_transfers_within");
  EXPECT_EQ(insert("id = repeat('x', 201)"), "ledger_transfers_within");
  EXPECT_EQ(insert("client = ''"), "ledger_transfers_within");
  EXPECT_EQ(insert("requested = -1"), "ledger_transfers_within");
  EXPECT_EQ(insert("corrects = repeat('x', 201)"), "ledger_transfers_within");
  EXPECT_EQ(insert("user_data = repeat('x', 129)"), "ledger_transfers_within");
  const std::string refusal =
      "phase = 'refused', debit_account = NULL, credit_account = NULL, amount = NULL, refusal = ";
  EXPECT_EQ(insert(refusal + "'exceeds_credits'"), "");
  EXPECT_EQ(insert(refusal + "'No such thing'"), "ledger_transfers_within");
  EXPECT_EQ(insert(refusal + "'x', created_at = created_at + interval '2 hours'"), "ledger_transfers_in_time");
  // What is sealed has no gap for one that comes later.
  EXPECT_EQ(SealUntil(store(), 100, 4).size(), 1u);
  EXPECT_EQ(insert("number = 1"), "ledger_transfers_pkey");
  database_.sql().Exec("SELECT nextval('ledger_transfers_number_seq')");
  ASSERT_EQ(Result(Move("next", "bank", "w", 1)), "created");
  const std::string gap = database_.sql().Value("SELECT max(number) - 1 FROM ledger_transfers");
  EXPECT_EQ(SealUntil(store(), 100, 1).size(), 1u);
  EXPECT_EQ(insert("number = " + gap), "ledger_transfers_number_drawn");
}

TEST_F(LedgerSqlPgTest, NothingAbsurdIsAnAccount) {
  const auto insert = [&](const std::string& columns, const std::string& values) {
    return Refused("INSERT INTO ledger_accounts (client, id, currency, kind, code, " + columns +
                   ") OVERRIDING SYSTEM VALUE VALUES ('acme', 'z', 'EUR', 'wallet', 1, " + values + ")");
  };
  EXPECT_EQ(insert("number", "9223372036854775807"), "ledger_accounts_number_drawn");
  EXPECT_EQ(insert("number", "-7"), "ledger_accounts_number_drawn");
  EXPECT_EQ(insert("created_at", "now() + interval '2 hours'"), "ledger_accounts_in_time");
  EXPECT_EQ(insert("changed_at", "'infinity'"), "ledger_accounts_in_time");
  EXPECT_EQ(insert("created_at", "'-infinity'"), "ledger_accounts_in_time");
  EXPECT_EQ(insert("owner", "repeat('x', 129)"), "ledger_accounts_named");
}

TEST_F(LedgerSqlPgTest, TheChainGoesOnAndIsNotChanged) {
  EXPECT_EQ(SealUntil(store(), 100, 4).size(), 1u);
  for (const char* table : {"ledger_batches", "ledger_seal"}) {
    const std::string constraint =
        table == std::string("ledger_seal") ? "ledger_seal_last" : "ledger_batches_unchanged";
    EXPECT_EQ(Refused(fmt::format("DELETE FROM {}", table)), constraint);
    EXPECT_EQ(Refused(fmt::format("TRUNCATE {}", table)), constraint);
  }
  EXPECT_EQ(Refused("UPDATE ledger_batches SET transfers = 0"), "ledger_batches_unchanged");
  for (const char* set : {"sealed = 0", "sealed = sealed + 1", "batches = 0", "hash = sha256('x')",
                          "accounts = accounts + 1", "batches = batches + 1", "batches = 0, sealed = 0, accounts = 0",
                          "settled_at = settled_at - interval '1 second'"}) {
    database_.sql().Exec("BEGIN");
    database_.sql().Exec("UPDATE ledger_seal SET settled_at = now()");
    EXPECT_EQ(Refused(fmt::format("UPDATE ledger_seal SET {}", set)), "ledger_seal_follows") << set;
    database_.sql().Exec("ROLLBACK");
  }
  const std::string batch =
      "INSERT INTO ledger_batches (number, first_transfer, last_transfer, transfers, previous_hash, hash, "
      "last_account) "
      "SELECT batches + {}, sealed + {}, sealed + 9, 1, {}, hash, accounts + {} FROM ledger_seal";
  const std::pair<std::string, const char*> batches[] = {
      {fmt::format(fmt::runtime(batch), 1, 1, "hash", 0), ""},
      {fmt::format(fmt::runtime(batch), 2, 1, "hash", 0), "ledger_batches_follow"},
      {fmt::format(fmt::runtime(batch), 1, 2, "hash", 0), "ledger_batches_follow"},
      {fmt::format(fmt::runtime(batch), 1, 1, "sha256('x')", 0), "ledger_batches_follow"},
      {fmt::format(fmt::runtime(batch), 1, 1, "hash", -1), "ledger_batches_follow"}};
  for (const auto& [insert, constraint] : batches) {
    database_.sql().Exec("BEGIN");
    EXPECT_EQ(Refused(insert), constraint) << insert;
    database_.sql().Exec("ROLLBACK");
  }
}

TEST_F(LedgerSqlPgTest, EachFunctionFindsItsTablesWhereTheyAre) {
  EXPECT_EQ(
      database_.sql().Value(
          "SELECT string_agg(proname, ' ') FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
          "AND proname LIKE 'ledger\\_%' AND NOT COALESCE('search_path=public, pg_temp' = ANY(proconfig), false)"),
      "NULL");
  EXPECT_EQ(
      database_.sql().Value("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef "
                            "AND proname LIKE 'ledger\\_%' AND has_function_privilege('public', oid, 'EXECUTE')"),
      "0");
  // A table of the caller's that is named like ours.
  database_.sql().Exec("CREATE TEMPORARY TABLE ledger_accounts AS SELECT * FROM public.ledger_accounts WHERE false");
  EXPECT_EQ(
      Refused(
          "INSERT INTO public.ledger_accounts (client, id, currency, kind, code, parent) SELECT 'acme', 'c3', 'EUR', "
          "'wallet', 1, number FROM public.ledger_accounts WHERE id = 'w'"),
      "");
  database_.sql().Exec("DROP TABLE pg_temp.ledger_accounts");
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
  database_.sql().Exec("CREATE ROLE " + role + " LOGIN");
  for (const Rights& rights : LedgerRights()) {
    if (rights.on == "schema_migrations") continue;  // not in this database
    database_.sql().Exec(fmt::format("GRANT {} ON {} TO {}", rights.may, rights.on, role));
  }
  database_.sql().Exec("CREATE SCHEMA own AUTHORIZATION " + role);
  const std::string numbered =
      "INSERT INTO ledger_transfers (number, client, id, debit_account, credit_account, amount, phase, currency, code, "
      "write, created_at) OVERRIDING SYSTEM VALUE SELECT max(number) + 1, 'acme', 'numbered', min(debit_account), "
      "min(credit_account), 1, 'single', 'EUR', 1, 0, now() FROM ledger_transfers WHERE id = 'fund'";
  const std::string insert = Insert("sql", "bank", "w", "7");
  database_.sql().Exec("SET ROLE " + role);
  EXPECT_EQ(Refused(insert), "");
  EXPECT_EQ(Refused("UPDATE ledger_accounts SET closed = true WHERE id = 'owed'"), "");
  EXPECT_EQ(Refused("SELECT FROM ledger_accounts FOR NO KEY UPDATE"), "");
  // Each alone, and within a trigger on a table of the role's own, where the tables' triggers see no difference.
  const std::string deeds[] = {
      "UPDATE ledger_accounts SET credits_posted = credits_posted + 1",
      "UPDATE ledger_accounts SET version = version + 1",
      "UPDATE ledger_accounts SET changed_at = now()",
      "INSERT INTO ledger_accounts (client, id, currency, kind, code, credits_posted) VALUES ('acme', 'rich', 'EUR', "
      "'wallet', 1, 100)",
      "INSERT INTO ledger_accounts (number, client, id, currency, kind, code) OVERRIDING SYSTEM VALUE VALUES (99, "
      "'acme', 'numbered', 'EUR', 'wallet', 1)",
      numbered,
      "UPDATE ledger_transfers SET amount = 1",
      "DELETE FROM ledger_transfers",
      "DELETE FROM ledger_accounts",
      "INSERT INTO ledger_account_history SELECT account, version + 1, at, 0, 0, 0, 0 FROM ledger_account_history",
      "UPDATE ledger_account_history SET credits_posted = 0",
      "DELETE FROM ledger_account_history",
      "INSERT INTO ledger_expiries VALUES (1, now())",
      "DELETE FROM ledger_expiries",
      "DELETE FROM ledger_batches",
      "DELETE FROM ledger_seal",
      "INSERT INTO ledger_seal DEFAULT VALUES"};
  database_.sql().Exec("CREATE TABLE own.doors (n int)");
  for (const std::string& deed : deeds) {
    EXPECT_EQ(Refused(deed), "42501") << deed;
    database_.sql().Exec("CREATE OR REPLACE FUNCTION own.open() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + deed +
                         "; RETURN NEW; END $$");
    database_.sql().Exec(
        "CREATE OR REPLACE TRIGGER opens AFTER INSERT ON own.doors FOR EACH ROW EXECUTE FUNCTION own.open()");
    EXPECT_EQ(Refused("INSERT INTO own.doors VALUES (1)"), "42501") << deed;
  }
  // Nor may it put the owner's functions to a use of its own.
  for (const char* function : {"ledger_post", "ledger_accounts_open", "ledger_accounts_close", "ledger_book_part"}) {
    EXPECT_EQ(Refused(fmt::format(
                  "CREATE TRIGGER opens_too AFTER INSERT ON own.doors FOR EACH ROW EXECUTE FUNCTION {}()", function)),
              "42501");
  }
  database_.sql().Exec("RESET ROLE");
  // And it is enough for the store.
  std::string url = database_.url();
  const size_t user = url.find("//") + 2;
  url.replace(user, url.find('@') - user, role);
  {
    LedgerProcess as_role(url, time_, {}, 7);
    EXPECT_TRUE(
        as_role.store().CreateAccounts("acme", {Account("mine", {.history = true}), Account("part", {}, "mine")}).ok());
    EXPECT_EQ(Result(as_role.store(), Move("r1", "bank", "mine", 7)), "created");
    EXPECT_EQ(Result(as_role.store(), Move("r1", "bank", "mine", 7)), "exists") << "the careful way";
    EXPECT_EQ(Result(as_role.store(), Hold("r2", "part", "bank", 7, 60)), "created");
    EXPECT_TRUE(as_role.store().SetClosed("acme", "mine", true).ok());
    EXPECT_EQ(SealUntil(as_role.store(), 100, 7).size(), 1u);
    EXPECT_TRUE(as_role.store().Verify(nullptr)->sound());
  }
  database_.sql().Exec("DROP OWNED BY " + role + " CASCADE");
  database_.sql().Exec("DROP ROLE " + role);
}

// --- Many at once

// 64 callers over two processes empty an account that must not be overdrawn.
TEST_F(LedgerPgTest, SixtyFourRacingCallersOverdrawNothing) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true, .history = true}),
        Account("card", {.history = true}, "w"), Account("shop", {.history = true})});
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

TEST_F(LedgerPgTest, WhoOpensAccountsWaitsOneWay) {
  LedgerProcess other(database_.url(), time_, {}, 2);
  for (int round = 0; round < 10; ++round) {
    std::vector<ledger::NewAccount> accounts;
    for (int n = 0; n < 1'000; ++n) accounts.push_back(Account(fmt::format("{}-{}", round, n)));
    std::vector<ledger::NewAccount> backwards(accounts.rbegin(), accounts.rend());
    std::thread opens([&] { EXPECT_TRUE(other.store().CreateAccounts("acme", backwards).ok()); });
    EXPECT_TRUE(store().CreateAccounts("acme", accounts).ok());
    opens.join();
  }
  EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM ledger_accounts"), "10000");
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

TEST_F(LedgerPgTest, AClockThatIsFarAheadMakesNothing) {
  Open({Account("bank"), Account("w", {.history = true})});
  ManualTime wrong(Soon() + absl::Hours(2));
  LedgerProcess other(database_.url(), wrong, {}, 2);
  const auto outcomes = other.store().PostAndWait("acme", {Move("a", "bank", "w", 1)});
  EXPECT_EQ(GetErrorDetail(outcomes.status()).reason, "STORE_REFUSED") << outcomes.status();
  EXPECT_FALSE(other.store().CreateAccounts("acme", {Account("late")}).ok());
  EXPECT_EQ(Result(Move("a", "bank", "w", 1)), "created");
  // The server's own clock was ahead once: what is of then goes on from there, and takes along only what it moves with.
  Forge("UPDATE ledger_accounts SET changed_at = now() + interval '2 hours' WHERE id = 'w'");
  LedgerProcess fresh(database_.url(), time_, {}, 3);
  EXPECT_EQ(Result(fresh.store(), Move("b", "bank", "w", 1)), "created");
  EXPECT_GT(fresh.store().GetTransfer("acme", "b")->created_at, time_.Now() + absl::Hours(1));
  EXPECT_EQ(Faults(), "");
}

// Who listens may keep what it hears in a cache: each is a balance that the account had.
TEST_F(LedgerPgTest, WhatIsToldWasCommitted) {
  std::vector<BalanceChange> told;
  std::function<void()> meanwhile;
  LedgerStoreOptions options;
  options.on_changes = [&](std::span<const BalanceChange> changes) {
    told.insert(told.end(), changes.begin(), changes.end());
  };
  options.in_gap = [&](LedgerGap gap) {
    if (gap == LedgerGap::kAfterRead && meanwhile) std::exchange(meanwhile, nullptr)();
    return absl::OkStatus();
  };
  LedgerProcess other(database_.url(), time_, options, 2);
  Open({Account("bank", {.history = true}), Account("w", {.history = true})});
  for (int n = 0; n < 3; ++n) {
    ASSERT_EQ(Result(other.store(), Move(fmt::format("a{}", n), "bank", "w", 10)), "created");
    meanwhile = [&] { EXPECT_EQ(Result(Move(fmt::format("b{}", n), "bank", "w", 1)), "created"); };
  }
  for (const BalanceChange& change : told) {
    EXPECT_EQ(store().History({"acme", change.account, change.balance.version + 1, 1})->front().balance, change.balance)
        << "a balance that never was";
  }
  EXPECT_EQ(told.size(), 6u);
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
  const std::string gap = database_.sql().Value("SELECT nextval('ledger_transfers_number_seq')");
  ASSERT_EQ(Result(Move("c", "bank", "w", 1)), "created");
  ASSERT_EQ(SealUntil(store(), 10, 1), std::vector<int64_t>({1}));
  database_.sql().Exec("CREATE TABLE kept AS SELECT * FROM ledger_transfers WHERE id = 'c'");
  ASSERT_EQ(Faults(), "");

  const auto forged = [&](const std::string& statement, const std::string& back) {
    Forge(statement);
    const std::string faults = Faults();
    Forge(back);
    EXPECT_EQ(Faults(), "");
    return faults;
  };
  EXPECT_THAT(
      forged("UPDATE ledger_transfers SET amount = 11 WHERE id = 'a'",
             "UPDATE ledger_transfers SET amount = 10 WHERE id = 'a'"),
      AllOf(HasSubstr("the transfers or accounts of batch 1 are not as sealed"), HasSubstr("account w of acme has")));
  EXPECT_THAT(forged("UPDATE ledger_transfers SET user_data = 'x' WHERE id = 'c'",
                     "UPDATE ledger_transfers SET user_data = NULL WHERE id = 'c'"),
              "the transfers or accounts of batch 2 are not as sealed\n");
  EXPECT_THAT(
      forged("UPDATE ledger_accounts SET credits_posted = 99 WHERE id = 'w'",
             "UPDATE ledger_accounts SET credits_posted = 11 WHERE id = 'w'"),
      AllOf(HasSubstr("account w of acme has"), HasSubstr("history of account w"), HasSubstr("EUR does not come")));
  EXPECT_THAT(forged("UPDATE ledger_accounts SET debits_posted = 4 WHERE id = 'card'",
                     "UPDATE ledger_accounts SET debits_posted = 3 WHERE id = 'card'"),
              AllOf(HasSubstr("account card of acme has"), HasSubstr("account w of acme has")));
  EXPECT_THAT(forged("UPDATE ledger_batches SET hash = previous_hash WHERE number = 1",
                     "UPDATE ledger_batches b SET hash = n.previous_hash FROM ledger_batches n WHERE b.number = 1 AND "
                     "n.number = 2"),
              AllOf(HasSubstr("the transfers or accounts of batch 1"), HasSubstr("batch 2 does not have the hash")));
  // One more, that moves nothing, at a number that nobody has.
  EXPECT_EQ(
      forged("INSERT INTO ledger_transfers (number, phase, refusal, write, created_at, client, id) OVERRIDING SYSTEM "
             "VALUE VALUES (" +
                 gap + ", 'refused', 'exceeds_credits', 1, now(), 'acme', 'zz')",
             "DELETE FROM ledger_transfers WHERE id = 'zz'"),
      "batch 2 had 1 transfers, and has 2\nthe transfers or accounts of batch 2 are not as sealed\n");
  EXPECT_THAT(
      forged("DELETE FROM ledger_transfers WHERE id = 'c'; UPDATE ledger_accounts SET credits_posted = 10 WHERE "
             "id = 'w'; UPDATE ledger_accounts SET debits_posted = 10 WHERE id = 'bank'; UPDATE "
             "ledger_account_history SET credits_posted = 10 WHERE version = 4",
             "INSERT INTO ledger_transfers OVERRIDING SYSTEM VALUE SELECT * FROM kept; UPDATE ledger_accounts SET "
             "credits_posted = 11 WHERE id = 'w'; UPDATE ledger_accounts SET debits_posted = 11 WHERE id = "
             "'bank'; UPDATE ledger_account_history SET credits_posted = 11 WHERE version = 4"),
      AllOf(HasSubstr("batch 2 had 1 transfers, and has 0"), HasSubstr("batch 2 are not as sealed")));
  // What an account is, and whose.
  for (const auto& [set, back] : std::vector<std::pair<std::string, std::string>>{
           {"currency = 'JPY'", "currency = 'EUR'"},
           {"client = 'other'", "client = 'acme'"},
           {"owner = 'eve'", "owner = ''"},
           {"code = 2", "code = 1"},
           {"kind = 'driver'", "kind = 'wallet'"},
           {"credits_must_not_exceed_debits = true", "credits_must_not_exceed_debits = false"},
           {"metadata = '{\"a\": \"b\"}'", "metadata = '{}'"},
           {"created_at = created_at - interval '1 s'", "created_at = created_at + interval '1 s'"}}) {
    EXPECT_THAT(forged("UPDATE ledger_accounts SET " + set + " WHERE id = 'bank'",
                       "UPDATE ledger_accounts SET " + back + " WHERE id = 'bank'"),
                HasSubstr("the transfers or accounts of batch 1 are not as sealed"))
        << set;
  }
  // History.
  const std::string wrong = "the history of account w of acme is wrong from version ";
  EXPECT_EQ(forged("UPDATE ledger_account_history SET credits_posted = 12 WHERE version = 2",
                   "UPDATE ledger_account_history SET credits_posted = 10 WHERE version = 2"),
            wrong + "2 on\n");
  // Within what the others say.
  EXPECT_EQ(forged("UPDATE ledger_account_history SET debits_posted = 2 WHERE version = 2",
                   "UPDATE ledger_account_history SET debits_posted = 3 WHERE version = 2"),
            wrong + "2 on\n");
  EXPECT_EQ(forged("UPDATE ledger_account_history SET credits_pending = 3 WHERE version = 3",
                   "UPDATE ledger_account_history SET credits_pending = 4 WHERE version = 3"),
            wrong + "3 on\n");
  EXPECT_EQ(forged("UPDATE ledger_account_history SET debits_posted = 1 WHERE version = 3",
                   "UPDATE ledger_account_history SET debits_posted = 3 WHERE version = 3"),
            wrong + "3 on\n");
  EXPECT_EQ(forged("UPDATE ledger_account_history SET at = at - interval '1 hour' WHERE version = 3",
                   "UPDATE ledger_account_history SET at = at + interval '1 hour' WHERE version = 3"),
            wrong + "3 on\n");
  EXPECT_EQ(forged("UPDATE ledger_account_history SET version = 5 WHERE version = 1",
                   "UPDATE ledger_account_history SET version = 1 WHERE version = 5"),
            "the newest balance in the history of account w of acme is not the account's\n" + wrong + "2 on\n");
  EXPECT_EQ(forged("UPDATE ledger_account_history SET credits_pending = -1 WHERE version = 2",
                   "UPDATE ledger_account_history SET credits_pending = 0 WHERE version = 2"),
            wrong + "2 on\n");
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

// Whatever makes a row of it: transfers of the account, of what belongs to it and between the two, holds, closing.
TEST_F(LedgerPgTest, HistoryIsProvenRowByRow) {
  Open({Account("bank", {.history = true}), Account("w", {.debits_must_not_exceed_credits = true, .history = true}),
        Account("card", {.history = true}, "w"), Account("plain", {}, "w")});
  ASSERT_TRUE(store().SetClosed("acme", "card", true).ok());
  ASSERT_TRUE(store().SetClosed("acme", "card", false).ok());
  for (int n = 0; n < 30; ++n) {
    const std::string id = std::to_string(n);
    ASSERT_EQ(Result(Move("a" + id, "bank", "w", 10)), "created");
    ASSERT_TRUE(store()
                    .PostAndWait("acme", {Move("b" + id, "w", "card", 5), Move("c" + id, "card", "bank", 1),
                                          Hold("h" + id, "plain", "bank", 2, 60), Move("d" + id, "w", "plain", 3)})
                    .ok());
    ASSERT_EQ(Result(End("e" + id, n % 2 == 0 ? ledger::Phase::kPost : ledger::Phase::kVoid, "h" + id)), "created");
    for (int times = 0; times < n; ++times) ASSERT_TRUE(store().SetClosed("acme", "w", times % 2 == 0).ok());
    ASSERT_TRUE(store().SetClosed("acme", "w", false).ok());
    if (n == 20) {
      ASSERT_EQ(SealUntil(store(), 1'000, 21 * 6).size(), 1u);
    }
  }
  EXPECT_EQ(Faults(), "");
  for (const int version : {40, 90, 400}) {
    const std::string row =
        fmt::format(" WHERE version = {} AND account = (SELECT number FROM ledger_accounts WHERE id = 'w')", version);
    Forge("UPDATE ledger_account_history SET credits_posted = credits_posted - 1" + row);
    EXPECT_EQ(Faults(), fmt::format("the history of account w of acme is wrong from version {} on\n", version));
    Forge("UPDATE ledger_account_history SET credits_posted = credits_posted + 1" + row);
  }
  EXPECT_EQ(Faults(), "");
}

// A database that was restored to another server has transaction ids of the one that it came from.
TEST_F(LedgerPgTest, SealsOnInADatabaseThatWasRestored) {
  Open({Account("bank"), Account("w")});
  ASSERT_EQ(Result(Move("a", "bank", "w", 1)), "created");
  database_.sql().Exec("UPDATE ledger_seal SET next = 1, next_before = '4611686018427387904'");
  EXPECT_EQ(*store().Seal(100), 0) << "it marks anew";
  EXPECT_EQ(SealUntil(store(), 100, 1), std::vector<int64_t>({1}));
  EXPECT_EQ(Faults(), "");
}

// A number that was far ahead of the others, from before it was refused, costs nothing.
TEST_F(LedgerPgTest, VerifyReadsRowsAndNotNumbers) {
  Open({Account("bank"), Account("w")});
  ASSERT_EQ(Result(Move("a", "bank", "w", 1)), "created");
  Forge(
      "INSERT INTO ledger_accounts (number, client, id, currency, kind, code, debits_posted, credits_posted, version) "
      "OVERRIDING SYSTEM VALUE VALUES (9000000000000000000, 'acme', 'p', 'EUR', 'wallet', 1, 1, 0, 1), "
      "(9000000000000000001, 'acme', 'q', 'EUR', 'wallet', 1, 0, 1, 1); "
      "INSERT INTO ledger_transfers (number, client, id, debit_account, credit_account, amount, phase, currency, code, "
      "write, created_at) OVERRIDING SYSTEM VALUE VALUES (9000000000000000002, 'acme', 'r', 9000000000000000000, "
      "9000000000000000001, 1, 'single', 'EUR', 1, 0, now())");
  EXPECT_EQ(Faults(), "");
}

// A transfer that was thought of before a moment, and is committed after somebody has asked for the balance then.
TEST_F(LedgerPgTest, NoBalanceOfAMomentThatIsSettledChanges) {
  Open({Account("bank"), Account("x", {.history = true})});
  const auto seal = [&] { return store().Seal(100).ok(); };
  Sql late(database_.url());
  late.Exec("BEGIN");
  late.Exec(
      "INSERT INTO ledger_transfers (client, id, debit_account, credit_account, amount, phase, currency, code, write, "
      "created_at) SELECT 'acme', 'late', a.number, b.number, 1, 'single', 'EUR', 1, 0, now() - interval '3 hours' "
      "FROM "
      "ledger_accounts a, ledger_accounts b WHERE a.id = 'bank' AND b.id = 'x'");
  // The moment is past when the late one began; but it may be of five seconds before that.
  const absl::Time moment = SystemClock().Now() - absl::Seconds(2);
  const absl::Time before = moment - absl::Minutes(1);
  for (int n = 0; n < 4; ++n) ASSERT_TRUE(seal());
  EXPECT_FALSE(store().BalanceAt("acme", "x", moment)->settled);
  late.Exec("COMMIT");
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(30),
                                           [&] { return seal() && store().BalanceAt("acme", "x", moment)->settled; }));
  EXPECT_EQ(store().BalanceAt("acme", "x", before)->balance, ledger::Balance()) << "though it says that it is of then";
  EXPECT_EQ(store().GetTransfer("acme", "late")->id, "late");
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

// --- Restored

// As docs/operations.md says it.
std::string DocumentedRestore() {
  std::ifstream in(std::filesystem::path(WAYBILL_MIGRATIONS_DIR).parent_path() / "docs/operations.md");
  std::ostringstream text;
  text << in.rdbuf();
  const std::string all = text.str();
  const size_t section = all.find("A dump of the data alone");
  const size_t begin = all.find("```sh\n", section) + 6;
  return all.substr(begin, all.find("```", begin) - begin);
}

TEST_F(LedgerPgTest, ADumpOfTheDataAloneIsRestored) {
  Open({Account("bank"), Account("w", {.debits_must_not_exceed_credits = true, .history = true}),
        Account("card", {}, "w")});
  ASSERT_EQ(Result(Move("a", "bank", "w", 10)), "created");
  ASSERT_EQ(Result(Move("no", "w", "bank", 11)), "exceeds_credits");
  ASSERT_EQ(Result(Hold("h", "card", "bank", 4, 60)), "created");
  ASSERT_EQ(SealUntil(store(), 10, 3), std::vector<int64_t>({3}));
  ASSERT_EQ(Result(Move("b", "card", "bank", 3)), "created");
  // A server that has given out more transaction ids.
  database_.sql().Exec("UPDATE ledger_seal SET next = sealed + 1, next_before = '4611686018427387904'");
  const MigratedDatabase restored;
  const std::string command = DocumentedRestore();
  ASSERT_THAT(command, HasSubstr("pg_dump --data-only"));
  const absl::Status done = waybill::testing::RunPostgresProgram(
      "/usr/bin/env", {"DATABASE_URL=" + database_.url(), "NEW_URL=" + restored.url(),
                       "PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin", "/bin/sh", "-ec", command});
  ASSERT_TRUE(done.ok()) << done;
  // Each row of the ledger is as it was.
  Sql sql(restored.url());
  for (const char* table : {"ledger_accounts", "ledger_transfers", "ledger_expiries", "ledger_account_history",
                            "ledger_batches", "ledger_seal", "saga_marks", "audit_head"}) {
    const std::string rows = fmt::format("SELECT string_agg(t::text, E'\\n' ORDER BY t::text) FROM {} t", table);
    EXPECT_EQ(sql.Value(rows), database_.sql().Value(rows)) << table;
  }
  // And it goes on.
  LedgerProcess process(restored.url(), time_, {}, 5);
  EXPECT_TRUE(process.store().Verify(nullptr)->sound());
  EXPECT_EQ(Result(process.store(), Move("a", "bank", "w", 10)), "exists");
  EXPECT_EQ(Result(process.store(), Move("no", "w", "bank", 1)), "exceeds_credits");
  EXPECT_EQ(Result(process.store(), Move("c", "bank", "w", 1)), "created");
  time_.Advance(absl::Minutes(2));
  EXPECT_EQ(*process.store().ExpireDue(10), 1);
  EXPECT_TRUE(process.store().CreateAccounts("acme", {Account("new")}).ok());
  EXPECT_EQ(SealUntil(process.store(), 10, 3).size(), 1u);
  const auto report = process.store().Verify(nullptr);
  EXPECT_TRUE(report->sound()) << ::testing::PrintToString(report->faults);
  EXPECT_EQ(report->batches, 2);
  // What guarded it does so again.
  EXPECT_EQ(sql.Run("DELETE FROM ledger_transfers").constraint, "ledger_transfers_unchanged");
  EXPECT_EQ(sql.Run("DELETE FROM ledger_seal").constraint, "ledger_seal_last");
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

// Two sessions come by the same gateways in opposite order, in transactions of several statements. With one number both
// would wait for each other: the last step shows it.
TEST_F(LedgerOrdersPgTest, SessionsThatTookTheirNumbersNeverWaitForEachOther) {
  const auto begin_with = [&](Sql& session, const char* statement) {
    session.Exec(statement);
    session.Exec("SET lock_timeout = '2s'");
  };
  const auto charge = [&](Sql& session, int n, const std::string& currency) {
    session.Exec(
        fmt::format("INSERT INTO order_sagas (order_id, client, idempotency_key, fingerprint, user_id, amount_minor, "
                    "currency, state, created_at, updated_at) VALUES ({}, 'shop', 'key-{}', '', 'ada', 5, '{}', "
                    "'succeeded', now(), now())",
                    Order(n), n, currency));
    return session
        .Run(
            fmt::format("INSERT INTO payments (order_id, amount_minor, currency, gateway_reference, charged_at) VALUES "
                        "({}, 5, '{}', 'ch', now())",
                        Order(n), currency))
        .sqlstate;
  };
  for (const char* statement : {kTakeLedgerShard, "SET waybill.ledger = 'same'"}) {
    const bool same = statement != kTakeLedgerShard;
    Sql one(database_.url()), other(database_.url());
    begin_with(one, statement);
    begin_with(other, statement);
    // The accounts are there.
    int order = same ? 10 : 20;
    for (const char* currency : {"EUR", "JPY"}) {
      ASSERT_EQ(charge(one, ++order, currency), "");
      ASSERT_EQ(charge(other, ++order, currency), "");
    }
    one.Exec("BEGIN");
    other.Exec("BEGIN");
    ASSERT_EQ(charge(one, ++order, "EUR"), "");
    ASSERT_EQ(charge(other, ++order, "JPY"), "");
    const int third = ++order;
    EXPECT_EQ(charge(one, third, "JPY"), same ? "55P03" : "") << "would wait";
    one.Exec(same ? "ROLLBACK" : "COMMIT");
    EXPECT_EQ(charge(other, ++order, "EUR"), "");
    other.Exec("COMMIT");
  }
  EXPECT_EQ(Deadlocks(), "0");
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

// --- The end of an order

class LedgerOrderEndsPgTest : public LedgerOrdersPgTest {
 protected:
  void SetUp() override {
    Exec("SET waybill.ledger = '0'");
    SplitBy("200000");
  }
  void SplitBy(const std::string& ppm) { Exec(fmt::format("SET waybill.ledger_commission = '{}'", ppm)); }
  void Drive(int n, const std::string& driver) {
    Exec(fmt::format("INSERT INTO drivers (driver_id, capacity) VALUES ('{}', 100) ON CONFLICT DO NOTHING", driver));
    Exec(fmt::format(
        "INSERT INTO order_assignments (order_id, driver_id, slot, assigned_at) VALUES ({}, '{}', {}, now())", Order(n),
        driver, n));
  }
  // As the journal's commit does: the saga is there first.
  void End(const std::vector<int>& orders, const std::string& state = "closed") {
    std::string ids;
    for (int n : orders) ids += (ids.empty() ? "" : ", ") + Order(n);
    Exec("BEGIN");
    Exec(
        fmt::format("UPDATE order_sagas SET state = '{0}', lease_until = CASE WHEN '{0}' = 'closing' THEN now() END, "
                    "failure_reason = CASE WHEN '{0}' = 'resolved' THEN 'x' END WHERE order_id IN ({1})",
                    state, ids));
    Exec(fmt::format("UPDATE order_assignments SET released_at = now() WHERE order_id IN ({})", ids));
    Exec("COMMIT");
  }
  void ChargeAndDrive(int n, int64_t amount, const std::string& driver = "7") {
    Charge(n, amount);
    Drive(n, driver);
  }
  void Part(int n, int64_t amount, const std::string& end) {
    Exec(fmt::format(
        "INSERT INTO partial_refunds (order_id, refund_id, saga_id, gateway, idempotency_key, amount_minor, "
        "currency, begun_at) VALUES ({}, gen_random_uuid(), gen_random_uuid(), 'north', 'k', {}, 'EUR', now())",
        Order(n), amount));
    if (end.empty()) return;
    Exec(fmt::format("UPDATE partial_refunds SET decided_at = now(), {} WHERE order_id = {} AND state = 'open'", end,
                     Order(n)));
  }
  // What the ends have posted: codes 5 and 6.
  std::string Ends() {
    return database_.sql().Value(
        "SELECT string_agg(concat_ws(' ', substr(t.id, 36), t.amount, '->', a.client, a.id) || CASE WHEN t.linked THEN "
        "' +' ELSE '' END, ', ' ORDER BY t.number) FROM ledger_transfers t JOIN ledger_accounts a ON a.number = "
        "t.credit_account WHERE t.code IN (5, 6)");
  }
};

TEST_F(LedgerOrderEndsPgTest, SplitWhatTheOrderHoldsIntoCommissionAndTheDriversShare) {
  ChargeAndDrive(1, 999);
  EXPECT_EQ(Ends(), "NULL");
  End({1});
  EXPECT_EQ(Ends(), "1:commission 199 -> (waybill) commission:EUR:0 +, 1:driver 800 -> shop driver:7:EUR");
  EXPECT_EQ(Show("orders:EUR:0"), "999 999");
  const auto driver = store().GetAccount("shop", "driver:7:EUR");
  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_EQ(driver->kind, "driver");
  EXPECT_EQ(driver->owner, "7");
  EXPECT_TRUE(driver->flags.debits_must_not_exceed_credits);
  EXPECT_TRUE(driver->flags.history);
  EXPECT_EQ(driver->balance.credits_posted, 800);
  // Several at once, the same driver twice; and a state that is told to a remote dispatcher first.
  ChargeAndDrive(2, 100);
  ChargeAndDrive(3, 50);
  ChargeAndDrive(4, 10, "8");
  End({2, 3, 4}, "closing");
  EXPECT_EQ(store().GetAccount("shop", "driver:7:EUR")->balance.credits_posted, 920);
  EXPECT_EQ(store().GetAccount("shop", "driver:8:EUR")->balance.credits_posted, 8);
  EXPECT_EQ(Show("commission:EUR:0"), "0 231");
  // Once, whoever says it again.
  const std::string ends = Ends();
  Exec("UPDATE order_sagas SET state = 'closed', lease_until = NULL");
  Exec("UPDATE order_assignments SET released_at = now()");
  EXPECT_EQ(Ends(), ends);
  EXPECT_EQ(Faults(), "");
}

TEST_F(LedgerOrderEndsPgTest, RoundTheCommissionDown) {
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"0", "1:driver 999 -> shop driver:7:EUR, 2:driver 1 -> shop driver:7:EUR"},
      {"1", "1:driver 999 -> shop driver:7:EUR, 2:driver 1 -> shop driver:7:EUR"},
      {"999999",
       "1:commission 998 -> (waybill) commission:EUR:0 +, 1:driver 1 -> shop driver:7:EUR, 2:driver 1 -> shop "
       "driver:7:EUR"},
      {"1000000", "1:commission 999 -> (waybill) commission:EUR:0, 2:commission 1 -> (waybill) commission:EUR:0"}};
  for (const auto& [ppm, ends] : cases) {
    Exec("BEGIN");
    SplitBy(ppm);
    ChargeAndDrive(1, 999);
    ChargeAndDrive(2, 1);
    Exec(fmt::format("UPDATE order_sagas SET state = 'closed'"));
    Exec(fmt::format("UPDATE order_assignments SET released_at = now()"));
    EXPECT_EQ(Ends(), ends) << ppm;
    EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM ledger_accounts WHERE kind = 'driver'"),
              ppm == std::string("1000000") ? "0" : "1");
    Exec("ROLLBACK");
  }
}

TEST_F(LedgerOrderEndsPgTest, SplitWhatIsLeftOfTheCharge) {
  ChargeAndDrive(1, 1'000);
  Part(1, 100, "state = 'done'");
  Part(1, 200, "state = 'refused', refusal = 'no'");
  Part(1, 50, "state = 'resolved'");
  Part(1, 30, "");  // undecided: if it goes back later, the platform bears it
  ChargeAndDrive(2, 70);
  Part(2, 70, "state = 'done'");  // nothing is left
  End({1, 2});
  EXPECT_EQ(Ends(), "1:commission 170 -> (waybill) commission:EUR:0 +, 1:driver 680 -> shop driver:7:EUR");
  EXPECT_EQ(Show("orders:EUR:0"), "1070 1070");
  Exec("UPDATE partial_refunds SET decided_at = now(), state = 'done' WHERE state = 'open'");
  EXPECT_EQ(Show("orders:EUR:0"), "1100 1070");
  EXPECT_EQ(store().GetAccount("shop", "driver:7:EUR")->balance.credits_posted, 680);
  EXPECT_EQ(Faults(), "");
}

TEST_F(LedgerOrderEndsPgTest, SplitNothingElse) {
  // Turned back, whatever became of the money.
  ChargeAndDrive(1, 100);
  End({1}, "resolved");
  // Charged before anything was posted.
  Exec("SET waybill.ledger = ''");
  ChargeAndDrive(2, 100);
  Exec("SET waybill.ledger = '0'");
  End({2});
  // Nobody says how.
  SplitBy("");
  ChargeAndDrive(3, 100);
  End({3});
  // The session posts nothing.
  SplitBy("200000");
  ChargeAndDrive(4, 100);
  Exec("SET waybill.ledger = ''");
  End({4});
  EXPECT_EQ(Ends(), "NULL");
  EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM ledger_accounts WHERE kind IN ('driver', 'commission')"), "0");
}

// Whatever its client has made of the driver's account: then it is in suspense, and a person moves it.
TEST_F(LedgerOrderEndsPgTest, NeverFailForAnAccountOfTheClients) {
  const auto open = [this](const std::string& id, ledger::AccountFlags flags = {}, const std::string& parent = "",
                           const std::string& currency = "EUR") {
    ledger::NewAccount account = Account(id, flags, parent);
    account.currency = currency;
    const auto opened = store().CreateAccounts("shop", {account});
    ASSERT_TRUE(opened.ok()) << opened.status();
  };
  open("bank");
  open("driver:closed:EUR");
  ASSERT_TRUE(store().SetClosed("shop", "driver:closed:EUR", true).ok());
  open("driver:other:EUR", {}, "", "JPY");
  open("driver:owes:EUR", {.credits_must_not_exceed_debits = true});
  open("shut");
  open("driver:card:EUR", {}, "shut");
  ASSERT_TRUE(store().SetClosed("shop", "shut", true).ok());
  open("owed", {.credits_must_not_exceed_debits = true});
  open("driver:owed:EUR", {}, "owed");
  open("full");
  open("driver:fulls:EUR", {}, "full");
  open("driver:full:EUR");
  for (const char* id : {"full", "driver:full:EUR"}) {
    const int64_t half = (int64_t{1} << 62) - 1;
    for (int i = 0; i < 2; ++i) {  // the bank is as full then, once
      const std::string from = fmt::format("bank-{}-{}", id[0], i);
      open(from);
      ASSERT_EQ(store().PostAndWait("shop", {Move(fmt::format("{}-{}", from, i), from, id, half)})->front().result,
                ledger::TransferResult::kCreated);
    }
  }
  // Those that can be no account's, or no client's.
  const std::string longest(53, 'd'), too_long(54, 'd');
  const std::vector<std::string> drivers = {"closed", "other", "owes",   "card",  "owed", "fulls",
                                            "full",   "a/b",   too_long, longest, "mine"};
  open("driver:mine:EUR", {.history = true}, "bank");  // a card, and it may be overdrawn: so the client wants it
  std::vector<int> orders;
  for (size_t n = 1; n <= drivers.size(); ++n) {
    ChargeAndDrive(static_cast<int>(n), 100, drivers[n - 1]);
    orders.push_back(static_cast<int>(n));
  }
  ChargeAndDrive(50, 100);
  Exec(fmt::format("UPDATE order_sagas SET client = '(waybill)' WHERE order_id = {}", Order(50)));
  orders.push_back(50);
  End(orders);
  EXPECT_EQ(Show("commission:EUR:0"), "0 240");
  EXPECT_EQ(Show("suspense:EUR:0"), "0 800") << Ends();
  EXPECT_EQ(
      database_.sql().Value("SELECT string_agg(substr(t.id, 36), ' ' ORDER BY t.number) FROM ledger_transfers t JOIN "
                            "ledger_accounts a ON a.number = t.credit_account WHERE a.kind = 'suspense'"),
      "1:driver 2:driver 3:driver 4:driver 5:driver 6:driver 7:driver 8:driver 9:driver 0:driver");
  EXPECT_EQ(store().GetAccount("shop", "driver:" + longest + ":EUR")->balance.credits_posted, 80);
  EXPECT_EQ(store().GetAccount("shop", "driver:mine:EUR")->balance.credits_posted, 80);
  EXPECT_EQ(Show("orders:EUR:0"), "1200 1200");
  // As docs/ledger.md says that a person does.
  open("driver:7:EUR", {.history = true});
  std::ifstream file(WAYBILL_LEDGER_DOCUMENT);
  std::string move{std::istreambuf_iterator<char>(file), {}};
  move = move.substr(move.find("```sql\n") + 7);
  move = move.substr(0, move.find("```"));
  const std::string transfer = "0192f0a5-7a8c-7bcd-8ef0-123456789abc:driver";
  ASSERT_NE(move.find(transfer), std::string::npos);
  move.replace(move.find(transfer), transfer.size(), "00000000-0000-7000-8000-000000000001:driver");
  Exec(move);
  EXPECT_EQ(store().GetAccount("shop", "driver:7:EUR")->balance.credits_posted, 80);
  EXPECT_EQ(Show("suspense:EUR:0"), "80 800");
  EXPECT_FALSE(database_.sql().Run(move).ok()) << "once";
  EXPECT_EQ(TimesThatRunBack(), "0");
  EXPECT_EQ(Faults(), "");
}

// The server's clock was hours ahead, and set back since. An account that gets nothing dates nothing.
TEST_F(LedgerOrderEndsPgTest, AreAsLateAsTheAccountsThatTheyMoveAndNoLater) {
  const auto ahead = [this](const std::string& account) {
    Forge(fmt::format("UPDATE ledger_accounts SET changed_at = now() + interval '2 hours' WHERE id = '{}'", account));
  };
  ASSERT_TRUE(
      store().CreateAccounts("shop", {Account("driver:owes:EUR", {.credits_must_not_exceed_debits = true})}).ok());
  ahead("driver:owes:EUR");
  ChargeAndDrive(1, 100, "owes");
  End({1});
  EXPECT_EQ(Show("suspense:EUR:0"), "0 80");
  ASSERT_TRUE(store().CreateAccounts("shop", {Account("bank"), Account("driver:card:EUR", {}, "bank")}).ok());
  ahead("bank");
  ChargeAndDrive(2, 100, "card");
  End({2});
  EXPECT_EQ(store().GetAccount("shop", "bank")->balance.credits_posted, 80);
  EXPECT_EQ(TimesThatRunBack(), "0");
}

// Another process' clock is ahead, and the driver's account with it: what is posted after that is of no time before.
TEST_F(LedgerOrderEndsPgTest, AlongEachAccountTimeGoesOn) {
  ChargeAndDrive(1, 1'000);
  End({1});
  ASSERT_TRUE(store().CreateAccounts("shop", {Account("bank")}).ok());
  time_.Advance(absl::Minutes(5));
  ASSERT_EQ(store().PostAndWait("shop", {Move("tip", "bank", "driver:7:EUR", 5)})->front().result,
            ledger::TransferResult::kCreated);
  ChargeAndDrive(2, 1'000);
  End({2});
  ChargeAndDrive(3, 1'000, "8");
  Part(3, 10, "state = 'done'");
  End({3});
  EXPECT_EQ(TimesThatRunBack(), "0");
  EXPECT_EQ(Faults(), "");
}

}  // namespace
}  // namespace waybill::storage
