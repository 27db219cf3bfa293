// The simulation over a source with a fault in it, which it has to notice: exit code 0 when it does.
#include <cstdlib>
#include <string>

#include "fmt/format.h"
#include "tests/simulation/ingest_story.h"
#include "tests/simulation/order_story.h"

int main() {
  using namespace waybill::simulation;  // NOLINT(google-build-using-namespace): a program of one function
  constexpr uint64_t kSeeds = 1'500, kIngestSeeds = 100;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    std::string wrong = OrderStory(Draw(seed), false).Run().wrong;
    if (wrong.empty() && seed <= kIngestSeeds) wrong = IngestStory(DrawIngest(seed), false).Run().wrong;
    if (wrong.empty()) continue;
    fmt::print("seed {} notices it: {}\n", seed, wrong);
    return EXIT_SUCCESS;
  }
  fmt::print("no story of {} notices that a fault is in the source\n", kSeeds);
  return EXIT_FAILURE;
}
