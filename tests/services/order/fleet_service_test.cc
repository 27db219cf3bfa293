// waybill.fleet.v1.FleetService as a client sees it: real gRPC, over books and a map in memory.
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "edge/rpc/server.h"
#include "edge/rpc/status.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "runtime/testing/manual_time.h"
#include "runtime/worker_pool.h"
#include "services/order/grpc_fleet_service.h"
#include "services/order/intake.h"
#include "storage/testing/fake_driver_store.h"
#include "storage/testing/fake_fleet.h"
#include "waybill/fleet/v1/fleet.grpc.pb.h"

namespace waybill::order {
namespace {

namespace fleet_pb = waybill::fleet::v1;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FleetServiceTest : public ::testing::Test {
 protected:
  FleetServiceTest() {
    AddFleetService(server_, api_);
    EXPECT_TRUE(server_.Start().ok());
    stub_ = fleet_pb::FleetService::NewStub(
        grpc::CreateChannel("127.0.0.1:" + std::to_string(server_.port()), grpc::InsecureChannelCredentials()));
  }
  ~FleetServiceTest() override {
    workers_.Stop();
    list_workers_.Stop();
    server_.Drain(SteadyTime::InfinitePast());
  }

  using Stub = fleet_pb::FleetService::Stub;
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return (stub_.get()->*method)(&context, request, &response);
  }
  // What is wrong, each with its field.
  static std::vector<std::string> Wrong(const grpc::Status& status) {
    const ErrorDetail detail = GetErrorDetail(rpc::FromGrpcStatus(status));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(detail.reason, "BAD_REQUEST");
    std::vector<std::string> wrong;
    for (const auto& [field, what] : detail.violations) wrong.push_back(field + " " + what);
    return wrong;
  }
  static fleet_pb::PutDriver At(const std::string& driver_id, double latitude) {
    fleet_pb::PutDriver driver;
    driver.set_driver_id(driver_id);
    driver.set_latitude(latitude);
    driver.set_longitude(13.4);
    return driver;
  }

  waybill::testing::ManualTime time_;
  storage::testing::FakeFleet fleet_{time_};
  storage::testing::MemoryOrderBook book_;
  storage::testing::FakeDriverStore store_{book_};
  WorkerPool workers_{1, 100};
  WorkerPool list_workers_{1, 100};
  FleetApi api_{fleet_, store_, workers_, list_workers_, time_};
  Metrics metrics_;
  rpc::Server server_{rpc::ServerOptions{}, metrics_};
  std::unique_ptr<Stub> stub_;
};

TEST_F(FleetServiceTest, WhatIsPutIsThere) {
  fleet_pb::PutDriversRequest put;
  fleet_pb::PutDriver& ann = *put.add_drivers();
  ann = At("ann", 52.5);
  ann.set_accuracy_m(4.25);
  ann.set_heading_deg(0);
  ann.set_capacity(2);
  *put.add_drivers() = At("bob", -33.9);
  fleet_pb::PutDriversResponse done;
  grpc::Status status = Call(&Stub::PutDrivers, put, done);
  ASSERT_TRUE(status.ok()) << status.error_message();

  Uuid order;
  order.bytes[0] = 1;
  book_.taken_slots[{"ann", 1}] = order;
  fleet_pb::GetDriverRequest get;
  get.set_driver_id("ann");
  fleet_pb::Driver driver;
  status = Call(&Stub::GetDriver, get, driver);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(driver.driver_id(), "ann");
  EXPECT_EQ(driver.position().latitude(), 52.5);
  EXPECT_EQ(driver.position().longitude(), 13.4);
  EXPECT_EQ(driver.position().recorded_at().seconds(), absl::ToUnixSeconds(time_.Now()));
  EXPECT_EQ(driver.position().accuracy_m(), 4.25);
  EXPECT_TRUE(driver.position().has_heading_deg());
  EXPECT_FALSE(driver.position().has_speed_mps());
  EXPECT_EQ(driver.capacity(), 2);
  EXPECT_EQ(driver.duty(), fleet_pb::ON_DUTY);
  EXPECT_EQ(driver.orders_held(), 1);
  EXPECT_THAT(driver.order_ids(), ElementsAre(order.ToString()));

  time_.Advance(absl::Minutes(5));
  ASSERT_TRUE(Call(&Stub::GetDriver, get, driver).ok());
  EXPECT_FALSE(driver.has_position()) << "without a ttl: five minutes";
}

TEST_F(FleetServiceTest, CapacityAndDutyAreSet) {
  fleet_pb::SetCapacityRequest capacity;
  capacity.set_driver_id("ann");
  capacity.set_capacity(1'000);
  fleet_pb::Driver driver;
  ASSERT_TRUE(Call(&Stub::SetCapacity, capacity, driver).ok());
  EXPECT_EQ(driver.capacity(), 1'000);
  fleet_pb::SetDutyRequest duty;
  duty.set_driver_id("ann");
  for (const fleet_pb::Duty to : {fleet_pb::OFF_DUTY, fleet_pb::ON_DUTY}) {
    duty.set_duty(to);
    ASSERT_TRUE(Call(&Stub::SetDuty, duty, driver).ok());
    EXPECT_EQ(driver.driver_id(), "ann");
    EXPECT_EQ(driver.duty(), to);
    EXPECT_EQ(driver.capacity(), 1'000);
  }
}

TEST_F(FleetServiceTest, ListsPageByPage) {
  fleet_pb::PutDriversRequest put;
  for (int i = 0; i < 7; ++i) *put.add_drivers() = At("driver-" + std::to_string(i), 52.5);
  fleet_pb::PutDriversResponse done;
  ASSERT_TRUE(Call(&Stub::PutDrivers, put, done).ok());
  std::multiset<std::string> ids;
  fleet_pb::ListDriversRequest list;
  list.set_page_size(3);
  int pages = 0;
  do {
    fleet_pb::ListDriversResponse page;
    grpc::Status status = Call(&Stub::ListDrivers, list, page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const fleet_pb::Driver& driver : page.drivers()) ids.insert(driver.driver_id());
    list.set_page_token(page.next_page_token());
    ++pages;
  } while (!list.page_token().empty() && pages < 10);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(ids.size(), 7u);
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 7u);
}

TEST_F(FleetServiceTest, ADriverIsNotPutWhereNobodySaid) {
  fleet_pb::PutDriversRequest put;
  fleet_pb::PutDriversResponse done;
  put.add_drivers()->set_driver_id("ann");
  EXPECT_THAT(Wrong(Call(&Stub::PutDrivers, put, done)),
              ElementsAre("drivers[0].latitude is required", "drivers[0].longitude is required"));
  EXPECT_FALSE(fleet_.Get({"ann"})->front().has_value());
}

TEST_F(FleetServiceTest, NamesEachFieldThatIsWrongAndDoesNothing) {
  fleet_pb::PutDriversRequest put;
  fleet_pb::PutDriversResponse done;
  EXPECT_THAT(Wrong(Call(&Stub::PutDrivers, put, done)), ElementsAre("drivers have to be 1 to 1000"));
  *put.add_drivers() = At("ann", 52.5);
  *put.add_drivers() = At("two words", 90.5);
  put.mutable_drivers(1)->set_heading_deg(361);
  put.mutable_drivers(1)->set_capacity(0);
  put.mutable_ttl()->set_seconds(0);
  EXPECT_THAT(Wrong(Call(&Stub::PutDrivers, put, done)),
              ElementsAre("drivers[1].driver_id has to be 1-128 visible ASCII characters",
                          "drivers[1].latitude has to be within -90 and 90 degrees",
                          "drivers[1].heading_deg has to be within 0 and 360",
                          "drivers[1].capacity is 0; must be 1 to 1000", "ttl is not a duration of 1 ms to 30 days"));
  EXPECT_FALSE(fleet_.Get({"ann"})->front().has_value());
  for (const auto& [seconds, nanos] :
       {std::pair<int64_t, int>{-1, 0}, {1, -1}, {1, 1'000'000'000}, {30 * 86'400, 1}, {INT64_MAX, 0}, {0, 999'999}}) {
    put.mutable_drivers()->DeleteSubrange(1, put.drivers_size() - 1);
    put.mutable_ttl()->set_seconds(seconds);
    put.mutable_ttl()->set_nanos(nanos);
    EXPECT_THAT(Wrong(Call(&Stub::PutDrivers, put, done)), ElementsAre(HasSubstr("ttl ")));
  }
  while (put.drivers_size() <= 1'000) *put.add_drivers() = At("ann", 52.5);
  EXPECT_THAT(Wrong(Call(&Stub::PutDrivers, put, done)), ElementsAre("drivers have to be 1 to 1000"));

  fleet_pb::Driver driver;
  EXPECT_THAT(Wrong(Call(&Stub::GetDriver, fleet_pb::GetDriverRequest(), driver)),
              ElementsAre("driver_id has to be 1-128 visible ASCII characters"));
  fleet_pb::SetCapacityRequest capacity;
  capacity.set_driver_id("ann");
  for (int wrong : {0, -1, 1'001}) {
    capacity.set_capacity(wrong);
    EXPECT_THAT(Wrong(Call(&Stub::SetCapacity, capacity, driver)), ElementsAre(HasSubstr("capacity is ")));
  }
  fleet_pb::SetDutyRequest duty;
  EXPECT_THAT(Wrong(Call(&Stub::SetDuty, duty, driver)),
              ElementsAre("driver_id has to be 1-128 visible ASCII characters", "duty is required"));
  duty.set_driver_id("ann");
  duty.set_duty(static_cast<fleet_pb::Duty>(7));
  EXPECT_THAT(Wrong(Call(&Stub::SetDuty, duty, driver)), ElementsAre("duty is not a known value"));
  EXPECT_EQ(store_.Standings({"ann"})->front(), storage::DriverStanding());

  fleet_pb::ListDriversRequest list;
  fleet_pb::ListDriversResponse page;
  list.set_page_size(501);
  for (const std::string& token :
       {std::string("nonsense"), MakePageToken(Uuid(), ""), MakePageToken(uint64_t{7}, "x")}) {
    list.set_page_token(token);
    EXPECT_THAT(Wrong(Call(&Stub::ListDrivers, list, page)),
                ElementsAre(HasSubstr("page_size "), HasSubstr("page_token ")));
  }
}

TEST_F(FleetServiceTest, SaysWhichStoreDoesNotAnswer) {
  store_.set_error(absl::UnavailableError("postgres: down"));
  fleet_pb::SetDutyRequest duty;
  duty.set_driver_id("ann");
  duty.set_duty(fleet_pb::OFF_DUTY);
  fleet_pb::Driver driver;
  grpc::Status status = Call(&Stub::SetDuty, duty, driver);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "postgres: down");
}

}  // namespace
}  // namespace waybill::order
