#include "edge/http/origins.h"

#include <algorithm>
#include <cctype>
#include <cstddef>

#include "fmt/format.h"

namespace waybill::http {

absl::StatusOr<std::vector<std::string>> ParseOrigins(std::string_view text) {
  std::vector<std::string> origins;
  while (!text.empty()) {
    const std::string_view origin = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), origin.size() + 1));
    const size_t host = origin.substr(0, 7) == "http://" ? 7 : origin.substr(0, 8) == "https://" ? 8 : origin.size();
    const bool fits =
        host < origin.size() &&
        std::all_of(origin.begin() + static_cast<ptrdiff_t>(host), origin.end(), [](unsigned char c) {
          return std::islower(c) || std::isdigit(c) || c == '-' || c == '.' || c == ':' || c == '[' || c == ']';
        });
    if (origin != "*" && !fits) {
      return absl::InvalidArgumentError(
          fmt::format("'{}' is no origin, such as https://console.example or http://localhost:5173", origin));
    }
    origins.emplace_back(origin);
  }
  return origins;
}

}  // namespace waybill::http
