#include "domain/visible_ascii.h"

#include <algorithm>
#include <string>

#include "fmt/format.h"

namespace waybill::domain {

void CheckVisibleAscii(std::string_view text, size_t max, std::string_view field, Violations& violations) {
  if (text.empty()) {
    violations.Add(std::string(field), "is required");
  } else if (text.size() > max) {
    violations.Add(std::string(field), fmt::format("has {} bytes; at most {} are allowed", text.size(), max));
  } else if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; })) {
    violations.Add(std::string(field), "may contain visible ASCII characters only");
  }
}

}  // namespace waybill::domain
