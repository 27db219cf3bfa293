// Origins of pages, as browsers write them in the field Origin.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace waybill::http {

// Of a setting, with commas between: "https://console.example,http://localhost:5173", or "*". INVALID_ARGUMENT names
// the one that is none.
absl::StatusOr<std::vector<std::string>> ParseOrigins(std::string_view text);

}  // namespace waybill::http
