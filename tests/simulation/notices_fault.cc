// The simulation over a source with a fault in it: exit code 0 when a story of the kind that the fault concerns
// complains of what the fault does. The patch says both, before the diff:
//
//   Noticed by: order            (or ingest)
//   As: <words of the complaint>
//   From seed: 1100              (where to begin looking, when few stories notice)
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"
#include "fmt/format.h"
#include "tests/simulation/ingest_story.h"
#include "tests/simulation/order_story.h"

namespace {

using namespace waybill::simulation;  // NOLINT(google-build-using-namespace): a program of two functions

// Within what ./dev test --long runs over the sources as they are, and finds clean: the complaint is of the patch.
constexpr uint64_t kOrderSeeds = 1'500, kIngestSeeds = 300;

struct Expected {
  std::string by, as;
  uint64_t from = 1;
};

std::optional<Expected> ReadHeader(const char* patch) {
  constexpr std::string_view kBy = "Noticed by: ", kAs = "As: ", kFrom = "From seed: ";
  Expected expected;
  std::ifstream file(patch);
  for (std::string line; std::getline(file, line) && !line.starts_with("--- ");) {
    if (line.starts_with(kBy)) expected.by = line.substr(kBy.size());
    if (line.starts_with(kAs)) expected.as = line.substr(kAs.size());
    if (line.starts_with(kFrom) && !absl::SimpleAtoi(line.substr(kFrom.size()), &expected.from)) return std::nullopt;
  }
  if (expected.as.empty() || (expected.by != "order" && expected.by != "ingest")) return std::nullopt;
  return expected;
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<Expected> expected = argc == 2 ? ReadHeader(argv[1]) : std::nullopt;
  if (!expected) {
    fmt::print("usage: {} PATCH, which says 'Noticed by: order' (or ingest) and 'As: <words of the complaint>'\n",
               argv[0]);
    return EXIT_FAILURE;
  }
  const bool order = expected->by == "order";
  const uint64_t seeds = order ? kOrderSeeds : kIngestSeeds;
  uint64_t others = 0;
  for (uint64_t nth = 0; nth < seeds; ++nth) {
    const uint64_t seed = (expected->from - 1 + nth) % seeds + 1;
    const std::string wrong =
        order ? OrderStory(Draw(seed), false).Run().wrong : IngestStory(DrawIngest(seed), false).Run().wrong;
    if (wrong.find(expected->as) != std::string::npos) {
      fmt::print("seed {} notices it: {}\n", seed, wrong);
      return EXIT_SUCCESS;
    }
    if (wrong.empty() || ++others > 20) continue;
    fmt::print("seed {} complains of something else: {}\n", seed, wrong);
  }
  fmt::print("no {} story complains as expected, '{}'; {} complain of something else\n", expected->by, expected->as,
             others);
  return EXIT_FAILURE;
}
