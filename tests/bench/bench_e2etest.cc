#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

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
  auto bench = RunBench({"orders", "--database-url", SharedPostgresUrl(), "--redis-url", (*redis)->Url(), "--folder",
                         folder.path(), "--seconds", "1", "--warm-up", "0.2", "--idle-seconds", "2", "--unfinished",
                         "500", "--waiting", "2000", "--json", json_file});
  const std::optional<int> exit_code = bench->Wait(absl::Seconds(240));
  ASSERT_EQ(exit_code, 0) << bench->Output();

  std::ifstream stream(json_file);
  const auto json = nlohmann::json::parse(stream);
  EXPECT_EQ(json["books_balance"], true);
  std::vector<std::string> names;
  for (const auto& scenario : json["scenarios"]) names.push_back(scenario["name"]);
  EXPECT_THAT(names, ElementsAre("confirmed", "gateway", "compensated", "lone", "idle", "open", "recovery", "waiting"));
  EXPECT_THAT(bench->Output(), HasSubstr("share of the ceiling"));
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
  EXPECT_THAT(names, ElementsAre("batches", "singles", "open", "streams", "idle", "near", "track"));
  EXPECT_THAT(bench->Output(), HasSubstr("share of the ceiling"));
  EXPECT_THAT(bench->Output(), HasSubstr("CPU per million points, Redis"));
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
}

}  // namespace
}  // namespace waybill::testing
