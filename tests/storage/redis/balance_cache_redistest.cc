#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/redis/redis_balance_cache.h"
#include "tests/support/redis.h"

namespace waybill::storage {
namespace {

using ::testing::Eq;
using ::testing::Optional;

class BalanceCacheTest : public ::testing::Test {
 protected:
  static CachedBalance Of(int64_t version, int64_t credits) { return {{1, credits, 2, 3, version}, "EUR"}; }
  BalanceCache::Found Get(absl::Duration max_staleness, const std::string& account = "alice") {
    absl::StatusOr<BalanceCache::Found> found = cache_.Get("shop", account, max_staleness);
    EXPECT_TRUE(found.ok()) << found.status();
    return *found;
  }
  void Put(const CachedBalance& balance, absl::Time as_of, const std::string& account = "alice") {
    const absl::Status put = cache_.Put("shop", account, balance, as_of);
    EXPECT_TRUE(put.ok()) << put;
  }
  std::string Command(const std::vector<std::string>& command) {
    return waybill::testing::RedisCommand(redis_.url(), command).value_or("?");
  }

  waybill::testing::TestRedis redis_;
  RedisBalanceCache cache_{RedisUrl::Parse(redis_.url()).value(), RedisOptions()};
};

TEST_F(BalanceCacheTest, AnswersWhatIsFreshEnoughAndNothingElse) {
  const absl::Time now = Get(absl::Hours(1)).now;
  EXPECT_EQ(Get(absl::Hours(1)).balance, std::nullopt);
  Put(Of(7, 1250), now - absl::Minutes(1));
  EXPECT_THAT(Get(absl::Minutes(2)).balance, Optional(Eq(Of(7, 1250))));
  EXPECT_EQ(Get(absl::Minutes(1)).balance, std::nullopt) << "a moment more than a minute has passed";
  EXPECT_EQ(Get(absl::ZeroDuration()).balance, std::nullopt);
  EXPECT_EQ(Get(absl::Hours(1), "bob").balance, std::nullopt);
  EXPECT_GE(Get(absl::Hours(1)).now, now);
}

TEST_F(BalanceCacheTest, WhatComesInAnotherOrderChangesNothing) {
  const absl::Time now = Get(absl::Hours(1)).now;
  Put(Of(7, 1250), now - absl::Seconds(30));
  Put(Of(6, 900), now - absl::Seconds(1));  // somebody who had been slow
  EXPECT_THAT(Get(absl::Hours(1)).balance, Optional(Eq(Of(7, 1250))));
  Put(Of(7, 1250), now - absl::Seconds(50));
  EXPECT_THAT(Get(absl::Seconds(40)).balance, Optional(Eq(Of(7, 1250)))) << "it is not made older";
  Put(Of(7, 1250), now);
  EXPECT_THAT(Get(absl::Seconds(20)).balance, Optional(Eq(Of(7, 1250)))) << "but known to hold for longer";
  Put(Of(8, 1), now - absl::Seconds(40));
  EXPECT_THAT(Get(absl::Hours(1)).balance, Optional(Eq(Of(8, 1))));
  EXPECT_EQ(Get(absl::Seconds(20)).balance, std::nullopt);
}

TEST_F(BalanceCacheTest, SaysWhatIsThereHoweverOld) {
  const absl::Time now = Get(absl::Hours(1)).now;
  Put(Of(7, 1250), now - absl::Hours(1));
  Put(Of(2, 3), now, "bob");
  Command({"SET", "waybill:ledger:balance:shop/carol", "7 8"});
  const auto found = cache_.Peek("shop", {"alice", "nobody", "bob", "carol"});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, (std::map<std::string, CachedBalance>{{"alice", Of(7, 1250)}, {"bob", Of(2, 3)}}));
  EXPECT_TRUE(cache_.Peek("other", {"alice"})->empty());
}

TEST_F(BalanceCacheTest, MayBeLostOrBeOverwritten) {
  const absl::Time now = Get(absl::Hours(1)).now;
  Put(Of(7, 1250), now);
  Command({"FLUSHDB"});
  EXPECT_EQ(Get(absl::Hours(1)).balance, std::nullopt);
  for (const char* other : {"", "x", "1 2 3", "1 2 3 4 5 6", "a 7 1 2 3 4 EUR", "1 7 1 2 3 4 EUR more"}) {
    Command({"SET", "waybill:ledger:balance:shop/alice", other});
    EXPECT_EQ(Get(absl::InfiniteDuration()).balance, std::nullopt) << other;
  }
  Command({"DEL", "waybill:ledger:balance:shop/alice"});
  Put(Of(7, 1250), now + absl::Hours(1));
  EXPECT_EQ(Get(absl::InfiniteDuration()).balance, std::nullopt) << "the clock was set back";
  Command({"DEL", "waybill:ledger:balance:shop/alice"});
  Command({"RPUSH", "waybill:ledger:balance:shop/alice", "x"});
  EXPECT_FALSE(cache_.Get("shop", "alice", absl::Hours(1)).ok());
  EXPECT_FALSE(cache_.Put("shop", "alice", Of(1, 1), now).ok());
}

TEST_F(BalanceCacheTest, IsForgottenWhenNobodyAsks) {
  Put(Of(7, 1250), Get(absl::Hours(1)).now);
  const int64_t left = std::stoll(Command({"PTTL", "waybill:ledger:balance:shop/alice"}));
  EXPECT_GT(left, 500'000);
  EXPECT_LE(left, 600'000);
}

}  // namespace
}  // namespace waybill::storage
