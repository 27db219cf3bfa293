#include "storage/testing/fake_driver_store.h"
#include "tests/storage/driver_store_contract.h"

namespace waybill::storage {
namespace {

class FakeDriverStoreHarness final : public DriverStoreHarness {
 public:
  DriverStore& store() override { return store_; }
  AuditLog& audit() override { return store_.audit; }
  void Give(const domain::DriverSlot& slot, const Uuid& order_id) override {
    book_.taken_slots[{slot.driver_id, slot.slot}] = order_id;
  }

 private:
  testing::MemoryOrderBook book_;
  testing::FakeDriverStore store_{book_};
};

INSTANTIATE_TEST_SUITE_P(Fake, DriverStoreContract,
                         ::testing::Values([] { return std::make_unique<FakeDriverStoreHarness>(); }));

TEST(FakeDriverStore, AnswersTheErrorItWasGiven) {
  testing::MemoryOrderBook book;
  testing::FakeDriverStore store(book);
  store.set_error(absl::UnavailableError("down"));
  EXPECT_EQ(store.SetDuty("ada", false, {}).code(), absl::StatusCode::kUnavailable);
  store.set_error(absl::OkStatus());
  EXPECT_TRUE(store.SetDuty("ada", false, {}).ok());
}

}  // namespace
}  // namespace waybill::storage
