#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "edge/rpc/client.h"
#include "edge/rpc/server.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "grpcpp/generic/generic_stub.h"
#include "runtime/metrics.h"
#include "tests/support/eventually.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::rpc {
namespace {

using location::v1::LocationAck;
using location::v1::LocationBatch;
using location::v1::LocationService;
using Call = BidiStreamCall<LocationBatch, LocationAck>;

constexpr char kMethod[] = "waybill.location.v1.LocationService/StreamLocations";
constexpr absl::Duration kLongEnough = absl::Seconds(10);

// Acks every batch, one at a time; ends where the client ends.
class Echo final : public StreamReader<LocationBatch> {
 public:
  explicit Echo(Call::Ptr call) : call_(std::move(call)) {}
  ~Echo() override { ++destroyed; }

  void OnRead(LocationBatch& batch) override {
    if (batch.sequence() == 13) {
      End(absl::FailedPreconditionError("unlucky"));
      return;
    }
    LocationAck ack;
    ack.set_durable_sequence(batch.sequence());
    call_->Write(ack, [this](bool ok) {
      if (ok) call_->Read();
    });
  }
  void OnReadEnd(const absl::Status& status) override { End(status); }

  void End(const absl::Status& status) { call_->Finish(status); }
  Call& call() { return *call_; }

  static inline std::atomic<int> destroyed{0};

 private:
  Call::Ptr call_;
};

class BidiStreamTest : public ::testing::Test {
 protected:
  BidiStreamTest() {
    server_.BidiStream<LocationBatch, LocationAck>(kMethod, access::kAnybody, [this](Call::Ptr call) {
      Call& kept = *call;
      auto echo = std::make_shared<Echo>(std::move(call));
      std::weak_ptr<Echo> weak = echo;
      kept.SetReader(echo);
      kept.OnCancelled([weak] {
        if (auto gone = weak.lock()) gone->End(absl::CancelledError("gone"));
      });
      ++opened_;
      kept.Read();
      if (finish_at_once_) kept.Finish(absl::OkStatus());
    });
    EXPECT_TRUE(server_.Start().ok());
    channel_ = MakeChannel(fmt::format("127.0.0.1:{}", server_.port()));
    stub_ = LocationService::NewStub(channel_);
    Echo::destroyed = 0;
  }
  void ExpectGone(int streams) {
    EXPECT_TRUE(testing::Eventually(kLongEnough, [&] { return Echo::destroyed == streams; })) << Echo::destroyed;
  }

  Metrics metrics_;
  Server server_{ServerOptions{}, metrics_};
  std::atomic<int> opened_{0};
  bool finish_at_once_ = false;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<LocationService::Stub> stub_;
};

TEST_F(BidiStreamTest, CarriesMessagesBothWaysAndEndsWhenTheClientCloses) {
  grpc::ClientContext context;
  auto stream = stub_->StreamLocations(&context);
  for (int i = 100; i < 200; ++i) {
    LocationBatch batch;
    batch.set_sequence(i);
    ASSERT_TRUE(stream->Write(batch));
    LocationAck ack;
    ASSERT_TRUE(stream->Read(&ack));
    EXPECT_EQ(ack.durable_sequence(), i);
  }
  stream->WritesDone();
  LocationAck none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_TRUE(stream->Finish().ok());
  ExpectGone(1);
}

TEST_F(BidiStreamTest, TellsTheStatusThatEndsItFromInside) {
  grpc::ClientContext context;
  auto stream = stub_->StreamLocations(&context);
  LocationBatch batch;
  batch.set_sequence(13);
  ASSERT_TRUE(stream->Write(batch));
  LocationAck none;
  EXPECT_FALSE(stream->Read(&none));
  grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_EQ(status.error_message(), "unlucky");
  ExpectGone(1);
}

TEST_F(BidiStreamTest, MayBeFinishedWhileItIsRead) {
  finish_at_once_ = true;
  grpc::ClientContext context;
  auto stream = stub_->StreamLocations(&context);
  LocationAck none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_TRUE(stream->Finish().ok());
  ExpectGone(1);
}

TEST_F(BidiStreamTest, IsToldOfAClientThatGoesAway) {
  {
    grpc::ClientContext context;
    auto stream = stub_->StreamLocations(&context);
    EXPECT_TRUE(testing::Eventually(kLongEnough, [&] { return opened_ == 1; }));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::CANCELLED);
  }
  ExpectGone(1);
}

TEST_F(BidiStreamTest, RefusesBytesThatAreNoMessage) {
  grpc::TemplatedGenericStub<grpc::ByteBuffer, LocationAck> generic(channel_);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  auto stream = generic.PrepareCall(&context, fmt::format("/{}", kMethod), &queue);
  void* tag;
  bool ok;
  stream->StartCall(nullptr);
  queue.Next(&tag, &ok);
  grpc::Slice slice(std::string("\x0a\xff\xff"));
  stream->Write(grpc::ByteBuffer(&slice, 1), nullptr);
  queue.Next(&tag, &ok);
  grpc::Status status;
  stream->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), ::testing::HasSubstr("LocationBatch"));
  ExpectGone(1);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
}

TEST_F(BidiStreamTest, IsEndedByADrain) {
  grpc::ClientContext context;
  auto stream = stub_->StreamLocations(&context);
  EXPECT_TRUE(testing::Eventually(kLongEnough, [&] { return opened_ == 1; }));
  std::thread drain([this] { server_.Drain(SteadyTime::InfinitePast()); });
  LocationAck none;
  EXPECT_FALSE(stream->Read(&none));
  EXPECT_EQ(stream->Finish().error_code(), grpc::UNAVAILABLE);
  drain.join();
  EXPECT_EQ(Echo::destroyed, 1);
}

}  // namespace
}  // namespace waybill::rpc
