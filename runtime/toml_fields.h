// A file's tables, field by field, so that each mistake is told with its line and field.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "runtime/toml.h"

namespace waybill {

// INVALID_ARGUMENT; what the message quotes of a file is made fit for a log.
absl::Status FileMistake(std::string message);

// One table, and what is wrong with it: the first mistake counts.
class TomlFields {
 public:
  // `what` it is for people: "gateway". All outlive it.
  TomlFields(const toml::table& table, std::string_view what, std::string_view source)
      : table_(table), what_(what), source_(source) {}

  // "SOURCE:LINE: FIELD WHY", with the line of the field, or of the table where it lacks the field.
  void Wrong(std::string_view field, std::string_view why);
  void CheckKnown(std::span<const std::string_view> known);
  bool Has(std::string_view field) const { return table_.get(field) != nullptr; }

  // --- What a field says; "", false, `otherwise` and {} where the table lacks it, or it is something else.

  std::string Text(std::string_view field);
  bool Flag(std::string_view field);
  int64_t Number(std::string_view field, int64_t least, int64_t most, int64_t otherwise);
  std::vector<std::string> Texts(std::string_view field);

  const absl::Status& status() const { return status_; }

 private:
  const toml::table& table_;
  const std::string_view what_;
  const std::string_view source_;
  absl::Status status_;
};

}  // namespace waybill
