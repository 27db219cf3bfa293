#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_fleet.h"
#include "tests/storage/hot_view_contract.h"

namespace waybill::storage {
namespace {

class FakeViewHarness final : public HotViewHarness {
 public:
  HotView& view() override { return fleet_; }
  HotView& another_writer() override { return another_; }
  Fleet& fleet() override { return fleet_; }
  void Lose() override { fleet_.Clear(); }
  void TrimMoves(size_t count) override { fleet_.TrimMoves(count); }

 private:
  waybill::testing::ManualTime clock_;
  testing::FakeFleet fleet_{clock_};
  testing::FakeFleet::AnotherWriter another_{fleet_};
};

INSTANTIATE_TEST_SUITE_P(Fake, HotViewContract, ::testing::Values([] { return std::make_unique<FakeViewHarness>(); }));

}  // namespace
}  // namespace waybill::storage
