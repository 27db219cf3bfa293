// What orders post at their end, by the journal that ends them: its commits also begin and end payouts from the same
// accounts, and the ledger's own service writes to them meanwhile.
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/random.h"
#include "saga/definition.h"
#include "saga/journal.h"
#include "storage/order_record.h"
#include "storage/payout_store.h"
#include "storage/postgres/ledger_store.h"
#include "storage/postgres/order_tables.h"
#include "storage/postgres/payout_tables.h"
#include "storage/postgres/rights.h"
#include "storage/postgres/saga_journal.h"
#include "tests/storage/postgres/ledger_facts.h"
#include "tests/support/eventually.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

constexpr int64_t kCharge = 1'000;
constexpr int64_t kShare = 800;  // of a driver, at 20 %

// A saga with the write that it waits for.
template <typename P>
struct Driven {
  saga::RecordOf<P> record;
  std::vector<saga::LogEntry> log;
  std::promise<std::string> said;

  std::string Said() { return said.get_future().get(); }
};
using DrivenOrder = std::shared_ptr<Driven<domain::Order>>;
using DrivenPayout = std::shared_ptr<Driven<domain::Payout>>;

class LedgerOrderEnds : public ::testing::Test {
 protected:
  LedgerOrderEnds() {
    std::vector<saga::Definition> definitions;
    definitions.push_back(saga::Define<domain::Order>().Step("charge_payment").Step("assign_driver").Done());
    definitions.push_back(saga::Define<domain::Payout>().Step("pay_out").Done());
    kinds_ = std::make_unique<saga::Kinds>(std::move(definitions));
  }

  // `url`: by whose role it writes; "": the owner's.
  PostgresSagaJournal& Journal(const std::string& instance, int writers, const std::string& url = "") {
    SagaJournalOptions options;
    options.writers = writers;
    options.ledger = true;
    options.ledger_commission_ppm = ppm_;
    options.on_error = [this](const absl::Status& status) {
      std::lock_guard lock(mutex_);
      errors_ += status.ToString() + "\n";
    };
    options.in_gap = [this](saga::Gap) {
      if (stands_.exchange(false)) {
        stood_.set_value();
        goes_on_.get_future().wait();
      }
      return absl::OkStatus();
    };
    auto journal =
        PostgresSagaJournal::Open({&order_tables_, &payout_tables_}, *kinds_, {instance, "1", absl::Seconds(60)},
                                  url.empty() ? database_.url() : url, pool_, ThreadLoops(), options);
    EXPECT_TRUE(journal.ok()) << journal.status();
    return *journals_.emplace_back(*std::move(journal));
  }

  int32_t ppm_ = 200'000;  // of the journals that are opened from then on

  // --- Orders: begun, then charged and given a driver, then completed.

  DrivenOrder BeginOrder(saga::Journal& journal) {
    auto order = std::make_shared<Driven<domain::Order>>();
    OrderRecord& record = order->record;
    Begin(record);
    record.payload.client = "shop";
    record.payload.idempotency_key = record.id.ToString();
    record.payload.fingerprint = std::string(32, '\x7f');
    record.payload.user_id = "ada";
    record.payload.amount_minor = kCharge;
    record.payload.currency = "EUR";
    BeginSoon(journal, order);
    return order;
  }
  DrivenOrder Confirm(saga::Journal& journal, const DrivenOrder& begun, const std::string& driver, int slot) {
    auto order = Next(begun);
    OrderRecord& record = order->record;
    record.state = saga::State::kSucceeded;
    record.step = 1;
    record.payload.charge = domain::Charge{"ref-1", kCharge, record.created_at};
    record.payload.driver = domain::DriverSlot{driver, slot};
    record.payload.effects.charged = record.payload.effects.claimed = true;
    AdvanceSoon(journal, order, saga::LogOutcome::kSucceeded);
    return order;
  }
  DrivenOrder Complete(saga::Journal& journal, const DrivenOrder& confirmed) {
    auto order = Next(confirmed);
    OrderRecord& record = order->record;
    record.state = saga::State::kClosed;
    record.payload.driver.reset();
    record.payload.effects = {};
    record.payload.effects.released = true;
    AdvanceSoon(journal, order, saga::LogOutcome::kClosed);
    return order;
  }
  DrivenOrder Confirmed(saga::Journal& journal, const std::string& driver, int slot) {
    const DrivenOrder begun = BeginOrder(journal);
    EXPECT_EQ(begun->Said(), "begun");
    DrivenOrder confirmed = Confirm(journal, begun, driver, slot);
    EXPECT_EQ(confirmed->Said(), "applied");
    return confirmed;
  }
  // With room for whatever orders these tests give him.
  void Driver(const std::string& driver) {
    database_.sql().Exec(fmt::format("INSERT INTO drivers (driver_id, capacity) VALUES ('{}', 1000)", driver));
  }
  static std::string AccountOf(const std::string& driver) { return fmt::format("driver:{}:EUR", driver); }

  // --- Payouts of drivers.

  DrivenPayout BeginPayout(saga::Journal& journal, const std::string& driver, int64_t amount_minor) {
    auto payout = std::make_shared<Driven<domain::Payout>>();
    PayoutRecord& record = payout->record;
    Begin(record);
    record.payload.client = "shop";
    record.payload.payout_id = record.id.ToString();
    record.payload.account = AccountOf(driver);
    record.payload.destination = "DE02";
    record.payload.amount_minor = amount_minor;
    record.payload.currency = "EUR";
    record.payload.begun_at = record.created_at;
    BeginSoon(journal, payout);
    return payout;
  }
  DrivenPayout Pay(saga::Journal& journal, const DrivenPayout& begun, bool paid) {
    auto payout = Next(begun);
    PayoutRecord& record = payout->record;
    record.payload.state = paid ? domain::Payout::State::kPaid : domain::Payout::State::kRefused;
    record.payload.refusal = paid ? "" : "ACCOUNT_CLOSED";
    record.payload.decided_at = record.created_at;
    record.payload.effects.decided = true;
    record.state = paid ? saga::State::kSucceeded : saga::State::kCompensated;
    if (!paid) record.failure.reason = "PAYOUT_REFUSED";
    AdvanceSoon(journal, payout, saga::LogOutcome::kSucceeded);
    return payout;
  }

  // The next commit's writer stands still behind it, until what this answers is called: what is queued meanwhile is the
  // commit after that.
  std::function<void()> StandStill(saga::Journal& journal) {
    stands_ = true;
    (void)BeginOrder(journal);
    stood_.get_future().wait();
    return [this] { goes_on_.set_value(); };
  }

  // --- What came of it.

  std::string Deadlocks() { return testing::Deadlocks(database_.sql()); }
  void ExpectSound() {
    EXPECT_EQ(testing::TimesThatRunBack(database_.sql()), "0");
    const auto report = ledger_.Verify(nullptr);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_THAT(report->faults, ::testing::IsEmpty());
  }
  int64_t Sum(const std::string& kind) {
    return std::stoll(database_.sql().Value(
        "SELECT COALESCE(sum(credits_posted - debits_posted), 0) FROM ledger_accounts WHERE kind = $1", {kind}));
  }
  std::string Errors() {
    std::lock_guard lock(mutex_);
    return errors_;
  }
  void StopAll() {
    for (auto& journal : journals_) journal->Stop();
  }

  SystemClock clock_;
  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), {}, {}};
  SeededRandom random_{1};
  IdGenerator ids_{clock_, random_};
  ThreadLoops loops_;
  PostgresLedgerStore ledger_{{database_.url(), pool_, pool_, clock_, random_, loops_}};

 private:
  void Begin(saga::Record& record) {
    record.id = ids_.Next();
    record.created_at = record.updated_at = absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now()));
  }
  template <typename P>
  std::shared_ptr<Driven<P>> Next(const std::shared_ptr<Driven<P>>& before) {
    auto next = std::make_shared<Driven<P>>();
    next->record = before->record;
    next->record.payload.effects = {};
    return next;
  }
  template <typename P>
  void BeginSoon(saga::Journal& journal, const std::shared_ptr<Driven<P>>& driven) {
    journal.Begin(driven->record, [driven](auto existing) {
      driven->said.set_value(!existing.ok() ? existing.status().ToString() : *existing != nullptr ? "exists" : "begun");
    });
  }
  template <typename P>
  void AdvanceSoon(saga::Journal& journal, const std::shared_ptr<Driven<P>>& driven, saga::LogOutcome outcome) {
    saga::LogEntry& entry = driven->log.emplace_back();
    const int64_t expected = driven->record.seq;
    entry.seq = ++driven->record.seq;
    entry.step = "step";
    entry.attempt = 1;
    entry.outcome = outcome;
    entry.state = driven->record.state;
    entry.at = driven->record.created_at;
    journal.Advance({&driven->record, driven->log, expected, nullptr, 0}, [driven](auto result) {
      driven->said.set_value(!result.ok()                             ? result.status().ToString()
                             : *result == saga::WriteResult::kApplied ? "applied"
                                                                      : "not applied");
    });
  }

  const OrderTables order_tables_;
  const SharedSagaTables<domain::Payout> payout_tables_ = PayoutTables();
  std::unique_ptr<saga::Kinds> kinds_;
  std::atomic<bool> stands_ = false;
  std::promise<void> stood_, goes_on_;
  std::mutex mutex_;
  std::string errors_;
  std::vector<std::unique_ptr<PostgresSagaJournal>> journals_;
};

TEST_F(LedgerOrderEnds, AreInTheCommitThatCompletesTheOrder) {
  PostgresSagaJournal& journal = Journal("a", 1);
  Driver("7");
  const DrivenOrder confirmed = Confirmed(journal, "7", 1);
  EXPECT_EQ(Sum("driver"), 0);
  const DrivenOrder completed = Complete(journal, confirmed);
  EXPECT_EQ(completed->Said(), "applied");
  EXPECT_EQ(Sum("driver"), kShare);
  EXPECT_EQ(Sum("commission"), kCharge - kShare);
  EXPECT_EQ(Sum("orders"), 0);
  // Whoever completes it once more is fenced, or finds it done; in the careful form, then.
  EXPECT_EQ(Complete(journal, confirmed)->Said(), "not applied");
  const DrivenOrder other = Confirmed(journal, "7", 2);
  const DrivenOrder again = Complete(journal, confirmed), ends = Complete(journal, other);
  EXPECT_EQ(again->Said(), "not applied");
  EXPECT_EQ(ends->Said(), "applied");
  EXPECT_EQ(Sum("driver"), 2 * kShare);
  StopAll();
  ExpectSound();
}

TEST_F(LedgerOrderEnds, OpenNoAccountWhereAllIsThePlatforms) {
  ppm_ = 1'000'000;
  PostgresSagaJournal& journal = Journal("a", 1);
  Driver("7");
  EXPECT_EQ(Complete(journal, Confirmed(journal, "7", 1))->Said(), "applied");
  EXPECT_EQ(Sum("commission"), kCharge);
  EXPECT_EQ(database_.sql().Value("SELECT count(*) FROM ledger_accounts WHERE kind = 'driver'"), "0");
  StopAll();
  ExpectSound();
}

// `waybill migrate --grant` grants all that this takes, and what stands there lets nobody move money otherwise.
TEST_F(LedgerOrderEnds, TakeNoMoreThanTheServicesRights) {
  const std::string role = "r_" + database_.sql().Value("SELECT md5(current_database())");
  database_.sql().Exec(fmt::format("CREATE ROLE {} LOGIN", role));
  for (const Rights& rights : OrderRights()) {
    if (rights.on == "schema_migrations") continue;  // not in this database
    database_.sql().Exec(fmt::format("GRANT {} ON {}{} TO {}", rights.may, rights.on.ends_with(')') ? "FUNCTION " : "",
                                     rights.on, role));
  }
  std::string url = database_.url();
  const size_t user = url.find("//") + 2;
  url.replace(user, url.find('@') - user, role);
  PostgresSagaJournal& journal = Journal("a", 1, url);
  Driver("7");
  EXPECT_EQ(Complete(journal, Confirmed(journal, "7", 1))->Said(), "applied");
  EXPECT_EQ(BeginPayout(journal, "7", kShare)->Said(), "begun");
  EXPECT_EQ(Sum("driver"), kShare);
  {
    waybill::testing::Sql services(url);
    services.Exec("CREATE TEMPORARY TABLE ends (n int)");
    for (const char* deed : {"SELECT ledger_open_drivers('{shop}', '{8}', '{EUR}')",
                             "CREATE TRIGGER ends AFTER UPDATE ON ends FOR EACH STATEMENT EXECUTE FUNCTION "
                             "ledger_book_ends()"}) {
      EXPECT_EQ(services.Run(deed).sqlstate, "42501") << deed;
    }
  }
  StopAll();
  database_.sql().Exec(fmt::format("DROP OWNED BY {}", role));
  database_.sql().Exec(fmt::format("DROP ROLE {}", role));
  ExpectSound();
}

// A commit has an order of one driver end, and begins a payout of another one: in two statements. While it waits for
// the account of the lower number it has none of a higher one.
TEST_F(LedgerOrderEnds, WaitForAccountsInTheOrderOfTheirNumbers) {
  PostgresSagaJournal& journal = Journal("a", 1);
  for (const char* driver : {"low", "high"}) {
    Driver(driver);
    EXPECT_EQ(Complete(journal, Confirmed(journal, driver, 1))->Said(), "applied");
  }
  const DrivenOrder ends = Confirmed(journal, "high", 2);
  const auto go_on = StandStill(journal);
  waybill::testing::Sql other(database_.url());
  const auto lock = [&](const std::string& driver) {
    return other
        .Run(fmt::format("SELECT FROM ledger_accounts WHERE id = '{}' FOR NO KEY UPDATE NOWAIT", AccountOf(driver)))
        .sqlstate;
  };
  other.Exec("BEGIN");
  ASSERT_EQ(lock("low"), "");
  const DrivenOrder completed = Complete(journal, ends);
  const DrivenPayout begun = BeginPayout(journal, "low", 100);
  go_on();
  ASSERT_TRUE(waybill::testing::Eventually(absl::Seconds(20), [&] {
    return database_.sql().Value(
               "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
               "current_database()") == "1";
  }));
  EXPECT_EQ(lock("high"), "") << "it would wait for who waits for it";
  other.Exec("COMMIT");
  EXPECT_EQ(completed->Said(), "applied");
  EXPECT_EQ(begun->Said(), "begun");
  EXPECT_EQ(Deadlocks(), "0");
  StopAll();
  ExpectSound();
}

// Two processes with writers of their own, the ledger's service twice, and all of them at the same few accounts.
TEST_F(LedgerOrderEnds, DeadlockWithNobody) {
  constexpr size_t kDrivers = 6;
  constexpr int kRounds = 12, kOrdersARound = 12;
  std::vector<PostgresSagaJournal*> journals = {&Journal("a", 3), &Journal("b", 3)};
  std::vector<std::string> drivers;
  for (size_t n = 0; n < kDrivers; ++n) Driver(drivers.emplace_back(fmt::format("d{}", n)));
  SeededRandom other_random(2);
  ThreadLoops other_loops;
  PostgresLedgerStore other_ledger{{database_.url(), pool_, pool_, clock_, other_random, other_loops}};
  std::vector<PostgresLedgerStore*> ledgers = {&ledger_, &other_ledger};
  // On first use accounts are opened by all at once; then some are there, and clients move between them.
  std::atomic<bool> stop = false;
  std::atomic<int> moved = 0;
  std::vector<std::thread> clients;
  for (size_t client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      SeededRandom random(client + 10);
      for (int n = 0; !stop; ++n) {
        std::vector<ledger::NewTransfer> batch;
        for (int i = 0; i < 3; ++i) {
          ledger::NewTransfer& move = batch.emplace_back();
          move.id = fmt::format("c{}-{}-{}", client, n, i);
          const size_t from = random.Next() % kDrivers;
          move.debit_account = AccountOf(drivers[from]);
          move.credit_account = AccountOf(drivers[(from + 1 + random.Next() % (kDrivers - 1)) % kDrivers]);
          move.currency = "EUR";
          move.code = 1;
          move.amount_minor = 1;
        }
        const auto outcomes = ledgers[client % 2]->PostAndWait("shop", batch);
        ASSERT_TRUE(outcomes.ok()) << outcomes.status();
        for (const auto& outcome : *outcomes) moved += outcome.result == ledger::TransferResult::kCreated ? 1 : 0;
      }
    });
  }
  int slot = 0, completed = 0;
  int64_t paid = 0;
  std::vector<DrivenPayout> open;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::pair<size_t, DrivenOrder>> begun, confirmed, ended;
    for (int n = 0; n < kOrdersARound; ++n) {
      const size_t at = static_cast<size_t>(n) % journals.size();
      begun.emplace_back(at, BeginOrder(*journals[at]));
    }
    for (size_t n = 0; n < begun.size(); ++n) {
      auto& [at, order] = begun[n];
      ASSERT_EQ(order->Said(), "begun");
      // In an order that differs from journal to journal.
      const size_t driver = n / 2 % kDrivers;
      confirmed.emplace_back(at,
                             Confirm(*journals[at], order, drivers[at == 0 ? driver : kDrivers - 1 - driver], ++slot));
    }
    for (auto& [at, order] : confirmed) ASSERT_EQ(order->Said(), "applied");
    std::vector<DrivenPayout> begun_payouts, ended_payouts;
    for (size_t n = 0; n < confirmed.size(); ++n) {
      auto& [at, order] = confirmed[n];
      ended.emplace_back(at, Complete(*journals[at], order));
      if (n < open.size()) {
        const bool pays = n % 3 != 0;
        if (pays) paid += 5;
        ended_payouts.push_back(Pay(*journals[at], open[n], pays));
      }
      if (round > 0) {
        begun_payouts.push_back(BeginPayout(*journals[at], drivers[(n * 5 + at) % kDrivers], 5));
      }
    }
    for (auto& [at, order] : ended) completed += order->Said() == "applied" ? 1 : 0;
    for (const DrivenPayout& payout : ended_payouts) EXPECT_EQ(payout->Said(), "applied");
    open.clear();
    for (const DrivenPayout& payout : begun_payouts) {
      EXPECT_EQ(payout->Said(), "begun");
      open.push_back(payout);
    }
  }
  stop = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Deadlocks(), "0");
  EXPECT_EQ(completed, kRounds * kOrdersARound);
  EXPECT_GT(moved, 0);
  EXPECT_EQ(Sum("driver"), completed * kShare - paid);
  EXPECT_EQ(Sum("commission"), completed * (kCharge - kShare));
  EXPECT_EQ(Sum("orders"), 0);
  EXPECT_EQ(Errors(), "");
  StopAll();
  other_ledger.Stop();
  ExpectSound();
}

// Two writers open the same drivers' accounts, each in the order of its own orders.
TEST_F(LedgerOrderEnds, OpenAccountsInOneOrder) {
  constexpr int kRounds = 20, kDriversARound = 20;
  std::vector<PostgresSagaJournal*> journals = {&Journal("a", 1), &Journal("b", 1)};
  for (int round = 0; round < kRounds; ++round) {
    std::vector<DrivenOrder> begun[2], confirmed[2], ended;
    for (size_t at = 0; at < 2; ++at) {
      for (int n = 0; n < kDriversARound; ++n) begun[at].push_back(BeginOrder(*journals[at]));
      for (int n = 0; n < kDriversARound; ++n) {
        const std::string driver = fmt::format("r{}-{}", round, at == 0 ? n : kDriversARound - 1 - n);
        if (at == 0) Driver(driver);
        ASSERT_EQ(begun[at][static_cast<size_t>(n)]->Said(), "begun");
        confirmed[at].push_back(
            Confirm(*journals[at], begun[at][static_cast<size_t>(n)], driver, 1 + static_cast<int>(at)));
      }
    }
    for (auto& orders : confirmed) {
      for (const DrivenOrder& order : orders) ASSERT_EQ(order->Said(), "applied");
    }
    for (size_t n = 0; n < kDriversARound; ++n) {
      for (size_t at = 0; at < 2; ++at) ended.push_back(Complete(*journals[at], confirmed[at][n]));
    }
    for (const DrivenOrder& order : ended) EXPECT_EQ(order->Said(), "applied");
  }
  EXPECT_EQ(Deadlocks(), "0");
  EXPECT_EQ(Errors(), "");
  EXPECT_EQ(Sum("driver"), 2 * kRounds * kDriversARound * kShare);
  StopAll();
  ExpectSound();
}

}  // namespace
}  // namespace waybill::storage
