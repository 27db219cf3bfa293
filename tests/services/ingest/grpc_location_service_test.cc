// The location service as a client sees it: real gRPC, over history and hot view in memory.
#include "services/ingest/grpc_location_service.h"

#include <malloc.h>

#include <atomic>
#include <chrono>
#include <future>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "edge/rpc/status.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/status.h"
#include "runtime/worker_pool.h"
#include "tests/edge/access/key_world.h"
#include "tests/services/ingest/ingest_world.h"
#include "tests/support/eventually.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::ingest {
namespace {

namespace pb = location::v1;
using ::testing::ElementsAre;

constexpr absl::Duration kLongEnough = absl::Seconds(10);

class GrpcLocationServiceTest : public ::testing::Test {
 protected:
  GrpcLocationServiceTest() : GrpcLocationServiceTest(rpc::ServerOptions{}) {}
  explicit GrpcLocationServiceTest(const rpc::ServerOptions& options) {
    EXPECT_TRUE(world_.Publish());
    watch_options_.poll = absl::Milliseconds(1);
    watches_.emplace(world_.fleet, workers_, world_.metrics, watch_options_);
    watches_->Start(ThreadLoops());
    server_.emplace(options, world_.registry);
    AddLocationService(*server_, world_.ingest, world_.streams, api_, *watches_);
    EXPECT_TRUE(server_->Start().ok());
    channel_ = grpc::CreateChannel("127.0.0.1:" + std::to_string(server_->port()), grpc::InsecureChannelCredentials());
    stub_ = pb::LocationService::NewStub(channel_);
  }
  ~GrpcLocationServiceTest() override {
    world_.streams.Drain();
    watches_->Stop();
    server_->Drain(SystemClock().Steady() + absl::Seconds(1));
    workers_.Stop();
    history_workers_.Stop();
  }

  // With a deadline, so that a test that hangs fails.
  struct Context : grpc::ClientContext {
    Context() { set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20)); }
  };
  static std::string ReasonOf(const grpc::Status& status) { return GetErrorDetail(rpc::FromGrpcStatus(status)).reason; }

  void Fill(pb::Point& point, const std::string& driver_id, double latitude = 52.5) {
    point.set_driver_id(driver_id);
    point.set_latitude(latitude);
    point.set_longitude(13.4);
    point.mutable_recorded_at()->set_seconds(absl::ToUnixSeconds(world_.time.Now()) + seconds_++);
  }
  pb::LocationBatch Batch(int64_t sequence, const std::vector<std::string>& drivers) {
    pb::LocationBatch batch;
    batch.set_sequence(sequence);
    for (const std::string& driver_id : drivers) Fill(*batch.add_points(), driver_id);
    return batch;
  }
  // As soon as so many reports wait to be stored, they are.
  void Commit(size_t reports) {
    ASSERT_TRUE(testing::Eventually(kLongEnough, [&] { return world_.positions.waiting() >= reports; }));
    while (world_.Commit()) {
    }
    world_.Publish();
  }
  void ExpectNone(const std::string& metric) {
    EXPECT_TRUE(testing::Eventually(kLongEnough, [&] { return world_.Metric(metric) == 0; }));
  }
  void Report(const std::vector<std::string>& drivers) {
    std::thread storing([this] { Commit(1); });
    Context context;
    pb::ReportLocationsRequest request;
    for (const std::string& driver_id : drivers) Fill(*request.add_points(), driver_id);
    pb::ReportLocationsResponse response;
    EXPECT_TRUE(stub_->ReportLocations(&context, request, &response).ok());
    storing.join();
  }

  World world_;
  int64_t seconds_ = -50;
  WorkerPool workers_{2, 100}, history_workers_{1, 200};
  LocationApi api_{world_.fleet, world_.fleet, world_.store, world_.feeder, workers_, history_workers_, world_.time};
  WatchOptions watch_options_;
  std::optional<LocationWatches> watches_;
  std::optional<rpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::LocationService::Stub> stub_;
};

// Where identity is required, of a key that writes for ann and for drivers of the north.
class LocationWriterTest : private access::KeyWorld, public GrpcLocationServiceTest {
 protected:
  LocationWriterTest() : GrpcLocationServiceTest(Options(required)) {}
  static rpc::ServerOptions Options(const access::Gate& gate) {
    rpc::ServerOptions options;
    options.gate = &gate;
    return options;
  }
  void ShowKey(grpc::ClientContext& context) { context.AddMetadata("authorization", Bearer(secret_)); }

  const std::string secret_ = Make("north", {"locations:write"}, {"ann", "north-*"}).secret;
};

TEST_F(LocationWriterTest, PointsOfOthersAreRejectedOneByOne) {
  std::thread storing([this] { Commit(1); });
  Context context;
  ShowKey(context);
  pb::ReportLocationsRequest request;
  for (const char* id : {"ann", "bob", "north-7", "south-1"}) Fill(*request.add_points(), id);
  pb::ReportLocationsResponse response;
  const grpc::Status status = stub_->ReportLocations(&context, request, &response);
  storing.join();
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.rejected_size(), 2);
  for (const auto& rejected : response.rejected()) {
    EXPECT_EQ(rejected.reason(), pb::NOT_YOUR_DRIVER);
    EXPECT_EQ(rejected.field(), "driver_id");
  }
  EXPECT_EQ(response.rejected(0).index(), 1);
  EXPECT_EQ(response.rejected(1).index(), 3);
  EXPECT_TRUE(world_.Durable("north-7"));
  EXPECT_FALSE(world_.Durable("bob"));
}

TEST_F(LocationWriterTest, AndSoInStreams) {
  std::thread storing([this] { Commit(1); });
  Context context;
  ShowKey(context);
  auto stream = stub_->StreamLocations(&context);
  ASSERT_TRUE(stream->Write(Batch(1, {"bob", "ann"})));
  pb::LocationAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  storing.join();
  EXPECT_EQ(ack.durable_sequence(), 1);
  ASSERT_EQ(ack.rejected_size(), 1);
  EXPECT_EQ(ack.rejected(0).reason(), pb::NOT_YOUR_DRIVER);
  EXPECT_EQ(ack.rejected(0).index(), 0);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(GrpcLocationServiceTest, AStreamIsAckedAndEndsWithOk) {
  Context context;
  auto stream = stub_->StreamLocations(&context);
  ASSERT_TRUE(stream->Write(Batch(5, {"ann", "b b", "bob"})));
  Commit(1);
  pb::LocationAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.durable_sequence(), 5);
  ASSERT_EQ(ack.rejected_size(), 1);
  EXPECT_EQ(ack.rejected(0).sequence(), 5);
  EXPECT_EQ(ack.rejected(0).index(), 1);
  EXPECT_EQ(ack.rejected(0).reason(), pb::BAD_DRIVER_ID);
  ASSERT_TRUE(stream->Write(Batch(6, {"cy"})));
  ASSERT_TRUE(stream->WritesDone());
  Commit(1);
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.durable_sequence(), 6);
  EXPECT_EQ(ack.rejected_size(), 0);
  EXPECT_FALSE(stream->Read(&ack));
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(world_.Durable("cy"));
  ExpectNone("waybill_location_streams_open");
}

TEST_F(GrpcLocationServiceTest, ABatchThatBreaksTheProtocolEndsTheStream) {
  Context context;
  auto stream = stub_->StreamLocations(&context);
  ASSERT_TRUE(stream->Write(Batch(0, {"ann"})));
  pb::LocationAck ack;
  EXPECT_FALSE(stream->Read(&ack));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), "BAD_REQUEST");
  ExpectNone("waybill_location_streams_open");
}

TEST_F(GrpcLocationServiceTest, ACancelledStreamIsFreedWhileItsPointsWait) {
  {
    Context context;
    auto stream = stub_->StreamLocations(&context);
    ASSERT_TRUE(stream->Write(Batch(1, {"ann"})));
    ASSERT_TRUE(testing::Eventually(kLongEnough, [&] { return world_.positions.waiting() == 1; }));
    EXPECT_EQ(world_.Metric("waybill_location_streams_open"), 1);
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::CANCELLED);
  }
  ExpectNone("waybill_location_streams_open");
  Commit(1);
  EXPECT_TRUE(world_.Durable("ann"));
}

TEST_F(GrpcLocationServiceTest, ADrainAcksAndSendsAStreamElsewhere) {
  Context context;
  auto stream = stub_->StreamLocations(&context);
  ASSERT_TRUE(stream->Write(Batch(1, {"ann"})));
  ASSERT_TRUE(testing::Eventually(kLongEnough, [&] { return world_.positions.waiting() == 1; }));
  world_.streams.Drain();
  Commit(1);
  pb::LocationAck ack;
  ASSERT_TRUE(stream->Read(&ack));
  EXPECT_EQ(ack.durable_sequence(), 1);
  EXPECT_FALSE(stream->Read(&ack));
  EXPECT_EQ(ReasonOf(stream->Finish()), "SHUTTING_DOWN");
  Context late;
  auto refused = stub_->StreamLocations(&late);
  EXPECT_FALSE(refused->Read(&ack));
  EXPECT_EQ(ReasonOf(refused->Finish()), "SHUTTING_DOWN");
}

TEST_F(GrpcLocationServiceTest, AReportIsAnsweredWhenItIsDurable) {
  Report({"ann", "bob"});
  EXPECT_TRUE(world_.Durable("ann"));
  Context context;
  pb::ReportLocationsRequest request;
  pb::ReportLocationsResponse response;
  EXPECT_EQ(ReasonOf(stub_->ReportLocations(&context, request, &response)), "BAD_REQUEST");
}

TEST_F(GrpcLocationServiceTest, AReportIsRefusedWhileTheQueueIsFull) {
  world_.positions.Pretend(IngestOptions{}.queue_max);
  Context context;
  pb::ReportLocationsRequest request;
  Fill(*request.add_points(), "ann");
  pb::ReportLocationsResponse response;
  EXPECT_EQ(ReasonOf(stub_->ReportLocations(&context, request, &response)), "QUEUE_FULL");
}

TEST_F(GrpcLocationServiceTest, FindsDrivers) {
  Report({"ann", "bob"});
  {
    Context context;
    pb::GetDriverRequest request;
    request.set_driver_id("ann");
    pb::DriverLocation driver;
    ASSERT_TRUE(stub_->GetDriver(&context, request, &driver).ok());
    EXPECT_EQ(driver.point().driver_id(), "ann");
    EXPECT_EQ(driver.source(), pb::DriverLocation::HOT_VIEW);
    EXPECT_EQ(driver.age().seconds(), 50);
  }
  {
    Context context;
    pb::GetDriverRequest request;
    request.set_driver_id("nobody");
    pb::DriverLocation driver;
    const grpc::Status status = stub_->GetDriver(&context, request, &driver);
    EXPECT_EQ(status.error_code(), grpc::NOT_FOUND);
    EXPECT_EQ(ReasonOf(status), "DRIVER_NOT_FOUND");
  }
  {
    Context context;
    pb::BatchGetDriversRequest request;
    for (const char* id : {"bob", "nobody", "ann"}) request.add_driver_ids(id);
    pb::BatchGetDriversResponse response;
    ASSERT_TRUE(stub_->BatchGetDrivers(&context, request, &response).ok());
    ASSERT_EQ(response.drivers_size(), 2);
    EXPECT_EQ(response.drivers(0).point().driver_id(), "bob");
    EXPECT_EQ(response.drivers(1).point().driver_id(), "ann");
  }
  {
    Context context;
    pb::NearbyDriversRequest request;
    request.set_latitude(52.5);
    request.set_longitude(13.4);
    pb::NearbyDriversResponse response;
    ASSERT_TRUE(stub_->NearbyDrivers(&context, request, &response).ok());
    EXPECT_EQ(response.drivers_size(), 2);
    EXPECT_FALSE(response.stale());
  }
}

TEST_F(GrpcLocationServiceTest, HasTracksPageByPage) {
  Report({"ann", "ann", "ann"});
  pb::GetTrackRequest request;
  request.set_driver_id("ann");
  request.set_page_size(2);
  std::vector<int> sizes;
  do {
    Context context;
    pb::GetTrackResponse response;
    ASSERT_TRUE(stub_->GetTrack(&context, request, &response).ok());
    sizes.push_back(response.points_size());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(sizes, ElementsAre(2, 1));
  Context context;
  pb::GetTrackResponse response;
  request.set_page_token("none");
  EXPECT_EQ(ReasonOf(stub_->GetTrack(&context, request, &response)), "BAD_REQUEST");
}

// Reads that wait keep nothing of what their requests are padded with.
TEST_F(GrpcLocationServiceTest, ReadsThatWaitAreSmallWhateverTheirRequestsHold) {
  constexpr size_t kCalls = 100, kPadding = 512 << 10;
  std::promise<void> go;
  WorkerPool::Task hold = [gone = go.get_future().share()] { gone.wait(); };
  ASSERT_TRUE(history_workers_.Submit(hold));
  auto in_use = [] {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<int64_t>(info.uordblks + info.hblkhd);
  };
  grpc::CompletionQueue queue;
  grpc::GenericStub generic(channel_);
  struct Call {
    Context context;
    grpc::ByteBuffer response;
    grpc::Status status;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  };
  std::list<Call> calls;
  auto wait = [&](size_t padding) {
    // All calls send the same bytes, since this process is the client as well, and keeps what it sent until the answer.
    pb::GetTrackRequest request;
    request.set_driver_id("ann");
    *request.GetReflection()->MutableUnknownFields(&request)->AddLengthDelimited(9'999) = std::string(padding, 'x');
    const grpc::Slice bytes(request.SerializeAsString());
    const grpc::ByteBuffer padded(&bytes, 1);
    const size_t waiting = calls.size() + kCalls;
    // One after the other: gRPC keeps what it has read in one piece while a call's headers in it are kept, and these
    // would keep the bytes of the calls before.
    while (calls.size() < waiting) {
      Call& call = calls.emplace_back();
      call.reader =
          generic.PrepareUnaryCall(&call.context, "/waybill.location.v1.LocationService/GetTrack", padded, &queue);
      call.reader->StartCall();
      call.reader->Finish(&call.response, &call.status, &call);
      ASSERT_TRUE(testing::Eventually(kLongEnough, [&] { return history_workers_.queue_depth() >= calls.size(); }));
    }
  };
  // What gRPC holds for a call, on both sides, is its own affair: it is measured by calls that hold nothing.
  const int64_t before = in_use();
  wait(0);
  const int64_t bare = in_use() - before;
  wait(kPadding);
  EXPECT_TRUE(testing::Eventually(
      kLongEnough, [&] { return in_use() - before < 2 * bare + static_cast<int64_t>(kCalls * kPadding / 4); }))
      << in_use() - before << ", without padding " << bare;
  go.set_value();
  for (size_t i = 0; i < calls.size(); ++i) {
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_TRUE(static_cast<Call*>(tag)->status.ok());
  }
  queue.Shutdown();
}

TEST_F(GrpcLocationServiceTest, AWatchSeesMovesAndIsFreedWhenItsClientGoesAway) {
  Report({"ann", "bob"});
  {
    Context context;
    pb::WatchLocationsRequest request;
    request.add_driver_ids("bob");
    request.set_resume_after("0");
    auto watch = stub_->WatchLocations(&context, request);
    pb::WatchLocationsResponse response;
    ASSERT_TRUE(watch->Read(&response));
    ASSERT_EQ(response.events_size(), 1);
    EXPECT_EQ(response.events(0).point().driver_id(), "bob");
    EXPECT_EQ(response.events(0).id(), "2");
    EXPECT_EQ(response.resume_after(), "2");
    Report({"ann", "bob"});
    ASSERT_TRUE(watch->Read(&response));
    EXPECT_EQ(response.events(0).id(), "4");
    EXPECT_FALSE(response.gap());
    EXPECT_EQ(watches_->size(), 1u);
    context.TryCancel();
    EXPECT_FALSE(watch->Read(&response));
    EXPECT_EQ(watch->Finish().error_code(), grpc::CANCELLED);
  }
  ExpectNone("waybill_location_watches_open");
  EXPECT_EQ(watches_->size(), 0u);
}

TEST_F(GrpcLocationServiceTest, AWatchThatCannotBeEndsAtOnce) {
  pb::WatchLocationsResponse response;
  Context context;
  pb::WatchLocationsRequest request;
  request.set_resume_after("yesterday");
  auto watch = stub_->WatchLocations(&context, request);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(ReasonOf(watch->Finish()), "BAD_REQUEST");
  Context other;
  request.add_driver_ids("");
  watch = stub_->WatchLocations(&other, request);
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(ReasonOf(watch->Finish()), "BAD_REQUEST");
  watches_->Stop();
  Context late;
  watch = stub_->WatchLocations(&late, {});
  EXPECT_FALSE(watch->Read(&response));
  EXPECT_EQ(ReasonOf(watch->Finish()), "SHUTTING_DOWN");
}

}  // namespace
}  // namespace waybill::ingest
