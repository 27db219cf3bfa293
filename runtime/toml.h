// TOML from outside: what is wrong with it is an error that says where.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
// Debian's CMake target would link a shared library; the headers do without.
#define TOML_HEADER_ONLY 1
// toml++ 3.3.0 asserts what a file need not keep to, and says what is wrong with it a few lines on.
#define TOML_ASSERT(holds) static_cast<void>(0)
#include "toml++/toml.h"

namespace waybill {

// `source` stands for the text in errors. INVALID_ARGUMENT says where it is no TOML: "SOURCE:LINE: WHY".
absl::StatusOr<toml::table> ParseToml(std::string_view text, std::string_view source);

// The same of a file; INVALID_ARGUMENT, too, when it cannot be read.
absl::StatusOr<toml::table> ReadToml(const std::string& path);

}  // namespace waybill
