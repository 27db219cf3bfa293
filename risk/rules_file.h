// The file that rules of risk are read from.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "risk/rules.h"

namespace waybill::risk {

// From TOML: what holds for all of them, and a table [[rule]] for each. INVALID_ARGUMENT names line, field and what is
// wrong; with one mistake there is nothing at all. `source` is the file's name, for messages.
absl::StatusOr<Rules> ParseRules(std::string_view text, std::string_view source);
// INVALID_ARGUMENT also when the file cannot be read.
absl::StatusOr<Rules> ReadRules(const std::string& path);

// "version 3 in force, review at 50, deny at 100: user-hour velocity +40; …", for people; without listed values.
std::string Describe(const Rules& rules);

}  // namespace waybill::risk
