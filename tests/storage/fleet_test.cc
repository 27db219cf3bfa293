#include "runtime/testing/manual_time.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/mock_fleet.h"
#include "tests/storage/fleet_contract.h"

namespace waybill::storage {
namespace {

class FakeFleetHarness final : public FleetHarness {
 public:
  Fleet& fleet() override { return fleet_; }
  void PassTime(absl::Duration by) override { time_.Advance(by); }

 private:
  waybill::testing::ManualTime time_;
  testing::FakeFleet fleet_{time_};
};

INSTANTIATE_TEST_SUITE_P(Fake, FleetContract, ::testing::Values([] { return std::make_unique<FakeFleetHarness>(); }));

TEST(FakeFleet, AnswersTheErrorItWasGiven) {
  waybill::testing::ManualTime time;
  testing::FakeFleet fleet(time);
  fleet.set_error(absl::UnavailableError("down"));
  EXPECT_FALSE(fleet.Ping().ok());
  EXPECT_FALSE(fleet.Scan(0, 1).ok());
  fleet.set_error(absl::OkStatus());
  EXPECT_TRUE(fleet.Ping().ok());
}

TEST(MockFleet, StandsInForAFleet) {
  testing::MockFleet fleet;
  EXPECT_CALL(fleet, Scan(0, 10)).WillOnce(::testing::Return(FleetPage{{"ada"}, 0}));
  EXPECT_THAT(static_cast<Fleet&>(fleet).Scan(0, 10)->driver_ids, ElementsAre("ada"));
}

}  // namespace
}  // namespace waybill::storage
