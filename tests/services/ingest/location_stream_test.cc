#include "services/ingest/location_stream.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "runtime/testing/span_box.h"
#include "tests/services/ingest/ingest_world.h"

namespace waybill::ingest {
namespace {

using domain::DriverPosition;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The far side of a stream, and the call that carries it. One thread's.
class Client {
 public:
  Client() = default;
  // Ends a stream that is still open, as gRPC ends every call: stream and peer hold each other until then.
  ~Client() {
    if (auto open = stream_.lock()) open->OnGone();
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Whether the server took the stream.
  bool Open(LocationStreams& streams, const TraceContext& call = {}) {
    auto stream = streams.Make(nullptr, call);
    if (!stream.ok()) {
      end = stream.status();
      return false;
    }
    stream_ = *stream;
    call_ = std::make_shared<Peer>(*this, *stream);
    peer_ = call_;
    (*stream)->Open(call_);
    return true;
  }

  // As if a batch had arrived, which has to have been asked for.
  void Write(int64_t sequence, std::vector<DriverPosition> points) {
    ASSERT_TRUE(asked);
    asked = false;
    stream().OnBatch(sequence, std::move(points));
  }
  void Close(const absl::Status& status = absl::OkStatus()) {
    ASSERT_TRUE(asked);
    asked = false;
    stream().OnEnd(status);
  }
  void Vanish() { stream().OnGone(); }
  // The ack that is on its way arrives, or does not.
  bool TakeAck(bool ok = true) {
    if (!sent) return false;
    auto taken = std::exchange(sent, nullptr);
    taken(ok);
    return true;
  }
  void TakeAcks() {
    while (TakeAck()) {
    }
  }
  std::vector<int64_t> Acked() const {
    std::vector<int64_t> sequences;
    for (const Ack& ack : acks) sequences.push_back(ack.durable_sequence);
    return sequences;
  }
  std::string EndReason() const { return end ? GetErrorDetail(*end).reason : "open"; }
  LocationStream& stream() { return *call_->stream; }
  // gRPC is through with the call. Nothing is to be left then.
  void Release() {
    call_.reset();
    EXPECT_TRUE(stream_.expired());
    EXPECT_TRUE(peer_.expired());
  }
  // Somebody still knows the stream.
  bool alive() const { return !stream_.expired(); }
  void ReleaseCall() { call_.reset(); }

  bool asked = false;
  std::vector<Ack> acks;
  absl::AnyInvocable<void(bool)> sent;
  std::optional<absl::Status> end;
  bool abandoned = false;
  std::function<void(const Ack&)> on_ack = [](const Ack&) {};

 private:
  struct Peer final : StreamPeer {
    Peer(Client& owner, std::shared_ptr<LocationStream> of) : client(owner), stream(std::move(of)) {}
    void Read() override {
      EXPECT_FALSE(client.end) << "read after the end";
      EXPECT_FALSE(client.asked) << "one read at a time";
      client.asked = true;
    }
    void Send(const Ack& ack, absl::AnyInvocable<void(bool)> sent) override {
      EXPECT_FALSE(client.end) << "sent after the end";
      EXPECT_FALSE(client.sent) << "one ack at a time";
      client.sent = std::move(sent);
      client.acks.push_back(ack);
      client.on_ack(ack);
    }
    void Finish(const absl::Status& status) override {
      EXPECT_FALSE(client.end) << "finished twice";
      client.end = status;
    }
    void Abandon() override {
      EXPECT_TRUE(client.end) << "finished first";
      client.abandoned = true;
    }
    Client& client;
    std::shared_ptr<LocationStream> stream;
  };

  std::shared_ptr<Peer> call_;
  std::weak_ptr<LocationStream> stream_;
  std::weak_ptr<StreamPeer> peer_;
};

WorldOptions SmallQueues() {
  WorldOptions options;
  options.ingest.queue_max = 10;
  options.streams.unacked_max = 8;
  return options;
}

class LocationStreamTest : public ::testing::Test {
 protected:
  std::vector<DriverPosition> Points(const std::string& driver_id, int count = 1) {
    std::vector<DriverPosition> points;
    for (int i = 0; i < count; ++i) points.push_back(world_.At(driver_id, -i));
    return points;
  }

  World world_{SmallQueues()};
  Client client_;
};

TEST_F(LocationStreamTest, AcksWhatIsDurable) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(7, Points("ann"));
  EXPECT_THAT(client_.Acked(), IsEmpty());
  world_.Commit();
  EXPECT_THAT(client_.Acked(), ElementsAre(7));
  EXPECT_TRUE(world_.Durable("ann"));
  EXPECT_THAT(client_.acks[0].rejected, IsEmpty());
}

TEST_F(LocationStreamTest, AcksTheLongestPrefixThatIsDurableInWhateverOrderBatchesBecomeIt) {
  ASSERT_TRUE(client_.Open(world_.streams));
  for (int i = 1; i <= 5; ++i) client_.Write(i * 10, Points(fmt::format("d{}", i)));
  world_.Commit(2);  // 30
  world_.Commit(1);  // 20
  EXPECT_THAT(client_.Acked(), IsEmpty());
  world_.Commit(0);  // 10
  EXPECT_THAT(client_.Acked(), ElementsAre(30));
  world_.Commit(1);  // 50
  client_.TakeAcks();
  EXPECT_THAT(client_.Acked(), ElementsAre(30));
  world_.Commit(0);  // 40
  EXPECT_THAT(client_.Acked(), ElementsAre(30, 50));
}

TEST_F(LocationStreamTest, SendsOneAckAtATimeAndOneForAllThatBecameDurableMeanwhile) {
  ASSERT_TRUE(client_.Open(world_.streams));
  for (int i = 1; i <= 5; ++i) client_.Write(i, Points("ann"));
  for (int i = 1; i <= 4; ++i) world_.Commit();
  EXPECT_THAT(client_.Acked(), ElementsAre(1));
  client_.TakeAck();
  EXPECT_THAT(client_.Acked(), ElementsAre(1, 4));
  client_.TakeAck();
  EXPECT_THAT(client_.Acked(), ElementsAre(1, 4)) << "nothing new is durable";
}

TEST_F(LocationStreamTest, TellsEachRejectionOnceInTheAckThatCoversItsBatch) {
  ASSERT_TRUE(client_.Open(world_.streams));
  world_.store.Refuse("bad");
  DriverPosition nowhere = world_.At("ann");
  nowhere.point.latitude = 91;
  client_.Write(3, {world_.At("ann"), nowhere, world_.At("bob"), world_.At("bad")});
  client_.Write(4, {nowhere});  // answered without the store
  client_.Write(9, {nowhere, world_.At("cy")});
  EXPECT_THAT(client_.acks, IsEmpty()) << "4 is done, but not what comes before it";
  world_.Commit(0);
  world_.Commit(0);
  client_.TakeAcks();
  ASSERT_THAT(client_.Acked(), ElementsAre(4, 9));
  std::vector<std::string> told;
  for (const Ack& ack : client_.acks) {
    for (const Rejection& one : ack.rejected) {
      told.push_back(fmt::format("{} {}/{} {}", ack.durable_sequence, one.sequence, one.index, Name(one.reason)));
    }
  }
  EXPECT_THAT(told, ElementsAre("4 3/1 bad_coordinate", "4 3/3 refused_by_store", "4 4/0 bad_coordinate",
                                "9 9/0 bad_coordinate"));
  EXPECT_FALSE(world_.Durable("bad"));
  EXPECT_TRUE(world_.Durable("bob"));
}

TEST_F(LocationStreamTest, ReadsNoMoreWhileTooMuchIsUnackedAndGoesOnAtHalf) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann", 3));
  client_.Write(2, Points("ann", 3));
  EXPECT_TRUE(client_.asked) << "6 of 8";
  client_.Write(3, Points("ann", 2));
  EXPECT_FALSE(client_.asked) << "8 of 8";
  world_.Commit();
  EXPECT_FALSE(client_.asked) << "acked, but not handed over";
  client_.TakeAck();
  EXPECT_FALSE(client_.asked) << "5 of 8 is above half";
  world_.Commit();
  client_.TakeAck();
  EXPECT_TRUE(client_.asked) << "2 of 8";
}

// Many streams whose clients send nothing but bad points and read no acks.
TEST(LocationStreams, WhatClientsDoNotReadIsBoundedForAllOfThem) {
  WorldOptions options;
  options.streams.held_max = 5'000;
  World world(options);
  std::vector<DriverPosition> bad(1'000, world.At("ann"));
  for (DriverPosition& position : bad) position.point.longitude = 999;
  std::list<Client> clients;
  for (int i = 0; i < 700; ++i) {
    Client& client = clients.emplace_back();
    ASSERT_TRUE(client.Open(world.streams));
    for (int64_t sequence = 1; sequence <= 10 && client.asked; ++sequence) client.Write(sequence, bad);
    EXPECT_LE(world.streams.held(), 5'000u);
  }
  size_t open = 0;
  for (Client& client : clients) {
    if (!client.end) {
      ++open;
      continue;
    }
    EXPECT_EQ(client.EndReason(), "QUEUE_FULL");
    EXPECT_TRUE(client.abandoned) << "what is on its way is let go of";
  }
  EXPECT_EQ(open, 1u) << "the last one";
  EXPECT_EQ(world.Metric("waybill_location_streams_shed_total"), 699);
  // One that reads is not the one that is ended.
  Client reader;
  ASSERT_TRUE(reader.Open(world.streams));
  for (int64_t sequence = 1; sequence <= 20; ++sequence) {
    reader.Write(sequence, bad);
    reader.TakeAcks();
    ASSERT_FALSE(reader.end);
  }
  clients.clear();
  EXPECT_EQ(world.streams.held(), 0u);
}

// A busy gateway with some bad points: it always holds a rejection that is on its way, and reads all the time.
TEST(LocationStreams, WhoReadsIsNotEndedForRejectionsThatNeverRunOut) {
  WorldOptions options;
  options.streams.held_max = 3;
  World world(options);
  DriverPosition bad = world.At("ann");
  bad.point.longitude = 999;
  Client reader, hostile;
  ASSERT_TRUE(reader.Open(world.streams));
  ASSERT_TRUE(hostile.Open(world.streams));
  reader.Write(1, {bad});
  hostile.Write(1, {bad});
  reader.Write(2, {bad});
  ASSERT_TRUE(reader.TakeAck());
  EXPECT_EQ(world.streams.held(), 2u);
  reader.Write(3, {bad});
  hostile.Write(2, {bad});
  EXPECT_FALSE(reader.end);
  EXPECT_EQ(hostile.EndReason(), "QUEUE_FULL");
}

TEST(LocationStreams, BatchesThatAreDurableAndNotReadTakeNoRoom) {
  World world;
  Client client;
  ASSERT_TRUE(client.Open(world.streams));
  for (int64_t sequence = 1; sequence <= 4'000; ++sequence) {
    client.Write(sequence, {world.At("ann")});
    world.Commit();
    ASSERT_LE(client.stream().pending(), 2u);
  }
  for (int64_t sequence = 4'001; sequence <= 4'004; ++sequence) client.Write(sequence, {world.At("ann")});
  world.Commit(2);  // what waits in between stays apart
  EXPECT_EQ(client.stream().pending(), 5u);
  world.Commit(1);
  EXPECT_EQ(client.stream().pending(), 4u);
  world.Commit(0);
  world.Commit(0);
  EXPECT_EQ(client.stream().pending(), 1u);
  client.TakeAcks();
  EXPECT_THAT(client.Acked(), ElementsAre(1, 4'004));
}

TEST(LocationStreams, WhatIsParkedIsBoundedForAllOfThem) {
  WorldOptions options;
  options.ingest.queue_max = 10;
  options.streams.held_max = 2'000;
  World world(options);
  world.positions.Pretend(10);  // the store does not take anything
  const std::vector<DriverPosition> points(500, world.At("ann"));
  std::list<Client> clients;
  size_t ended = 0;
  for (int i = 0; i < 100; ++i) {
    Client& client = clients.emplace_back();
    ASSERT_TRUE(client.Open(world.streams));
    client.Write(1, points);
    EXPECT_LE(world.streams.held(), 2'000u);
    if (!client.end) continue;
    ++ended;
    EXPECT_EQ(client.EndReason(), "QUEUE_FULL");
  }
  EXPECT_EQ(ended, 96u) << "those that wait go on waiting";
  EXPECT_EQ(world.ingest.waiting(), 4u);
  world.positions.Pretend(0);
  world.ingest.WakeWaiting();
  while (world.Commit()) {
  }
  EXPECT_EQ(world.streams.held(), 0u);
}

TEST_F(LocationStreamTest, WhereTheStoresClockDiffersNothingIsRefusedThatItWouldTake) {
  ASSERT_TRUE(client_.Open(world_.streams));
  const DriverPosition ahead = world_.At("ann", 600'000);
  client_.Write(1, {ahead});
  client_.TakeAcks();
  ASSERT_EQ(client_.acks.at(0).rejected.size(), 1u) << "by both clocks";
  world_.clocks.Compare(world_.time.Now(), world_.time.Now() + absl::Minutes(10));
  client_.Write(2, {ahead, world_.At("bob")});
  world_.Commit();
  client_.TakeAcks();
  EXPECT_THAT(client_.acks.at(1).rejected, IsEmpty());
}

TEST_F(LocationStreamTest, WhileTheWholeFleetIsInTheFutureItsPointsAreNotSettled) {
  std::vector<DriverPosition> points;
  for (int i = 0; i < 10; ++i) points.push_back(world_.At(fmt::format("d-{}", i), 600'000));
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, points);
  EXPECT_EQ(client_.EndReason(), "CLOCK_SKEW");
  EXPECT_THAT(client_.acks, IsEmpty());
  // The others go on.
  Client right;
  ASSERT_TRUE(right.Open(world_.streams));
  right.Write(1, {world_.At("ann")});
  world_.Commit();
  EXPECT_THAT(right.Acked(), ElementsAre(1));
}

TEST_F(LocationStreamTest, AGatewayOfBadClocksAmongAPresentFleetIsNotBelieved) {
  auto report = [&](const std::string& prefix, int drivers, int64_t millis) {
    std::vector<DriverPosition> points = {world_.At("first")};
    for (int i = 0; i < drivers; ++i) points.push_back(world_.At(fmt::format("{}-{}", prefix, i), millis));
    (void)world_.ingest.Check(std::move(points), 1, [](const absl::Status&, const std::vector<Rejection>&) {});
  };
  for (int gateway = 0; gateway < 5; ++gateway) report(fmt::format("g{}", gateway), 100, 0);
  report("bad", 24, 600'000);
  EXPECT_FALSE(world_.clocks.fleet_ahead());
}

TEST(Rejections, AreSmall) { EXPECT_LE(sizeof(Rejection), 64u); }

TEST_F(LocationStreamTest, AClientThatReadsNoAcksHoldsABoundedNumberOfPoints) {
  ASSERT_TRUE(client_.Open(world_.streams));
  int written = 0;
  for (int i = 1; i <= 100 && client_.asked; ++i) {
    client_.Write(i, Points("ann", 3));
    written += 3;
    while (world_.Commit()) {
    }
  }
  EXPECT_LE(written, 8 + 2);
  EXPECT_FALSE(client_.asked);
  EXPECT_THAT(client_.acks, SizeIs(1));
  client_.TakeAcks();
  EXPECT_TRUE(client_.asked);
}

TEST_F(LocationStreamTest, ParksABatchWhileTheQueueIsFullAndReadsOnAfterCommits) {
  ASSERT_TRUE(client_.Open(world_.streams));
  world_.positions.Pretend(10);
  client_.Write(1, Points("ann"));
  EXPECT_EQ(world_.ingest.waiting(), 1u);
  EXPECT_EQ(world_.positions.waiting(), 0u);
  EXPECT_FALSE(client_.asked);
  world_.positions.Pretend(5);
  world_.ingest.WakeWaiting();
  EXPECT_FALSE(client_.asked) << "reading resumes below half";
  world_.positions.Pretend(4);
  world_.ingest.WakeWaiting();
  EXPECT_TRUE(client_.asked);
  EXPECT_EQ(world_.ingest.waiting(), 0u);
  world_.Commit();
  EXPECT_THAT(client_.Acked(), ElementsAre(1));
}

TEST_F(LocationStreamTest, AParkedBatchThatIsLostWithItsStreamAndSentAgainStillMovesItsDriver) {
  ASSERT_TRUE(client_.Open(world_.streams));
  world_.positions.Pretend(10);
  const std::vector<domain::DriverPosition> move = {world_.At("ann")};
  client_.Write(1, move);
  ASSERT_EQ(world_.ingest.waiting(), 1u);
  client_.stream().OnGone();
  client_.Release();
  world_.positions.Pretend(0);
  Client again;
  ASSERT_TRUE(again.Open(world_.streams));
  again.Write(1, move);
  world_.Commit();
  ASSERT_TRUE(world_.Publish());
  EXPECT_TRUE(world_.fleet.Get({"ann"}).value().front().has_value());
  EXPECT_THAT(world_.fleet.Follow("0", 10).value().events, SizeIs(1));
}

// Between half and full there is room for those who read, but not for those who wait: they would wait for as long as
// the others have anything to send.
TEST_F(LocationStreamTest, WhoReadsOnDoesNotOvertakeThoseWhoWait) {
  World world(SmallQueues());
  Client one, two;
  ASSERT_TRUE(one.Open(world.streams));
  ASSERT_TRUE(two.Open(world.streams));
  world.positions.Pretend(10);
  one.Write(1, {world.At("ann")});
  ASSERT_EQ(world.ingest.waiting(), 1u);
  world.positions.Pretend(7);
  two.Write(1, {world.At("bob")});
  EXPECT_EQ(world.ingest.waiting(), 2u);
  EXPECT_EQ(world.positions.waiting(), 0u);
  world.positions.Pretend(3);
  world.ingest.WakeWaiting();
  EXPECT_EQ(world.ingest.waiting(), 0u);
  world.Commit();
  world.Commit();
  EXPECT_THAT(one.Acked(), ElementsAre(1));
  EXPECT_THAT(two.Acked(), ElementsAre(1));
}

// Unary calls do not wait, and could keep the queue above the half at which streams go on.
TEST_F(LocationStreamTest, WhileStreamsWaitSingleCallsKeepBelowHalf) {
  ASSERT_TRUE(client_.Open(world_.streams));
  const auto submit = [&] {
    Report report = world_.ingest.Check({world_.At("bob")}, 1, [](const absl::Status&, std::vector<Rejection>) {});
    return world_.ingest.Submit(report);
  };
  world_.positions.Pretend(7);
  EXPECT_TRUE(submit()) << "nobody waits";
  world_.positions.Pretend(10);
  client_.Write(1, Points("ann"));
  ASSERT_EQ(world_.ingest.waiting(), 1u);
  world_.positions.Pretend(7);
  EXPECT_FALSE(submit());
  world_.positions.Pretend(3);
  EXPECT_TRUE(submit());
}

TEST_F(LocationStreamTest, AQueueOfOnePositionMakesRoomToo) {
  WorldOptions options;
  options.ingest.queue_max = 1;
  World world(options);
  Client one, two;
  ASSERT_TRUE(one.Open(world.streams));
  ASSERT_TRUE(two.Open(world.streams));
  one.Write(1, {world.At("ann")});
  two.Write(1, {world.At("bob")});
  EXPECT_EQ(world.ingest.waiting(), 1u);
  world.Commit();
  EXPECT_EQ(world.ingest.waiting(), 0u);
  world.Commit();
  EXPECT_THAT(two.Acked(), ElementsAre(1));
}

TEST_F(LocationStreamTest, ParksABatchWhileTheHotViewDoesNotKeepUp) {
  WorldOptions options = SmallQueues();
  options.hot_view.backlog_max = 1;
  World world(options);
  Client client;
  ASSERT_TRUE(world.Publish());  // the view is there
  ASSERT_TRUE(client.Open(world.streams));
  client.Write(1, {world.At("ann"), world.At("bob")});
  world.Commit();
  ASSERT_TRUE(world.feeder.Congested());
  client.Write(2, {world.At("ann", 1)});
  EXPECT_EQ(world.ingest.waiting(), 1u);
  world.Publish();
  EXPECT_EQ(world.ingest.waiting(), 0u);
  EXPECT_EQ(world.positions.waiting(), 1u);
}

TEST_F(LocationStreamTest, IsNotForgottenWhenTheLastCommitEndsJustBeforeItWaits) {
  ASSERT_TRUE(client_.Open(world_.streams));
  world_.positions.Pretend(10);
  // The first look finds the queue full. Before anybody waits all is committed, and nobody is woken by that.
  world_.positions.OnLook([&] { world_.positions.OnLook([&] { world_.positions.Pretend(0); }); });
  client_.Write(1, Points("ann"));
  EXPECT_EQ(world_.ingest.waiting(), 0u);
  EXPECT_EQ(world_.positions.waiting(), 1u);
  EXPECT_TRUE(client_.asked);
}

TEST_F(LocationStreamTest, ABatchThatIsJustBeingTakenIsFollowedByNoOther) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann"));
  world_.positions.OnLook([&] {
    world_.positions.Pretend(10);
    world_.positions.Commit();
    EXPECT_FALSE(client_.asked) << "2 is not taken yet";
  });
  client_.Write(2, Points("ann", 2));
  EXPECT_FALSE(client_.asked);
  EXPECT_EQ(world_.ingest.waiting(), 1u);
}

TEST_F(LocationStreamTest, AParkedBatchThatIsJustBeingTakenIsFollowedByNoOther) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann"));
  world_.positions.Pretend(10);
  client_.Write(2, Points("ann"));
  ASSERT_EQ(world_.ingest.waiting(), 1u);
  world_.positions.Pretend(0);
  // While 2 is tried again, 1 becomes durable on another thread, and then the queue is full once more.
  world_.positions.OnLook([&] {
    world_.positions.OnLook([&] {
      world_.positions.Commit();
      EXPECT_FALSE(client_.asked) << "2 is not taken yet";
      world_.positions.Pretend(10);
    });
  });
  world_.ingest.WakeWaiting();
  EXPECT_FALSE(client_.asked);
  EXPECT_EQ(world_.ingest.waiting(), 1u);
  world_.positions.Pretend(0);
  world_.ingest.WakeWaiting();
  world_.Commit();
  client_.TakeAcks();
  EXPECT_THAT(client_.Acked(), ElementsAre(1, 2));
  EXPECT_TRUE(client_.asked);
}

TEST_F(LocationStreamTest, ABatchThatBreaksTheProtocolEndsTheStreamAndNamesTheField) {
  struct Case {
    int64_t first, second;
    int points;
    std::string field;
  };
  for (const Case& one : {Case{0, 0, 1, "sequence"}, Case{-1, 0, 1, "sequence"}, Case{5, 5, 1, "sequence"},
                          Case{5, 4, 1, "sequence"}, Case{1, 2, 0, "points"}, Case{1, 2, kPointsMax + 1, "points"}}) {
    Client client;
    ASSERT_TRUE(client.Open(world_.streams));
    if (one.first > 0) {
      client.Write(one.first, Points("ann"));
      world_.Commit();
      client.TakeAcks();
    }
    client.Write(one.first > 0 ? one.second : one.first, Points("ann", one.points));
    ASSERT_TRUE(client.end) << one.field;
    EXPECT_EQ(client.end->code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetErrorDetail(*client.end).violations.at(0).first, one.field);
    EXPECT_EQ(world_.positions.waiting(), 0u) << "nothing of it is stored";
    client.Release();
  }
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann", kPointsMax));
  EXPECT_FALSE(client_.end);
}

TEST_F(LocationStreamTest, AfterAHalfCloseTheLastAckIsSentAndThenOk) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann"));
  client_.Write(2, Points("ann"));
  client_.Close();
  EXPECT_FALSE(client_.end);
  world_.Commit();
  world_.Commit();
  EXPECT_FALSE(client_.end) << "the last ack is not out yet";
  client_.TakeAcks();
  EXPECT_THAT(client_.Acked(), ElementsAre(1, 2));
  EXPECT_EQ(client_.end, absl::OkStatus());
  client_.Release();
  EXPECT_EQ(world_.Metric("waybill_location_streams_open"), 0);
}

TEST_F(LocationStreamTest, AStreamWithoutABatchEndsWithOkToo) {
  ASSERT_TRUE(client_.Open(world_.streams));
  EXPECT_EQ(world_.Metric("waybill_location_streams_open"), 1);
  client_.Close();
  EXPECT_EQ(client_.end, absl::OkStatus());
  client_.Release();
}

TEST_F(LocationStreamTest, WhatIsNoMessageEndsTheStream) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Close(absl::InvalidArgumentError("no message"));
  EXPECT_EQ(client_.end, absl::InvalidArgumentError("no message"));
  client_.Release();
}

TEST_F(LocationStreamTest, NothingIsLeftOfAClientThatGoesAwayWhateverItWaitsFor) {
  for (const std::string state : {"idle", "appended", "acking", "parked", "closing"}) {
    Client client;
    ASSERT_TRUE(client.Open(world_.streams));
    if (state == "parked") world_.positions.Pretend(10);
    if (state != "idle") client.Write(1, Points("ann"));
    if (state == "acking") world_.Commit();
    if (state == "closing") client.Close();
    client.Vanish();
    ASSERT_TRUE(client.end) << state;
    EXPECT_EQ(client.end->code(), absl::StatusCode::kCancelled);
    client.Vanish();
    client.stream().OnDrain();
    if (state == "parked") {
      // Not even while the store stands still.
      client.Release();
      EXPECT_EQ(world_.ingest.waiting(), 0u);
      world_.positions.Pretend(0);
      world_.ingest.WakeWaiting();
      EXPECT_EQ(world_.positions.waiting(), 0u);
    }
    while (world_.Commit()) {
    }
    client.TakeAck(false);
    client.Release();
    EXPECT_EQ(world_.Metric("waybill_location_streams_open"), 0) << state;
  }
}

TEST_F(LocationStreamTest, AnAckThatDoesNotArriveEndsTheStream) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann"));
  world_.Commit();
  client_.TakeAck(false);
  ASSERT_TRUE(client_.end);
  EXPECT_EQ(client_.end->code(), absl::StatusCode::kCancelled);
  client_.Release();
}

TEST_F(LocationStreamTest, ADrainAcksWhatWasReadAndSendsTheClientElsewhere) {
  Client idle;
  ASSERT_TRUE(idle.Open(world_.streams));
  ASSERT_TRUE(client_.Open(world_.streams));
  world_.positions.Pretend(10);
  client_.Write(1, Points("ann"));  // parked
  world_.streams.Drain();
  EXPECT_EQ(idle.EndReason(), "SHUTTING_DOWN");
  EXPECT_FALSE(client_.end);
  world_.positions.Pretend(0);
  world_.ingest.WakeWaiting();
  EXPECT_FALSE(client_.asked) << "nothing more is read";
  world_.Commit();
  EXPECT_FALSE(client_.end);
  client_.TakeAcks();
  EXPECT_THAT(client_.Acked(), ElementsAre(1));
  EXPECT_EQ(client_.EndReason(), "SHUTTING_DOWN");
  Client late;
  EXPECT_FALSE(late.Open(world_.streams));
  EXPECT_EQ(late.EndReason(), "SHUTTING_DOWN");
}

TEST_F(LocationStreamTest, ABatchThatArrivesDuringADrainIsNotTaken) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann"));
  world_.streams.Drain();
  client_.Write(2, Points("bob"));
  EXPECT_EQ(world_.positions.waiting(), 1u);
  world_.Commit();
  client_.TakeAcks();
  EXPECT_THAT(client_.Acked(), ElementsAre(1));
  EXPECT_EQ(client_.EndReason(), "SHUTTING_DOWN");
}

TEST_F(LocationStreamTest, AStreamThatIsJustBeingOpenedIsDrainedToo) {
  struct Peer final : StreamPeer {
    void Read() override { ++reads; }
    void Send(const Ack&, absl::AnyInvocable<void(bool)>) override {}
    void Finish(const absl::Status& status) override { end = status; }
    void Abandon() override {}
    int reads = 0;
    absl::Status end;
  };
  auto stream = world_.streams.Make();
  ASSERT_TRUE(stream.ok());
  world_.streams.Drain();
  auto peer = std::make_shared<Peer>();
  (*stream)->Open(peer);
  EXPECT_EQ(GetErrorDetail(peer->end).reason, "SHUTTING_DOWN");
  EXPECT_EQ(peer->reads, 0);
}

TEST_F(LocationStreamTest, AStoreThatGivesUpEndsTheStreamWithItsError) {
  ASSERT_TRUE(client_.Open(world_.streams));
  client_.Write(1, Points("ann"));
  client_.Write(2, Points("ann"));
  const absl::Status away = domain::ReasonError("STORE_UNAVAILABLE", "away");
  world_.Commit(0, away);
  EXPECT_EQ(client_.end, away);
  EXPECT_THAT(client_.acks, IsEmpty());
  world_.Commit();
  client_.Release();
}

TEST_F(LocationStreamTest, ABatchIsATraceOfItsOwnUntilItIsDurableLinkedToItsCall) {
  SeededRandom random(1);
  testing::SpanBox box;
  const std::atomic<double> ratio{1};
  Tracer tracer(world_.time, random, box, ratio);
  WorldOptions options = SmallQueues();
  options.streams.tracer = &tracer;
  World world(options);
  const TraceContext call = *ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  Client client;
  ASSERT_TRUE(client.Open(world.streams, call));
  client.Write(7, Points("ann"));
  client.Write(8, Points("bob"));
  EXPECT_THAT(box.spans(), IsEmpty());
  world_.time.Advance(absl::Milliseconds(3));
  world.Commit(1, domain::ReasonError("STORE_UNAVAILABLE", "away"));
  world.Commit();
  client.Release();
  ASSERT_THAT(box.spans(), SizeIs(2));
  const SpanRecord failed = box.spans()[0], stored = box.spans()[1];
  EXPECT_EQ(stored.name, "location batch");
  EXPECT_FALSE(stored.parent.valid());
  EXPECT_NE(stored.context.trace_id, failed.context.trace_id);
  ASSERT_THAT(stored.links, SizeIs(1));
  EXPECT_EQ(stored.links[0], call);
  EXPECT_EQ(stored.end - stored.start, absl::Milliseconds(3));
  EXPECT_FALSE(stored.failed);
  EXPECT_EQ(failed.failure, "away");
}

TEST_F(LocationStreamTest, AStoreThatTakesNoMoreEndsTheStream) {
  ASSERT_TRUE(client_.Open(world_.streams));
  world_.positions.Stop();
  client_.Write(1, Points("ann"));
  EXPECT_EQ(client_.EndReason(), "SHUTTING_DOWN");
  client_.Release();
}

TEST_F(LocationStreamTest, NoMoreStreamsAreOpenThanAllowed) {
  WorldOptions options;
  options.streams.streams_max = 2;
  World world(options);
  Client one, two, three;
  ASSERT_TRUE(one.Open(world.streams));
  ASSERT_TRUE(two.Open(world.streams));
  EXPECT_FALSE(three.Open(world.streams));
  EXPECT_EQ(three.EndReason(), "QUEUE_FULL");
  EXPECT_GT(GetErrorDetail(*three.end).retry_after, absl::ZeroDuration());
  one.Close();
  Client four;
  EXPECT_TRUE(four.Open(world.streams));
}

// Clients, store, hot view and drain in any order: whatever happens, what is acked is durable, and what is sent is
// acked in the end.
class Simulation {
 public:
  explicit Simulation(uint64_t seed) : random_(seed), world_(Options(random_)) {
    world_.store.Refuse("refused");
    for (size_t i = 0; i < kClients; ++i) {
      clients_[i].on_ack = [this, i](const Ack& ack) { CheckAck(i, ack); };
      EXPECT_TRUE(clients_[i].Open(world_.streams));
    }
  }

  void Run() {
    const uint64_t steps = 50 + random_.Next() % 300;
    for (uint64_t i = 0; i < steps; ++i) Step();
    // From here on everything goes well.
    world_.fleet.set_error(absl::OkStatus());
    for (int quiet = 0; quiet < 2;) {
      bool some = false;
      for (Client& client : clients_) some |= client.TakeAck();
      while (world_.Commit()) some = true;
      some |= world_.feeder.backlog() > 0;
      world_.Publish();
      quiet = some ? 0 : quiet + 1;
    }
    EXPECT_EQ(world_.ingest.waiting(), 0u);
    for (size_t i = 0; i < kClients; ++i) {
      Client& client = clients_[i];
      if (!client.end && !drained_) {
        EXPECT_TRUE(client.asked) << "everything is acked, and nobody reads";
        client.Close();
      }
      client.TakeAcks();
      ASSERT_TRUE(client.end);
      if (client.end->code() != absl::StatusCode::kCancelled && !failed_) {
        EXPECT_EQ(client.end->ok(), !drained_ || closed_.count(i) > 0) << *client.end;
        EXPECT_EQ(acked_[i], taken_[i]) << "not all was acked";
        EXPECT_EQ(rejected_[i], bad_[i]);
      }
      client.Release();
    }
    EXPECT_EQ(world_.Metric("waybill_location_streams_open"), 0);
  }

 private:
  static constexpr size_t kClients = 3;
  static constexpr size_t kBatchMax = 4;
  static constexpr size_t kUnackedMax = 10;

  static WorldOptions Options(Random& random) {
    WorldOptions options;
    options.ingest.queue_max = 1 + random.Next() % 15;
    options.streams.unacked_max = kUnackedMax;
    options.hot_view.backlog_max = 2 + random.Next() % 20;
    options.hot_view.update_max = 1 + random.Next() % 10;
    return options;
  }

  void Step() {
    const size_t i = random_.Next() % kClients;
    Client& client = clients_[i];
    switch (random_.Next() % 100) {
      case 0:
        client.Vanish();
        break;
      case 1:
        if (client.asked && !client.end) {
          client.Close();
          if (!drained_) closed_.insert(i);
        }
        break;
      case 2:
        if (random_.Next() % 8 == 0) {
          drained_ = true;
          world_.streams.Drain();
        }
        break;
      case 3:
        if (random_.Next() % 8 == 0 && world_.positions.waiting() > 0) {
          failed_ = true;
          world_.Commit(0, domain::ReasonError("STORE_UNAVAILABLE", "away"));
        }
        break;
      case 4:
        world_.fleet.set_error(random_.Next() % 2 == 0 ? absl::OkStatus()
                                                       : domain::ReasonError("STORE_UNAVAILABLE", "away"));
        break;
      case 5:
        world_.fleet.Clear();
        break;
      default:
        switch (random_.Next() % 4) {
          case 0:
            if (client.asked && !client.end) Write(i);
            break;
          case 1:
            if (world_.positions.waiting() > 0) world_.Commit(random_.Next() % world_.positions.waiting());
            break;
          case 2:
            if (client.sent) {
              if (!client.end) handed_[i] += acking_[i];
              client.TakeAck(!client.end || random_.Next() % 2 == 0);
            }
            break;
          case 3:
            world_.Publish();
            break;
        }
    }
  }

  void Write(size_t i) {
    const int64_t sequence = last_[i] + 1 + static_cast<int64_t>(random_.Next() % 3);
    std::vector<DriverPosition> points;
    const size_t size = 1 + random_.Next() % kBatchMax;
    std::vector<std::string> drivers;
    for (size_t p = 0; p < size; ++p) {
      const std::string driver_id = fmt::format("c{}-{}-{}", i, sequence, p);
      points.push_back(world_.At(driver_id));
      switch (random_.Next() % 8) {
        case 0:
          points.back().point.latitude = 100;
          ++fresh_bad_;
          break;
        case 1:
          points.back().driver_id = "refused";
          ++fresh_bad_;
          break;
        default:
          drivers.push_back(driver_id);
      }
    }
    last_[i] = sequence;
    const size_t bad = std::exchange(fresh_bad_, 0);
    if (!drained_) {  // what arrives later is not taken
      taken_[i] = sequence;
      batches_[i].push_back({sequence, size, std::move(drivers)});
      sent_[i] += size;
      bad_[i] += bad;
      EXPECT_LT(sent_[i] - handed_[i], kUnackedMax + kBatchMax);
    }
    clients_[i].Write(sequence, std::move(points));
  }

  void CheckAck(size_t i, const Ack& ack) {
    EXPECT_GT(ack.durable_sequence, acked_[i]);
    acking_[i] = 0;
    for (const Batch& batch : batches_[i]) {
      if (batch.sequence <= acked_[i] || batch.sequence > ack.durable_sequence) continue;
      acking_[i] += batch.points;
      for (const std::string& driver_id : batch.drivers) EXPECT_TRUE(world_.Durable(driver_id)) << driver_id;
    }
    for (const Rejection& rejection : ack.rejected) {
      EXPECT_GT(rejection.sequence, acked_[i]);
      EXPECT_LE(rejection.sequence, ack.durable_sequence);
    }
    rejected_[i] += ack.rejected.size();
    acked_[i] = ack.durable_sequence;
  }

  struct Batch {
    int64_t sequence;
    size_t points;
    std::vector<std::string> drivers;  // of the good ones
  };

  SeededRandom random_;
  World world_;
  Client clients_[kClients];
  bool drained_ = false;
  bool failed_ = false;
  std::set<size_t> closed_;
  size_t fresh_bad_ = 0;
  std::vector<Batch> batches_[kClients];
  int64_t last_[kClients] = {}, taken_[kClients] = {}, acked_[kClients] = {};
  size_t sent_[kClients] = {}, handed_[kClients] = {}, acking_[kClients] = {};
  size_t bad_[kClients] = {}, rejected_[kClients] = {};
};

TEST(LocationStreamSimulation, AcksWhatIsDurableAndInTheEndAllOfIt) {
  for (uint64_t seed = 1; seed <= 600; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Simulation(seed).Run();
    if (::testing::Test::HasFailure()) break;
  }
}

// A client on a thread of its own, whose acks arrive on it as well, as with gRPC.
class ThreadedClient final : public StreamPeer {
 public:
  void Read() override { Set(asked_); }
  void Send(const Ack& ack, absl::AnyInvocable<void(bool)> sent) override {
    std::lock_guard lock(mutex_);
    EXPECT_GT(ack.durable_sequence, acked);
    EXPECT_FALSE(sent_);
    acked = ack.durable_sequence;
    sent_ = std::move(sent);
    changed_.notify_all();
  }
  void Finish(const absl::Status& status) override {
    std::lock_guard lock(mutex_);
    EXPECT_FALSE(end);
    end = status;
    changed_.notify_all();
  }
  void Abandon() override {}

  // Writes so many batches as it is asked for them, and closes.
  void Run(LocationStream& stream, const World& world, const std::string& name, int64_t batches) {
    for (int64_t sequence = 1;;) {
      absl::AnyInvocable<void(bool)> sent;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return asked_ || sent_ || end; });
        if (end) return;
        sent = std::exchange(sent_, nullptr);
        if (!sent) asked_ = false;
      }
      if (sent) {
        sent(true);
      } else if (sequence > batches) {
        stream.OnEnd(absl::OkStatus());
      } else {
        std::vector<DriverPosition> points;
        for (int i = 0; i < 3; ++i) points.push_back(world.At(fmt::format("{}-{}-{}", name, sequence, i)));
        stream.OnBatch(sequence++, std::move(points));
      }
    }
  }

  int64_t acked = 0;
  std::optional<absl::Status> end;

 private:
  void Set(bool& flag) {
    std::lock_guard lock(mutex_);
    flag = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;
  absl::AnyInvocable<void(bool)> sent_;
};

TEST(LocationStreamThreads, ClientsAndStoreEachOnTheirOwn) {
  constexpr size_t kClients = 4;
  constexpr int64_t kBatches = 200;
  World world(SmallQueues());
  std::vector<std::shared_ptr<ThreadedClient>> clients;
  std::vector<std::thread> threads;
  std::atomic<size_t> running{kClients};
  for (size_t i = 0; i < kClients; ++i) {
    auto stream = world.streams.Make();
    ASSERT_TRUE(stream.ok());
    auto client = clients.emplace_back(std::make_shared<ThreadedClient>());
    (*stream)->Open(client);
    threads.emplace_back([&world, &running, client, stream = *stream, i] {
      client->Run(*stream, world, std::to_string(i), kBatches);
      --running;
    });
  }
  SeededRandom random(1);
  while (running > 0) {
    const size_t waiting = world.positions.waiting();
    if (waiting == 0) std::this_thread::yield();
    if (waiting > 0) world.Commit(random.Next() % waiting);
    world.Publish();
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& client : clients) {
    EXPECT_EQ(client->acked, kBatches);
    EXPECT_EQ(client->end, absl::OkStatus());
  }
  EXPECT_EQ(world.store.size(), kClients * kBatches * 3);
}

// A stream that sends more than it may is not read from until it may again; what it has sent is taken and acked.
TEST(LocationStreamRateTest, AStreamThatSendsTooMuchIsNotReadFromForAWhile) {
  WorldOptions options;
  options.streams.points_per_second = 100;
  World world(options);
  Client client;
  ASSERT_TRUE(client.Open(world.streams));
  const auto points = [&](int count) {
    std::vector<DriverPosition> some;
    for (int i = 0; i < count; ++i) some.push_back(world.At("ann", -i));
    return some;
  };
  client.Write(1, points(100));  // what may come at once
  ASSERT_TRUE(client.asked);
  client.Write(2, points(50));
  EXPECT_FALSE(client.asked);
  EXPECT_EQ(world.Metric("waybill_location_streams_slowed_total"), 1);
  const auto store_all = [&] {
    while (world.Commit()) client.TakeAcks();
  };
  store_all();
  EXPECT_THAT(client.Acked(), ElementsAre(1, 2));
  EXPECT_FALSE(client.asked);
  world.time.Advance(absl::Milliseconds(499));
  EXPECT_FALSE(client.asked);
  world.time.Advance(absl::Milliseconds(1));
  ASSERT_TRUE(client.asked);

  client.Write(3, points(1));  // a batch is taken as a whole, and waited for afterwards
  EXPECT_FALSE(client.asked);
  world.time.Advance(absl::Milliseconds(10));
  ASSERT_TRUE(client.asked);
  client.Write(4, points(200));
  EXPECT_FALSE(client.asked);
  world.streams.Drain();
  store_all();
  EXPECT_EQ(client.EndReason(), "SHUTTING_DOWN");
  client.Release();
  world.time.Advance(absl::Hours(1));  // the timer finds nobody
}

TEST(LocationStreamRateTest, WhoIsBelowTheRateNeverWaits) {
  WorldOptions options;
  options.streams.points_per_second = 100;
  World world(options);
  Client client;
  ASSERT_TRUE(client.Open(world.streams));
  for (int i = 1; i <= 50; ++i) {
    ASSERT_TRUE(client.asked) << i;
    client.Write(i, {world.At("ann", i)});
    world.Commit();
    client.TakeAcks();
    world.time.Advance(absl::Milliseconds(10));
  }
  EXPECT_EQ(world.Metric("waybill_location_streams_slowed_total"), 0);
}

}  // namespace
}  // namespace waybill::ingest
