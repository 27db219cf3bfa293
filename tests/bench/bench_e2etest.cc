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

std::unique_ptr<Process> RunBench(const std::vector<std::string>& args) {
  ProcessOptions options;
  options.args = args;
  auto bench = Process::Start(WAYBILL_BENCH_BINARY, options);
  EXPECT_TRUE(bench.ok()) << bench.status();
  return *std::move(bench);
}

// As short as it can be: what is measured means nothing, but every scenario runs and every check holds.
TEST(Bench, EveryScenarioRunsAndItsBooksBalance) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  const std::string json_file = folder.path() / "figures.json";
  auto bench = RunBench({"orders",
                         "--database-url",
                         SharedPostgresUrl(),
                         "--redis-url",
                         (*redis)->Url(),
                         "--folder",
                         folder.path(),
                         "--seconds",
                         "1",
                         "--warm-up",
                         "0.2",
                         "--idle-seconds",
                         "2",
                         "--unfinished",
                         "500",
                         "--waiting",
                         "2000",
                         "--idle-connections",
                         "50",
                         "--json",
                         json_file});
  const std::optional<int> exit_code = bench->Wait(absl::Seconds(240));
  ASSERT_EQ(exit_code, 0) << bench->Output();

  std::ifstream stream(json_file);
  const auto json = nlohmann::json::parse(stream);
  EXPECT_EQ(json["books_balance"], true);
  std::vector<std::string> names;
  for (const auto& scenario : json["scenarios"]) names.push_back(scenario["name"]);
  EXPECT_THAT(names, ElementsAre("confirmed", "gateway", "compensated", "lone", "idle", "open", "reads", "guarded",
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
TEST(Bench, ComparesOrdersWithAnEarlierBuildInTurns) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  const std::string json_file = folder.path() / "figures.json";
  const std::string binaries = std::filesystem::path(WAYBILL_BENCH_BINARY).parent_path();
  std::vector<std::string> args = {"orders", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url()};
  const std::vector<std::string> short_run = {"--only",    "confirmed",   "--seconds",    "1",
                                              "--warm-up", "0.1",         "--unfinished", "1",
                                              "--folder",  folder.path(), "--json",       json_file};
  const std::vector<std::string> load = {"--callers", "32", "--connections", "2"};
  const std::vector<std::string> compared = {
      "--against",       binaries,    "--rounds", "2", "--service-flags", "--journal-writers 2 --queues 2",
      "--against-flags", "--queues 2"};
  for (const auto& more : {short_run, load, compared}) args.insert(args.end(), more.begin(), more.end());
  auto bench = RunBench(args);
  ASSERT_EQ(bench->Wait(absl::Seconds(120)), 0) << bench->Output();
  EXPECT_THAT(bench->Output(), HasSubstr("2 round(s) each"));

  std::ifstream stream(json_file);
  const auto json = nlohmann::json::parse(stream);
  const std::map<std::string, double> confirmed = FiguresOf(json["scenarios"][0]);
  EXPECT_NEAR(confirmed.at("orders/s, ratio"), confirmed.at("orders/s") / confirmed.at("orders/s, earlier"), 1e-9);
  EXPECT_EQ(confirmed.at("ceiling, connections"), 2) << "as many as today's service has";
  EXPECT_GT(confirmed.at("ceiling after round 1"), 0);
  EXPECT_GT(confirmed.at("WAL an order"), 100);
  const std::map<std::string, double> wanted = FiguresOf(json["scenarios"][0], /*with_target=*/true);
  EXPECT_TRUE(wanted.contains("orders/s, ratio"));
  EXPECT_FALSE(wanted.contains("orders/s"));
}

TEST(Bench, ComparesLocationsWithAnEarlierBuildInTurns) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  const std::string json_file = folder.path() / "figures.json";
  const std::string binaries = std::filesystem::path(WAYBILL_BENCH_BINARY).parent_path();
  auto bench = RunBench({"locations", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                         folder.path(), "--seconds", "1", "--warm-up", "0.1", "--only", "singles,open", "--against",
                         binaries, "--rounds", "1", "--json", json_file});
  ASSERT_EQ(bench->Wait(absl::Seconds(120)), 0) << bench->Output();
  std::ifstream stream(json_file);
  const auto json = nlohmann::json::parse(stream);
  EXPECT_TRUE(FiguresOf(json["scenarios"][0], true).contains("points/s, ratio"));
  EXPECT_TRUE(FiguresOf(json["scenarios"][1], true).contains("p99, ratio"));
}

TEST(Bench, EveryScenarioOfTheLedgerRunsAndItsBooksBalance) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  const std::string json_file = folder.path() / "figures.json";
  auto bench = RunBench({"ledger",
                         "--database-url",
                         SharedPostgresUrl(),
                         "--redis-url",
                         (*redis)->Url(),
                         "--folder",
                         folder.path(),
                         "--seconds",
                         "1",
                         "--warm-up",
                         "0.1",
                         "--rounds",
                         "1",
                         "--accounts",
                         "200",
                         "--callers",
                         "32",
                         "--batch",
                         "100",
                         "--json",
                         json_file});
  const std::optional<int> exit_code = bench->Wait(absl::Seconds(120));
  ASSERT_EQ(exit_code, 0) << bench->Output();
  std::ifstream stream(json_file);
  const auto json = nlohmann::json::parse(stream);
  EXPECT_EQ(json["books_balance"], true);
  ASSERT_EQ(json["scenarios"].size(), 2) << bench->Output();
  EXPECT_EQ(FiguresOf(json["scenarios"][0], /*with_target=*/true).size(), 4) << bench->Output();
  EXPECT_GT(FiguresOf(json["scenarios"][1]).at("transfers/s, ceiling"), 0) << bench->Output();
}

TEST(Bench, EveryScenarioOfLocationsRunsAndItsBooksBalance) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  const std::string json_file = folder.path() / "figures.json";
  auto bench = RunBench({"locations", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                         folder.path(), "--seconds", "1", "--warm-up", "0.2", "--streams", "300", "--history-rows",
                         "100000", "--tracks", "20", "--json", json_file});
  const std::optional<int> exit_code = bench->Wait(absl::Seconds(240));
  ASSERT_EQ(exit_code, 0) << bench->Output();

  std::ifstream stream(json_file);
  const auto json = nlohmann::json::parse(stream);
  EXPECT_EQ(json["books_balance"], true);
  std::vector<std::string> names;
  for (const auto& scenario : json["scenarios"]) names.push_back(scenario["name"]);
  EXPECT_THAT(names, ElementsAre("batches", "singles", "guarded", "open", "streams", "idle", "near", "track"));
  EXPECT_THAT(bench->Output(), HasSubstr("share of the ceiling"));
  EXPECT_THAT(bench->Output(), HasSubstr("CPU per million points, Redis"));
}

// The plain contender, the load, the balancer, the stages and the score, with an instance that is killed.
TEST(Bench, TheRaceRunsAndIsScored) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  const std::string json_file = folder.path() / "figures.json";
  auto bench = RunBench({"race", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                         folder.path(), "--only", "plain", "--seconds", "3", "--drain-seconds", "3", "--kill", "--json",
                         json_file});
  ASSERT_EQ(bench->Wait(absl::Seconds(240)), 0) << bench->Output();
  EXPECT_THAT(bench->Output(), HasSubstr("instance-1 is back"));

  std::ifstream stream(json_file);
  const auto json = nlohmann::json::parse(stream);
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

TEST(Bench, TheRaceLosesNothingOfOursOverKills) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  const std::string json_file = folder.path() / "figures.json";
  auto bench = RunBench({"race", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                         folder.path(), "--only", "ours", "--seconds", "3", "--drain-seconds", "200", "--kill",
                         "--json", json_file});
  ASSERT_EQ(bench->Wait(absl::Seconds(280)), 0) << bench->Output();
  EXPECT_THAT(bench->Output(), HasSubstr("waybill-order is back"));
  std::ifstream stream(json_file);
  const std::map<std::string, double> figures = FiguresOf(nlohmann::json::parse(stream)["scenarios"][0]);
  EXPECT_GT(figures.at("payments taken, ours"), 0);
  EXPECT_EQ(figures.at("never booked, ours"), 0);
  EXPECT_EQ(figures.at("booked beyond what was asked, ours"), 0);
  EXPECT_EQ(figures.at("summaries apart in the end, ours"), 0);
}

TEST(Bench, SaysWhatItCannotRunWithout) {
  auto redis = RedisServer::Start();
  ASSERT_TRUE(redis.ok()) << redis.status();
  const TempDirectory folder;
  auto bench = RunBench({"orders", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                         folder.path(), "--bin", folder.path(), "--only", "lone"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("the bench could not run"));
  EXPECT_THAT(bench->Output(), HasSubstr("waybill-order"));
  bench = RunBench({"locations", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                    folder.path(), "--bin", folder.path(), "--only", "near"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("waybill-ingest"));
  bench = RunBench({"orders", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                    folder.path(), "--against", folder.path(), "--only", "lone"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("--against: no waybill-order in"));
  bench = RunBench({"orders", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                    folder.path(), "--against", folder.path() / "nowhere"});
  EXPECT_NE(bench->Wait(absl::Seconds(60)), 0);
  EXPECT_THAT(bench->Output(), HasSubstr("--against"));
  bench = RunBench({"race", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                    folder.path(), "--only", "plain", "--balancer", folder.path() / "nobody"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("install Debian's haproxy"));
  bench = RunBench({"orders", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                    folder.path(), "--service-flags", "--no-such-flag", "--only", "lone", "--seconds", "1", "--warm-up",
                    "0", "--unfinished", "1"});
  EXPECT_EQ(bench->Wait(absl::Seconds(60)), 2);
  EXPECT_THAT(bench->Output(), HasSubstr("no-such-flag"));
}

}  // namespace
}  // namespace waybill::testing
