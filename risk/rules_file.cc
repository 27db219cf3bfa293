#include "risk/rules_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>
#include <span>
#include <utility>

#include "domain/currency.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "runtime/text.h"
#include "runtime/toml.h"
#include "runtime/toml_fields.h"

namespace waybill::risk {
namespace {

constexpr size_t kRulesMax = 200, kValuesMax = 10'000, kValueMax = 128, kVersionMax = 64, kNameMax = 64;
constexpr absl::Duration kWithinMax = absl::Hours(24 * 90), kReviewMax = absl::Hours(24 * 30);
constexpr int64_t kScoreMax = 1'000, kCountMax = 1'000'000, kAmountMax = std::numeric_limits<int64_t>::max();

bool IsVisible(std::string_view text, size_t most) {
  return !text.empty() && text.size() <= most &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

bool IsRuleName(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_-";
  return !name.empty() && name.size() <= kNameMax && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

absl::Duration TakeDuration(TomlFields& fields, std::string_view field, absl::Duration least, absl::Duration most,
                            absl::Duration otherwise) {
  if (!fields.Has(field)) return otherwise;
  const std::string text = fields.Text(field);
  absl::Duration taken;
  if (absl::ParseDuration(text, &taken) && taken >= least && taken <= most) return taken;
  fields.Wrong(field, fmt::format("is no time from {} to {}, such as \"90s\" or \"24h\"", absl::FormatDuration(least),
                                  absl::FormatDuration(most)));
  return otherwise;
}

bool TakeShadow(TomlFields& fields) {
  const std::string mode = fields.Text("mode");
  if (fields.Has("mode") && mode != "enforce" && mode != "shadow") {
    fields.Wrong("mode", "is neither \"enforce\" nor \"shadow\"");
  }
  return mode == "shadow";
}

absl::Duration TakeWithin(TomlFields& fields, std::string_view field) {
  if (!fields.Has(field)) fields.Wrong(field, "is missing");
  return TakeDuration(fields, field, absl::Seconds(1), kWithinMax, absl::Seconds(1));
}

bool IsOfPayouts(const Subjects& about) { return about.contains(Subject::kPayout); }

Trait TakeTrait(TomlFields& fields, const Subjects& about) {
  const std::string by = fields.Text("by");
  for (const Trait trait : kTraits) {
    const bool said = !IsOfPayouts(about) || trait == Trait::kUser || trait == Trait::kCard;
    if (said && Name(trait, *about.begin()) == by) return trait;
  }
  const std::string_view known = IsOfPayouts(about)
                                     ? "is neither \"account\" nor \"destination\", as rules about payouts have it"
                                     : "is none of \"user\", \"card\", \"device\" and \"address\"";
  fields.Wrong("by", fields.Has("by") ? known : "is missing");
  return Trait::kUser;
}

// What is no rule about payouts: they say no position, are not charged, and name their account and destination.
void RefuseAboutPayouts(TomlFields& fields, const Subjects& about) {
  if (IsOfPayouts(about)) fields.Wrong("about", "has \"payouts\", of which this kind of rule says nothing");
}

Subjects TakeAbout(TomlFields& fields) {
  if (!fields.Has("about")) return {Subject::kOrder};
  Subjects about;
  for (const std::string& name : fields.Texts("about")) {
    const std::optional<Subject> one =
        name.ends_with('s') ? ParseSubject(std::string_view(name).substr(0, name.size() - 1)) : std::nullopt;
    if (!one) {
      fields.Wrong("about", fmt::format("holds \"{}\", which is none of orders, payments and payouts", name));
    } else if (!about.insert(*one).second) {
      fields.Wrong("about", fmt::format("holds \"{}\" twice", name));
    }
  }
  // Whose accounts and destinations are no users and cards.
  if (IsOfPayouts(about) && about.size() > 1)
    fields.Wrong("about", "has \"payouts\" and others: they need a rule each");
  return about.empty() ? Subjects{Subject::kOrder} : about;
}

int64_t TakeNeeded(TomlFields& fields, std::string_view field, int64_t least, int64_t most) {
  if (!fields.Has(field)) fields.Wrong(field, "is missing");
  return fields.Number(field, least, most, least);
}

void NeedCurrency(TomlFields& fields, std::string_view why) {
  if (!fields.Has("currency")) fields.Wrong("currency", fmt::format("is missing, and {}", why));
}

Velocity TakeVelocity(TomlFields& fields, const Subjects& about) {
  Velocity on{TakeTrait(fields, about), TakeWithin(fields, "within"), std::nullopt, std::nullopt};
  if (fields.Has("count_over")) on.count_over = fields.Number("count_over", 1, kCountMax, 1);
  if (fields.Has("amount_over")) {
    on.amount_over = fields.Number("amount_over", 1, kAmountMax, 1);
    NeedCurrency(fields, "amount_over is a sum in one");
  }
  if (!on.count_over && !on.amount_over) fields.Wrong("count_over", "is missing, and so is amount_over: one is needed");
  return on;
}

AmountBand TakeAmount(TomlFields& fields) {
  if (!fields.Has("from") && !fields.Has("to")) fields.Wrong("from", "is missing, and so is to: one is needed");
  const AmountBand on{fields.Number("from", 1, kAmountMax, 1), fields.Number("to", 1, kAmountMax, kAmountMax)};
  if (on.from > on.to) fields.Wrong("to", "is less than from");
  NeedCurrency(fields, "a band of amounts is in one");
  return on;
}

Listed TakeList(TomlFields& fields, const Subjects& about) {
  Listed on{TakeTrait(fields, about), {}};
  const std::vector<std::string> values = fields.Texts("values");
  if (!fields.Has("values")) fields.Wrong("values", "is missing");
  if (values.size() > kValuesMax) fields.Wrong("values", fmt::format("has more than {} texts", kValuesMax));
  for (const std::string& value : values) {
    if (value.empty() || value.size() > 4 * kValueMax) {
      fields.Wrong("values", fmt::format("holds a text that is empty, or longer than {} bytes", 4 * kValueMax));
    }
    if (!on.values.insert(value).second) fields.Wrong("values", fmt::format("holds \"{}\" twice", value));
  }
  return on;
}

Missing TakeMissing(TomlFields& fields, const Subjects& about) {
  RefuseAboutPayouts(fields, about);
  return {TakeTrait(fields, about)};
}

Declines TakeDeclines(TomlFields& fields, const Subjects& about) {
  RefuseAboutPayouts(fields, about);
  return {TakeTrait(fields, about), TakeWithin(fields, "within"), TakeNeeded(fields, "count_over", 0, kCountMax)};
}

Travel TakeTravel(TomlFields& fields, const Subjects& about) {
  RefuseAboutPayouts(fields, about);
  Travel on;
  on.by = TakeTrait(fields, about);
  on.over_m = 1'000.0 * static_cast<double>(TakeNeeded(fields, "distance_over_km", 0, 20'100));
  on.over_mps = static_cast<double>(TakeNeeded(fields, "speed_over_kmh", 1, 100'000)) / 3.6;
  return on;
}

// By kind: the fields that it has besides those of every rule, and how they are read.
struct KindOfRule {
  std::string_view name;
  std::vector<std::string_view> fields;
  decltype(Rule::on) (*take)(TomlFields&, const Subjects& about);
};

const std::vector<KindOfRule>& RuleKinds() {
  using On = decltype(Rule::on);
  static const auto& kinds = *new std::vector<KindOfRule>{
      {"velocity",
       {"by", "within", "count_over", "amount_over"},
       [](TomlFields& at, const Subjects& about) -> On { return TakeVelocity(at, about); }},
      {"amount", {"from", "to"}, [](TomlFields& at, const Subjects&) -> On { return TakeAmount(at); }},
      {"list", {"by", "values"}, [](TomlFields& at, const Subjects& about) -> On { return TakeList(at, about); }},
      {"missing", {"by"}, [](TomlFields& at, const Subjects& about) -> On { return TakeMissing(at, about); }},
      {"new_account",
       {"younger_than"},
       [](TomlFields& at, const Subjects&) -> On { return NewAccount{TakeWithin(at, "younger_than")}; }},
      {"travel",
       {"by", "distance_over_km", "speed_over_kmh"},
       [](TomlFields& at, const Subjects& about) -> On { return TakeTravel(at, about); }},
      {"declines",
       {"by", "within", "count_over"},
       [](TomlFields& at, const Subjects& about) -> On { return TakeDeclines(at, about); }},
  };
  return kinds;
}

const KindOfRule* FindKind(std::string_view name) {
  const auto found =
      std::find_if(RuleKinds().begin(), RuleKinds().end(), [&](const KindOfRule& kind) { return kind.name == name; });
  return found == RuleKinds().end() ? nullptr : &*found;
}

Rule TakeRule(TomlFields& fields, const std::vector<Rule>& before) {
  Rule rule;
  const std::string kind_name = fields.Text("kind");
  const KindOfRule* kind = FindKind(kind_name);
  if (kind == nullptr) {
    std::vector<std::string_view> names;
    for (const KindOfRule& one : RuleKinds()) names.push_back(one.name);
    fields.Wrong("kind",
                 fields.Has("kind") ? fmt::format("is none of these: {}", fmt::join(names, ", ")) : "is missing");
    return rule;
  }
  std::vector<std::string_view> known = {"name", "kind", "about", "mode", "currency", "score", "decide"};
  known.insert(known.end(), kind->fields.begin(), kind->fields.end());
  fields.CheckKnown(known);
  rule.name = fields.Text("name");
  if (!IsRuleName(rule.name)) {
    fields.Wrong("name", fields.Has("name") ? "is not 1 to 64 letters a-z, digits, '-' and '_'" : "is missing");
  }
  if (std::any_of(before.begin(), before.end(), [&](const Rule& other) { return other.name == rule.name; })) {
    fields.Wrong("name", fmt::format("\"{}\" is another rule's already", rule.name));
  }
  rule.shadow = TakeShadow(fields);
  rule.currency = fields.Text("currency");
  if (fields.Has("currency") && !domain::CurrencyExponent(rule.currency)) {
    fields.Wrong("currency", fmt::format("is \"{}\", which is no currency of ISO 4217", rule.currency));
  }
  if (fields.Has("score") == fields.Has("decide")) {
    fields.Wrong("score", fields.Has("score") ? "is there, and so is decide: a rule has one of them"
                                              : "is missing, and so is decide: one is needed");
  }
  rule.score = static_cast<int>(fields.Number("score", 1, kScoreMax, 0));
  if (fields.Has("decide")) {
    rule.decides = ParseDecision(fields.Text("decide"));
    if (!rule.decides) fields.Wrong("decide", "is none of \"allow\", \"review\" and \"deny\"");
  }
  rule.about = TakeAbout(fields);
  rule.on = kind->take(fields, rule.about);
  return rule;
}

absl::StatusOr<Rules> RulesOf(const toml::table& file, std::string_view source) {
  static constexpr std::array<std::string_view, 7> kKnown = {"version",    "mode",         "review_at", "deny_at",
                                                             "review_for", "after_review", "rule"};
  TomlFields fields(file, "file of risk rules", source);
  fields.CheckKnown(kKnown);
  Rules rules;
  rules.version = fields.Text("version");
  if (!IsVisible(rules.version, kVersionMax)) {
    fields.Wrong("version", fields.Has("version") ? "is not 1 to 64 visible ASCII characters" : "is missing");
  }
  rules.shadow = TakeShadow(fields);
  constexpr int64_t kSumMax = kScoreMax * static_cast<int64_t>(kRulesMax);
  rules.review_at = static_cast<int>(fields.Number("review_at", 1, kSumMax, rules.review_at));
  rules.deny_at = static_cast<int>(fields.Number("deny_at", 1, kSumMax, rules.deny_at));
  if (rules.deny_at < rules.review_at) fields.Wrong("deny_at", "is less than review_at");
  rules.review_for = TakeDuration(fields, "review_for", absl::Seconds(1), kReviewMax, rules.review_for);
  if (fields.Has("after_review")) {
    const std::optional<Decision> after = ParseDecision(fields.Text("after_review"));
    if (!after || *after == Decision::kReview) fields.Wrong("after_review", "is neither \"deny\" nor \"allow\"");
    rules.after_review = after.value_or(Decision::kDeny);
  }
  if (!fields.status().ok()) return fields.status();
  const toml::node* node = file.get("rule");
  if (node == nullptr) return rules;
  const auto wrong = [&](const toml::node& at, std::string_view why) {
    return FileMistake(fmt::format("{}:{}: {}", source, at.source().begin.line, why));
  };
  const auto* tables = node->as_array();
  if (tables == nullptr) return wrong(*node, "rule is no list of tables [[rule]]");
  if (tables->size() > kRulesMax) return wrong(*node, fmt::format("there are more than {} [[rule]]", kRulesMax));
  for (const toml::node& one : *tables) {
    const auto* table = one.as_table();
    if (table == nullptr) return wrong(one, "rule holds what is no table [[rule]]");
    TomlFields at(*table, "rule of that kind", source);
    Rule rule = TakeRule(at, rules.rules);
    if (!at.status().ok()) return at.status();
    rules.rules.push_back(std::move(rule));
  }
  return rules;
}

std::string_view KindName(const Rule& rule) { return RuleKinds()[rule.on.index()].name; }

}  // namespace

absl::StatusOr<Rules> ParseRules(std::string_view text, std::string_view source) {
  const absl::StatusOr<toml::table> file = ParseToml(text, source);
  return file.ok() ? RulesOf(*file, source) : file.status();
}

absl::StatusOr<Rules> ReadRules(const std::string& path) {
  const absl::StatusOr<toml::table> file = ReadToml(path);
  return file.ok() ? RulesOf(*file, path) : file.status();
}

std::string Describe(const Rules& rules) {
  constexpr size_t kBytesMax = 2'000;
  std::string text = fmt::format("version {} {}, review at {} for {} and then {}, deny at {}", rules.version,
                                 rules.shadow ? "in shadow" : "in force", rules.review_at,
                                 absl::FormatDuration(rules.review_for), Name(rules.after_review), rules.deny_at);
  for (const Rule& rule : rules.rules) {
    const bool of_orders = rule.about == Subjects{Subject::kOrder};
    text += fmt::format("; {} {}{}{} {}{}", rule.name, KindName(rule), of_orders ? "" : " of " + PluralOf(rule.about),
                        rule.currency.empty() ? "" : " " + rule.currency,
                        rule.decides ? std::string(Name(*rule.decides)) : fmt::format("+{}", rule.score),
                        rule.shadow ? " in shadow" : "");
  }
  return CleanText(std::move(text), kBytesMax);
}

}  // namespace waybill::risk
