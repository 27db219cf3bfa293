// The fuzz target over seeds and their mutations, so that every test run walks it.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/fuzz/mutated.h"

namespace waybill {
namespace {

std::vector<std::string> Seeds() {
  return {"",
          "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-will-be",
          "00-00000000000000000000000000000000-b7ad6b7169203331-01",
          "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
          "tenant@system=value , other=*",
          "a=1,a=2",
          std::string(40, ','),
          "long=" + std::string(600, 'x')};
}

TEST(TraceFuzz, TakesSeeds) {
  for (const std::string& seed : Seeds()) testing::RunTarget(seed);
}

TEST(TraceFuzz, TakesMutatedSeeds) { testing::RunTargetOverMutations(Seeds(), 50'000, 20'261'128); }

}  // namespace
}  // namespace waybill
