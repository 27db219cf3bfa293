// What was built, and from what.
#pragma once

#include <string>
#include <string_view>

#include "fmt/format.h"

namespace waybill {

struct Build {
  std::string version = "unknown";  // 0.1.0
  // Of git, twelve digits: 1a2b3c4d5e6f; 1a2b3c4d5e6f-dirty with changes that were not committed. "unknown" outside of
  // git.
  std::string commit = "unknown";
};

// "waybill-order 0.1.0 (commit 1a2b3c4d5e6f)".
inline std::string Describe(std::string_view program, const Build& build) {
  return fmt::format("{} {} (commit {})", program, build.version, build.commit);
}

// Of the program that calls it: linked into programs alone (cmake/build.cmake), so that a commit links those anew and
// compiles nothing else.
Build ThisBuild();

}  // namespace waybill
