#include "runtime/testing/manual_time.h"
#include "storage/testing/memory_payout_book.h"
#include "tests/storage/payout_store_contract.h"

namespace waybill::storage {
namespace {

class MemoryPayoutHarness final : public PayoutHarness {
 public:
  MemoryPayoutHarness() { journal_.set_kinds(&kinds_); }
  PayoutStore& store() override { return store_; }
  saga::Journal& journal() override { return journal_; }
  void Open(const std::string& account, const std::string& currency, bool) override {
    payouts_.Open("shop", account, currency);
  }
  void Deposit(const std::string& account, int64_t amount_minor) override {
    payouts_.Deposit("shop", account, amount_minor);
  }
  void SetClosed(const std::string& account, bool closed) override { payouts_.SetClosed("shop", account, closed); }
  Balance Get(const std::string& account) override {
    const testing::MemoryPayouts::Account found = payouts_.Get("shop", account);
    return {found.balance_minor, found.held_minor};
  }

 private:
  waybill::testing::ManualTime time_;
  saga::testing::MemoryBook book_;
  testing::MemoryPayouts payouts_{book_};
  testing::FakePayoutStore store_{book_, payouts_};
  saga::Kinds kinds_ = PayoutKinds();
  saga::testing::MemoryJournal journal_{book_, time_, {"host", "1", absl::Seconds(60)}};
};

INSTANTIATE_TEST_SUITE_P(Memory, PayoutStoreContract,
                         ::testing::Values([] { return std::make_unique<MemoryPayoutHarness>(); }));

}  // namespace
}  // namespace waybill::storage
