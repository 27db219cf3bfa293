#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/redis.h"

namespace waybill::testing {
namespace {

TEST(TestRedis, IsEmptyAndItsOwn) {
  std::string url;
  {
    TestRedis one;
    TestRedis other;
    EXPECT_NE(one.url(), other.url());
    EXPECT_EQ(RedisCommand(one.url(), {"DBSIZE"}).value(), "0");
    EXPECT_EQ(RedisCommand(one.url(), {"SET", "key", "a value"}).value(), "OK");
    EXPECT_EQ(RedisCommand(one.url(), {"GET", "key"}).value(), "a value");
    EXPECT_EQ(RedisCommand(other.url(), {"GET", "key"}).value(), "(nil)");
    url = one.url();
  }
  EXPECT_EQ(RedisCommand(url, {"DBSIZE"}).value(), "0");
}

TEST(TestRedis, LeavesDatabasesAloneThatHoldSomething) {
  auto server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_EQ(RedisCommand((*server)->Url(1), {"SET", "somebody", "else"}).value(), "OK");
  {
    TestRedis redis((*server)->Url());
    EXPECT_EQ(redis.url(), (*server)->Url(2));
  }
  EXPECT_EQ(RedisCommand((*server)->Url(1), {"GET", "somebody"}).value(), "else");
  EXPECT_EQ(RedisCommand((*server)->Url(0), {"DBSIZE"}).value(), "0");  // no claim is left
}

TEST(RedisServer, ComesBackEmptyOnTheSamePort) {
  auto server = RedisServer::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string url = (*server)->Url();
  ASSERT_EQ(RedisCommand(url, {"SET", "key", "value"}).value(), "OK");
  (*server)->Kill();
  EXPECT_TRUE(absl::IsUnavailable(RedisCommand(url, {"PING"}).status()));
  const absl::Status again = (*server)->StartAgain();
  ASSERT_TRUE(again.ok()) << again;
  EXPECT_EQ(RedisCommand(url, {"GET", "key"}).value(), "(nil)");
  ASSERT_EQ(RedisCommand(url, {"SET", "key", "value"}).value(), "OK");
  EXPECT_TRUE((*server)->FlushAll().ok());
  EXPECT_EQ(RedisCommand(url, {"DBSIZE"}).value(), "0");
}

TEST(RedisCommand, TellsErrorsFromAnswers) {
  TestRedis redis;
  EXPECT_EQ(RedisCommand(redis.url(), {"RPUSH", "list", "a", "b"}).value(), "2");
  EXPECT_EQ(RedisCommand(redis.url(), {"LRANGE", "list", "0", "-1"}).value(), "a b");
  EXPECT_TRUE(absl::IsFailedPrecondition(RedisCommand(redis.url(), {"INCR", "list"}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(RedisCommand("http://127.0.0.1", {"PING"}).status()));
}

TEST(RedisCommand, SendsThePassword) {
  auto server = RedisServer::Start({"--requirepass", "secret"});
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string host = "127.0.0.1:" + std::to_string((*server)->port());
  EXPECT_FALSE(RedisCommand("redis://" + host, {"PING"}).ok());
  EXPECT_EQ(RedisCommand("redis://:secret@" + host + "/3", {"PING"}).value(), "PONG");
}

}  // namespace
}  // namespace waybill::testing
