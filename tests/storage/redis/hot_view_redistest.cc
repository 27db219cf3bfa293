#include "runtime/executor.h"
#include "storage/redis/redis_fleet.h"
#include "storage/redis/redis_hot_view.h"
#include "tests/storage/hot_view_contract.h"
#include "tests/support/redis.h"

namespace waybill::storage {
namespace {

using waybill::testing::RedisCommand;
using waybill::testing::RedisServer;
using waybill::testing::TestRedis;

class RedisViewHarness final : public HotViewHarness {
 public:
  HotView& view() override { return view_; }
  HotView& another_writer() override { return another_; }
  Fleet& fleet() override { return fleet_; }
  void Lose() override { Command({"FLUSHDB"}); }
  void TrimMoves(size_t count) override { Command({"XTRIM", "location_events", "MAXLEN", std::to_string(count)}); }
  std::string Command(const std::vector<std::string>& command) {
    auto answer = RedisCommand(redis_.url(), command);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or("");
  }

 private:
  TestRedis redis_;
  const RedisUrl url_ = RedisUrl::Parse(redis_.url()).value();
  RedisHotView view_{url_, {}};
  RedisHotView another_{url_, {}};
  RedisFleet fleet_{url_, {}, ThreadLoops()};
};

INSTANTIATE_TEST_SUITE_P(Redis, HotViewContract,
                         ::testing::Values([] { return std::make_unique<RedisViewHarness>(); }));

domain::DriverPosition AdaAt(int second) {
  domain::DriverPosition position;
  position.driver_id = "ada";
  position.point = {52.5, 13.4};
  position.recorded_at = absl::FromUnixSeconds(1'800'000'000 + second);
  return position;
}

TEST(RedisHotView, KeepsTheStreamCapped) {
  TestRedis redis;
  RedisHotViewOptions options;
  options.stream_max = 500;
  RedisHotView view(RedisUrl::Parse(redis.url()).value(), options);
  for (int round = 0; round < 10; ++round) {
    HotUpdate update;
    for (int i = 0; i < 300; ++i) update.moves.push_back(AdaAt(round * 300 + i));
    ASSERT_TRUE(view.Publish(update).ok());
  }
  // "~" trims whole nodes of a hundred entries.
  EXPECT_LE(std::stoi(RedisCommand(redis.url(), {"XLEN", "location_events"}).value()), 600);
}

// Somebody put something else in a driver's place: the feeder publishes again and again.
TEST(RedisHotView, MovesBesideAPositionThatIsRefusedAreNotAddedWithEachAttempt) {
  TestRedis redis;
  RedisHotView view(RedisUrl::Parse(redis.url()).value(), {});
  auto moves = [&] { return RedisCommand(redis.url(), {"XLEN", "location_events"}).value(); };
  ASSERT_TRUE(RedisCommand(redis.url(), {"SET", "driver:ada", "x"}).ok());
  HotUpdate update;
  update.moves = {AdaAt(0), AdaAt(1)};
  update.newest = {{AdaAt(1), absl::Seconds(30)}};
  for (int attempt = 0; attempt < 5; ++attempt) {
    EXPECT_FALSE(view.Publish(update).ok());
    EXPECT_EQ(moves(), "2");
  }
  ASSERT_TRUE(RedisCommand(redis.url(), {"DEL", "driver:ada"}).ok());
  EXPECT_TRUE(view.Publish(update).ok());
  EXPECT_EQ(moves(), "4") << "once more: which of them were added is not remembered";
  EXPECT_TRUE(view.Publish(update).ok());
  EXPECT_EQ(moves(), "6");
}

TEST(RedisHotView, AHashLivesAsLongAsItsPositionIsFresh) {
  TestRedis redis;
  RedisHotView view(RedisUrl::Parse(redis.url()).value(), {});
  HotUpdate update;
  update.newest.push_back({AdaAt(1), absl::Seconds(90)});
  ASSERT_TRUE(view.Publish(update).ok());
  const int ttl_ms = std::stoi(RedisCommand(redis.url(), {"PTTL", "driver:ada"}).value());
  EXPECT_GT(ttl_ms, 60'000);
  EXPECT_LE(ttl_ms, 90'000);
  EXPECT_EQ(RedisCommand(redis.url(), {"HMGET", "driver:ada", "driver_id", "lat", "long", "timestamp"}).value(),
            "ada 52.5 13.4 1800000001000000");
}

TEST(RedisHotView, AnswersUnavailableWhileRedisIsAwayAndPublishesAgainAfterwards) {
  auto server = RedisServer::Start({"--requirepass", "s3cret"}).value();
  RedisUrl url;
  url.port = server->port();
  url.password = "s3cret";
  url.database = 3;
  RedisHotViewOptions options;
  options.redis.backoff_initial = absl::ZeroDuration();
  options.redis.backoff_max = absl::ZeroDuration();
  RedisHotView view(url, options);
  HotUpdate update;
  update.newest.push_back({AdaAt(1), absl::Seconds(90)});
  ASSERT_TRUE(view.Publish(update).ok());
  server->Kill();
  EXPECT_EQ(GetErrorDetail(view.Publish(update).status()).reason, "STORE_UNAVAILABLE");
  ASSERT_TRUE(server->StartAgain().ok());
  // The server that is back has never seen the script.
  auto published = view.Publish(update);
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(*published, ViewState::kNewConnection) << "the view was lost with the server";
  EXPECT_EQ(view.Get({"ada"}).value()[0], AdaAt(1));
}

}  // namespace
}  // namespace waybill::storage
