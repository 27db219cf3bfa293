// How often whom may call what: rules, and the file that they are read from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/limit_store.h"

namespace waybill::limits {

inline constexpr std::string_view kEvery = "*";

struct Rule {
  std::string name;    // in answers, metrics and Redis
  std::string client;  // "*": every client, each by itself
  std::string method;  // "package.Service/Method", "package.Service/*" or "*"
  storage::CellRate rate;
  bool open_when_away = true;  // while the store is away: by the same rate on this replica alone; else refused
  bool shadow = false;         // over the limit is only counted

  bool operator==(const Rule& other) const;
};

// Whether the rule is about this method, "package.Service/Method".
bool IsAbout(const Rule& rule, std::string_view method);

// "100 per 1s, burst 200", for people.
std::string Describe(const storage::CellRate& rate);

// From TOML: a table [[limit]] for each rule. INVALID_ARGUMENT names line, field and what is wrong; with one mistake
// there are no rules at all. `methods` are those that can be named; `source` is the file's name, for messages.
absl::StatusOr<std::vector<Rule>> ParseRules(std::string_view text, const std::vector<std::string>& methods,
                                             std::string_view source);
// INVALID_ARGUMENT also when the file cannot be read.
absl::StatusOr<std::vector<Rule>> ReadRules(const std::string& path, const std::vector<std::string>& methods);

}  // namespace waybill::limits
