#include "bench/location_load.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace location_v1 = ::waybill::location::v1;
using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

using StreamOfBatches = grpc::ServerReaderWriter<location_v1::LocationAck, location_v1::LocationBatch>;

void Ack(StreamOfBatches& stream, int64_t sequence) {
  location_v1::LocationAck ack;
  ack.set_durable_sequence(sequence);
  stream.Write(ack);
}

// A location service in this process that remembers every batch and acks as the test says.
class FakeLocations final : public location_v1::LocationService::Service {
 public:
  using Handler = std::function<grpc::Status(StreamOfBatches&)>;

  explicit FakeLocations(Handler handler) : handler_(std::move(handler)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  grpc::Status StreamLocations(grpc::ServerContext*, StreamOfBatches* stream) override { return handler_(*stream); }

  // Reads one batch and remembers it; false at the end of what the client sends.
  bool Read(StreamOfBatches& stream, location_v1::LocationBatch& batch) {
    if (!stream.Read(&batch)) return false;
    std::lock_guard lock(mutex_);
    ++batches_;
    for (const location_v1::Point& point : batch.points()) {
      ++points_[point.driver_id()];
      times_.emplace(point.driver_id(),
                     point.recorded_at().seconds() * 1'000'000 + point.recorded_at().nanos() / 1'000);
    }
    return true;
  }

  std::string target() const { return "127.0.0.1:" + std::to_string(port_); }
  int64_t batches() {
    std::lock_guard lock(mutex_);
    return batches_;
  }
  std::map<std::string, int64_t> points() {
    std::lock_guard lock(mutex_);
    return points_;
  }
  std::set<std::pair<std::string, int64_t>> times() {
    std::lock_guard lock(mutex_);
    return times_;
  }

 private:
  Handler handler_;
  int port_ = 0;
  std::mutex mutex_;
  int64_t batches_ = 0;
  std::map<std::string, int64_t> points_;
  std::set<std::pair<std::string, int64_t>> times_;
  std::unique_ptr<grpc::Server> server_;
};

// Time passes only as the test says; who sleeps looks again and again.
class ManualTimer final : public Timer {
 public:
  absl::Duration Now() const override { return absl::Microseconds(now_us_.load()); }
  void SleepUntil(absl::Duration) override { std::this_thread::yield(); }
  void Advance(absl::Duration by) { now_us_ += absl::ToInt64Microseconds(by); }

 private:
  std::atomic<int64_t> now_us_{100'000'000};
};

LocationLoadOptions OptionsFor(const FakeLocations& service) {
  LocationLoadOptions options;
  options.target = service.target();
  options.run = "run";
  options.epoch = absl::FromUnixSeconds(1'800'000'000);
  options.connections = 2;
  return options;
}

// Acks every batch at once.
FakeLocations::Handler Echo(FakeLocations*& service) {
  return [&service](StreamOfBatches& stream) {
    for (location_v1::LocationBatch batch; service->Read(stream, batch);) Ack(stream, batch.sequence());
    return grpc::Status::OK;
  };
}

TEST(LocationLoad, EveryPointIsNewAndEveryMessageAcked) {
  FakeLocations* fake = nullptr;
  FakeLocations service(Echo(fake));
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 3;
  options.points = 5;
  options.drivers = 2;
  options.messages_max = 100;
  SteadyTimer timer;
  const LocationLoadResult result = LocationLoad(options, timer).Run({});
  EXPECT_THAT(result.streams, ElementsAre(Pair("OK", 3)));
  EXPECT_EQ(result.broken, 0);
  EXPECT_EQ(result.messages, 300);
  EXPECT_EQ(result.points, 1'500);
  EXPECT_EQ(result.unacked, 0);
  EXPECT_EQ(result.acks, 300);
  EXPECT_EQ(service.batches(), 300);
  EXPECT_EQ(service.times().size(), 1'500u) << "a driver's times are all different";
  ASSERT_THAT(result.drivers, SizeIs(6));
  for (const DriverTally& driver : result.drivers) {
    EXPECT_EQ(driver.points, service.points()[driver.driver_id]);
    EXPECT_TRUE(service.times().contains({driver.driver_id, driver.newest}));
  }
}

TEST(LocationLoad, AnAckCoversAllUpToItAndTheWindowIsFilledButNeverExceeded) {
  constexpr int kWindow = 7;
  FakeLocations* fake = nullptr;
  std::atomic<int> early{0};
  FakeLocations service([&](StreamOfBatches& stream) {
    location_v1::LocationBatch batch;
    int64_t expected = LocationMessage::kFirstSequence;
    // Waits for all of a window before it acks it at once: a client that sent less would wait forever. A client that
    // sent more would have more on its way when the window is full; that shows in when it was sent.
    for (int round = 0; round < 10; ++round) {
      for (int i = 0; i < kWindow; ++i) {
        if (!fake->Read(stream, batch)) return grpc::Status::OK;
        early += batch.sequence() != expected++;
      }
      Ack(stream, batch.sequence());
    }
    early += fake->Read(stream, batch);
    return grpc::Status::OK;
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 2;
  options.points = 1;
  options.window = kWindow;
  options.messages_max = 10 * kWindow;
  SteadyTimer timer;
  const LocationLoadResult result = LocationLoad(options, timer).Run({});
  EXPECT_THAT(result.streams, ElementsAre(Pair("OK", 2)));
  EXPECT_EQ(result.acks, 20);
  EXPECT_EQ(result.messages, 20 * kWindow);
  EXPECT_EQ(early, 0);
}

// The service never acks: what it is sent is the window of each stream and nothing more.
TEST(LocationLoad, SendsNoMoreThanItsWindowUnacked) {
  FakeLocations* fake = nullptr;
  LocationLoad* running = nullptr;
  FakeLocations service([&](StreamOfBatches& stream) {
    for (location_v1::LocationBatch batch; fake->Read(stream, batch);) {
      if (fake->batches() >= 10) running->Stop();
    }
    return grpc::Status::OK;
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 2;
  options.points = 1;
  options.window = 5;
  options.drain_timeout = absl::Milliseconds(50);
  SteadyTimer timer;
  LocationLoad load(options, timer);
  running = &load;
  const LocationLoadResult result = load.Run({});
  EXPECT_EQ(service.batches(), 10);
  EXPECT_EQ(result.unacked, 10);
  EXPECT_EQ(result.messages, 0);
  EXPECT_EQ(result.latency.count(), 0);
  EXPECT_EQ(result.broken, 2) << "they had to be cancelled";
}

TEST(LocationLoad, LatencyIsFromTheSendingToTheAckThatCoversIt) {
  constexpr absl::Duration kStep = absl::Milliseconds(64);
  ManualTimer timer;
  FakeLocations* fake = nullptr;
  FakeLocations service([&](StreamOfBatches& stream) {
    location_v1::LocationBatch batch;
    for (int i = 0; i < 4; ++i) fake->Read(stream, batch);
    timer.Advance(kStep);
    Ack(stream, batch.sequence() - 1);  // three of four
    timer.Advance(kStep);
    // The client sends these only when it has seen the first ack.
    for (int i = 0; i < 3; ++i) fake->Read(stream, batch);
    timer.Advance(kStep);
    Ack(stream, batch.sequence());
    while (fake->Read(stream, batch)) {
    }
    return grpc::Status::OK;
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 1;
  options.window = 4;
  options.messages_max = 7;
  const LocationLoadResult result = LocationLoad(options, timer).Run({});
  EXPECT_EQ(result.messages, 7);
  EXPECT_EQ(result.latency.count(), 7);
  EXPECT_GE(result.latency.Quantile(0), kStep);
  EXPECT_EQ(result.latency.max(), 3 * kStep) << "the fourth, from the first instant to the last";
}

// The server stands still before its first ack, until the window is over. Messages go on being due, and their latency
// counts from then, also when they are so large that they cannot even be sent.
TEST(LocationLoad, AnOpenLoopDoesNotHideAStall) {
  constexpr absl::Duration kStall = absl::Milliseconds(200);
  SteadyTimer timer;
  FakeLocations* fake = nullptr;
  FakeLocations service([&](StreamOfBatches& stream) {
    location_v1::LocationBatch batch;
    if (fake->Read(stream, batch)) timer.SleepUntil(timer.Now() + kStall);
    do {
      Ack(stream, batch.sequence());
    } while (fake->Read(stream, batch));
    return grpc::Status::OK;
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 1;
  options.points = 1'000;
  options.rate = 1'000;
  options.duration = absl::Milliseconds(100);
  const LocationLoadResult result = LocationLoad(options, timer).Run({});
  EXPECT_EQ(result.messages, 100);
  EXPECT_EQ(result.latency.count(), 100);
  EXPECT_GE(result.latency.Quantile(0.01), kStall - absl::Milliseconds(100)) << "the last was due 99 ms in";
  EXPECT_GE(result.latency.Quantile(0.9), kStall - absl::Milliseconds(20));
}

TEST(LocationLoad, AnOpenLoopServesItsStreamsInTurnAndMeasuresTheWindow) {
  FakeLocations* fake = nullptr;
  FakeLocations service(Echo(fake));
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 10;
  options.drivers = 1;
  options.points = 2;
  options.rate = 200;
  options.warm_up = absl::Milliseconds(100);
  options.duration = absl::Milliseconds(200);
  SteadyTimer timer;
  LocationLoad::Hooks hooks;
  std::string story;
  hooks.window_starts = [&] { story += "start "; };
  hooks.window_ends = [&] { story += "end "; };
  hooks.drained = [&] { story += "drained"; };
  const LocationLoadResult result = LocationLoad(options, timer).Run(hooks);
  EXPECT_EQ(story, "start end drained");
  EXPECT_EQ(result.messages, 60);
  EXPECT_EQ(result.latency.count(), 40);
  EXPECT_EQ(result.window, absl::Milliseconds(200));
  EXPECT_DOUBLE_EQ(result.PointsPerSecond(), 400);
  for (const DriverTally& driver : result.drivers) EXPECT_EQ(driver.points, 12) << driver.driver_id;
}

TEST(LocationLoad, IsDrainedWhileAllStreamsAreOpen) {
  constexpr int kStreams = 5;
  std::atomic<int> open{0};
  FakeLocations* fake = nullptr;
  FakeLocations service([&](StreamOfBatches& stream) {
    ++open;
    const grpc::Status status = Echo(fake)(stream);
    --open;
    return status;
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = kStreams;
  options.messages_max = 1;
  SteadyTimer timer;
  LocationLoad::Hooks hooks;
  int open_when_drained = 0;
  hooks.drained = [&] { open_when_drained = open; };
  EXPECT_THAT(LocationLoad(options, timer).Run(hooks).streams, ElementsAre(Pair("OK", kStreams)));
  EXPECT_EQ(open_when_drained, kStreams);
}

TEST(LocationLoad, CountsBrokenStreamsByHowTheyEnded) {
  FakeLocations* fake = nullptr;
  std::atomic<int> streams{0};
  FakeLocations service([&](StreamOfBatches& stream) {
    location_v1::LocationBatch batch;
    switch (streams++) {
      case 0:
        fake->Read(stream, batch);
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "enough");
      case 1:
        fake->Read(stream, batch);
        return grpc::Status::OK;
      case 2:
        fake->Read(stream, batch);
        Ack(stream, batch.sequence() + 1);
        while (fake->Read(stream, batch)) {
        }
        return grpc::Status::OK;
      default:
        return Echo(fake)(stream);
    }
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 4;
  options.window = 1;
  options.messages_max = 20;
  SteadyTimer timer;
  const LocationLoadResult result = LocationLoad(options, timer).Run({});
  EXPECT_THAT(result.streams,
              ElementsAre(Pair("OK", 1), Pair("OK, but without the last acks", 1), Pair("UNAVAILABLE enough", 1),
                          Pair("an ack of what was not sent, or was acked before", 1)));
  EXPECT_EQ(result.broken, 3);
  EXPECT_EQ(result.messages, 20);
  EXPECT_EQ(result.unacked, 3);
}

TEST(LocationLoad, CountsRejectedPoints) {
  FakeLocations* fake = nullptr;
  FakeLocations service([&](StreamOfBatches& stream) {
    for (location_v1::LocationBatch batch; fake->Read(stream, batch);) {
      location_v1::LocationAck ack;
      ack.set_durable_sequence(batch.sequence());
      ack.add_rejected()->set_sequence(batch.sequence());
      ack.add_rejected()->set_sequence(batch.sequence());
      stream.Write(ack);
    }
    return grpc::Status::OK;
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 1;
  options.messages_max = 3;
  SteadyTimer timer;
  EXPECT_EQ(LocationLoad(options, timer).Run({}).rejected, 6);
}

TEST(LocationLoad, StopEndsARunWithoutEnd) {
  FakeLocations* fake = nullptr;
  LocationLoad* running = nullptr;
  FakeLocations service([&](StreamOfBatches& stream) {
    int64_t count = 0;
    for (location_v1::LocationBatch batch; fake->Read(stream, batch);) {
      if (++count == 10) running->Stop();
      Ack(stream, batch.sequence());
    }
    return grpc::Status::OK;
  });
  fake = &service;
  LocationLoadOptions options = OptionsFor(service);
  options.streams = 2;
  SteadyTimer timer;
  LocationLoad load(options, timer);
  running = &load;
  const LocationLoadResult result = load.Run({});
  EXPECT_THAT(result.streams, ElementsAre(Pair("OK", 2)));
  EXPECT_EQ(result.messages, service.batches());
}

TEST(LocationLoad, AServerThatIsNotThereShowsInHowTheStreamsEnd) {
  LocationLoadOptions options;
  {
    FakeLocations gone([](StreamOfBatches&) { return grpc::Status::OK; });
    options = OptionsFor(gone);
  }
  options.streams = 2;
  options.connect_timeout = absl::Milliseconds(1);
  SteadyTimer timer;
  const LocationLoadResult result = LocationLoad(options, timer).Run({});
  EXPECT_EQ(result.broken, 2);
  EXPECT_EQ(result.messages, 0);
}

TEST(LocationLoadResult, RoundsAreMergedAsIfTheyWereOneRun) {
  LocationLoadResult result, round;
  result.points_a_message = round.points_a_message = 50;
  result.messages = 1;
  result.latency.Record(absl::Milliseconds(1));
  result.window = absl::Seconds(1);
  round.streams = {{"OK", 2}};
  round.broken = 1;
  round.messages = 3;
  for (int i = 0; i < 3; ++i) round.latency.Record(absl::Milliseconds(2));
  round.window = absl::Seconds(1);
  result.Merge(round);
  EXPECT_EQ(result.streams.at("OK"), 2);
  EXPECT_EQ(result.broken, 1);
  EXPECT_EQ(result.messages, 4);
  EXPECT_DOUBLE_EQ(result.PointsPerSecond(), 100);
}

}  // namespace
}  // namespace waybill::bench
