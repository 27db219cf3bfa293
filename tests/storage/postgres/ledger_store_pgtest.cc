#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "storage/postgres/ledger_store.h"
#include "storage/postgres/rights.h"
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

}  // namespace
}  // namespace waybill::storage
