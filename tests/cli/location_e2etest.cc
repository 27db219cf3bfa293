// waybill driver get | near | watch against a service that answers by script.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/fake_locations.h"
#include "tests/cli/run_binary.h"

namespace waybill::cli {
namespace {

namespace v1 = waybill::location::v1;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class DriverCommands : public ::testing::Test {
 protected:
  Ran Run(std::vector<std::string> args) {
    return RunBinary(WAYBILL_BINARY, std::move(args), {{"WAYBILL_INGEST", fake_.target()}});
  }

  static v1::Point Point(const std::string& driver) {
    v1::Point point;
    point.set_driver_id(driver);
    point.set_latitude(52.5219);
    point.set_longitude(13.4132);
    point.mutable_recorded_at()->set_seconds(1'767'225'600);
    point.set_speed_mps(8.25F);
    point.set_heading_deg(270);
    return point;
  }

  static v1::WatchLocationsResponse Events(std::vector<std::string> ids) {
    v1::WatchLocationsResponse response;
    for (const std::string& id : ids) {
      v1::LocationEvent& event = *response.add_events();
      event.set_id(id);
      *event.mutable_point() = Point("d-" + id);
    }
    return response;
  }

  FakeLocations fake_;
};

TEST_F(DriverCommands, NearListsDistanceAndAge) {
  v1::NearbyDriver& driver = *fake_.near.add_drivers();
  *driver.mutable_point() = Point("d-7");
  driver.set_distance_m(123.4);
  driver.mutable_age()->set_seconds(3);
  Ran ran = Run({"driver", "near", "52.5,13.4", "--radius-m", "800", "--limit", "3"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, ContainsRegex("d-7 +123 m +3.00 s +52.52190,13.41320 +270° +8.2 m/s"));
  EXPECT_EQ(fake_.near_request().latitude(), 52.5);
  EXPECT_EQ(fake_.near_request().longitude(), 13.4);
  EXPECT_EQ(fake_.near_request().radius_m(), 800);
  EXPECT_EQ(fake_.near_request().limit(), 3);
  EXPECT_THAT(ran.output, Not(HasSubstr("behind")));

  fake_.near.set_stale(true);
  ran = Run({"driver", "near", "52.5,13.4", "--json"});
  ASSERT_THAT(ran.json, SizeIs(1));
  EXPECT_EQ(ran.json[0]["point"]["driver_id"], "d-7");
  EXPECT_EQ(ran.json[0]["distance_m"], 123.4);
  EXPECT_THAT(ran.output, HasSubstr("the hot view is behind"));
}

TEST_F(DriverCommands, NearNobodyIsNoFailure) {
  Ran ran = Run({"driver", "near", "52.5,13.4"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.output, HasSubstr("no driver with a fresh position is that near"));
  EXPECT_EQ(Run({"driver", "near", "95,13.4"}).code, 2);
  EXPECT_EQ(Run({"driver", "near", "52.5,13.4", "--radius-m", "200000"}).code, 2);
}

TEST_F(DriverCommands, GetShowsWhereDriversAreAndWhichAreUnknown) {
  v1::DriverLocation& fresh = *fake_.drivers.add_drivers();
  *fresh.mutable_point() = Point("d-1");
  fresh.set_source(v1::DriverLocation::HOT_VIEW);
  fresh.mutable_age()->set_seconds(2);
  v1::DriverLocation& old = *fake_.drivers.add_drivers();
  *old.mutable_point() = Point("d-2");
  old.mutable_point()->add_marks(v1::SPEED_JUMP);
  old.set_source(v1::DriverLocation::HISTORY);
  old.mutable_age()->set_seconds(7200);
  Ran ran = Run({"driver", "get", "d-2", "d-1"});
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, ContainsRegex("d-2 +52.52190,13.41320 +2h 00m +270° +8.2 m/s +history +SPEED_JUMP"));
  EXPECT_THAT(ran.output, ContainsRegex("d-1 +52.52190,13.41320 +2.00 s +270° +8.2 m/s +hot view"));
  ran = Run({"driver", "get", "d-1", "d-9", "--json"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.json, SizeIs(1));
  EXPECT_THAT(ran.output, HasSubstr("no position of d-9 is known"));
}

TEST_F(DriverCommands, WatchGoesOnBehindTheLastEvent) {
  v1::WatchLocationsResponse gap = Events({"4"});
  gap.set_gap(true);
  const grpc::Status broken(grpc::StatusCode::UNAVAILABLE, "broken");
  fake_.watches = {{{Events({"1", "2"}), Events({"3"})}, broken},
                   {{gap}, grpc::Status::OK},
                   {{}, grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "enough")}};
  Ran ran = Run({"driver", "watch", "d-1", "d-2", "--area", "-17.8,179.5,-17.6,-179.5", "--resume-after", "0"});
  EXPECT_EQ(ran.code, 2) << ran.output;
  auto requests = fake_.watch_requests();
  ASSERT_THAT(requests, SizeIs(3));
  EXPECT_EQ(requests[0].resume_after(), "0");
  EXPECT_EQ(requests[1].resume_after(), "3");
  EXPECT_EQ(requests[2].resume_after(), "4");
  for (const v1::WatchLocationsRequest& request : requests) {
    EXPECT_EQ(request.driver_ids_size(), 2);
    EXPECT_EQ(request.area().south(), -17.8);
    EXPECT_EQ(request.area().west(), 179.5);
    EXPECT_EQ(request.area().north(), -17.6);
    EXPECT_EQ(request.area().east(), -179.5);
  }
  for (const char* line : {"00:00:00.000  d-1  52.52190,13.41320  8.2 m/s  270°\n", "  d-2  ", "  d-3  ", "  d-4  "}) {
    EXPECT_THAT(ran.output, HasSubstr(line));
  }
  EXPECT_THAT(ran.output, HasSubstr("events are missing here"));
}

TEST_F(DriverCommands, WatchGoesOnFromWhereAHeartbeatSaysThatItStands) {
  v1::WatchLocationsResponse heartbeat, event = Events({"8"}), later;
  heartbeat.set_resume_after("7");
  event.set_resume_after("9");
  later.set_resume_after("300");
  const grpc::Status broken(grpc::StatusCode::UNAVAILABLE, "broken");
  fake_.watches = {{{heartbeat}, broken},
                   {{event}, broken},
                   {{later}, broken},
                   {{}, grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "enough")}};
  Run({"driver", "watch", "d-8"});
  std::vector<std::string> from;
  for (const v1::WatchLocationsRequest& request : fake_.watch_requests()) from.push_back(request.resume_after());
  EXPECT_THAT(from, ElementsAre("", "7", "9", "300"));
}

TEST_F(DriverCommands, WatchPrintsEventsAsJson) {
  fake_.watches = {{{Events({"17-0"})}, grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "enough")}};
  Ran ran = Run({"driver", "watch", "--json"});
  ASSERT_THAT(ran.json, Not(IsEmpty()));
  EXPECT_EQ(ran.json[0]["id"], "17-0");
  EXPECT_EQ(ran.json[0]["point"]["driver_id"], "d-17-0");
  EXPECT_FALSE(fake_.watch_requests().at(0).has_area());
}

TEST_F(DriverCommands, WatchTellsAnAreaThatIsNone) {
  for (const char* area : {"1,2,3", "2,1,1,2", "a,b,c,d", "1,2,3,4,5", "95,1,96,2"}) {
    EXPECT_EQ(Run({"driver", "watch", "--area", area}).code, 2) << area;
  }
  EXPECT_THAT(fake_.watch_requests(), IsEmpty());
}

}  // namespace
}  // namespace waybill::cli
