// Rows for spreadsheets and pages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace waybill::cli {

// A line of comma-separated values with its end. A cell that begins like a formula is one to a spreadsheet; what others
// wrote must not be.
std::string CsvLine(const std::vector<std::string>& fields);

// A row of a table; `cell` is "td" or "th".
std::string HtmlRow(const char* cell, const std::vector<std::string>& fields);

// The beginning of a page that needs no other file, up to its body; `style` is CSS besides that of all pages.
std::string HtmlHead(std::string_view title, std::string_view style = "");

}  // namespace waybill::cli
