// The rules for a user of Redis in docs/operations.md: with exactly these rights all works, and without any one of them
// readiness says which.
#include <fstream>
#include <regex>
#include <sstream>

#include "runtime/executor.h"
#include "storage/redis/probe.h"
#include "storage/redis/redis_balance_cache.h"
#include "storage/redis/redis_fleet.h"
#include "storage/redis/redis_hot_view.h"
#include "storage/redis/redis_limit_store.h"
#include "tests/storage/fleet_contract.h"
#include "tests/storage/hot_view_contract.h"
#include "tests/support/redis.h"

namespace waybill::storage {
namespace {

using waybill::testing::RedisCommand;
using waybill::testing::RedisServer;
using waybill::testing::TestRedis;

// The words of the rule behind "ACL SETUSER <user> on >PASSWORD".
std::vector<std::string> DocumentedRule(const std::string& user) {
  std::ifstream in(std::string(WAYBILL_SOURCE_DIR) + "/docs/operations.md");
  std::stringstream text;
  text << in.rdbuf();
  const std::string page = text.str(), start = "ACL SETUSER " + user + " on >PASSWORD\n";
  const size_t from = page.find(start);
  EXPECT_NE(from, std::string::npos);
  std::istringstream words(page.substr(from + start.size(), page.find("```", from) - from - start.size()));
  std::vector<std::string> rule;
  for (std::string word; words >> word;) rule.push_back(word);
  return rule;
}

// A server of this process's own, since users are the server's and not a database's.
RedisServer& Server() {
  static const std::unique_ptr<RedisServer> server = RedisServer::Start().value();
  return *server;
}

// The URL of a user with these rights.
std::string UserOf(const std::string& url, const std::string& user, const std::vector<std::string>& rule) {
  std::vector<std::string> command = {"ACL", "SETUSER", user, "reset", "on", ">s3cret"};
  command.insert(command.end(), rule.begin(), rule.end());
  EXPECT_TRUE(RedisCommand(url, command).ok());
  return std::regex_replace(url, std::regex("redis://"), "redis://" + user + ":s3cret@");
}

class RestrictedRedis {
 public:
  const std::string& url() const { return redis_.url(); }
  std::string Command(const std::vector<std::string>& command) {
    auto answer = RedisCommand(redis_.url(), command);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.value_or("");
  }
  RedisUrl User() const { return RedisUrl::Parse(UserOf(redis_.url(), "waybill", DocumentedRule("waybill"))).value(); }

 private:
  TestRedis redis_{Server().Url()};
};

class RestrictedFleet final : public FleetHarness {
 public:
  Fleet& fleet() override { return fleet_; }
  void PassTime(absl::Duration by) override {
    redis_.Command({"EVAL",
                    "for _, key in ipairs(redis.call('KEYS', 'driver:*')) do "
                    "if redis.call('PTTL', key) <= tonumber(ARGV[1]) then redis.call('DEL', key) end end return 1",
                    "0", std::to_string(absl::ToInt64Milliseconds(by))});
  }

 private:
  RestrictedRedis redis_;
  RedisFleet fleet_{redis_.User(), {}, ThreadLoops()};
};

class RestrictedHotView final : public HotViewHarness {
 public:
  HotView& view() override { return view_; }
  HotView& another_writer() override { return another_; }
  Fleet& fleet() override { return fleet_; }
  void Lose() override { redis_.Command({"FLUSHDB"}); }
  void TrimMoves(size_t count) override {
    redis_.Command({"XTRIM", "location_events", "MAXLEN", std::to_string(count)});
  }

 private:
  RestrictedRedis redis_;
  RedisHotView view_{redis_.User(), {}};
  RedisHotView another_{redis_.User(), {}};
  RedisFleet fleet_{redis_.User(), {}, ThreadLoops()};
};

INSTANTIATE_TEST_SUITE_P(RestrictedRedis, FleetContract,
                         ::testing::Values([] { return std::make_unique<RestrictedFleet>(); }));
INSTANTIATE_TEST_SUITE_P(RestrictedRedis, HotViewContract,
                         ::testing::Values([] { return std::make_unique<RestrictedHotView>(); }));

// As the message names it: a command in capitals, or a key.
std::string Named(const std::string& right) {
  if (right == "~driver:*") return "driver:";
  if (right == "~waybill:limit:*") return "waybill:limit:";
  std::string name = right.substr(1);
  if (right[0] == '+') std::transform(name.begin(), name.end(), name.begin(), ::toupper);
  return name;
}

void ExpectEachRightIsMissed(const std::string& user, const std::function<absl::Status(const RedisUrl&)>& ping) {
  TestRedis redis(Server().Url());
  const std::vector<std::string> rule = DocumentedRule(user);
  ASSERT_GT(rule.size(), 6u);
  absl::Status whole = ping(RedisUrl::Parse(UserOf(redis.url(), user, rule)).value());
  EXPECT_TRUE(whole.ok()) << whole;
  for (size_t i = 0; i < rule.size(); ++i) {
    std::vector<std::string> less = rule;
    less.erase(less.begin() + static_cast<std::ptrdiff_t>(i));
    const absl::Status status = ping(RedisUrl::Parse(UserOf(redis.url(), user, less)).value());
    EXPECT_EQ(GetErrorDetail(status).reason, "STORE_UNAVAILABLE") << rule[i];
    if (rule[i] == "+select") {
      EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("'select'"));
      continue;
    }
    EXPECT_THAT(std::string(status.message()),
                ::testing::MatchesRegex(fmt::format(".* (may not run|use the keys) {}; .*", Named(rule[i]))));
  }
}

TEST(RedisRights, ReadinessOfTheHotViewNamesWhatIsMissing) {
  ExpectEachRightIsMissed("waybill", [](const RedisUrl& url) {
    absl::Status status = RedisHotView(url, {}).Ping();
    return status.ok() ? RedisFleet(url, {}, ThreadLoops()).Ping() : status;
  });
}

TEST(RedisRights, ReadinessOfTheFleetNamesWhatIsMissing) {
  ExpectEachRightIsMissed("waybill-order",
                          [](const RedisUrl& url) { return RedisFleet(url, {}, ThreadLoops()).Ping(); });
}

TEST(RedisRights, ReadinessOfLimitsNamesWhatIsMissing) {
  ExpectEachRightIsMissed("waybill-limits", [](const RedisUrl& url) { return RedisLimitStore(url, {}).Ping(); });
}

TEST(RedisRights, LimitsNeedNoMoreThanTheirRule) {
  TestRedis redis(Server().Url());
  const std::string url = UserOf(redis.url(), "waybill-limits", DocumentedRule("waybill-limits"));
  const auto grants =
      RedisLimitStore(RedisUrl::Parse(url).value(), {}).Take({{"rule:shop", {1, absl::Hours(1), 5}, 3}});
  ASSERT_TRUE(grants.ok()) << grants.status();
  EXPECT_EQ(grants->front().granted, 3);
}

TEST(RedisRights, BalancesNeedNoMoreThanTheirRule) {
  TestRedis redis(Server().Url());
  const std::string url = UserOf(redis.url(), "waybill-ledger", DocumentedRule("waybill-ledger"));
  RedisBalanceCache cache(RedisUrl::Parse(url).value(), {});
  const auto nothing = cache.Get("shop", "alice", absl::Hours(1));
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  const absl::Status put = cache.Put("shop", "alice", {{1, 2, 3, 4, 5}, "EUR"}, nothing->now);
  ASSERT_TRUE(put.ok()) << put;
  EXPECT_TRUE(cache.Get("shop", "alice", absl::Hours(1))->balance.has_value());
}

TEST(RedisRights, AllThatIsMissingIsNamedAtOnce) {
  TestRedis redis(Server().Url());
  const std::string url = UserOf(redis.url(), "reader", {"~driver:*", "~location_events", "+@read", "+select"});
  EXPECT_EQ(RedisFleet(RedisUrl::Parse(url).value(), {}, ThreadLoops()).Ping().message(),
            "the user that Waybill has in Redis may not run EVAL, EVALSHA, ZREM, nor use the keys drivers:geo, "
            "drivers:geo:polar; the rule that it needs is in docs/operations.md, Losing Redis");
}

TEST(RedisReadiness, OfTheHotViewNeedsAServerThatTakesWrites) {
  for (const std::vector<std::string>& refuse :
       {std::vector<std::string>{"CONFIG", "SET", "min-replicas-to-write", "1"},
        {"REPLICAOF", "127.0.0.1", "1"},
        {"CONFIG", "SET", "maxmemory", "1"}}) {
    auto server = RedisServer::Start().value();
    const RedisUrl url = RedisUrl::Parse(server->Url()).value();
    RedisHotView view(url, {});
    RedisFleet fleet(url, {}, ThreadLoops());
    EXPECT_TRUE(view.Ping().ok());
    ASSERT_TRUE(RedisCommand(server->Url(), refuse).ok());
    EXPECT_EQ(GetErrorDetail(view.Ping()).reason, "STORE_UNAVAILABLE") << refuse[2];
    EXPECT_TRUE(fleet.Ping().ok()) << "searching needs no writes: " << fleet.Ping();
    ASSERT_TRUE(RedisCommand(server->Url(), {"CONFIG", "SET", "min-replicas-to-write", "0"}).ok());
    ASSERT_TRUE(RedisCommand(server->Url(), {"CONFIG", "SET", "maxmemory", "0"}).ok());
    ASSERT_TRUE(RedisCommand(server->Url(), {"REPLICAOF", "NO", "ONE"}).ok());
    EXPECT_TRUE(view.Ping().ok()) << view.Ping();
    EXPECT_EQ(RedisCommand(server->Url(), {"DBSIZE"}).value(), "0") << "looking leaves nothing behind";
  }
}

TEST(RedisSettings, ThatLoseDriversAreNamed) {
  auto server = RedisServer::Start({"--maxmemory", "100mb"}).value();
  const std::string url = server->Url();
  RedisConnection connection(RedisUrl::Parse(url).value(), {});
  EXPECT_THAT(SettingsThatLoseDrivers(connection).value(), IsEmpty());
  ASSERT_TRUE(RedisCommand(url, {"CONFIG", "SET", "maxmemory-policy", "volatile-ttl"}).ok());
  EXPECT_THAT(SettingsThatLoseDrivers(connection).value(),
              ElementsAre("maxmemory-policy is volatile-ttl: an evicted driver is missing until his next point"));
  RedisConnection restricted(RedisUrl::Parse(UserOf(url, "waybill", DocumentedRule("waybill"))).value(), {});
  EXPECT_THAT(SettingsThatLoseDrivers(restricted).value(), IsEmpty()) << "who may not ask is not told";
  ASSERT_TRUE(RedisCommand(url, {"CONFIG", "SET", "maxmemory", "0"}).ok());
  EXPECT_THAT(SettingsThatLoseDrivers(connection).value(), IsEmpty()) << "without a limit nothing is evicted";
  auto cluster = RedisServer::Start({"--cluster-enabled", "yes", "--databases", "1"}).value();
  RedisConnection node(RedisUrl::Parse("redis://127.0.0.1:" + std::to_string(cluster->port())).value(), {});
  EXPECT_THAT(SettingsThatLoseDrivers(node).value(), ElementsAre(::testing::HasSubstr("it is a cluster")));
  RedisFleet fleet(RedisUrl::Parse("redis://127.0.0.1:" + std::to_string(cluster->port())).value(), {}, ThreadLoops());
  EXPECT_EQ(GetErrorDetail(fleet.Ping()).reason, "STORE_UNAVAILABLE") << fleet.Ping();
}

}  // namespace
}  // namespace waybill::storage
