// Every option of every program that is a whole number reads decimal digits. CLI11 by itself takes 010 for 8.
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/cli/help.h"

namespace waybill::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

// The options that `binary` calls whole numbers, each as it answers to a number that is none in decimal digits.
void ExpectDecimal(const std::string& binary, const std::vector<std::string>& command, std::set<std::string>& seen) {
  const std::set<std::string> kFractions = {"--minutes", "--resends", "--bad"};  // called N, too
  const std::string help = Help(binary, command);
  const std::regex option("(--[a-z0-9-]+) (N|MS|INT|UINT)\\b");
  for (std::sregex_iterator it(help.begin(), help.end(), option), end; it != end; ++it) {
    const std::string name = (*it)[1];
    if (kFractions.contains(name) || !seen.insert(name).second) continue;
    std::vector<std::string> args = command;
    args.insert(args.end(), {name, "0b1"});
    const Ran ran = RunBinary(binary, args, {});
    EXPECT_NE(ran.code, 0);
    EXPECT_THAT(ran.output, AllOf(HasSubstr(name), HasSubstr("\"0b1\" is not a whole number in decimal digits")))
        << binary << " " << fmt::format("{}", fmt::join(args, " "));
  }
  for (const std::string& name : SubcommandsOf(help)) {
    std::vector<std::string> below = command;
    below.push_back(name);
    ExpectDecimal(binary, below, seen);
  }
}

TEST(WholeNumbers, AreDecimalInEveryProgram) {
  std::set<std::string> seen;
  ExpectDecimal(WAYBILL_BINARY, {}, seen);
  EXPECT_THAT(seen, AllOf(Contains("--amount-minor"), Contains("--limit"), Contains("--retries"), Contains("--from"),
                          Contains("--capacity"), Contains("--seed"), Contains("--batch"), Contains("--shift-weeks")));
  for (const auto& [binary, one] :
       std::vector<std::pair<std::string, std::string>>{{WAYBILL_ORDER_BINARY, "--workers"},
                                                        {WAYBILL_INGEST_BINARY, "--held-max"},
                                                        {WAYBILL_SANDBOX_BINARY, "--gateway-late-ms"},
                                                        {WAYBILL_BENCH_BINARY, "--callers"}}) {
    seen.clear();
    ExpectDecimal(binary, {}, seen);
    EXPECT_THAT(seen, Contains(one));
  }
}

}  // namespace
}  // namespace waybill::cli
