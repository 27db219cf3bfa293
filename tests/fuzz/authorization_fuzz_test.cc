// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill {
namespace {

std::vector<std::string> Seeds() {
  const std::string secret = "wb_k3jx2m7qaaaa_" + std::string(52, 'q');
  return {"",           "Bearer " + secret, "bearer   " + secret,
          secret,       "Bearer",           "Bearer wb__" + std::string(40, 'x'),
          "wb_admin_x", "north-*",          "*",
          "ann"};
}

TEST(AuthorizationFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) testing::RunTarget(seed);
}

TEST(AuthorizationFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(Seeds(), 50'000, 20'261'128); }

}  // namespace
}  // namespace waybill
