// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill::risk {
namespace {

const std::vector<std::string> kSeeds = {
    "",
    "version = \"1\"\n",
    "version = \"1\"\nmode = \"shadow\"\nreview_at = 0x10\ndeny_at = 1_000\nreview_for = \"1.5h\"\nafter_review = "
    "'allow'\n",
    "version = \"1\"\n[[rule]]\nname = \"a\"\nkind = \"velocity\"\nby = \"card\"\nwithin = \"1h\"\ncount_over = 2\n"
    "amount_over = 9223372036854775807\ncurrency = \"EUR\"\nscore = 1000\n",
    "version = \"1\"\nrule = [{name = 'a', kind = 'travel', by = 'user', distance_over_km = 0, speed_over_kmh = 1, "
    "decide = "
    "'deny'}, {name = 'b', kind = 'declines', by = 'address', within = '1s', count_over = 0, score = 1, mode = "
    "'shadow'}]\n",
    "version = \"1\"\n[[rule]]\nname = \"a\"\nkind = \"list\"\nby = \"card\"\nvalues = [\"c\", \"\\n\"]\nscore = 1\n",
    "version = \"1\"\n[[rule]]\nname = \"a\"\nkind = \"new_account\"\nyounger_than = \"2160h\"\ndecide = \"review\"\n",
    "version = \"1\"\n[rule]\n[[rules]]\n\"ru\\nle\" = 1\n",
};

TEST(RiskFileFuzz, TakesSeeds) {
  for (const std::string& seed : kSeeds) waybill::testing::RunTarget(seed);
}

TEST(RiskFileFuzz, TakesMutatedSeeds) { waybill::testing::RunTargetOverMutations(kSeeds, 20'000, 20'261'129); }

}  // namespace
}  // namespace waybill::risk
