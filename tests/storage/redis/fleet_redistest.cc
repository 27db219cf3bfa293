#include <csignal>
#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "runtime/executor.h"
#include "storage/redis/redis_fleet.h"
#include "tests/storage/fleet_contract.h"
#include "tests/support/eventually.h"
#include "tests/support/redis.h"

namespace waybill::storage {
namespace {

using waybill::testing::Eventually;
using waybill::testing::RedisCommand;
using waybill::testing::RedisServer;
using waybill::testing::TestRedis;

RedisUrl Parsed(const std::string& url) {
  auto parsed = RedisUrl::Parse(url);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.value_or(RedisUrl());
}

std::string Command(const std::string& url, const std::vector<std::string>& command) {
  auto answer = RedisCommand(url, command);
  EXPECT_TRUE(answer.ok()) << answer.status();
  return answer.value_or("");
}

class RedisFleetHarness final : public FleetHarness {
 public:
  Fleet& fleet() override { return fleet_; }
  // Ends what would have expired by then.
  void PassTime(absl::Duration by) override {
    Command(redis_.url(),
            {"EVAL",
             "for _, key in ipairs(redis.call('KEYS', 'driver:*')) do "
             "if redis.call('PTTL', key) <= tonumber(ARGV[1]) then redis.call('DEL', key) end end return 1",
             "0", std::to_string(absl::ToInt64Milliseconds(by))});
  }

 private:
  TestRedis redis_;
  RedisFleet fleet_{Parsed(redis_.url()), RedisFleetOptions(), ThreadLoops()};
};

INSTANTIATE_TEST_SUITE_P(Redis, FleetContract, ::testing::Values([] { return std::make_unique<RedisFleetHarness>(); }));

bool IsStopped(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string id, name, state;
  stat >> id >> name >> state;
  return state == "T";
}

domain::DriverPosition Ada(int second = 0) {
  domain::DriverPosition position;
  position.driver_id = "ada";
  position.point = {52.5, 13.4};
  position.recorded_at = absl::FromUnixSeconds(1'800'000'000 + second);
  return position;
}

absl::StatusOr<std::vector<NearbyDriver>> Search(Fleet& fleet) {
  std::promise<absl::StatusOr<std::vector<NearbyDriver>>> answer;
  NearestQuery query;
  query.point = {52.5, 13.4};
  fleet.Nearest(query, [&](auto found) { answer.set_value(std::move(found)); });
  return answer.get_future().get();
}

bool IsStoreUnavailable(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable && GetErrorDetail(status).reason == "STORE_UNAVAILABLE" &&
         GetErrorDetail(status).retry_after > absl::ZeroDuration();
}

TEST(RedisFleet, KeepsAHashWithATtlForEachDriver) {
  TestRedis redis;
  RedisFleet fleet(Parsed(redis.url()), {}, ThreadLoops());
  domain::DriverPosition ada = Ada();
  ada.speed_mps = 12.5;
  ASSERT_TRUE(fleet.Put({ada}, absl::Minutes(2)).ok());
  EXPECT_EQ(Command(redis.url(), {"HGET", "driver:ada", "lat"}), "52.5");
  EXPECT_EQ(Command(redis.url(), {"HGET", "driver:ada", "long"}), "13.4");
  EXPECT_EQ(Command(redis.url(), {"HGET", "driver:ada", "timestamp"}), "1800000000000000");
  EXPECT_EQ(Command(redis.url(), {"HGET", "driver:ada", "speed"}), "12.5");
  EXPECT_EQ(Command(redis.url(), {"HEXISTS", "driver:ada", "heading"}), "0");
  int ttl_s = std::stoi(Command(redis.url(), {"TTL", "driver:ada"}));
  EXPECT_GT(ttl_s, 60);
  EXPECT_LE(ttl_s, 120);
}

TEST(RedisFleet, SweepsStaleMembersAsItMeetsThem) {
  TestRedis redis;
  RedisFleet fleet(Parsed(redis.url()), {}, ThreadLoops());
  ASSERT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());
  Command(redis.url(), {"DEL", "driver:ada"});
  EXPECT_EQ(Command(redis.url(), {"ZCARD", "drivers:geo"}), "1");
  ASSERT_TRUE(Search(fleet).ok());
  EXPECT_EQ(Command(redis.url(), {"ZCARD", "drivers:geo"}), "0");
}

TEST(RedisFleet, AnOlderPositionFromAnotherProcessLoses) {
  TestRedis redis;
  RedisFleet one(Parsed(redis.url()), {}, ThreadLoops()), other(Parsed(redis.url()), {}, ThreadLoops());
  ASSERT_TRUE(one.Put({Ada(10)}, absl::Minutes(2)).ok());
  ASSERT_TRUE(other.Put({Ada(5)}, absl::Minutes(2)).ok());
  EXPECT_EQ(Command(redis.url(), {"HGET", "driver:ada", "timestamp"}), "1800000010000000");
}

TEST(RedisFleet, ServesManySearchesAtOnce) {
  TestRedis redis;
  RedisFleet fleet(Parsed(redis.url()), {}, ThreadLoops());
  ASSERT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());
  constexpr int kSearches = 2'000;
  std::vector<std::promise<size_t>> answers(kSearches);
  NearestQuery query;
  query.point = {52.5, 13.4};
  for (auto& answer : answers) {
    fleet.Nearest(query, [&answer](auto found) { answer.set_value(found.ok() ? found->size() : 99); });
  }
  for (auto& answer : answers) EXPECT_EQ(answer.get_future().get(), 1u);
}

TEST(RedisFleet, ShedsSearchesBeyondTheQueue) {
  auto server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  RedisFleetOptions options;
  options.queue_max = 4;
  options.redis.timeout = absl::Seconds(10);
  RedisFleet fleet(Parsed((*server)->Url()), options, ThreadLoops());
  ASSERT_TRUE(fleet.Ping().ok());
  (*server)->Signal(SIGSTOP);  // so that the queue cannot drain
  ASSERT_TRUE(Eventually(absl::Seconds(10), [&] { return IsStopped((*server)->pid()); }));
  std::vector<std::promise<absl::Status>> answers(100);
  for (auto& answer : answers) {
    fleet.Nearest({}, [&answer](auto found) { answer.set_value(found.status()); });
  }
  // Each writer may have taken a batch off the queue; most calls are refused at once.
  absl::Status last = answers.back().get_future().get();
  EXPECT_EQ(last.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(last).reason, "QUEUE_FULL");
  (*server)->Signal(SIGCONT);
  for (size_t i = 0; i + 1 < answers.size(); ++i) answers[i].get_future().wait();
}

TEST(RedisFleet, ADownRedisIsAnErrorAtOnceAndItComesBackByItself) {
  auto server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  RedisFleet fleet(Parsed((*server)->Url()), {}, ThreadLoops());
  ASSERT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());
  ASSERT_TRUE(Search(fleet).ok());
  (*server)->Kill();

  absl::Time before = absl::Now();
  EXPECT_TRUE(IsStoreUnavailable(fleet.Put({Ada(1)}, absl::Minutes(2))));
  EXPECT_TRUE(IsStoreUnavailable(Search(fleet).status()));
  EXPECT_TRUE(IsStoreUnavailable(fleet.Scan(0, 10).status()));
  EXPECT_TRUE(IsStoreUnavailable(fleet.Get({"ada"}).status()));
  EXPECT_TRUE(IsStoreUnavailable(fleet.Ping()));
  EXPECT_LT(absl::Now() - before, absl::Seconds(1));

  ASSERT_TRUE((*server)->StartAgain().ok());
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return fleet.Put({Ada(2)}, absl::Minutes(2)).ok(); }));
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return Search(fleet).ok(); }));
  EXPECT_EQ(Search(fleet)->size(), 1u);
}

TEST(RedisFleet, ARestartWhileIdleCostsNoError) {
  auto server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  RedisFleet fleet(Parsed((*server)->Url()), {}, ThreadLoops());
  ASSERT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());
  ASSERT_TRUE(Search(fleet).ok());
  ASSERT_TRUE((*server)->Restart().ok());
  EXPECT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());  // its script is forgotten as well
  auto found = Search(fleet);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->size(), 1u);
}

TEST(RedisFleet, AFlushedRedisIsAnEmptyFleet) {
  TestRedis redis;
  RedisFleet fleet(Parsed(redis.url()), {}, ThreadLoops());
  ASSERT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());
  Command(redis.url(), {"FLUSHDB"});
  Command(redis.url(), {"SCRIPT", "FLUSH"});
  auto found = Search(fleet);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->empty());
  ASSERT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());
  EXPECT_EQ(Search(fleet)->size(), 1u);
}

TEST(RedisFleet, AHungRedisCostsTheTimeoutAndNoMore) {
  auto server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  RedisFleetOptions options;
  options.redis.timeout = absl::Seconds(1);
  RedisFleet fleet(Parsed((*server)->Url()), options, ThreadLoops());
  ASSERT_TRUE(Search(fleet).ok());
  ASSERT_TRUE((*server)->Signal(SIGSTOP));
  absl::Time before = absl::Now();
  EXPECT_TRUE(IsStoreUnavailable(Search(fleet).status()));
  EXPECT_LT(absl::Now() - before, absl::Seconds(5));
  ASSERT_TRUE((*server)->Signal(SIGCONT));
  EXPECT_TRUE(Eventually(absl::Seconds(5), [&] { return Search(fleet).ok(); }));
}

// Ways in which a Redis refuses writes and answers reads.
class ARedisThatRefusesWrites : public ::testing::TestWithParam<std::vector<std::string>> {
 protected:
  std::unique_ptr<RedisServer> server_ = RedisServer::Start().value();
  const std::string url_ = server_->Url();
  RedisFleet fleet_{Parsed(url_), {}, ThreadLoops()};
};

TEST_P(ARedisThatRefusesWrites, IsStillSearchedAroundExpiredDrivers) {
  domain::DriverPosition bob = Ada(), cid = Ada();
  bob.driver_id = "bob";
  cid.driver_id = "cid";
  cid.point.latitude = 52.51;
  ASSERT_TRUE(fleet_.Put({Ada(), bob, cid}, absl::Minutes(2)).ok());
  ASSERT_TRUE(Search(fleet_).ok());
  Command(url_, {"DEL", "driver:ada"});
  Command(url_, GetParam());
  ASSERT_FALSE(fleet_.Put({Ada(1)}, absl::Minutes(2)).ok());
  for (int i = 0; i < 3; ++i) {
    auto found = Search(fleet_);
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->size(), 2u);
    EXPECT_EQ((*found)[0].driver_id, "bob");
    auto page = fleet_.Scan(0, 10);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_THAT(page->driver_ids, ::testing::UnorderedElementsAre("bob", "cid"));
    auto all = AllPositions(fleet_);
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(all->size(), 2u);
  }
  EXPECT_EQ(Command(url_, {"ZCARD", "drivers:geo"}), "3");
}

TEST_P(ARedisThatRefusesWrites, FindsFreshDriversBehindManyExpiredOnes) {
  std::vector<domain::DriverPosition> drivers;
  for (int i = 0; i < 3'000; ++i) {
    drivers.push_back(Ada());
    drivers.back().driver_id = fmt::format("gone-{}", i);
  }
  drivers.push_back(Ada());
  drivers.back().point.latitude = 52.51;
  ASSERT_TRUE(fleet_.Put(drivers, absl::Minutes(2)).ok());
  Command(url_,
          {"EVAL", "for _, key in ipairs(redis.call('KEYS', 'driver:gone-*')) do redis.call('DEL', key) end", "0"});
  Command(url_, GetParam());
  auto found = Search(fleet_);
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ((*found)[0].driver_id, "ada");
}

INSTANTIATE_TEST_SUITE_P(Redis, ARedisThatRefusesWrites,
                         ::testing::Values(std::vector<std::string>{"CONFIG", "SET", "min-replicas-to-write", "1"},
                                           std::vector<std::string>{"REPLICAOF", "127.0.0.1", "1"}));

TEST(RedisFleet, WritesGoOnOnceANameLeadsToTheNewMaster) {
  auto server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  RedisFleet fleet(Parsed((*server)->Url()), {}, ThreadLoops());
  ASSERT_TRUE(fleet.Put({Ada()}, absl::Minutes(2)).ok());
  const std::string connections =
      "return string.match(redis.call('INFO', 'stats'), 'total_connections_received:(%d+)')";
  Command((*server)->Url(), {"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_TRUE(IsStoreUnavailable(fleet.Put({Ada(1)}, absl::Minutes(2))));
  const int before = std::stoi(Command((*server)->Url(), {"EVAL", connections, "0"}));
  EXPECT_TRUE(IsStoreUnavailable(fleet.Put({Ada(1)}, absl::Minutes(2))));
  const int after = std::stoi(Command((*server)->Url(), {"EVAL", connections, "0"}));
  EXPECT_EQ(after - before, 2) << "the fleet's own, made anew, and the one that counts";
}

TEST(RedisFleet, LogsInWithThePassword) {
  auto server = RedisServer::Start({"--requirepass", "p@ss:word/%"});
  ASSERT_TRUE(server.ok()) << server.status();
  RedisUrl url;
  url.port = (*server)->port();
  RedisFleet stranger(url, {}, ThreadLoops());
  EXPECT_TRUE(IsStoreUnavailable(stranger.Ping()));
  auto parsed = RedisUrl::Parse(fmt::format("redis://:p%40ss%3Aword%2F%25@127.0.0.1:{}/3", url.port));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  RedisFleet fleet(*parsed, {}, ThreadLoops());
  absl::Status status = fleet.Put({Ada()}, absl::Minutes(2));
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace waybill::storage
