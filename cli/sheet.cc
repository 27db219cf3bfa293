#include "cli/sheet.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_join.h"
#include "fmt/format.h"
#include "runtime/text.h"

namespace waybill::cli {
namespace {

std::string CsvField(std::string text) {
  constexpr std::string_view kFormula = "=+-@\t\r";
  if (!text.empty() && kFormula.find(text.front()) != std::string_view::npos) text.insert(0, "'");
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

}  // namespace

std::string CsvLine(const std::vector<std::string>& fields) {
  std::vector<std::string> quoted;
  std::transform(fields.begin(), fields.end(), std::back_inserter(quoted), CsvField);
  return absl::StrJoin(quoted, ",") + "\r\n";
}

std::string HtmlRow(const char* cell, const std::vector<std::string>& fields) {
  std::string row = "<tr>";
  for (const std::string& field : fields) row += fmt::format("<{0}>{1}</{0}>", cell, EscapedHtml(field));
  return row + "</tr>\n";
}

std::string HtmlHead(std::string_view title, std::string_view style) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\n<style>\n"
      "body{{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1b1f24}}\n"
      "table{{border-collapse:collapse;width:100%;margin:1rem 0 2rem}}th,td{{text-align:left;padding:.35rem .6rem;"
      "border-bottom:1px solid #d8dde3;vertical-align:top}}th{{color:#57606a;font-weight:600}}\n"
      "{}</style></head><body>\n",
      EscapedHtml(title), style);
}

}  // namespace waybill::cli
