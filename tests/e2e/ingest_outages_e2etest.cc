// Postgres or Redis goes away under load, hangs, or comes back empty; clients misbehave: nothing that was acked is
// lost, memory stays bounded, and all is well again by itself.
#include <algorithm>
#include <csignal>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "edge/rpc/status.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "tests/e2e/fleet_client.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"

namespace waybill::testing {
namespace {

namespace pb = location::v1;

constexpr absl::Duration kLongEnough = absl::Seconds(60);
// Bytes. Far above what the bounded queues of these tests hold, far below what they would hold without bounds.
// AddressSanitizer keeps what was freed, 256 MiB of it, and puts more around everything.
#ifdef __SANITIZE_ADDRESS__
constexpr double kGrowthMax = 1024.0 * 1024 * 1024;
#else
constexpr double kGrowthMax = 96.0 * (1 << 20);
#endif

class IngestOutagesTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> args = {}) {
    IngestStackOptions options;
    options.args = std::move(args);
    options.postgres = postgres_.get();
    options.redis = redis_.get();
    stack_.emplace(options);
    replica_ = &stack_->AddReplica("a");
    replica_->Start();
    stub_ = replica_->Locations();
  }
  void StartLoad(FleetLoadOptions options = {}) {
    load_.emplace(*replica_, options);
    ExpectAcks();
  }
  void OwnPostgres() { postgres_ = PostgresServer::Start().value(); }
  void OwnRedis() { redis_ = RedisServer::Start().value(); }
  ~IngestOutagesTest() override {
    load_.reset();
    stack_.reset();
  }

  // Many more points are acked from now on.
  void ExpectAcks() {
    const int64_t before = load_->acked();
    EXPECT_TRUE(Eventually(kLongEnough, [&] { return load_->acked() >= before + 2'000; }))
        << load_->acked() - before << " points " << Log();
  }
  void ExpectReady() {
    EXPECT_TRUE(Eventually(kLongEnough, [&] {
      const std::string answer = replica_->Http("/readyz");
      return answer.find(" 200 ") != std::string::npos && answer.find("degraded") == std::string::npos;
    })) << replica_->Http("/readyz?verbose");
  }
  void ExpectNotReadyFor(const std::string& dependency) {
    std::string answer;
    EXPECT_TRUE(Eventually(kLongEnough, [&] {
      answer = replica_->Http("/readyz");
      return answer.find(" 503 ") != std::string::npos && answer.find(dependency) != std::string::npos;
    })) << answer;
    EXPECT_NE(replica_->Http("/livez").find(" 200 "), std::string::npos);
  }
  // Serves what it can: other replicas have the same Redis.
  void ExpectDegradedBy(const std::string& dependency) {
    std::string answer;
    EXPECT_TRUE(Eventually(kLongEnough, [&] {
      answer = replica_->Http("/readyz");
      return answer.find(" 200 ") != std::string::npos && answer.find("degraded: " + dependency) != std::string::npos;
    })) << answer;
  }
  void ExpectMetric(const std::string& name, double value) {
    EXPECT_TRUE(Eventually(kLongEnough, [&] { return replica_->Metric(name) == value; }))
        << name << " is " << replica_->Metric(name) << " " << Log();
  }
  void ExpectNothingLost() {
    EXPECT_TRUE(load_->Finish(kLongEnough)) << Log();
    EXPECT_EQ(load_->WrongIn(*stack_), std::vector<std::string>()) << Log();
    EXPECT_EQ(replica_->Stop(), 0) << Log();
  }

  grpc::Status Report(const std::vector<pb::Point>& points, pb::ReportLocationsResponse* response = nullptr,
                      absl::Duration timeout = kLongEnough) {
    pb::ReportLocationsRequest request;
    for (const pb::Point& point : points) *request.add_points() = point;
    pb::ReportLocationsResponse unused;
    return stub_->ReportLocations(Deadline(timeout).get(), request, response ? response : &unused);
  }
  grpc::Status Get(const std::string& driver_id, pb::DriverLocation& location) {
    pb::GetDriverRequest request;
    request.set_driver_id(driver_id);
    return stub_->GetDriver(Deadline(kLongEnough).get(), request, &location);
  }
  double Resident() const { return replica_->Metric("process_resident_memory_bytes"); }
  std::string Log() { return replica_->process().Output(); }

  std::unique_ptr<PostgresServer> postgres_;
  std::unique_ptr<RedisServer> redis_;
  std::optional<IngestStack> stack_;
  IngestReplica* replica_ = nullptr;
  std::unique_ptr<pb::LocationService::Stub> stub_;
  std::optional<FleetLoad> load_;
};

TEST_F(IngestOutagesTest, PostgresCrashesAndComesBack) {
  OwnPostgres();
  Start();
  StartLoad();
  postgres_->Stop(PostgresServer::StopMode::kImmediate);
  ExpectNotReadyFor("postgres");
  ASSERT_TRUE(postgres_->StartAgain().ok());
  ExpectReady();
  ExpectAcks();
  ASSERT_TRUE(postgres_->Restart().ok());
  ExpectAcks();
  EXPECT_EQ(load_->reconnects(), 0) << "streams wait until Postgres is back";
  stack_->ConnectAgain();
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, PostgresTakesNoWritesForAWhile) {
  OwnPostgres();
  Start();
  StartLoad();
  Sql admin(postgres_->Url());
  const std::string database = stack_->sql().Value("SELECT current_database()");
  admin.Exec("ALTER DATABASE " + database + " SET default_transaction_read_only = on");
  admin.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'waybill-%'");
  ExpectNotReadyFor("read-only");
  admin.Exec("ALTER DATABASE " + database + " RESET default_transaction_read_only");
  ExpectReady();
  ExpectAcks();
  EXPECT_EQ(load_->reconnects(), 0) << "streams wait meanwhile";
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, RedisDiesAndComesBackEmpty) {
  OwnRedis();
  Start();
  // A driver that is not heard of again.
  ASSERT_TRUE(Report({PointOf("parked", {52.5, 13.4}, absl::Now())}).ok());
  StartLoad();
  ExpectMetric("waybill_hot_view_stale", 0);
  const double rebuilds = replica_->Metric("waybill_hot_view_rebuilds_total");
  redis_->Kill();
  ExpectDegradedBy("redis");
  ExpectMetric("waybill_hot_view_stale", 1);
  ExpectAcks();
  for (const std::string driver : {"parked", "driver-0-0"}) {
    pb::DriverLocation location;
    const grpc::Status status = Get(driver, location);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(location.source(), pb::DriverLocation::HISTORY) << location.ShortDebugString();
    EXPECT_EQ(location.point().driver_id(), driver);
  }
  EXPECT_EQ(load_->reconnects(), 0);

  ASSERT_TRUE(redis_->StartAgain().ok());
  ExpectReady();
  ExpectMetric("waybill_hot_view_stale", 0);
  EXPECT_GT(replica_->Metric("waybill_hot_view_rebuilds_total"), rebuilds);
  pb::DriverLocation location;
  EXPECT_TRUE(Get("parked", location).ok());
  EXPECT_EQ(location.source(), pb::DriverLocation::HOT_VIEW);
  ExpectAcks();
  EXPECT_TRUE(load_->Finish(kLongEnough));
  ASSERT_TRUE(Report({PointOf("parked", {52.5, 13.4}, absl::Now())}).ok());
  EXPECT_EQ(stack_->sql().Value("DELETE FROM driver_locations WHERE driver_id = 'parked' RETURNING driver_id"),
            "parked");
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, AFlushedHotViewIsRebuiltForThoseWhoDriveAndThoseWhoDoNot) {
  OwnRedis();
  Start();
  FleetLoadOptions quiet;
  quiet.clients = 1;
  StartLoad(quiet);
  ASSERT_TRUE(load_->Finish(kLongEnough));
  ExpectMetric("waybill_hot_view_stale", 0);
  // Without load: nobody sends anything, and the view comes back all the same.
  double rebuilds = replica_->Metric("waybill_hot_view_rebuilds_total");
  ASSERT_TRUE(redis_->FlushAll().ok());
  ExpectMetric("waybill_hot_view_rebuilds_total", ++rebuilds);
  EXPECT_EQ(load_->WrongIn(*stack_), std::vector<std::string>());
  const std::map<std::string, int64_t> parked = stack_->HotTimes(load_->DriverIds());
  ASSERT_EQ(parked.size(), 10u);

  // Under load: of clients of other names.
  std::atomic<int64_t> n = 0;
  const absl::Time start = absl::Now() - absl::Minutes(1);
  FleetClient busy(
      *replica_,
      [&](pb::LocationBatch& batch) {
        absl::SleepFor(absl::Milliseconds(1));
        for (int i = 0; i < 20; ++i, ++n) {
          *batch.add_points() =
              PointOf(fmt::format("busy-{}", n % 50), {52.4, 13.3}, start + (n / 50) * absl::Microseconds(100));
        }
        return true;
      },
      8);
  for (int i = 0; i < 5; ++i) {
    const int64_t before = busy.acked();
    ASSERT_TRUE(Eventually(kLongEnough, [&] { return busy.acked() >= before + 500; }));
    ASSERT_TRUE(redis_->FlushAll().ok());
    EXPECT_TRUE(Eventually(kLongEnough, [&] { return stack_->HotTimes(load_->DriverIds()) == parked; })) << Log();
  }
  ASSERT_TRUE(busy.Finish(kLongEnough));
  std::map<std::string, int64_t> newest;
  for (const pb::Point& point : busy.AckedPoints()) {
    newest[point.driver_id()] = std::max(newest[point.driver_id()], KeyOf(point).second);
  }
  std::vector<std::string> ids;
  for (int i = 0; i < 50; ++i) ids.push_back(fmt::format("busy-{}", i));
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return stack_->HotTimes(ids) == newest; })) << Log();
  EXPECT_EQ(stack_->StoredCount(), static_cast<int64_t>(load_->Acked().size()) + busy.acked());
  EXPECT_EQ(replica_->Stop(), 0);
}

TEST_F(IngestOutagesTest, BothStoresHangForAWhile) {
  OwnPostgres();
  OwnRedis();
  Start();
  StartLoad();
  redis_->Signal(SIGSTOP);
  ExpectMetric("waybill_hot_view_stale", 1);
  ExpectAcks();  // nothing waits for Redis
  postgres_->Signal(SIGSTOP);
  const int64_t before = load_->acked();
  ExpectNotReadyFor("postgres");
  EXPECT_LT(load_->acked(), before + 4 * 20 * 20) << "acked by a Postgres that does not answer";
  postgres_->Signal(SIGCONT);
  ExpectAcks();
  redis_->Signal(SIGCONT);
  ExpectMetric("waybill_hot_view_stale", 0);
  ExpectReady();
  ExpectAcks();
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, AFullQueueSlowsStreamsAndShedsCalls) {
  OwnPostgres();
  Start({"--queue-max", "2000", "--unacked-max", "4000"});
  ASSERT_TRUE(Report({PointOf("shed", {52.5, 13.4}, absl::Now() - absl::Seconds(1))}).ok());
  FleetLoadOptions eager;
  eager.clients = 8;
  eager.batch = 200;
  eager.window = 40;  // more than the server lets a stream have
  eager.pause = absl::Milliseconds(1);
  StartLoad(eager);
  postgres_->Signal(SIGSTOP);
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return replica_->Metric("waybill_location_streams_waiting") > 0; }));
  const pb::Point newer = PointOf("shed", {52.6, 13.5}, absl::Now());
  absl::Status refused;
  EXPECT_TRUE(Eventually(kLongEnough, [&] {
    // The last writer may have made room once more; then this call waits for Postgres, and in vain.
    refused = rpc::FromGrpcStatus(Report({newer}, nullptr, absl::Seconds(2)));
    return refused.code() == absl::StatusCode::kResourceExhausted;
  })) << refused;
  EXPECT_EQ(GetErrorDetail(refused).reason, "QUEUE_FULL");
  EXPECT_GT(GetErrorDetail(refused).retry_after, absl::ZeroDuration());
  // What the clients would have sent meanwhile, had they been read from: nothing of it gets in.
  const double received = replica_->Metric("waybill_locations_received_total"), resident = Resident();
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(Report({newer}).ok());
  EXPECT_LE(replica_->Metric("waybill_locations_received_total"), received + 50 + 8 * 200);
  EXPECT_LE(replica_->Metric("waybill_location_queue_depth"), 2'000 + 8 * 200);
  EXPECT_LT(Resident(), resident + kGrowthMax);
  postgres_->Signal(SIGCONT);
  ExpectAcks();
  EXPECT_TRUE(load_->Finish(kLongEnough)) << Log();
  // The call that was shed and is repeated counts as if it came for the first time.
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return Report({newer}).ok(); }));
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return stack_->HotTimes({"shed"})["shed"] == KeyOf(newer).second; }))
      << "what was shed once is missing from the hot view";
  EXPECT_GT(replica_->Metric("waybill_location_reading_paused_total"), 0);
  ExpectMetric("waybill_location_streams_waiting", 0);
  stack_->sql().Exec("DELETE FROM driver_locations WHERE driver_id = 'shed'");
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, AClientThatNeverReadsItsAcksIsNotReadFromForEver) {
  Start({"--unacked-max", "2000"});
  StartLoad();
  const double resident = Resident();
  grpc::ClientContext context;
  auto deaf = stub_->StreamLocations(&context);
  std::atomic<int64_t> written = 0;
  std::thread writer([&] {
    pb::LocationBatch batch;
    const absl::Time start = absl::Now() - absl::Minutes(1);
    // Every point is rejected, so that acks are long.
    for (int64_t sequence = 1; sequence <= 20'000; ++sequence) {
      batch.Clear();
      batch.set_sequence(sequence);
      for (int i = 0; i < 100; ++i) {
        *batch.add_points() =
            PointOf("deaf", {sequence % 2 == 0 ? 91.0 : 92.0, 13.4}, start + i * absl::Milliseconds(1));
      }
      if (!deaf->Write(batch)) return;
      written = sequence;
    }
  });
  // It comes to a halt while others are served.
  int64_t before = -1;
  EXPECT_TRUE(Eventually(kLongEnough, [&] {
    ExpectAcks();
    return std::exchange(before, written) == written;
  }));
  EXPECT_LT(written, 20'000);
  EXPECT_LT(Resident(), resident + kGrowthMax);
  context.TryCancel();
  writer.join();
  deaf->Finish();
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, ClientsThatOnlyConnectAndThoseThatComeAndGo) {
  Start();
  StartLoad();
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::unique_ptr<grpc::ClientReaderWriter<pb::LocationBatch, pb::LocationAck>>> silent;
  for (int i = 0; i < 20; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    silent.push_back(stub_->StreamLocations(contexts.back().get()));
  }
  ExpectMetric("waybill_location_streams_open", 24);
  const double resident = Resident();
  const int total = LongForms() ? 50'000 : 5'000;
  std::vector<std::thread> visitors;
  for (int visitor = 0; visitor < 4; ++visitor) {
    visitors.emplace_back([&, visitor] {
      std::unique_ptr<pb::LocationService::Stub> visitor_stub;
      for (int i = 0; i < total / 4; ++i) {
        if (i % 10 == 0) visitor_stub = replica_->Locations();  // a new connection
        grpc::ClientContext context;
        auto stream = visitor_stub->StreamLocations(&context);
        if (i % 3 != 0) {
          pb::LocationBatch batch;
          batch.set_sequence(1);
          *batch.add_points() = PointOf(fmt::format("visitor-{}", visitor), {52.5, 13.4}, absl::Now());
          stream->Write(batch);
          pb::LocationAck ack;
          if (i % 3 == 2) stream->Read(&ack);
        }
        context.TryCancel();
        stream->Finish();
      }
    });
  }
  for (std::thread& visitor : visitors) visitor.join();
  ExpectAcks();
  ExpectMetric("waybill_location_streams_open", 24);
  EXPECT_LT(Resident(), resident + kGrowthMax);
  for (auto& context : contexts) context->TryCancel();
  for (auto& stream : silent) stream->Finish();
  EXPECT_TRUE(load_->Finish(kLongEnough));
  ExpectMetric("waybill_location_streams_open", 0);
  stack_->sql().Exec("DELETE FROM driver_locations WHERE driver_id LIKE 'visitor-%'");
  ExpectNothingLost();
}

// Ids and points of what Redis' own stream holds now.
std::vector<std::string> KeptEventIds(const std::string& redis_url) {
  auto ids = RedisCommand(redis_url, {"EVAL",
                                      "local ids = {} for _, e in ipairs(redis.call('XRANGE', 'location_events', '-', "
                                      "'+')) do ids[#ids + 1] = e[1] end return ids",
                                      "0"});
  std::vector<std::string> kept;
  std::istringstream words(ids.value_or(""));
  for (std::string id; words >> id;) kept.push_back(id);
  return kept;
}

TEST_F(IngestOutagesTest, ASlowWatcherCostsLittleAndIsToldOfItsGap) {
  Start({"--stream-max", "3000"});
  pb::WatchLocationsRequest request;
  request.set_resume_after("0");
  grpc::ClientContext context;
  auto watch = stub_->WatchLocations(&context, request);
  FleetLoadOptions eager;
  eager.batch = 200;
  eager.window = 20;
  eager.pause = absl::Milliseconds(1);
  StartLoad(eager);
  pb::WatchLocationsResponse first;
  ASSERT_TRUE(watch->Read(&first));
  const double resident = Resident();
  const int64_t plenty = load_->acked() + 100'000;
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return load_->acked() >= plenty; }));
  EXPECT_LT(Resident(), resident + kGrowthMax);
  EXPECT_TRUE(load_->Finish(kLongEnough));
  // All moves are in the stream when the last one of the load is.
  ExpectMetric("waybill_hot_view_backlog", 0);
  ASSERT_EQ(load_->WrongIn(*stack_), std::vector<std::string>());

  const std::vector<std::string> kept = KeptEventIds(stack_->redis_url());
  ASSERT_FALSE(kept.empty());
  std::vector<std::string> since_gap;
  std::set<std::string> all;
  bool gap = false, twice = false;
  auto take = [&](const pb::WatchLocationsResponse& response) {
    if (response.gap()) {
      gap = true;
      since_gap.clear();
    }
    for (const pb::LocationEvent& event : response.events()) {
      since_gap.push_back(event.id());
      twice = !all.insert(event.id()).second || twice;
    }
  };
  take(first);
  pb::WatchLocationsResponse next;
  while (all.count(kept.back()) == 0 && watch->Read(&next)) take(next);
  context.TryCancel();
  watch->Finish();
  EXPECT_FALSE(twice) << "an event was sent twice";
  EXPECT_TRUE(gap) << "only " << all.size() << " of 100,000 events were sent, and nobody was told";
  ASSERT_FALSE(since_gap.empty());
  // Behind its last gap the watcher saw everything there was.
  const auto from = std::find(kept.begin(), kept.end(), since_gap.front());
  const std::vector<std::string> expected(from == kept.end() ? kept.begin() : from, kept.end());
  ASSERT_GE(since_gap.size(), expected.size());
  EXPECT_TRUE(std::equal(expected.rbegin(), expected.rend(), since_gap.rbegin()));
  ExpectMetric("waybill_location_watches_open", 0);
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, AWatcherThatKeepsUpSeesEveryMoveOnce) {
  Start();
  pb::WatchLocationsRequest request;
  request.set_resume_after("0");
  grpc::ClientContext context;
  auto watch = stub_->WatchLocations(&context, request);
  std::map<PointKey, int> seen;
  bool gap = false;
  std::string last_id;
  std::atomic<size_t> distinct = 0;
  std::thread watcher([&] {
    pb::WatchLocationsResponse response;
    while (watch->Read(&response)) {
      gap = gap || response.gap();
      for (const pb::LocationEvent& event : response.events()) ++seen[KeyOf(event.point())];
      distinct = seen.size();
    }
  });
  StartLoad();
  ExpectAcks();
  EXPECT_TRUE(load_->Finish(kLongEnough));
  const size_t sent = load_->Acked().size();
  EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return distinct == sent; })) << distinct << " of " << sent;
  context.TryCancel();
  watcher.join();
  watch->Finish();
  EXPECT_FALSE(gap);
  for (const auto& [key, times] : seen) EXPECT_EQ(times, 1) << key.first << " " << key.second;
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, SigtermUnderLoadLosesNothing) {
  Start();
  StartLoad();
  EXPECT_EQ(replica_->Stop(), 0) << Log();
  const int64_t acked = load_->acked();
  replica_->Start();
  ExpectAcks();
  EXPECT_GT(load_->reconnects(), 0);
  EXPECT_GT(acked, 0);
  ExpectNothingLost();
}

TEST_F(IngestOutagesTest, SigtermWhilePostgresIsAwayEndsInTime) {
  OwnPostgres();
  Start({"--drain", "1s"});
  StartLoad();
  postgres_->Stop(PostgresServer::StopMode::kImmediate);
  ExpectNotReadyFor("postgres");
  EXPECT_EQ(replica_->Stop(absl::Seconds(20)), 0) << Log();
  ASSERT_TRUE(postgres_->StartAgain().ok());
  replica_->Start();
  ExpectAcks();
  stack_->ConnectAgain();
  ExpectNothingLost();
}

// Each of those that run takes until its statement is given up; those that wait are nobody's any more.
TEST_F(IngestOutagesTest, SigtermWhilePostgresHangsAndReadsWaitEndsInTime) {
  OwnPostgres();
  Start({"--drain", "1s"});
  StartLoad();
  load_.reset();
  constexpr int kReads = 40;
  struct Call {
    grpc::ClientContext context;
    pb::GetTrackResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<pb::GetTrackResponse>> reader;
  };
  std::list<Call> calls;
  grpc::CompletionQueue queue;
  pb::GetTrackRequest request;
  request.set_driver_id("nobody");
  postgres_->Signal(SIGSTOP);
  for (int i = 0; i < kReads; ++i) {
    Call& call = calls.emplace_back();
    call.reader = stub_->AsyncGetTrack(&call.context, request, &queue);
    call.reader->Finish(&call.response, &call.status, &call);
  }
  EXPECT_TRUE(Eventually(kLongEnough, [&] { return replica_->Metric("waybill_workers_queue_depth") >= 30; }));
  EXPECT_EQ(replica_->Stop(absl::Seconds(20)), 0) << Log();
  postgres_->Signal(SIGCONT);
  for (int i = 0; i < kReads; ++i) {
    void* tag = nullptr;
    bool ok = false;
    ASSERT_TRUE(queue.Next(&tag, &ok));
    EXPECT_EQ(static_cast<Call*>(tag)->status.error_code(), grpc::StatusCode::UNAVAILABLE);
  }
  queue.Shutdown();
}

}  // namespace
}  // namespace waybill::testing
