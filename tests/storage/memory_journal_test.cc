#include <memory>
#include <string>
#include <vector>

#include "runtime/testing/manual_time.h"
#include "storage/testing/memory_order_book.h"
#include "tests/storage/journal_contract.h"

namespace waybill::storage {
namespace {

struct MemoryWorld {
  saga::Journal& Open(const std::string& instance, const std::string& life) {
    auto journal =
        std::make_unique<saga::testing::MemoryJournal>(book, time, saga::Lease{instance, life, absl::Seconds(10)});
    journal->set_kinds(&kinds);
    journal->set_in_gap([this](saga::Gap gap) { return in_gap ? in_gap(gap) : absl::OkStatus(); });
    journals.push_back(std::move(journal));
    return *journals.back();
  }
  void ExpireLeases() { time.Advance(absl::Seconds(11)); }
  void EndWaits() {
    for (auto& [id, row] : book.rows) row.record->wakes_at = time.Now();
  }

  void SetCapacity(const std::string& driver, int capacity) { book.capacities[driver] = capacity; }

  std::vector<std::string> Audited() const {
    std::vector<std::string> actions;
    for (const domain::Deed& deed : book.deeds) actions.push_back(deed.action);
    return actions;
  }

  saga::GapHook in_gap;  // of every journal
  saga::Kinds kinds{{saga::Define<domain::Order>().Step("charge_payment").Step("assign_driver").Done()}};
  waybill::testing::ManualTime time;
  testing::MemoryOrderBook book;
  std::vector<std::unique_ptr<saga::Journal>> journals;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, JournalContract, MemoryWorld);

}  // namespace
}  // namespace waybill::storage
