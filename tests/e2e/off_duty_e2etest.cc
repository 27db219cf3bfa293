// Drivers go off duty and on again under load, by either of two replicas, and both give orders to drivers.
#include <string>

#include "gtest/gtest.h"
#include "tests/e2e/load.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

class OffDutyE2eTest : public ::testing::Test {
 protected:
  OffDutyE2eTest()
      : stack_([] {
          StackOptions options;
          options.builtin_gateway = true;
          return options;
        }()) {
    stack_.AddReplica("a").Start();
    stack_.AddReplica("b").Start();
    stack_.PutDrivers(4);
  }

  void SetDuty(OrderReplica& by, const std::string& driver_id, fleet::v1::Duty duty) {
    fleet::v1::SetDutyRequest request;
    request.set_driver_id(driver_id);
    request.set_duty(duty);
    // Where claims of the driver are under way all the time, Postgres may end one of two that wait for each other.
    std::string error;
    EXPECT_TRUE(Eventually(absl::Seconds(30), [&] {
      fleet::v1::Driver driver;
      auto context = Deadline(absl::Seconds(20));
      const grpc::Status status = by.Fleet()->SetDuty(context.get(), request, &driver);
      error = status.error_message();
      return status.ok() && driver.duty() == duty;
    })) << error;
  }
  // Orders that the driver was ever given.
  int64_t GivenTo(const std::string& driver_id) {
    return std::stoll(stack_.sql().Value("SELECT count(*) FROM order_assignments WHERE driver_id = $1 AND NOT off_duty",
                                         {driver_id}));
  }

  Stack stack_;
};

TEST_F(OffDutyE2eTest, UnderLoadNoReplicaGivesAnOrderToADriverOffDuty) {
  fleet::v1::SetCapacityRequest van;
  van.set_driver_id("driver-2");
  van.set_capacity(3);
  fleet::v1::Driver set;
  auto context = Deadline(absl::Seconds(20));
  ASSERT_TRUE(stack_.replica(0).Fleet()->SetCapacity(context.get(), van, &set).ok());
  Load at_a(stack_.replica(0), 4, "at-a"), at_b(stack_.replica(1), 4, "at-b");
  auto decided = [&](const Load& load) { return load.confirmed() + load.turned_back(); };
  auto wait_for_more = [&](int64_t orders) {
    const int64_t a = decided(at_a) + orders, b = decided(at_b) + orders;
    return Eventually(absl::Seconds(60), [&] { return decided(at_a) >= a && decided(at_b) >= b; });
  };
  for (int round = 0; round < 6; ++round) {
    OrderReplica& by = stack_.replica(static_cast<size_t>(round % 2));
    for (const std::string driver : {"driver-1", "driver-2"}) {
      SCOPED_TRACE(driver);
      const int64_t on_duty = GivenTo(driver);
      ASSERT_TRUE(Eventually(absl::Seconds(60), [&] { return GivenTo(driver) > on_duty; })) << "on duty it gets some";
      SetDuty(by, driver, fleet::v1::OFF_DUTY);
      const int64_t when_off = GivenTo(driver);
      ASSERT_TRUE(wait_for_more(20));
      EXPECT_EQ(GivenTo(driver), when_off);
    }
    for (const std::string driver : {"driver-1", "driver-2"}) SetDuty(by, driver, fleet::v1::ON_DUTY);
  }
  at_a.Stop();
  at_b.Stop();
  EXPECT_EQ(at_a.Complaints(stack_.sql()), std::vector<std::string>());
  EXPECT_EQ(at_b.Complaints(stack_.sql()), std::vector<std::string>());
  EXPECT_TRUE(stack_.WaitUntilAllSettled());
  EXPECT_EQ(stack_.WrongInTheBooks(), std::vector<std::string>());
}

}  // namespace
}  // namespace waybill::testing
