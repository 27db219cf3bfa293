#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_fleet.h"
#include "tests/storage/fleet_contract.h"

namespace waybill::storage {
namespace {

class FakeHarness final : public FleetHarness {
 public:
  Fleet& fleet() override { return fleet_; }
  void PassTime(absl::Duration by) override { time_.Advance(by); }

 private:
  waybill::testing::ManualTime time_;
  testing::FakeFleet fleet_{time_};
};

INSTANTIATE_TEST_SUITE_P(Fake, FleetContract, ::testing::Values([] { return std::make_unique<FakeHarness>(); }));

TEST(FakeFleet, AnswersTheErrorItWasGiven) {
  waybill::testing::ManualTime time;
  testing::FakeFleet fleet(time);
  fleet.set_error(absl::UnavailableError("down"));
  EXPECT_FALSE(fleet.Ping().ok());
  EXPECT_FALSE(fleet.Scan(0, 1).ok());
  fleet.set_error(absl::OkStatus());
  EXPECT_TRUE(fleet.Ping().ok());
}

}  // namespace
}  // namespace waybill::storage
