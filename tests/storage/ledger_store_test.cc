#include "storage/testing/memory_ledger_store.h"
#include "tests/storage/ledger_store_contract.h"

namespace waybill::storage {
namespace {

class MemoryLedgerHarness final : public LedgerStoreHarness {
 public:
  MemoryLedgerHarness() {
    store_.on_changes = [this](std::span<const BalanceChange> changes) {
      for (const BalanceChange& change : changes) told_[change.account] = change.balance;
    };
  }
  LedgerStore& store() override { return store_; }
  waybill::testing::ManualTime& time() override { return time_; }
  std::map<std::string, ledger::Balance> told() override { return told_; }

 private:
  waybill::testing::ManualTime time_;
  testing::MemoryLedgerStore store_{time_};
  std::map<std::string, ledger::Balance> told_;
};

INSTANTIATE_TEST_SUITE_P(Memory, LedgerStoreContract,
                         ::testing::Values([] { return std::make_unique<MemoryLedgerHarness>(); }));

TEST(MemoryLedgerStore, AnswersTheErrorItWasGiven) {
  waybill::testing::ManualTime time;
  testing::MemoryLedgerStore store(time);
  store.set_error(absl::UnavailableError("down"));
  EXPECT_FALSE(store.PostAndWait("acme", {}).ok());
  EXPECT_FALSE(store.Ping().ok());
  store.set_error(absl::OkStatus());
  EXPECT_TRUE(store.Ping().ok());
}

}  // namespace
}  // namespace waybill::storage
