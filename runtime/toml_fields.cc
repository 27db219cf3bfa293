#include "runtime/toml_fields.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "runtime/text.h"

namespace waybill {

absl::Status FileMistake(std::string message) {
  return absl::InvalidArgumentError(CleanText(std::move(message), 2'000));
}

void TomlFields::Wrong(std::string_view field, std::string_view why) {
  if (!status_.ok()) return;
  const toml::node* node = table_.get(field);
  const auto line = (node != nullptr ? node->source() : table_.source()).begin.line;
  status_ = FileMistake(fmt::format("{}:{}: {} {}", source_, line, field, why));
}

void TomlFields::CheckKnown(std::span<const std::string_view> known) {
  for (const auto& [key, node] : table_) {
    if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
    Wrong(key.str(), fmt::format("is no field of a {}; these are: {}", what_, fmt::join(known, ", ")));
  }
}

std::string TomlFields::Text(std::string_view field) {
  const toml::node* node = table_.get(field);
  if (node == nullptr) return "";
  if (const auto* text = node->as_string()) return text->get();
  Wrong(field, "is not a text in quotes");
  return "";
}

bool TomlFields::Flag(std::string_view field) {
  const toml::node* node = table_.get(field);
  if (node == nullptr) return false;
  if (const auto* flag = node->as_boolean()) return flag->get();
  Wrong(field, "is neither true nor false");
  return false;
}

int64_t TomlFields::Number(std::string_view field, int64_t least, int64_t most, int64_t otherwise) {
  const toml::node* node = table_.get(field);
  if (node == nullptr) return otherwise;
  const auto* number = node->as_integer();
  if (number != nullptr && number->get() >= least && number->get() <= most) return number->get();
  Wrong(field, fmt::format("is not a whole number from {} to {}", least, most));
  return otherwise;
}

std::vector<std::string> TomlFields::Texts(std::string_view field) {
  std::vector<std::string> texts;
  const toml::node* node = table_.get(field);
  if (node == nullptr) return texts;
  const auto* array = node->as_array();
  if (array == nullptr || array->empty()) {
    Wrong(field, "is not a list of texts, such as [\"one\", \"two\"]");
    return texts;
  }
  for (const toml::node& one : *array) {
    const auto* text = one.as_string();
    if (text == nullptr) {
      Wrong(field, "holds what is not a text in quotes");
      return texts;
    }
    texts.push_back(text->get());
  }
  return texts;
}

}  // namespace waybill
