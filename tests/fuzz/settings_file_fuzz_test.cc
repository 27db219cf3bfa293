// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill::process {
namespace {

const std::vector<std::string> kSeeds = {
    "",
    "workers = 8\nlisten = \"[::1]:0\"\nmigrate = true\n",
    "names = [\"a\", 'b']  # two\n",
    "names = \"a,b\"\nworkers = 0x10\n",
    "[workers]\nx = 1\n",
    "workers = 1_000\nlisten = '''\na'''\n",
    "workers = 99999999999999999999\n",
    "nobody = 1\nworkers = \"eight\"\nmigrate = 3.5e7\nlisten = 1979-05-27T07:32:00Z\n",
    "\xef\xbb\xbfworkers = 2\r\n",
    "listen = \"\\u0000\\n\"\n",
    "# f\xc3\xbcr\nlisten = \"\"\"\\\n  \xc3\xa4:1\"\"\"\nnames = ['\xe1\x9a\x80', \"\xe2\x80\x83\"]\n",
};

TEST(SettingsFileFuzz, TakesSeeds) {
  for (const std::string& seed : kSeeds) testing::RunTarget(seed);
}

TEST(SettingsFileFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(kSeeds, 5'000, 20'261'128); }

}  // namespace
}  // namespace waybill::process
