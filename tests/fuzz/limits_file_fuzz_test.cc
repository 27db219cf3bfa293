// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill::limits {
namespace {

const std::vector<std::string> kSeeds = {
    "",
    "[[limit]]\nname = \"a\"\nclient = \"*\"\nmethod = \"*\"\nlimit = 1\nperiod = \"1s\"\n",
    "[[limit]]\nname = \"a\"\nclient = \"shop\"\nmethod = \"a.B/*\"\nlimit = 1_000\nperiod = \"24h\"\nburst = 0x10\n"
    "when_redis_is_away = \"closed\"\nmode = \"shadow\"\n",
    "limit = [{name = \"a\", client = '', method = \"a.B/C\", limit = 3, period = \"1.5ms\"}]\n",
    "[[limit]]\nname = \"a\"\n[limit.client]\nx = 1\n",
    "[limit]\n[[limits]]\n\"li\\nmit\" = 1\n",
};

TEST(LimitsFileFuzz, TakesSeeds) {
  for (const std::string& seed : kSeeds) testing::RunTarget(seed);
}

TEST(LimitsFileFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(kSeeds, 20'000, 20'261'128); }

}  // namespace
}  // namespace waybill::limits
