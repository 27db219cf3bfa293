#pragma once

#include <cstdlib>

namespace waybill::testing {

// Whether the long forms of the tests were asked for: ./dev test --long, which sets WAYBILL_TEST_LONG.
inline bool LongForms() {
  const char* value = std::getenv("WAYBILL_TEST_LONG");
  return value != nullptr && *value != '\0';
}

}  // namespace waybill::testing
