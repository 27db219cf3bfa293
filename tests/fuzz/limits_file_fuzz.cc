// A file of limits of any bytes: rules that can be held, or one line that says what is wrong.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "edge/limits/rules.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using waybill::limits::Rule;
  const auto rules = waybill::limits::ParseRules({reinterpret_cast<const char*>(data), size}, {"a.B/C"}, "limits.toml");
  if (!rules.ok()) {
    const std::string told(rules.status().message());
    if (told.starts_with("limits.toml") && told.find('\n') == std::string::npos) return 0;
    std::fprintf(stderr, "told: %s\n", told.c_str());
    std::abort();
  }
  for (const Rule& rule : *rules) {
    const bool holds = !rule.name.empty() && rule.rate.count >= 1 && rule.rate.burst >= 1 &&
                       rule.rate.period > absl::ZeroDuration() && IsAbout(rule, "a.B/C");
    if (!holds) std::abort();
  }
  return 0;
}
