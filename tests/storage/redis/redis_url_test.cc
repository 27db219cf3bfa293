#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/redis/connection.h"

namespace waybill::storage {
namespace {

TEST(RedisUrl, ReadsEveryPart) {
  auto url = RedisUrl::Parse("redis://user:p%40ss@redis.example:6380/7");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->user, "user");
  EXPECT_EQ(url->password, "p@ss");
  EXPECT_EQ(url->host, "redis.example");
  EXPECT_EQ(url->port, 6380);
  EXPECT_EQ(url->database, 7);
}

TEST(RedisUrl, HasDefaults) {
  auto url = RedisUrl::Parse("redis://localhost");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->host, "localhost");
  EXPECT_EQ(url->port, 6379);
  EXPECT_EQ(url->database, 0);
  EXPECT_EQ(url->password, "");
}

TEST(RedisUrl, ReadsIpv6) {
  auto url = RedisUrl::Parse("redis://:secret@[::1]:7000/");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 7000);
  EXPECT_EQ(url->password, "secret");
}

TEST(RedisUrl, RefusesWhatIsNone) {
  for (const char* text :
       {"", "localhost:6379", "redis://", "redis://:6379", "redis://host:", "redis://host:0", "redis://host:65536",
        "redis://host:12x", "redis://host/x", "redis://host/-1", "redis://user@host", "redis://:%zz@host",
        "redis://:%4@host", "redis://[::1", "redis://[::1]7000"}) {
    auto url = RedisUrl::Parse(text);
    EXPECT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(RedisUrl, SaysWhatToDoInsteadOfTls) {
  const auto url = RedisUrl::Parse("rediss://:secret@localhost");
  EXPECT_EQ(url.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(url.status().message()),
              ::testing::AllOf(::testing::HasSubstr("stunnel"), ::testing::Not(::testing::HasSubstr("secret"))));
}

TEST(RedisPipeline, FramesArgumentsByLength) {
  RedisPipeline pipeline;
  pipeline.Add({"SET", "key", "a\r\nb"});
  EXPECT_EQ(pipeline.size(), 1u);
  EXPECT_EQ(pipeline.bytes(), "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4\r\na\r\nb\r\n");
}

}  // namespace
}  // namespace waybill::storage
