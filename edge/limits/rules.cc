#include "edge/limits/rules.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <set>
#include <utility>

#include "fmt/format.h"
#include "runtime/text.h"
#include "runtime/toml.h"

namespace waybill::limits {
namespace {

constexpr int64_t kCellsMax = 1'000'000;
constexpr absl::Duration kWholeAgainMax = absl::Hours(24 * 365 * 100);
constexpr absl::Duration kPeriodMax = absl::Hours(24 * 366);
constexpr size_t kNameMax = 64, kClientMax = 200;
constexpr size_t kRulesMax = 1'000;

// It quotes what the file says, line breaks included.
absl::Status Mistake(std::string message) { return absl::InvalidArgumentError(CleanText(std::move(message), 2'000)); }

// One [[limit]], and where its mistakes are told.
class Table {
 public:
  Table(const toml::table& table, std::string_view source) : table_(table), source_(source) {}

  absl::Status Wrong(std::string_view field, std::string_view why) const {
    const toml::node* node = table_.get(field);
    const auto line = (node != nullptr ? node->source() : table_.source()).begin.line;
    return Mistake(fmt::format("{}:{}: {} {}", source_, line, field, why));
  }

  absl::Status CheckFields() const {
    static constexpr std::array<std::string_view, 8> kFields = {
        "name", "client", "method", "limit", "period", "burst", "when_redis_is_away", "mode"};
    for (const auto& [key, node] : table_) {
      const std::string_view field = key.str();
      if (std::find(kFields.begin(), kFields.end(), field) == kFields.end()) {
        return Wrong(field, fmt::format("is no field of a limit; these are: {}", fmt::join(kFields, ", ")));
      }
    }
    return absl::OkStatus();
  }

  // Nothing: the line is not there.
  absl::StatusOr<std::optional<std::string>> Text(std::string_view field) const {
    const toml::node* node = table_.get(field);
    if (node == nullptr) return std::nullopt;
    const auto* text = node->as_string();
    if (text == nullptr) return Wrong(field, "is not a text in quotes");
    return text->get();
  }
  absl::StatusOr<std::string> NeededText(std::string_view field) const {
    absl::StatusOr<std::optional<std::string>> text = Text(field);
    if (!text.ok()) return text.status();
    if (!*text) return Wrong(field, "is missing");
    return **text;
  }
  // The first is the default.
  absl::StatusOr<bool> IsFirst(std::string_view field, std::string_view first, std::string_view second) const {
    absl::StatusOr<std::optional<std::string>> text = Text(field);
    if (!text.ok()) return text.status();
    if (!*text || **text == first) return true;
    if (**text == second) return false;
    return Wrong(field, fmt::format("is neither \"{}\" nor \"{}\"", first, second));
  }
  absl::StatusOr<std::optional<int64_t>> Cells(std::string_view field) const {
    const toml::node* node = table_.get(field);
    if (node == nullptr) return std::nullopt;
    const auto* number = node->as_integer();
    if (number == nullptr || number->get() < 1 || number->get() > kCellsMax) {
      return Wrong(field, fmt::format("is not a whole number from 1 to {}", kCellsMax));
    }
    return number->get();
  }

 private:
  const toml::table& table_;
  const std::string_view source_;
};

bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::islower(c) || std::isdigit(c) || c == '-' || c == '_';
  });
}

bool IsClient(std::string_view client) {
  return client.size() <= kClientMax &&
         std::all_of(client.begin(), client.end(), [](char c) { return c > ' ' && c <= '~'; });
}

absl::StatusOr<Rule> ParseRule(const Table& table, const std::vector<std::string>& methods) {
  if (absl::Status known = table.CheckFields(); !known.ok()) return known;
  Rule rule;
  absl::StatusOr<std::string> name = table.NeededText("name");
  if (!name.ok()) return name.status();
  if (!IsName(*name)) {
    return table.Wrong("name", fmt::format("is not 1 to {} letters a-z, digits, '-' and '_'", kNameMax));
  }
  rule.name = *std::move(name);

  absl::StatusOr<std::string> client = table.NeededText("client");
  if (!client.ok()) return client.status();
  if (!IsClient(*client)) {
    return table.Wrong(
        "client", fmt::format("is neither \"*\" nor a client's name, up to {} visible ASCII characters", kClientMax));
  }
  rule.client = *std::move(client);

  absl::StatusOr<std::string> method = table.NeededText("method");
  if (!method.ok()) return method.status();
  rule.method = *std::move(method);
  if (std::none_of(methods.begin(), methods.end(), [&](const std::string& one) { return IsAbout(rule, one); })) {
    return table.Wrong(
        "method", fmt::format("\"{}\" is none of this service: \"*\", \"package.Service/*\" or one of {}", rule.method,
                              fmt::join(methods, ", ")));
  }

  absl::StatusOr<std::optional<int64_t>> limit = table.Cells("limit");
  if (!limit.ok()) return limit.status();
  if (!*limit) return table.Wrong("limit", "is missing");
  rule.rate.count = **limit;
  absl::StatusOr<std::optional<int64_t>> burst = table.Cells("burst");
  if (!burst.ok()) return burst.status();
  rule.rate.burst = burst->value_or(rule.rate.count);
  absl::StatusOr<std::string> period = table.NeededText("period");
  if (!period.ok()) return period.status();
  if (!absl::ParseDuration(*period, &rule.rate.period) || rule.rate.period < absl::Milliseconds(1) ||
      rule.rate.period > kPeriodMax || rule.rate.period % absl::Microseconds(1) != absl::ZeroDuration()) {
    return table.Wrong("period", "is not a duration such as 1s, 15m or 24h, from 1ms to a year");
  }
  if (absl::FDivDuration(rule.rate.period, kWholeAgainMax) * static_cast<double>(rule.rate.burst) >
      static_cast<double>(rule.rate.count)) {
    return table.Wrong("burst", "takes more than a hundred years to be whole again");
  }

  absl::StatusOr<bool> open = table.IsFirst("when_redis_is_away", "open", "closed");
  if (!open.ok()) return open.status();
  rule.open_when_away = *open;
  absl::StatusOr<bool> enforce = table.IsFirst("mode", "enforce", "shadow");
  if (!enforce.ok()) return enforce.status();
  rule.shadow = !*enforce;
  return rule;
}

absl::StatusOr<std::vector<Rule>> RulesOf(const toml::table& file, const std::vector<std::string>& methods,
                                          std::string_view source) {
  const auto wrong = [&](const toml::node& node, std::string_view why) {
    return Mistake(fmt::format("{}:{}: {}", source, node.source().begin.line, why));
  };
  std::vector<Rule> rules;
  for (const auto& [key, node] : file) {
    const auto* tables = node.as_array();
    if (key.str() != "limit" || tables == nullptr) {
      return wrong(node, fmt::format("{} is unknown: each rule is a table [[limit]]", std::string(key.str())));
    }
    std::set<std::string> names;
    for (const toml::node& one : *tables) {
      const auto* fields = one.as_table();
      if (fields == nullptr) return wrong(one, "limit holds what is no table: each rule is a table [[limit]]");
      const Table table(*fields, source);
      absl::StatusOr<Rule> rule = ParseRule(table, methods);
      if (!rule.ok()) return rule.status();
      if (!names.insert(rule->name).second) {
        return table.Wrong("name", fmt::format("\"{}\" is another rule's already", rule->name));
      }
      rules.push_back(*std::move(rule));
    }
    if (rules.size() > kRulesMax) return wrong(node, fmt::format("there are more than {} rules", kRulesMax));
  }
  return rules;
}

}  // namespace

bool Rule::operator==(const Rule& other) const {
  return name == other.name && client == other.client && method == other.method && rate.count == other.rate.count &&
         rate.period == other.rate.period && rate.burst == other.rate.burst && open_when_away == other.open_when_away &&
         shadow == other.shadow;
}

bool IsAbout(const Rule& rule, std::string_view method) {
  if (rule.method == kEvery || rule.method == method) return true;
  // "package.Service/*"
  const std::string_view service = std::string_view(rule.method).substr(0, rule.method.find('/') + 1);
  return service.size() > 1 && rule.method.size() == service.size() + 1 && rule.method.back() == '*' &&
         method.substr(0, service.size()) == service;
}

std::string Describe(const storage::CellRate& rate) {
  return fmt::format("{} per {}, burst {}", rate.count, absl::FormatDuration(rate.period), rate.burst);
}

absl::StatusOr<std::vector<Rule>> ParseRules(std::string_view text, const std::vector<std::string>& methods,
                                             std::string_view source) {
  const absl::StatusOr<toml::table> file = ParseToml(text, source);
  return file.ok() ? RulesOf(*file, methods, source) : file.status();
}

absl::StatusOr<std::vector<Rule>> ReadRules(const std::string& path, const std::vector<std::string>& methods) {
  const absl::StatusOr<toml::table> file = ReadToml(path);
  return file.ok() ? RulesOf(*file, methods, path) : file.status();
}

}  // namespace waybill::limits
