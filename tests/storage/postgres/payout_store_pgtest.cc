#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "runtime/executor.h"
#include "storage/postgres/ledger_store.h"
#include "storage/postgres/payout_store.h"
#include "storage/postgres/saga_journal.h"
#include "tests/storage/payout_store_contract.h"
#include "tests/storage/postgres/ledger_facts.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

class PostgresPayoutHarness final : public PayoutHarness {
 public:
  PostgresPayoutHarness() {
    SagaJournalOptions options;
    options.writers = 2;
    auto journal = PostgresSagaJournal::Open({&tables_}, kinds_, {"host", "1", absl::Seconds(60)}, database_.url(),
                                             pool_, ThreadLoops(), options);
    EXPECT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
    ledger::NewAccount bank;
    bank.id = "bank";
    bank.currency = "EUR";
    bank.kind = "bank";
    bank.code = 1;
    EXPECT_TRUE(ledger_.CreateAccounts("shop", {bank}).ok());
  }
  ~PostgresPayoutHarness() override {
    journal_->Stop();
    ledger_.Stop();
  }
  PayoutStore& store() override { return store_; }
  saga::Journal& journal() override { return *journal_; }
  void Open(const std::string& account, const std::string& currency, bool limited) override {
    ledger::NewAccount opened;
    opened.id = account;
    opened.currency = currency;
    opened.kind = "wallet";
    opened.code = 1;
    opened.flags.debits_must_not_exceed_credits = limited;
    opened.flags.history = true;
    EXPECT_TRUE(ledger_.CreateAccounts("shop", {opened}).ok());
  }
  void Deposit(const std::string& account, int64_t amount_minor) override {
    ledger::NewTransfer deposit;
    deposit.id = fmt::format("deposit-{}", ++deposits_);
    deposit.debit_account = "bank";
    deposit.credit_account = account;
    deposit.currency = "EUR";
    deposit.code = 1;
    deposit.amount_minor = amount_minor;
    const auto outcomes = ledger_.PostAndWait("shop", {deposit});
    ASSERT_TRUE(outcomes.ok()) << outcomes.status();
    EXPECT_EQ(outcomes->front().result, ledger::TransferResult::kCreated);
  }
  void SetClosed(const std::string& account, bool closed) override {
    EXPECT_TRUE(ledger_.SetClosed("shop", account, closed).ok());
  }
  Balance Get(const std::string& account) override {
    const ledger::Balance balance = ledger_.GetAccount("shop", account)->balance;
    return {balance.credits_posted - balance.debits_posted, balance.debits_pending};
  }
  void ExpectSound() override {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(ledger_.Seal(1'000).ok());
    const absl::StatusOr<VerifyReport> report = ledger_.Verify([](const VerifyProgress&) { return true; });
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->faults, ::testing::IsEmpty());
    EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM payouts p LEFT JOIN ledger_transfers t ON t.client = "
                                    "'(waybill)' AND t.id = p.hold_id WHERE p.hold_id IS NOT NULL AND t.phase IS "
                                    "DISTINCT FROM 'pending'"),
              "0");
  }
  testing::Sql& sql() { return database_.sql(); }
  PostgresLedgerStore& ledger() { return ledger_; }
  const std::string& url() const { return database_.url(); }

 private:
  SystemClock clock_;
  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), {}, {}};
  PostgresPayoutStore store_{pool_, pool_};
  const SharedSagaTables<domain::Payout> tables_ = PayoutTables();
  saga::Kinds kinds_ = PayoutKinds();
  SeededRandom random_{1};
  ThreadLoops loops_;
  PostgresLedgerStore ledger_{{database_.url(), pool_, pool_, clock_, random_, loops_}};
  std::unique_ptr<PostgresSagaJournal> journal_;
  int deposits_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Postgres, PayoutStoreContract,
                         ::testing::Values([] { return std::make_unique<PostgresPayoutHarness>(); }));

class PostgresPayouts : public PayoutStoreContract {};

// The ledger's service writes to the same accounts meanwhile; along each one numbers and times grow together, and
// nobody is a deadlock's victim.
TEST_P(PostgresPayouts, TakeTurnsWithTheLedgersOwnWriter) {
  auto& harness = static_cast<PostgresPayoutHarness&>(*harness_);
  harness.Open("second", "EUR", true);
  harness.Deposit("driver", 1'000'000);
  harness.Deposit("second", 1'000'000);
  std::atomic<bool> stop{false};
  std::thread others([&] {
    while (!stop) {
      harness.Deposit("second", 1);
      harness.Deposit("driver", 1);
    }
  });
  // Commits of the journal both begin some and end others.
  std::vector<PayoutRecord> open;
  for (int round = 0; round <= 20; ++round) {
    std::vector<PayoutRecord> payouts;
    for (int i = 0; i < 10 && round < 20; ++i) {
      payouts.push_back(New(fmt::format("p{}-{}", round, i), 3, i % 2 == 0 ? "driver" : "second"));
    }
    std::vector<std::future<absl::Status>> begun;
    std::vector<std::future<bool>> ended;
    for (size_t i = 0; i < 10; ++i) {
      if (i < payouts.size()) begun.push_back(BeginSoon(payouts[i]));
      if (i < open.size()) ended.push_back(EndSoon(open[i], i % 3 == 0 ? State::kRefused : State::kPaid));
    }
    for (std::future<absl::Status>& status : begun) EXPECT_TRUE(status.get().ok());
    for (std::future<bool>& done : ended) EXPECT_TRUE(done.get());
    open = std::move(payouts);
  }
  stop = true;
  others.join();
  EXPECT_EQ(testing::TimesThatRunBack(harness.sql()), "0");
  EXPECT_EQ(testing::Deadlocks(harness.sql()), "0");
}

// Commits that both end and begin some, crosswise, of two currencies: the second waits until the first is done. A
// planted fault shows that they would wait for each other without their turn.
TEST_P(PostgresPayouts, TwoThatEndAndBeginCrosswiseTakeTurns) {
  auto& harness = static_cast<PostgresPayoutHarness&>(*harness_);
  harness.Open("dollars", "USD", true);
  ledger::NewAccount bank;
  bank.id = "bank-usd";
  bank.currency = "USD";
  bank.kind = "bank";
  bank.code = 1;
  ASSERT_TRUE(harness.ledger().CreateAccounts("shop", {bank}).ok());
  ledger::NewTransfer deposit;
  deposit.id = "dollars";
  deposit.debit_account = "bank-usd";
  deposit.credit_account = "dollars";
  deposit.currency = "USD";
  deposit.code = 1;
  deposit.amount_minor = 1'000;
  ASSERT_TRUE(harness.ledger().PostAndWait("shop", {deposit}).ok());

  const auto pay = [](testing::Sql& session, const std::string& payout_id) {
    return session.Run("UPDATE payouts SET state = 'paid', reference = 'po', decided_at = now() WHERE payout_id = $1",
                       {payout_id});
  };
  const auto begin = [](testing::Sql& session, const std::string& account, const std::string& currency) {
    return session.Run(
        "INSERT INTO payouts (saga_id, client, payout_id, account, idempotency_key, hold_id, amount_minor, currency, "
        "destination, begun_at) SELECT id, 'shop', id::text, $1, id || '/pay_out', id || ':hold', 1, $2, 'DE02', now() "
        "FROM (SELECT gen_random_uuid() AS id) fresh",
        {account, currency});
  };
  const auto sqlstates_of = [&](const std::string& round) -> std::vector<std::string> {
    EXPECT_TRUE(Begin(New("euros-" + round, 10, "driver")).ok());
    EXPECT_TRUE(Begin(New("dollars-" + round, 10, "dollars", "USD")).ok());
    testing::Sql first(harness.url()), second(harness.url());
    first.Exec("BEGIN");
    EXPECT_TRUE(pay(first, "euros-" + round).ok());
    std::future<std::string> other = std::async(std::launch::async, [&] {
      second.Exec("BEGIN");
      testing::SqlResult result = pay(second, "dollars-" + round);
      if (result.ok()) result = begin(second, "driver", "EUR");
      second.Exec(result.ok() ? "COMMIT" : "ROLLBACK");
      return result.sqlstate;
    });
    EXPECT_TRUE(testing::Eventually(absl::Seconds(20), [&] {
      return harness.sql().Value(
                 "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND "
                 "wait_event_type = 'Lock'") == "1";
    }));
    const testing::SqlResult result = begin(first, "dollars", "USD");
    first.Exec(result.ok() ? "COMMIT" : "ROLLBACK");
    return {result.sqlstate, other.get()};
  };
  EXPECT_THAT(sqlstates_of("in-turn"), ::testing::ElementsAre("", ""));
  harness.sql().Exec("CREATE OR REPLACE FUNCTION payouts_take_turns() RETURNS void LANGUAGE sql AS 'SELECT'");
  EXPECT_THAT(sqlstates_of("without"), ::testing::UnorderedElementsAre("", "40P01"));
}

// What an account belongs to moves with it, and is closed or not by itself.
TEST_P(PostgresPayouts, EndThoughTheAccountThatItBelongsToWasClosedMeanwhile) {
  auto& harness = static_cast<PostgresPayoutHarness&>(*harness_);
  ledger::NewAccount card;
  card.id = "card";
  card.parent = "driver";
  card.currency = "EUR";
  card.kind = "card";
  card.code = 1;
  ASSERT_TRUE(harness.ledger().CreateAccounts("shop", {card}).ok());
  harness.Deposit("card", 500);
  PayoutRecord paid = New("p1", 400, "card"), refused = New("p2", 100, "card");
  ASSERT_TRUE(Begin(paid).ok() && Begin(refused).ok());
  harness.SetClosed("driver", true);
  ASSERT_TRUE(End(paid, State::kPaid));
  ASSERT_TRUE(End(refused, State::kRefused));
  EXPECT_EQ(harness.Get("card"), (Balance{100, 0}));
  EXPECT_EQ(RuleOf(Begin(New("p3", 1, "card"))), kPayoutFromAnAccount) << "it is closed as before";
  EXPECT_EQ(*store().Available("shop", "card", "EUR"), std::nullopt);
}

// A hand may decide a payout, and its hold ends with it; the payee's client ends none.
TEST_P(PostgresPayouts, AHoldIsEndedOnceWhoeverEndsIt) {
  auto& harness = static_cast<PostgresPayoutHarness&>(*harness_);
  ASSERT_TRUE(Begin(New("p1")).ok());
  ledger::NewTransfer theft;
  theft.id = "theft";
  theft.phase = ledger::Phase::kVoid;
  theft.pending_id = harness.sql().Value("SELECT hold_id FROM payouts");
  const auto outcomes = harness.ledger().PostAndWait("shop", {theft});
  ASSERT_TRUE(outcomes.ok()) << outcomes.status();
  EXPECT_NE(outcomes->front().result, ledger::TransferResult::kCreated) << "the hold is none of the client's";
  harness.sql().Exec("UPDATE payouts SET state = 'paid', decided_at = now()");
  EXPECT_EQ(harness.Get("driver"), (Balance{600, 0}));
  EXPECT_EQ(harness.sql().Value("SELECT string_agg(phase, ' ' ORDER BY number) FROM ledger_transfers WHERE client = "
                                "'(waybill)'"),
            "pending post");
}

INSTANTIATE_TEST_SUITE_P(Postgres, PostgresPayouts,
                         ::testing::Values([] { return std::make_unique<PostgresPayoutHarness>(); }));

}  // namespace
}  // namespace waybill::storage
