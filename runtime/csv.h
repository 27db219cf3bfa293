// Rows of comma-separated values, after RFC 4180 and what people make of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace waybill {

// kOpen: a quote is left open, so that the row goes on in the next line; kBad: text follows a closing quote.
enum class CsvRow { kWhole, kOpen, kBad };

// A row, without its line end, into its fields: quotes taken off ("" inside them is one), blanks around the others too.
CsvRow SplitCsvRow(std::string_view row, char separator, std::vector<std::string>& fields);

}  // namespace waybill
