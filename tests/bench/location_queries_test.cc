#include "bench/location_queries.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <set>

#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace location_v1 = ::waybill::location::v1;
using ::testing::ElementsAre;
using ::testing::Pair;

// A location service in this process that answers reads as the test says.
class FakeReads final : public location_v1::LocationService::Service {
 public:
  std::function<grpc::Status(const location_v1::NearbyDriversRequest&, location_v1::NearbyDriversResponse*)> nearby;
  std::function<grpc::Status(const location_v1::GetTrackRequest&, location_v1::GetTrackResponse*)> track;

  FakeReads() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  grpc::Status NearbyDrivers(grpc::ServerContext*, const location_v1::NearbyDriversRequest* request,
                             location_v1::NearbyDriversResponse* response) override {
    return nearby(*request, response);
  }
  grpc::Status GetTrack(grpc::ServerContext*, const location_v1::GetTrackRequest* request,
                        location_v1::GetTrackResponse* response) override {
    return track(*request, response);
  }

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// As many as asked for, a metre apart.
grpc::Status Found(const location_v1::NearbyDriversRequest& request, location_v1::NearbyDriversResponse* response) {
  for (int i = 1; i <= request.limit(); ++i) response->add_drivers()->set_distance_m(i);
  return grpc::Status::OK;
}

NearbyOptions NearbyFor(const FakeReads& service) {
  NearbyOptions options;
  options.target = service.target();
  options.loop.rate = 200;
  options.places = {{52.5, 13.1}, {52.6, 13.2}, {52.7, 13.3}};
  options.loop.warm_up = absl::Milliseconds(100);
  options.loop.duration = absl::Milliseconds(200);
  return options;
}

TEST(AskNearby, AsksEveryPlaceInTurnAtTheRateAndMeasuresTheWindow) {
  FakeReads service;
  std::atomic<int> calls{0}, places[3] = {};
  service.nearby = [&](const location_v1::NearbyDriversRequest& request, location_v1::NearbyDriversResponse* response) {
    ++calls;
    ++places[static_cast<int>((request.latitude() - 52.45) * 10)];
    EXPECT_EQ(request.radius_m(), 500);
    return Found(request, response);
  };
  SteadyTimer timer;
  const QueryResult result = AskNearby(NearbyFor(service), timer);
  EXPECT_THAT(result.outcomes, ElementsAre(Pair("OK", 60)));
  EXPECT_EQ(result.latency.count(), 40);
  EXPECT_DOUBLE_EQ(result.PerSecond(), 200);
  for (const auto& place : places) EXPECT_EQ(place, 20);
}

TEST(AskNearby, AnAnswerThatIsNotAsItShouldBeIsNoLatency) {
  FakeReads service;
  std::atomic<int> calls{0};
  service.nearby = [&](const location_v1::NearbyDriversRequest& request, location_v1::NearbyDriversResponse* response) {
    const grpc::Status found = Found(request, response);
    switch (calls++) {
      case 0:
        response->set_stale(true);
        return found;
      case 1:
        response->mutable_drivers()->RemoveLast();
        return found;
      case 2:
        response->mutable_drivers(0)->set_distance_m(3);
        return found;
      case 3:
        response->mutable_drivers(19)->set_distance_m(501);
        return found;
      case 4:
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "down");
      default:
        return found;
    }
  };
  NearbyOptions options = NearbyFor(service);
  options.loop.warm_up = absl::ZeroDuration();
  SteadyTimer timer;
  const QueryResult result = AskNearby(options, timer);
  EXPECT_THAT(result.outcomes,
              ElementsAre(Pair("19 drivers instead of 20", 1), Pair("OK", 35), Pair("UNAVAILABLE down", 1),
                          Pair("not the nearest first", 2), Pair("the hot view was stale", 1)));
  EXPECT_EQ(result.latency.count(), 35);
}

TEST(AwaitHotView, WaitsUntilItIsNoLongerStale) {
  FakeReads service;
  std::atomic<int> calls{0};
  service.nearby = [&](const location_v1::NearbyDriversRequest&, location_v1::NearbyDriversResponse* response) {
    const int call = calls++;
    response->set_stale(call < 2);
    return call == 0 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "not yet") : grpc::Status::OK;
  };
  SteadyTimer timer;
  EXPECT_TRUE(AwaitHotView(service.target(), timer, absl::Seconds(60)).ok());
  EXPECT_EQ(calls, 3);
  calls = -1'000'000;
  EXPECT_EQ(AwaitHotView(service.target(), timer, absl::ZeroDuration()).code(), absl::StatusCode::kDeadlineExceeded);
}

class AskTracksTest : public ::testing::Test {
 protected:
  AskTracksTest() {
    options_.target = service_.target();
    options_.driver_ids = {"a", "b", "c", "d"};
    options_.start = absl::FromUnixSeconds(1'800'000'000);
    options_.step = absl::Seconds(3);
    options_.points = 28'800;
    options_.length = absl::Minutes(1);
    service_.track = [this](const location_v1::GetTrackRequest& request, location_v1::GetTrackResponse* response) {
      starts_.insert(request.start_time().seconds());
      for (int64_t at = request.start_time().seconds(); at < request.end_time().seconds(); at += 3) {
        location_v1::Point& point = *response->add_points();
        point.set_driver_id(request.driver_id());
        point.mutable_recorded_at()->set_seconds(at);
      }
      spoil_(request, *response);
      return request.driver_id() == refused_ ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "down") : grpc::Status::OK;
    };
  }

  FakeReads service_;
  TrackOptions options_;
  std::set<int64_t> starts_;
  std::string refused_;
  std::function<void(const location_v1::GetTrackRequest&, location_v1::GetTrackResponse&)> spoil_ = [](const auto&,
                                                                                                       auto&) {};
  SteadyTimer timer_;
};

TEST_F(AskTracksTest, AsksForADifferentHourOfEachDriver) {
  const QueryResult result = AskTracks(options_, timer_);
  EXPECT_THAT(result.outcomes, ElementsAre(Pair("OK", 4)));
  EXPECT_EQ(result.latency.count(), 4);
  EXPECT_EQ(starts_.size(), 4u);
  EXPECT_GE(*starts_.begin(), 1'800'000'000);
  EXPECT_LE(*starts_.rbegin() + 60, 1'800'000'000 + 28'800 * 3);
}

TEST_F(AskTracksTest, ATrackThatIsNotAsItShouldBeIsNoLatency) {
  spoil_ = [](const location_v1::GetTrackRequest& request, location_v1::GetTrackResponse& response) {
    if (request.driver_id() == "a") response.mutable_points()->RemoveLast();
    if (request.driver_id() == "b") response.mutable_points(7)->set_driver_id("a");
    if (request.driver_id() == "c") response.set_next_page_token("more");
  };
  refused_ = "d";
  const QueryResult result = AskTracks(options_, timer_);
  EXPECT_THAT(result.outcomes, ElementsAre(Pair("19 points instead of 20", 1), Pair("20 points instead of 20", 1),
                                           Pair("UNAVAILABLE down", 1), Pair("another track", 1)));
  EXPECT_EQ(result.latency.count(), 0);
}

}  // namespace
}  // namespace waybill::bench
