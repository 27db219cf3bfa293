// Ids, keys and names of others are visible ASCII: no blanks, and nothing that looks like something else.
#pragma once

#include <cstddef>
#include <string_view>

#include "domain/reasons.h"

namespace waybill::domain {

// 1 to `max` visible ASCII characters. Adds a violation otherwise.
void CheckVisibleAscii(std::string_view text, size_t max, std::string_view field, Violations& violations);

}  // namespace waybill::domain
