// Bad input to waybill-ingest, through the real binary: a bad point is rejected by its reason and costs nothing else; a
// request or batch that breaks the rules is refused with the name of the field, and nothing is written.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "tests/e2e/ingest_stack.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

namespace pb = location::v1;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::Pair;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr absl::Duration kLongEnough = absl::Seconds(20);

struct BadPoint {
  std::string what;
  pb::RejectReason reason;
  std::string field;
  std::function<void(pb::Point&)> spoil;
};

std::vector<BadPoint> BadPoints() {
  std::vector<BadPoint> bad;
  auto add = [&bad](std::string what, pb::RejectReason reason, std::string field, std::function<void(pb::Point&)> how) {
    bad.push_back({std::move(what), reason, std::move(field), std::move(how)});
  };
  for (const std::string& id : {std::string(), std::string(129, 'd'), std::string("a b"), std::string("a\0b", 3),
                                std::string("a\x7f"), std::string("fahrer-\u00fc")}) {
    add("driver " + id.substr(0, 10), pb::BAD_DRIVER_ID, "driver_id", [id](pb::Point& p) { p.set_driver_id(id); });
  }
  for (double latitude : {kNan, kInfinity, -kInfinity, 90.000001, -90.000001}) {
    add(fmt::format("latitude {}", latitude), pb::BAD_COORDINATE, "latitude",
        [latitude](pb::Point& p) { p.set_latitude(latitude); });
  }
  for (double longitude : {kNan, kInfinity, -kInfinity, 180.000001, -180.000001}) {
    add(fmt::format("longitude {}", longitude), pb::BAD_COORDINATE, "longitude",
        [longitude](pb::Point& p) { p.set_longitude(longitude); });
  }
  add("0,0", pb::ZERO_COORDINATE, "", [](pb::Point& p) {
    p.set_latitude(0);
    p.set_longitude(0);
  });
  add("no time", pb::BAD_TIME, "recorded_at", [](pb::Point& p) { p.clear_recorded_at(); });
  add("nanos", pb::BAD_TIME, "recorded_at", [](pb::Point& p) { p.mutable_recorded_at()->set_nanos(1'000'000'000); });
  add("year 10000", pb::BAD_TIME, "recorded_at",
      [](pb::Point& p) { p.mutable_recorded_at()->set_seconds(253'402'300'800); });
  add("ahead", pb::TIME_IN_FUTURE, "recorded_at",
      [](pb::Point& p) { SetTime(absl::Now() + absl::Minutes(5), *p.mutable_recorded_at()); });
  add("of old", pb::OLDER_THAN_RETENTION, "recorded_at",
      [](pb::Point& p) { SetTime(absl::Now() - absl::Hours(24 * 31), *p.mutable_recorded_at()); });
  add("accuracy", pb::BAD_MEASUREMENT, "accuracy_m", [](pb::Point& p) { p.set_accuracy_m(-2); });
  add("accuracy NaN", pb::BAD_MEASUREMENT, "accuracy_m", [](pb::Point& p) { p.set_accuracy_m(std::nanf("")); });
  add("heading", pb::BAD_MEASUREMENT, "heading_deg", [](pb::Point& p) { p.set_heading_deg(361); });
  add("heading below", pb::BAD_MEASUREMENT, "heading_deg", [](pb::Point& p) { p.set_heading_deg(-2); });
  add("speed", pb::BAD_MEASUREMENT, "speed_mps", [](pb::Point& p) { p.set_speed_mps(-0.5); });
  return bad;
}

class IngestBadInputTest : public ::testing::Test {
 protected:
  IngestBadInputTest() {
    stack_.AddReplica("a").Start();
    channel_ = stack_.replica().Channel();
    stub_ = pb::LocationService::NewStub(channel_);
  }

  // Every second point is a good one, of a driver of its own.
  std::vector<pb::Point> Mixed(const std::string& prefix) const {
    std::vector<pb::Point> points;
    for (const BadPoint& bad : bad_points_) {
      points.push_back(PointOf(fmt::format("{}-{}", prefix, points.size()), {52.5, 13.4}, absl::Now()));
      points.push_back(PointOf(prefix + "-bad", {52.5, 13.4}, absl::Now()));
      bad.spoil(points.back());
    }
    return points;
  }
  void ExpectEachRejected(const google::protobuf::RepeatedPtrField<pb::RejectedPoint>& rejected, int64_t sequence) {
    ASSERT_EQ(static_cast<size_t>(rejected.size()), bad_points_.size());
    for (int i = 0; i < rejected.size(); ++i) {
      const BadPoint& bad = bad_points_[static_cast<size_t>(i)];
      SCOPED_TRACE(bad.what);
      EXPECT_EQ(rejected[i].sequence(), sequence);
      EXPECT_EQ(rejected[i].index(), 2 * i + 1);
      EXPECT_EQ(rejected[i].reason(), bad.reason) << rejected[i].ShortDebugString();
      EXPECT_EQ(rejected[i].field(), bad.field);
      EXPECT_NE(rejected[i].detail(), "");
    }
  }
  void ExpectServing() {
    pb::ReportLocationsRequest request;
    *request.add_points() = PointOf("still-serving", {52.5, 13.4}, absl::Now());
    pb::ReportLocationsResponse response;
    EXPECT_TRUE(stub_->ReportLocations(Deadline(kLongEnough).get(), request, &response).ok());
    EXPECT_EQ(stack_.sql().Value("DELETE FROM driver_locations WHERE driver_id = 'still-serving' RETURNING driver_id"),
              "still-serving");
  }

  // The end of a stream of these very bytes.
  absl::Status Stream(const std::vector<std::string>& messages) {
    grpc::GenericStub stub(channel_);
    auto context = Deadline(kLongEnough);
    grpc::CompletionQueue queue;
    auto wait = [&queue] {
      void* tag;
      bool ok = false;
      queue.Next(&tag, &ok);
      return ok;
    };
    auto call = stub.PrepareCall(context.get(), "/waybill.location.v1.LocationService/StreamLocations", &queue);
    call->StartCall(nullptr);
    wait();
    for (const std::string& bytes : messages) {
      grpc::Slice slice(bytes);
      call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
      if (!wait()) break;
    }
    grpc::ByteBuffer ack;
    do {
      call->Read(&ack, nullptr);
    } while (wait());
    grpc::Status status;
    call->Finish(&status, nullptr);
    wait();
    return rpc::FromGrpcStatus(status);
  }
  absl::Status Send(const std::string& method, const std::string& bytes) {
    grpc::Slice slice(bytes);
    grpc::ByteBuffer request(&slice, 1), response;
    auto context = Deadline(kLongEnough);
    grpc::CompletionQueue queue;
    grpc::GenericStub stub(channel_);
    auto call = stub.PrepareUnaryCall(context.get(), "/waybill.location.v1.LocationService/" + method, request, &queue);
    call->StartCall();
    grpc::Status status;
    call->Finish(&response, &status, &call);
    void* tag;
    bool ok;
    queue.Next(&tag, &ok);
    return rpc::FromGrpcStatus(status);
  }
  static void ExpectNames(const absl::Status& status, const std::string& field) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(GetErrorDetail(status).reason, "BAD_REQUEST") << status;
    EXPECT_THAT(GetErrorDetail(status).violations, ElementsAre(Pair(field, Not("")))) << status;
  }
  // Each spoilt request is refused for that field alone.
  template <typename Request>
  void ExpectRefused(const std::string& method, const Request& good,
                     const std::vector<std::pair<std::string, std::function<void(Request&)>>>& cases) {
    for (const auto& [field, spoil] : cases) {
      Request request = good;
      spoil(request);
      SCOPED_TRACE(method + " " + request.ShortDebugString().substr(0, 200));
      ExpectNames(Send(method, request.SerializeAsString()), field);
    }
    EXPECT_EQ(Send(method, "\xff\xff\xff\xff").code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(stack_.StoredCount(), 0);
    ExpectServing();
  }

  IngestStack stack_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::LocationService::Stub> stub_;
  const std::vector<BadPoint> bad_points_ = BadPoints();
};

TEST_F(IngestBadInputTest, EachBadPointIsRejectedFromAStreamAndTheRestIsStored) {
  grpc::ClientContext context;
  auto stream = stub_->StreamLocations(&context);
  pb::LocationBatch batch;
  batch.set_sequence(7);
  for (const pb::Point& point : Mixed("streamed")) *batch.add_points() = point;
  // The generated classes do not like strings that are not UTF-8; bad ids among ours are.
  ASSERT_TRUE(stream->Write(batch));
  pb::LocationAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.durable_sequence(), 7);
  ExpectEachRejected(ack.rejected(), 7);
  stream->WritesDone();
  EXPECT_FALSE(stream->Read(&ack));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(stack_.StoredCount(), static_cast<int64_t>(bad_points_.size()));
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM driver_locations WHERE driver_id = 'streamed-bad'"), "0");
}

TEST_F(IngestBadInputTest, EachBadPointIsRejectedFromAReportAndTheRestIsStored) {
  pb::ReportLocationsRequest request;
  for (const pb::Point& point : Mixed("reported")) *request.add_points() = point;
  pb::ReportLocationsResponse response;
  const grpc::Status status = stub_->ReportLocations(Deadline(kLongEnough).get(), request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ExpectEachRejected(response.rejected(), 0);
  EXPECT_EQ(stack_.StoredCount(), static_cast<int64_t>(bad_points_.size()));
  EXPECT_EQ(stack_.sql().Value("SELECT count(*) FROM driver_locations WHERE driver_id = 'reported-bad'"), "0");
  double rejected = 0;
  for (const std::string reason : {"bad_driver_id", "bad_coordinate", "zero_coordinate", "bad_time", "time_in_future",
                                   "older_than_retention", "bad_measurement"}) {
    const double count = stack_.replica().Metric("waybill_locations_rejected_total{reason=\"" + reason + "\"}");
    EXPECT_GE(count, 1) << reason;
    rejected += count;
  }
  EXPECT_EQ(rejected, static_cast<double>(bad_points_.size()));
}

TEST_F(IngestBadInputTest, APointTheDatabaseRefusesCostsOnlyItself) {
  // No point that passes the checks is refused by the schema as it is shipped.
  stack_.sql().Exec("ALTER TABLE driver_locations ADD CONSTRAINT nobody CHECK (driver_id <> 'refused')");
  grpc::ClientContext context;
  auto stream = stub_->StreamLocations(&context);
  pb::LocationBatch batch;
  batch.set_sequence(3);
  const absl::Time start = absl::Now() - absl::Seconds(10);
  for (int i = 0; i < 20; ++i) {
    const bool bad = i == 4 || i == 5 || i == 19;
    *batch.add_points() = PointOf(bad ? "refused" : "taken", {52.5, 13.4}, start + absl::Milliseconds(i));
  }
  ASSERT_TRUE(stream->Write(batch));
  pb::LocationAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.durable_sequence(), 3);
  std::vector<int> indices;
  for (const pb::RejectedPoint& rejected : ack.rejected()) {
    EXPECT_EQ(rejected.reason(), pb::REFUSED_BY_STORE);
    EXPECT_EQ(rejected.sequence(), 3);
    indices.push_back(rejected.index());
  }
  EXPECT_THAT(indices, ::testing::UnorderedElementsAre(4, 5, 19));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(stack_.StoredCount(), 17);
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return stack_.HotTimes({"taken", "refused"}).size() == 1; }));
  EXPECT_EQ(stack_.replica().Metric("waybill_locations_stored_total"), 17);
  EXPECT_EQ(stack_.replica().Metric("waybill_locations_duplicate_total"), 0);
}

TEST_F(IngestBadInputTest, ABatchThatBreaksTheProtocolEndsItsStream) {
  int64_t count = 0;
  auto batch = [&count](int64_t sequence, int points) {
    pb::LocationBatch made;
    made.set_sequence(sequence);
    for (int i = 0; i < points; ++i) {
      *made.add_points() =
          PointOf("protocol", {52.5, 13.4}, absl::Now() - absl::Hours(1) + absl::Milliseconds(++count));
    }
    return made.SerializeAsString();
  };
  ExpectNames(Stream({batch(0, 1)}), "sequence");
  ExpectNames(Stream({batch(-1, 1)}), "sequence");
  ExpectNames(Stream({batch(std::numeric_limits<int64_t>::min(), 1)}), "sequence");
  ExpectNames(Stream({batch(1, 0)}), "points");
  ExpectNames(Stream({batch(1, 1'001)}), "points");
  EXPECT_EQ(stack_.StoredCount(), 0);
  for (const std::string& garbage : {std::string("\xff\xff\xff\xff"), std::string("\x12\x7f"),
                                     batch(1, 3).substr(0, 40), std::string(100, '\x0b')}) {
    const absl::Status status = Stream({garbage});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(GetErrorDetail(status).reason, "MALFORMED_REQUEST") << status;
  }
  EXPECT_EQ(stack_.StoredCount(), 0);
  // What came before in good order may be stored or not; what breaks the rules is not.
  ExpectNames(Stream({batch(5, 1), batch(5, 1'000)}), "sequence");
  ExpectNames(Stream({batch(5, 1), batch(4, 1'000)}), "sequence");
  EXPECT_LE(stack_.StoredCount(), 2);
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return stack_.replica().Metric("waybill_location_streams_open") == 0; }));
  stack_.sql().Exec("DELETE FROM driver_locations");
  ExpectServing();
  // The edge of what is allowed.
  grpc::ClientContext context;
  auto stream = stub_->StreamLocations(&context);
  pb::LocationBatch last;
  ASSERT_TRUE(last.ParseFromString(batch(std::numeric_limits<int64_t>::max(), 1'000)));
  ASSERT_TRUE(stream->Write(last));
  pb::LocationAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.durable_sequence(), std::numeric_limits<int64_t>::max());
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(IngestBadInputTest, WrongFieldsOfRequestsAreNamed) {
  const std::vector<std::string> bad_ids = {"", std::string(129, 'd'), "a b", std::string("a\0b", 3), "\u00fc"};
  using Report = pb::ReportLocationsRequest;
  ExpectRefused<Report>("ReportLocations", {},
                        {{"points", [](Report&) {}}, {"points", [](Report& r) {
                                                        for (int i = 0; i < 1'001; ++i)
                                                          *r.add_points() = PointOf("d", {52.5, 13.4}, absl::Now());
                                                      }}});

  using Get = pb::GetDriverRequest;
  std::vector<std::pair<std::string, std::function<void(Get&)>>> get;
  for (const std::string& id : bad_ids) get.emplace_back("driver_id", [id](Get& r) { r.set_driver_id(id); });
  ExpectRefused<Get>("GetDriver", {}, get);
  Get unknown;
  unknown.set_driver_id("nobody");
  EXPECT_EQ(GetErrorDetail(Send("GetDriver", unknown.SerializeAsString())).reason, "DRIVER_NOT_FOUND");

  using Batch = pb::BatchGetDriversRequest;
  std::vector<std::pair<std::string, std::function<void(Batch&)>>> batches = {{"driver_ids", [](Batch&) {}},
                                                                              {"driver_ids", [](Batch& r) {
                                                                                 for (int i = 0; i < 501; ++i)
                                                                                   r.add_driver_ids("d");
                                                                               }}};
  for (const std::string& id : bad_ids) {
    batches.emplace_back("driver_ids[1]", [id](Batch& r) {
      r.add_driver_ids("good");
      r.add_driver_ids(id);
    });
  }
  ExpectRefused<Batch>("BatchGetDrivers", {}, batches);

  using Near = pb::NearbyDriversRequest;
  std::vector<std::pair<std::string, std::function<void(Near&)>>> near;
  for (double bad : {kNan, kInfinity, -kInfinity, 181.0, -181.0}) {
    near.emplace_back("latitude", [bad](Near& r) { r.set_latitude(bad); });
    near.emplace_back("longitude", [bad](Near& r) { r.set_longitude(bad); });
  }
  for (double bad : {kNan, kInfinity, -kInfinity, -1.0, 100'000.5}) {
    near.emplace_back("radius_m", [bad](Near& r) { r.set_radius_m(bad); });
  }
  for (int bad : {-1, 501, std::numeric_limits<int>::max()}) {
    near.emplace_back("limit", [bad](Near& r) { r.set_limit(bad); });
  }
  ExpectRefused<Near>("NearbyDrivers", {}, near);

  using Track = pb::GetTrackRequest;
  Track track;
  track.set_driver_id("driver");
  std::vector<std::pair<std::string, std::function<void(Track&)>>> tracks;
  for (const std::string& id : bad_ids) tracks.emplace_back("driver_id", [id](Track& r) { r.set_driver_id(id); });
  for (int bad : {-1, 10'001}) tracks.emplace_back("page_size", [bad](Track& r) { r.set_page_size(bad); });
  for (int64_t bad : {int64_t{253'402'300'800}, int64_t{-62'135'596'801}, std::numeric_limits<int64_t>::max()}) {
    tracks.emplace_back("start_time", [bad](Track& r) { r.mutable_start_time()->set_seconds(bad); });
    tracks.emplace_back("end_time", [bad](Track& r) { r.mutable_end_time()->set_seconds(bad); });
    tracks.emplace_back("min_interval.seconds", [bad](Track& r) { r.mutable_min_interval()->set_seconds(bad); });
  }
  tracks.emplace_back("min_interval.seconds", [](Track& r) { r.mutable_min_interval()->set_seconds(-1); });
  tracks.emplace_back("min_interval.nanos", [](Track& r) { r.mutable_min_interval()->set_nanos(-1); });
  for (double bad : {kNan, kInfinity, -1.0, 1e8}) {
    tracks.emplace_back("min_distance_m", [bad](Track& r) { r.set_min_distance_m(bad); });
  }
  tracks.emplace_back("min_distance_m", [](Track& r) {
    r.set_min_distance_m(1);
    r.mutable_min_interval()->set_seconds(1);
  });
  tracks.emplace_back("end_time", [](Track& r) {
    r.mutable_start_time()->set_seconds(2'000);
    r.mutable_end_time()->set_seconds(1'000);
  });
  tracks.emplace_back("end_time", [](Track& r) { SetTime(absl::Now() + absl::Hours(1), *r.mutable_start_time()); });
  for (const std::string& bad :
       {std::string("x"), std::string(80, '0'), std::string(80, 'f'), std::string(10'000, '0')}) {
    tracks.emplace_back("page_token", [bad](Track& r) { r.set_page_token(bad); });
  }
  ExpectRefused<Track>("GetTrack", track, tracks);

  using Watch = pb::WatchLocationsRequest;
  std::vector<std::pair<std::string, std::function<void(Watch&)>>> watches;
  watches.emplace_back("driver_ids", [](Watch& r) {
    for (int i = 0; i < 1'001; ++i) r.add_driver_ids(fmt::format("driver-{}", i));
  });
  for (const std::string& id : bad_ids) watches.emplace_back("driver_ids[0]", [id](Watch& r) { r.add_driver_ids(id); });
  for (double bad : {kNan, kInfinity, 90.5}) {
    watches.emplace_back("area.south", [bad](Watch& r) { r.mutable_area()->set_south(-bad); });
    watches.emplace_back("area.north", [bad](Watch& r) { r.mutable_area()->set_north(bad); });
  }
  for (double bad : {kNan, kInfinity, -kInfinity, 180.5, -180.5}) {
    watches.emplace_back("area.west", [bad](Watch& r) { r.mutable_area()->set_west(bad); });
    watches.emplace_back("area.east", [bad](Watch& r) { r.mutable_area()->set_east(bad); });
  }
  watches.emplace_back("area.north", [](Watch& r) {
    r.mutable_area()->set_south(2);
    r.mutable_area()->set_north(1);
  });
  for (const std::string bad : {"x", "-", "1-", "-1", "1-x", "18446744073709551616", "1-2-3"}) {
    watches.emplace_back("resume_after", [bad](Watch& r) { r.set_resume_after(bad); });
  }
  for (const auto& [field, spoil] : watches) {
    Watch request;
    spoil(request);
    SCOPED_TRACE(request.ShortDebugString().substr(0, 200));
    auto context = Deadline(kLongEnough);
    auto watch = stub_->WatchLocations(context.get(), request);
    pb::WatchLocationsResponse response;
    EXPECT_FALSE(watch->Read(&response));
    ExpectNames(rpc::FromGrpcStatus(watch->Finish()), field);
  }
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return stack_.replica().Metric("waybill_location_watches_open") == 0; }));
  ExpectServing();
}

TEST_F(IngestBadInputTest, APageTokenIsGoodForItsOwnRequestOnly) {
  pb::ReportLocationsRequest report;
  const absl::Time now = absl::Now();
  for (int i = 0; i < 30; ++i) {
    *report.add_points() = PointOf(i % 2 ? "one" : "other", {52.5, 13.4}, now - absl::Seconds(i));
  }
  pb::ReportLocationsResponse reported;
  ASSERT_TRUE(stub_->ReportLocations(Deadline(kLongEnough).get(), report, &reported).ok());
  pb::GetTrackRequest request;
  request.set_driver_id("one");
  request.set_page_size(4);
  pb::GetTrackResponse page;
  ASSERT_TRUE(stub_->GetTrack(Deadline(kLongEnough).get(), request, &page).ok());
  ASSERT_NE(page.next_page_token(), "");
  request.set_page_token(page.next_page_token());
  EXPECT_TRUE(Send("GetTrack", request.SerializeAsString()).ok());
  auto expect_foreign = [&](const std::function<void(pb::GetTrackRequest&)>& change) {
    pb::GetTrackRequest changed = request;
    change(changed);
    SCOPED_TRACE(changed.ShortDebugString());
    ExpectNames(Send("GetTrack", changed.SerializeAsString()), "page_token");
  };
  expect_foreign([](pb::GetTrackRequest& r) { r.set_driver_id("other"); });
  expect_foreign([](pb::GetTrackRequest& r) { r.set_min_distance_m(5); });
  expect_foreign([](pb::GetTrackRequest& r) { r.mutable_min_interval()->set_seconds(5); });
  expect_foreign([&](pb::GetTrackRequest& r) { SetTime(now, *r.mutable_end_time()); });
  expect_foreign([](pb::GetTrackRequest& r) { r.mutable_page_token()->pop_back(); });
  expect_foreign([](pb::GetTrackRequest& r) { r.mutable_page_token()->back() = 'x'; });
}

}  // namespace
}  // namespace waybill::testing
