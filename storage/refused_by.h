// Which rule of the schema refused a write.
#pragma once

#include <initializer_list>
#include <string_view>

#include "absl/status/status.h"
#include "runtime/status.h"

namespace waybill::storage {

// That one of `rules`, which are names of constraints, by which a journal refused a saga's write; empty: none of them.
inline std::string_view RefusedBy(const absl::Status& status, std::initializer_list<std::string_view> rules) {
  for (const auto& [key, value] : GetErrorDetail(status).metadata) {
    if (key != "constraint") continue;
    for (const std::string_view rule : rules) {
      if (value == rule) return rule;
    }
  }
  return {};
}

}  // namespace waybill::storage
