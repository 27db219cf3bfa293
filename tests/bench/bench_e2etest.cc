#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "nlohmann/json.hpp"
#include "tests/support/postgres.h"
#include "tests/support/process.h"
#include "tests/support/redis.h"
#include "tests/support/temp_directory.h"

namespace waybill::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// waybill-bench with servers of its own.
class Bench : public ::testing::Test {
 protected:
  void SetUp() override {
    auto redis = RedisServer::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
  }
  std::unique_ptr<Process> Run(const std::string& what, const std::vector<std::string>& more) {
    ProcessOptions options;
    options.args = {what,           "--database-url", SharedPostgresUrl(), "--redis-url", redis_->Url(), "--folder",
                    folder_.path(), "--json",         json_file_};
    options.args.insert(options.args.end(), more.begin(), more.end());
    auto bench = Process::Start(WAYBILL_BENCH_BINARY, options);
    EXPECT_TRUE(bench.ok()) << bench.status();
    return *std::move(bench);
  }
  // What the run before wrote.
  nlohmann::json Written() const {
    std::ifstream stream(json_file_);
    return nlohmann::json::parse(stream);
  }
  static std::vector<std::string> ScenariosOf(const nlohmann::json& json) {
    std::vector<std::string> names;
    for (const auto& scenario : json["scenarios"]) names.push_back(scenario["name"]);
    return names;
  }

  std::unique_ptr<RedisServer> redis_;
  const TempDirectory folder_;
  const std::string json_file_ = folder_.path() / "figures.json";
};

// As short as it can be: what is measured means nothing, but every scenario runs and every check holds.
TEST_F(Bench, EveryScenarioRunsAndItsBooksBalance) {
  auto bench = Run("orders", {"--seconds", "1", "--warm-up", "0.2", "--idle-seconds", "2", "--unfinished", "500",
                              "--waiting", "2000", "--idle-connections", "50"});
  const std::optional<int> exit_code = bench->Wait(absl::Seconds(240));
  ASSERT_EQ(exit_code, 0) << bench->Output();

  const auto json = Written();
  EXPECT_EQ(json["books_balance"], true);
  EXPECT_THAT(ScenariosOf(json),
              ElementsAre("confirmed", "gateway", "compensated", "lone", "idle", "open", "reads", "guarded",
                          "connections", "routed", "webhooks", "deliveries", "replicas", "recovery", "waiting"));
  EXPECT_THAT(bench->Output(), HasSubstr("share of the ceiling"));
  EXPECT_THAT(bench->Output(), HasSubstr("--against compares with an earlier build"));
}

// The figures of a scenario by name; those that have a target.
std::map<std::string, double> FiguresOf(const nlohmann::json& scenario, bool with_target = false) {
  std::map<std::string, double> figures;
  for (const auto& figure : scenario["figures"]) {
    if (!with_target || figure.contains("target")) figures[figure["name"]] = figure["value"];
  }
  return figures;
}

// Today's binaries stand for the earlier build.
TEST_F(Bench, ComparesOrdersWithAnEarlierBuildInTurns) {
  const std::string binaries = std::filesystem::path(WAYBILL_BENCH_BINARY).parent_path();
  auto bench = Run(
      "orders", {"--only",          "confirmed", "--seconds", "1",  "--warm-up",       "0.1",
                 "--unfinished",    "1",         "--callers", "32", "--connections",   "2",
                 "--against",       binaries,    "--rounds",  "2",  "--service-flags", "--journal-writers 2 --queues 2",
                 "--against-flags", "--queues 2"});
  ASSERT_EQ(bench->Wait(absl::Seconds(120)), 0) << bench->Output();
  EXPECT_THAT(bench->Output(), HasSubstr("2 round(s) each"));

  const auto json = Written();
  const std::map<std::string, double> confirmed = FiguresOf(json["scenarios"][0]);
  EXPECT_NEAR(confirmed.at("orders/s, ratio"), confirmed.at("orders/s") / confirmed.at("orders/s, earlier"), 1e-9);
  EXPECT_EQ(confirmed.at("ceiling, connections"), 2) << "as many as today's service has";
  EXPECT_GT(confirmed.at("ceiling after round 1"), 0);
  EXPECT_GT(confirmed.at("WAL an order"), 100);
  const std::map<std::string, double> wanted = FiguresOf(json["scenarios"][0], /*with_target=*/true);
  EXPECT_TRUE(wanted.contains("orders/s, ratio"));
  EXPECT_FALSE(wanted.contains("orders/s"));
}

TEST_F(Bench, ComparesLocationsWithAnEarlierBuildInTurns) {
  const std::string binaries = std::filesystem::path(WAYBILL_BENCH_BINARY).parent_path();
  auto bench = Run("locations", {"--seconds", "1", "--warm-up", "0.1", "--only", "singles,open", "--against", binaries,
                                 "--rounds", "1"});
  ASSERT_EQ(bench->Wait(absl::Seconds(120)), 0) << bench->Output();
  const auto json = Written();
  EXPECT_TRUE(FiguresOf(json["scenarios"][0], true).contains("points/s, ratio"));
  EXPECT_TRUE(FiguresOf(json["scenarios"][1], true).contains("p99, ratio"));
}

TEST_F(Bench, EveryScenarioOfTheLedgerRunsAndItsBooksBalance) {
  auto bench = Run("ledger", {"--seconds", "1", "--warm-up", "0.1", "--rounds", "1", "--accounts", "200", "--callers",
                              "32", "--batch", "100"});
  const std::optional<int> exit_code = bench->Wait(absl::Seconds(120));
  ASSERT_EQ(exit_code, 0) << bench->Output();
  const auto json = Written();
  EXPECT_EQ(json["books_balance"], true);
  ASSERT_THAT(ScenariosOf(json), ElementsAre("singles", "batches", "balances"));
  EXPECT_EQ(FiguresOf(json["scenarios"][0], /*with_target=*/true).size(), 4) << bench->Output();
  EXPECT_GT(FiguresOf(json["scenarios"][1]).at("transfers/s, ceiling"), 0) << bench->Output();
}

TEST_F(Bench, EveryScenarioOfLocationsRunsAndItsBooksBalance) {
  auto bench = Run("locations", {"--seconds", "1", "--warm-up", "0.2", "--streams", "300", "--history-rows", "100000",
                                 "--tracks", "20"});
  const std::optional<int> exit_code = bench->Wait(absl::Seconds(240));
  ASSERT_EQ(exit_code, 0) << bench->Output();

  const auto json = Written();
  EXPECT_EQ(json["books_balance"], true);
  EXPECT_THAT(ScenariosOf(json),
              ElementsAre("batches", "singles", "guarded", "open", "streams", "idle", "near", "track"));
  EXPECT_THAT(bench->Output(), HasSubstr("share of the ceiling"));
  EXPECT_THAT(bench->Output(), HasSubstr("CPU per million points, Redis"));
}

// The plain contender, the load, the balancer, the stages and the score, with an instance that is killed.
TEST_F(Bench, TheRaceRunsAndIsScored) {
  auto bench = Run("race", {"--only", "plain", "--seconds", "3", "--drain-seconds", "3", "--kill"});
  ASSERT_EQ(bench->Wait(absl::Seconds(240)), 0) << bench->Output();
  EXPECT_THAT(bench->Output(), HasSubstr("instance-1 is back"));

  const auto json = Written();
  EXPECT_EQ(json["books_balance"], true);
  const std::map<std::string, double> figures = FiguresOf(json["scenarios"][0]);
  const double booked = figures.at("booked by default, plain") + figures.at("booked by fallback, plain");
  EXPECT_GT(booked, 0);
  EXPECT_NEAR(figures.at("gross, plain"), booked * 20.05, 0.01);
  EXPECT_NEAR(figures.at("score, plain"),
              figures.at("net, plain") * (1 + figures.at("bonus, plain") - figures.at("fine, plain")), 0.01);
  EXPECT_GT(figures.at("checks, plain"), 0);
  EXPECT_EQ(figures.at("booked beyond what was asked, plain"), 0);
  EXPECT_GT(figures.at("resident memory, peak, instance-2 of plain"), 1);
}

TEST_F(Bench, TheRaceLosesNothingOfOursOverKills) {
  auto bench = Run("race", {"--only", "ours", "--seconds", "3", "--drain-seconds", "200", "--kill"});
  ASSERT_EQ(bench->Wait(absl::Seconds(280)), 0) << bench->Output();
  EXPECT_THAT(bench->Output(), HasSubstr("waybill-order is back"));
  const std::map<std::string, double> figures = FiguresOf(Written()["scenarios"][0]);
  EXPECT_GT(figures.at("payments taken, ours"), 0);
  EXPECT_EQ(figures.at("never booked, ours"), 0);
  EXPECT_EQ(figures.at("booked beyond what was asked, ours"), 0);
  EXPECT_EQ(figures.at("summaries apart in the end, ours"), 0);
}

TEST_F(Bench, SaysWhatItCannotRunWithout) {
  auto bench = Run("orders", {"--bin", folder_.path(), "--only", "lone"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("the bench could not run"));
  EXPECT_THAT(bench->Output(), HasSubstr("waybill-order"));
  bench = Run("locations", {"--bin", folder_.path(), "--only", "near"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("waybill-ingest"));
  bench = Run("orders", {"--against", folder_.path(), "--only", "lone"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("--against: no waybill-order in"));
  bench = Run("orders", {"--against", folder_.path() / "nowhere"});
  EXPECT_NE(bench->Wait(absl::Seconds(60)), 0);
  EXPECT_THAT(bench->Output(), HasSubstr("--against"));
  bench = Run("race", {"--only", "plain", "--balancer", folder_.path() / "nobody"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("install Debian's haproxy"));
  bench = Run("orders", {"--service-flags", "--no-such-flag", "--only", "lone", "--seconds", "1", "--warm-up", "0",
                         "--unfinished", "1"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("no-such-flag"));
}

}  // namespace
}  // namespace waybill::testing
