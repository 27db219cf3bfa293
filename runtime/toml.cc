#include "runtime/toml.h"

#include <cstring>

#include "fmt/format.h"
#include "runtime/file.h"
#include "runtime/text.h"

namespace waybill {
namespace {

absl::Status WrongAt(std::string_view source, std::ptrdiff_t line, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("{}{}: {}", source, line > 0 ? fmt::format(":{}", line) : "", why));
}

}  // namespace

absl::StatusOr<toml::table> ParseToml(std::string_view text, std::string_view source) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    // It quotes what it saw, line breaks included.
    return WrongAt(source, error.source().begin.line, CleanText(std::string(error.description()), 500));
  }
}

absl::StatusOr<toml::table> ReadToml(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ParseToml(*text, path);
}

}  // namespace waybill
