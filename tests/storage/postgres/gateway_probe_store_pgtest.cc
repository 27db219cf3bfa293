// Who may ask a gateway how it fares, and when: by Postgres' clock alone.
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/postgres/gateway_probe_store.h"
#include "tests/support/migrated_database.h"

namespace waybill::storage {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

constexpr absl::Duration kHold = absl::Seconds(7);

class GatewayProbeStoreTest : public ::testing::Test {
 protected:
  std::vector<std::string> Claim(const std::string& holder, const std::vector<std::string>& gateways = {"north"}) {
    const absl::StatusOr<std::vector<GatewayProbeStore::Claim>> claims = store_.ClaimProbes(gateways, holder, kHold);
    EXPECT_TRUE(claims.ok()) << claims.status();
    std::vector<std::string> said;
    if (claims.ok()) {
      for (const GatewayProbeStore::Claim& claim : *claims)
        said.push_back(fmt::format("{} {}", claim.gateway, claim.epoch));
    }
    return said;
  }
  GatewayProbe Only() {
    const absl::StatusOr<std::vector<GatewayProbe>> probes = store_.Probes();
    EXPECT_TRUE(probes.ok()) << probes.status();
    EXPECT_THAT(*probes, SizeIs(1));
    return probes->at(0);
  }
  // As if so much time had gone by on Postgres' clock.
  void Pass(absl::Duration time) {
    absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
    ASSERT_TRUE(connection.ok());
    const std::string by = fmt::format("interval '{} ms'", absl::ToInt64Milliseconds(time));
    const auto passed = (*connection)
                            ->Execute(fmt::format("UPDATE gateway_probes SET claimed_at = claimed_at - {0}, next_at = "
                                                  "next_at - {0}, asked_at = asked_at - {0}",
                                                  by));
    ASSERT_TRUE(passed.ok()) << passed.status();
  }

  waybill::testing::MigratedDatabase database_;
  Pool pool_{database_.url(), WriteConnectionOptions(), PoolOptions()};
  PostgresGatewayProbeStore store_{pool_, pool_};
};

TEST_F(GatewayProbeStoreTest, OneHasTheTurnAndNobodyElseUntilItIsOver) {
  EXPECT_THAT(*store_.Probes(), IsEmpty());
  EXPECT_THAT(Claim("a"), ElementsAre("north 1"));
  EXPECT_THAT(Claim("b"), IsEmpty());
  EXPECT_THAT(Claim("a"), IsEmpty()) << "its own claim is for one question";
  EXPECT_FALSE(Only().answer.has_value());
  EXPECT_THAT(Only().due_in, AllOf(Ge(absl::Seconds(1)), Le(kHold)));
}

// The holder is gone: what it asked, or did not, counts as asked.
TEST_F(GatewayProbeStoreTest, AClaimThatIsNeverAnsweredIsOverAfterItsTime) {
  ASSERT_THAT(Claim("a"), ElementsAre("north 1"));
  Pass(kHold - absl::Seconds(2));
  EXPECT_THAT(Claim("b"), IsEmpty());
  Pass(absl::Seconds(2));
  EXPECT_LE(Only().due_in, absl::ZeroDuration());
  EXPECT_THAT(Claim("b"), ElementsAre("north 2"));
  EXPECT_EQ(Only().holder, "b");
}

TEST_F(GatewayProbeStoreTest, AnAnswerIsForAllAndItsPauseBeginsWithIt) {
  ASSERT_THAT(Claim("a"), ElementsAre("north 1"));
  Pass(absl::Seconds(6));
  ASSERT_TRUE(store_.Answered({"north", 1}, {ProbeOutcome::kFailing, absl::Milliseconds(120)}, absl::Seconds(5)).ok());
  const GatewayProbe probe = Only();
  ASSERT_TRUE(probe.answer.has_value());
  EXPECT_EQ(probe.answer->outcome, ProbeOutcome::kFailing);
  EXPECT_EQ(probe.answer->min_response, absl::Milliseconds(120));
  EXPECT_GE(probe.age, absl::Seconds(6)) << "since it was asked";
  EXPECT_GE(probe.due_in, absl::Seconds(2)) << "since the answer, and not since the claim";
  Pass(absl::Seconds(2));
  EXPECT_EQ(Only().asked_at, probe.asked_at - absl::Seconds(2)) << "the same answer has the same time";
}

TEST_F(GatewayProbeStoreTest, WhoeverIsLateWritesNothing) {
  ASSERT_THAT(Claim("a"), ElementsAre("north 1"));
  Pass(kHold);
  ASSERT_THAT(Claim("b"), ElementsAre("north 2"));
  ASSERT_TRUE(store_.Answered({"north", 1}, {ProbeOutcome::kFailing, std::nullopt}, absl::Milliseconds(1)).ok());
  EXPECT_FALSE(Only().answer.has_value());
  EXPECT_GE(Only().due_in, absl::Seconds(1)) << "nor brings the next turn forward";
  ASSERT_TRUE(store_.Answered({"north", 2}, {ProbeOutcome::kHealthy, std::nullopt}, absl::Seconds(5)).ok());
  EXPECT_EQ(Only().answer->outcome, ProbeOutcome::kHealthy);
  EXPECT_FALSE(Only().answer->min_response.has_value());
}

TEST_F(GatewayProbeStoreTest, EachGatewayHasATurnOfItsOwn) {
  ASSERT_THAT(Claim("a", {"north"}), ElementsAre("north 1"));
  EXPECT_THAT(Claim("b", {"south", "north", "east"}), ElementsAre("east 1", "south 1"));
}

// Sixteen connections, in no order, again and again: each turn is one's.
TEST_F(GatewayProbeStoreTest, OfManyAtOnceOneHasIt) {
  PoolOptions size;
  size.size = 16;
  Pool many(database_.url(), WriteConnectionOptions(), size);
  PostgresGatewayProbeStore store(many, many);
  for (int turn = 1; turn <= 10; ++turn) {
    std::vector<std::future<size_t>> claims;
    for (size_t i = 0; i < size.size; ++i) {
      claims.push_back(std::async(std::launch::async, [&store, i]() -> size_t {
        std::vector<std::string> gateways = {"north", "south"};
        if (i % 2 == 0) std::swap(gateways[0], gateways[1]);
        const auto claimed = store.ClaimProbes(gateways, fmt::format("replica-{}", i), kHold);
        EXPECT_TRUE(claimed.ok()) << claimed.status();
        return claimed.ok() ? claimed->size() : 0;
      }));
    }
    size_t all = 0;
    for (std::future<size_t>& claim : claims) all += claim.get();
    EXPECT_EQ(all, 2u) << "turn " << turn;
    Pass(kHold);
  }
}

}  // namespace
}  // namespace waybill::storage
