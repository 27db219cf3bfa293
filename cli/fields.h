// One thing, a line for each of its fields.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/context.h"
#include "cli/table.h"

namespace waybill::cli {

// By name and value, in their order; those without a value are left out.
inline void ShowFields(const Context& context, const std::vector<std::pair<std::string, std::string>>& fields) {
  Table table({{""}, {"", Column::Align::kLeft, Column::Overflow::kWrap}});
  for (const auto& [name, value] : fields) {
    if (!value.empty()) table.Add({{name, Style::kFaint}, value});
  }
  context.Print(table.Render(context.out));
}

}  // namespace waybill::cli
