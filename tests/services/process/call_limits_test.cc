#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/process/limits.h"
#include "tests/support/temp_directory.h"

namespace waybill::process {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kMethods = {"a.B/C"};

TEST(CallLimitsTest, AFileWithAMistakeStopsTheStart) {
  const testing::TempDirectory folder;
  LimitsOptions options;
  EXPECT_TRUE(CheckLimits(options, kMethods).ok()) << "no file, no limits";
  options.file = folder.path() / "limits.toml";
  EXPECT_THAT(std::string(CheckLimits(options, kMethods).message()), HasSubstr("--limits-file: "));
  std::ofstream(options.file) << "[[limit]]\nname = \"a\"\nclient = \"*\"\nmethod = \"a.B/D\"\n";
  EXPECT_THAT(std::string(CheckLimits(options, kMethods).message()),
              HasSubstr("limits.toml:4: method \"a.B/D\" is none of this service"));
  std::ofstream(options.file)
      << "[[limit]]\nname = \"a\"\nclient = \"*\"\nmethod = \"a.B/C\"\nlimit = 1\nperiod = \"1s\"\n";
  EXPECT_TRUE(CheckLimits(options, kMethods).ok());
}

TEST(CallLimitsTest, WithoutAFileEverybodyPasses) {
  const SystemClock clock;
  const Logger log(LogFormat::kText, LogLevel::kOff, clock);
  Metrics metrics;
  auto limits = CallLimits::Open("order", {}, kMethods, {}, clock, metrics, log);
  ASSERT_TRUE(limits.ok());
  EXPECT_TRUE((*limits)->limiter()->Admit("a.B/C", "shop", nullptr).has_value());
}

}  // namespace
}  // namespace waybill::process
