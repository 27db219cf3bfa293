#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_risk_store.h"
#include "tests/storage/risk_store_contract.h"

namespace waybill::storage {
namespace {

class FakeRiskHarness final : public RiskStoreHarness {
 public:
  RiskStore& store() override { return store_; }
  void Put(const Uuid& order_id, const risk::Facts& facts, absl::Time at) override {
    RiskAssessment kept;
    kept.order_id = order_id;
    kept.facts = facts;
    kept.at = at;
    store_.Put(std::move(kept));
  }
  void Decline(const Uuid& order_id, absl::Time at, risk::Subject) override { store_.Decline(order_id, at); }

 private:
  waybill::testing::ManualTime clock_;
  testing::FakeRiskStore store_{clock_};
};

INSTANTIATE_TEST_SUITE_P(Fake, RiskStoreContract,
                         ::testing::Values([] { return std::make_unique<FakeRiskHarness>(); }));

TEST(FakeRiskStore, AnswersTheErrorItWasGiven) {
  waybill::testing::ManualTime clock;
  testing::FakeRiskStore store(clock);
  store.set_error(absl::UnavailableError("down"));
  EXPECT_FALSE(store.Assess({}, {}, {}).ok());
  EXPECT_FALSE(store.List({}).ok());
}

}  // namespace
}  // namespace waybill::storage
