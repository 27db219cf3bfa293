#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_order_store.h"
#include "storage/testing/mock_order_store.h"
#include "tests/storage/order_store_contract.h"

namespace waybill::storage {
namespace {

class FakeStoreHarness final : public OrderStoreHarness {
 public:
  OrderStore& store() override { return store_; }
  absl::Time Now() override { return time_.Now(); }
  void Add(const OrderRecord& order, const std::vector<saga::LogEntry>& log) override {
    testing::OrderBook::Row& row = book_.rows[order.id];
    row.record = order.Clone();
    row.log = log;
    row.instance = "host";
    row.life = "1";
    row.waiting = !order.waits_for.empty();
    if (!row.waiting) row.lease_until = time_.Now() + absl::Minutes(1);
  }
  void RecordDefinitions(const saga::Kinds& kinds) override { store_.RecordDefinitions(kinds); }
  void SetCapacity(const std::string& driver_id, int capacity) override { store_.SetCapacity(driver_id, capacity); }

 private:
  waybill::testing::ManualTime time_;
  testing::OrderBook book_;
  testing::FakeOrderStore store_{book_, time_};
};

INSTANTIATE_TEST_SUITE_P(Fake, OrderStoreContract,
                         ::testing::Values([] { return std::make_unique<FakeStoreHarness>(); }));

TEST(FakeOrderStore, AnswersTheErrorItWasGiven) {
  waybill::testing::ManualTime time;
  testing::OrderBook book;
  testing::FakeOrderStore store(book, time);
  store.set_error(absl::UnavailableError("down"));
  EXPECT_FALSE(store.Ping().ok());
  EXPECT_EQ(store.Get(Uuid{}).status().code(), absl::StatusCode::kUnavailable);
  store.set_error(absl::OkStatus());
  EXPECT_TRUE(store.Ping().ok());
}

TEST(MockOrderStore, StandsInForAnOrderStore) {
  testing::MockOrderStore store;
  EXPECT_CALL(store, Ping()).WillOnce(::testing::Return(absl::OkStatus()));
  EXPECT_TRUE(static_cast<OrderStore&>(store).Ping().ok());
}

}  // namespace
}  // namespace waybill::storage
