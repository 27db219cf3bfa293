#include "runtime/csv.h"

#include <algorithm>

namespace waybill {
namespace {

// Some programs fill their columns with zero bytes.
std::string_view WithoutBlanks(std::string_view text) {
  constexpr std::string_view kBlanks(" \t\r\n\0", 5);
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace

CsvRow SplitCsvRow(std::string_view row, char separator, std::vector<std::string>& fields) {
  fields.clear();
  size_t at = 0;
  while (true) {
    std::string field;
    if (at < row.size() && row[at] == '"') {
      bool closed = false;
      for (++at; at < row.size() && !closed; ++at) {
        if (row[at] != '"') {
          field += row[at];
        } else if (at + 1 < row.size() && row[at + 1] == '"') {
          field += row[++at];
        } else {
          closed = true;
        }
      }
      if (!closed) return CsvRow::kOpen;
      if (at < row.size() && row[at] != separator) return CsvRow::kBad;
    } else {
      size_t end = std::min(row.find(separator, at), row.size());
      field = std::string(WithoutBlanks(row.substr(at, end - at)));
      at = end;
    }
    fields.push_back(std::move(field));
    if (at >= row.size()) return CsvRow::kWhole;
    ++at;  // the separator
  }
}

}  // namespace waybill
