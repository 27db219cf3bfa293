// What every DriverStore does; run against the fake and against Postgres.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/ids.h"
#include "runtime/status.h"
#include "storage/audit_log.h"
#include "storage/driver_store.h"

namespace waybill::storage {

// An empty store, and a way to give orders to drivers.
class DriverStoreHarness {
 public:
  virtual ~DriverStoreHarness() = default;
  virtual DriverStore& store() = 0;
  virtual AuditLog& audit() = 0;  // of what is done to it
  virtual void Give(const domain::DriverSlot& slot, const Uuid& order_id) = 0;
};

class DriverStoreContract : public ::testing::TestWithParam<std::function<std::unique_ptr<DriverStoreHarness>()>> {
 protected:
  DriverStore& store() { return harness_->store(); }
  static domain::Deed Deed(std::string action) { return {{"me", "k1"}, std::move(action), "driver", "some"}; }
  // What was done, the oldest first.
  std::vector<std::string> Audited() {
    AuditQuery all;
    all.oldest_first = true;
    std::vector<std::string> actions;
    const auto entries = harness_->audit().List(all);
    for (const AuditEntry& entry : *entries) actions.push_back(entry.action);
    return actions;
  }
  DriverStanding StandingOf(const std::string& driver_id) {
    auto standings = store().Standings({driver_id});
    EXPECT_TRUE(standings.ok()) << standings.status();
    return standings.ok() && standings->size() == 1 ? standings->front() : DriverStanding{-1, false, -1};
  }
  static Uuid Order(uint8_t number) {
    Uuid id;
    id.bytes[15] = number;
    return id;
  }

  std::unique_ptr<DriverStoreHarness> harness_ = GetParam()();
};

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_P(DriverStoreContract, ADriverOfWhomNothingWasSaidIsOnDutyForOneOrder) {
  EXPECT_EQ(StandingOf("nobody"), (DriverStanding{1, true, 0}));
  EXPECT_THAT(*store().OrdersOf("nobody"), IsEmpty());
}

TEST_P(DriverStoreContract, TellsOfEachThatItIsAskedFor) {
  ASSERT_TRUE(store().SetCapacities({{"van", 8}, {"bike", 2}}, Deed("driver.capacity")).ok());
  ASSERT_TRUE(store().SetDuty("bike", false, Deed("driver.duty")).ok());
  harness_->Give({"van", 3}, Order(2));
  harness_->Give({"van", 1}, Order(1));
  harness_->Give({"ada", 1}, Order(3));
  auto standings = store().Standings({"van", "nobody", "bike", "ada", "van"});
  ASSERT_TRUE(standings.ok()) << standings.status();
  const DriverStanding van{8, true, 2};
  EXPECT_THAT(*standings, ElementsAre(van, DriverStanding{1, true, 0}, DriverStanding{2, false, 0},
                                      DriverStanding{1, true, 1}, van));
  EXPECT_THAT(*store().OrdersOf("van"), ElementsAre(Order(1), Order(2)));
  EXPECT_THAT(*store().Standings({}), IsEmpty());
}

TEST_P(DriverStoreContract, DutyLeavesTheCapacityAndTheOrdersAsTheyAre) {
  ASSERT_TRUE(store().SetCapacities({{"van", 8}}, Deed("driver.capacity")).ok());
  harness_->Give({"van", 1}, Order(1));
  for (const std::string driver : {"van", "nobody"}) {
    const DriverStanding before = StandingOf(driver);
    for (int twice = 0; twice < 2; ++twice) {
      ASSERT_TRUE(store().SetDuty(driver, false, Deed("driver.duty")).ok());
      EXPECT_EQ(StandingOf(driver), (DriverStanding{before.capacity, false, before.orders_held}));
    }
    for (int twice = 0; twice < 2; ++twice) {
      ASSERT_TRUE(store().SetDuty(driver, true, Deed("driver.duty")).ok());
      EXPECT_EQ(StandingOf(driver), before);
    }
  }
  EXPECT_THAT(*store().OrdersOf("van"), ElementsAre(Order(1)));
}

TEST_P(DriverStoreContract, ACapacityThatIsSetOffDutyHoldsOnDutyAgain) {
  ASSERT_TRUE(store().SetDuty("van", false, Deed("driver.duty")).ok());
  ASSERT_TRUE(store().SetCapacities({{"van", 5}}, Deed("driver.capacity")).ok());
  EXPECT_EQ(StandingOf("van"), (DriverStanding{5, false, 0}));
  ASSERT_TRUE(store().SetDuty("van", true, Deed("driver.duty")).ok());
  EXPECT_EQ(StandingOf("van"), (DriverStanding{5, true, 0}));
}

TEST_P(DriverStoreContract, SetsAllCapacitiesOrNone) {
  for (int bad : {0, -1, domain::kDriverCapacityMax + 1, 70'000}) {
    absl::Status status = store().SetCapacities({{"van", 2}, {"bike", bad}}, Deed("driver.capacity"));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(GetErrorDetail(status).reason, "BAD_REQUEST");
    EXPECT_EQ(StandingOf("van").capacity, 1);
  }
  EXPECT_TRUE(store().SetCapacities({{"van", 1}, {"bike", domain::kDriverCapacityMax}}, Deed("driver.capacity")).ok());
  EXPECT_EQ(StandingOf("bike").capacity, domain::kDriverCapacityMax);
  EXPECT_TRUE(store().SetCapacities({}, Deed("driver.capacity")).ok());
}

TEST_P(DriverStoreContract, TheAuditHasWhatWasChangedAndNothingElse) {
  ASSERT_TRUE(store().SetDuty("van", true, Deed("on")).ok()) << "it is";
  ASSERT_TRUE(store().SetCapacities({{"van", 8}, {"bike", 2}}, Deed("eight and two")).ok());
  ASSERT_TRUE(store().SetCapacities({{"van", 8}, {"bike", 2}}, Deed("the same")).ok());
  ASSERT_TRUE(store().SetCapacities({{"van", 8}, {"bike", 3}}, Deed("three")).ok());
  ASSERT_TRUE(store().SetDuty("van", false, Deed("off")).ok());
  ASSERT_TRUE(store().SetDuty("van", false, Deed("off again")).ok());
  ASSERT_TRUE(store().SetCapacities({{"van", 8}}, Deed("the same while off duty")).ok());
  ASSERT_TRUE(store().SetCapacities({{"van", 7}}, Deed("seven")).ok());
  ASSERT_TRUE(store().SetDuty("van", true, Deed("on again")).ok());
  EXPECT_FALSE(store().SetCapacities({{"van", 0}}, Deed("wrong")).ok());
  EXPECT_THAT(Audited(), ElementsAre("eight and two", "three", "off", "seven", "on again"));
}

}  // namespace waybill::storage
