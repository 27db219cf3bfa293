// Both halves together: drivers stream where they are, and orders are given to those that are really near.
#include <string>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/e2e/ingest_stack.h"
#include "tests/e2e/stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

constexpr domain::GeoPoint kPickup{52.52, 13.40};

class FleetOrdersTest : public ::testing::Test {
 protected:
  FleetOrdersTest() {
    StackOptions options;
    options.builtin_gateway = true;
    orders_ = std::make_unique<Stack>(options);
    orders_->AddReplica("order").Start();
    IngestStackOptions beside;
    beside.database_url = orders_->database_url();
    beside.redis_url = orders_->redis_url();
    ingest_ = std::make_unique<IngestStack>(beside);
    ingest_->AddReplica("ingest").Start();
  }

  // The driver stands `meters` north of the pickup point from now on; waits until the hot view says so.
  void Drive(const std::string& driver_id, double meters) {
    location::v1::ReportLocationsRequest request;
    location::v1::ReportLocationsResponse response;
    const domain::GeoPoint where{kPickup.latitude + meters / 111'195, kPickup.longitude};
    *request.add_points() = PointOf(driver_id, where, absl::Now());
    const int64_t micros = KeyOf(request.points(0)).second;
    auto context = Deadline(absl::Seconds(10));
    grpc::Status status = ingest_->replica().Locations()->ReportLocations(context.get(), request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.rejected_size(), 0);
    EXPECT_TRUE(Eventually(absl::Seconds(10), [&] {
      auto times = ingest_->HotTimes({driver_id});
      return times.contains(driver_id) && times[driver_id] == micros;
    })) << driver_id;
  }
  order::v1::Order Order(const std::string& key) {
    order::v1::CreateOrderRequest request = OrderRequestFor(key);
    request.mutable_pickup()->set_latitude(kPickup.latitude);
    request.mutable_pickup()->set_longitude(kPickup.longitude);
    order::v1::Order order;
    auto context = Deadline(absl::Seconds(10));
    grpc::Status status = orders_->replica().Orders()->CreateOrder(context.get(), request, &order);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return order;
  }

  std::unique_ptr<Stack> orders_;
  std::unique_ptr<IngestStack> ingest_;
};

TEST_F(FleetOrdersTest, AnOrderGoesToTheNearestFreeDriverWhereHeIsNow) {
  Drive("ada", 300);
  Drive("bob", 900);
  Drive("cho", 20'000);
  EXPECT_EQ(Order("first").driver_id(), "ada");
  EXPECT_EQ(Order("second").driver_id(), "bob") << "ada is busy";
  const order::v1::Order third = Order("third");
  EXPECT_EQ(third.status(), order::v1::FAILED) << "cho is too far away";
  EXPECT_EQ(third.failure().reason(), "NO_DRIVER_AVAILABLE");
  Drive("cho", 100);
  EXPECT_EQ(Order("fourth").driver_id(), "cho") << "now he is not";
}

TEST_F(FleetOrdersTest, APointThatComesLateGivesNobodyAnOrder) {
  Drive("ada", 20'000);
  location::v1::ReportLocationsRequest late;
  location::v1::ReportLocationsResponse response;
  *late.add_points() = PointOf("ada", kPickup, absl::Now() - absl::Minutes(1));
  auto context = Deadline(absl::Seconds(10));
  ASSERT_TRUE(ingest_->replica().Locations()->ReportLocations(context.get(), late, &response).ok());
  EXPECT_EQ(ingest_->StoredCount(), 2);
  EXPECT_EQ(Order("first").status(), order::v1::FAILED);
}

}  // namespace
}  // namespace waybill::testing
