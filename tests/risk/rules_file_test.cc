#include "risk/rules_file.h"

#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace waybill::risk {
namespace {

using ::testing::HasSubstr;

constexpr char kVersion[] = "version = \"1\"\n";

std::string WithRule(std::string_view rule) { return fmt::format("{}[[rule]]\nname = \"r\"\n{}", kVersion, rule); }

TEST(RiskRulesFile, ReadsAllThatThereIs) {
  const absl::StatusOr<Rules> rules = ParseRules(R"(
version = "2026-11-29.1"
mode = "shadow"
review_at = 40
deny_at = 90
review_for = "12h"
after_review = "allow"

[[rule]]
name = "user-hour"
kind = "velocity"
by = "user"
within = "1h"
count_over = 5
amount_over = 50000
currency = "EUR"
score = 40

[[rule]]
name = "large"
kind = "amount"
from = 100000
currency = "EUR"
decide = "review"

[[rule]]
name = "stolen"
kind = "list"
by = "card"
values = ["fp-1", "fp-2"]
decide = "deny"

[[rule]]
name = "no-device"
kind = "missing"
by = "device"
score = 10
mode = "shadow"

[[rule]]
name = "new"
kind = "new_account"
younger_than = "24h"
score = 20

[[rule]]
name = "too-fast"
kind = "travel"
by = "user"
distance_over_km = 100
speed_over_kmh = 900
score = 60

[[rule]]
name = "tries"
kind = "declines"
by = "card"
within = "10m"
count_over = 2
score = 50
)",
                                                 "risk.toml");
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_EQ(rules->version, "2026-11-29.1");
  EXPECT_TRUE(rules->shadow);
  EXPECT_EQ(rules->review_at, 40);
  EXPECT_EQ(rules->deny_at, 90);
  EXPECT_EQ(rules->review_for, absl::Hours(12));
  EXPECT_EQ(rules->after_review, Decision::kAllow);
  const auto is = [&](size_t at, const Rule& rule) { EXPECT_EQ(rules->rules.at(at), rule) << at; };
  ASSERT_EQ(rules->rules.size(), 7U);
  is(0, {"user-hour", "EUR", 40, std::nullopt, false, Velocity{Trait::kUser, absl::Hours(1), 5, 50'000}});
  is(1, {"large", "EUR", 0, Decision::kReview, false, AmountBand{100'000, std::numeric_limits<int64_t>::max()}});
  is(2, {"stolen", "", 0, Decision::kDeny, false, Listed{Trait::kCard, {"fp-1", "fp-2"}}});
  is(3, {"no-device", "", 10, std::nullopt, true, Missing{Trait::kDevice}});
  is(4, {"new", "", 20, std::nullopt, false, NewAccount{absl::Hours(24)}});
  is(5, {"too-fast", "", 60, std::nullopt, false, Travel{Trait::kUser, 100'000, 250}});
  is(6, {"tries", "", 50, std::nullopt, false, Declines{Trait::kCard, absl::Minutes(10), 2}});
  EXPECT_EQ(
      Describe(*rules),
      "version 2026-11-29.1 in shadow, review at 40 for 12h and then allow, deny at 90; user-hour velocity EUR +40; "
      "large amount EUR review; stolen list deny; no-device missing +10 in shadow; new new_account +20; "
      "too-fast travel +60; tries declines +50");
}

TEST(RiskRulesFile, AVersionIsEnough) {
  const absl::StatusOr<Rules> rules = ParseRules(kVersion, "f");
  ASSERT_TRUE(rules.ok()) << rules.status();
  Rules expected;
  expected.version = "1";
  EXPECT_EQ(*rules, expected);
  EXPECT_EQ(rules->after_review, Decision::kDeny);
}

TEST(RiskRulesFile, EachMistakeIsNamedWithItsLine) {
  const struct {
    std::string text, says;
  } cases[] = {
      {"", "f:1: version is missing"},
      {"version = 1\n", "f:1: version is not a text in quotes"},
      {"version = \"a b\"\n", "f:1: version is not 1 to 64"},
      {std::string(kVersion) + "mode = \"off\"\n", "f:2: mode is neither \"enforce\" nor \"shadow\""},
      {std::string(kVersion) + "review_at = 0\n", "f:2: review_at is not a whole number from 1 to 200000"},
      {std::string(kVersion) + "review_at = 60\ndeny_at = 59\n", "f:3: deny_at is less than review_at"},
      {std::string(kVersion) + "review_for = \"1d\"\n", "f:2: review_for is no time from 1s to 720h"},
      {std::string(kVersion) + "review_for = \"721h\"\n", "f:2: review_for is no time"},
      {std::string(kVersion) + "after_review = \"review\"\n", "f:2: after_review is neither"},
      {std::string(kVersion) + "colour = 1\n", "f:2: colour is no field of a file of risk rules"},
      {std::string(kVersion) + "rule = 1\n", "f:2: rule is no list of tables"},
      {std::string(kVersion) + "rule = [1]\n", "f:2: rule holds what is no table"},
      {std::string(kVersion) + "[[rule]]\n", "f:2: kind is missing"},
      {WithRule("kind = \"magic\"\n"), "f:4: kind is none of these: velocity, amount, list"},
      {std::string(kVersion) + "[[rule]]\nkind = \"missing\"\nby = \"card\"\nscore = 1\n", "f:2: name is missing"},
      {std::string(kVersion) + "[[rule]]\nname = \"R\"\nkind = \"missing\"\nby = \"card\"\nscore = 1\n",
       "f:3: name is not 1 to 64"},
      {WithRule(
           "kind = \"missing\"\nby = \"card\"\nscore = 1\n[[rule]]\nname = \"r\"\nkind = \"missing\"\nby = \"card\"\n"
           "score = 1\n"),
       "f:8: name \"r\" is another rule's already"},
      {WithRule("kind = \"missing\"\nby = \"card\"\n"), "f:2: score is missing, and so is decide"},
      {WithRule("kind = \"missing\"\nby = \"card\"\nscore = 1\ndecide = \"deny\"\n"), "f:6: score is there, and so is"},
      {WithRule("kind = \"missing\"\nby = \"card\"\nscore = 0\n"), "f:6: score is not a whole number from 1 to 1000"},
      {WithRule("kind = \"missing\"\nby = \"card\"\ndecide = \"maybe\"\n"), "f:6: decide is none of"},
      {WithRule("kind = \"missing\"\nscore = 1\n"), "f:2: by is missing"},
      {WithRule("kind = \"missing\"\nby = \"name\"\nscore = 1\n"), "f:5: by is none of"},
      {WithRule("kind = \"missing\"\nby = \"card\"\nwithin = \"1h\"\nscore = 1\n"),
       "f:6: within is no field of a rule of that kind; these are: name, kind, about, mode, currency, score, decide, "
       "by"},
      {WithRule("kind = \"missing\"\nby = \"card\"\nscore = 1\nmode = 1\n"), "f:7: mode is not a text"},
      {WithRule("kind = \"missing\"\nby = \"card\"\nscore = 1\ncurrency = \"EURO\"\n"), "f:7: currency is \"EURO\""},
      {WithRule("kind = \"velocity\"\nby = \"user\"\ncount_over = 1\nscore = 1\n"), "f:2: within is missing"},
      {WithRule("kind = \"velocity\"\nby = \"user\"\nwithin = \"0s\"\ncount_over = 1\nscore = 1\n"),
       "f:6: within is no time from 1s to 2160h"},
      {WithRule("kind = \"velocity\"\nby = \"user\"\nwithin = \"1h\"\nscore = 1\n"), "f:2: count_over is missing"},
      {WithRule("kind = \"velocity\"\nby = \"user\"\nwithin = \"1h\"\namount_over = 1\nscore = 1\n"),
       "f:2: currency is missing, and amount_over"},
      {WithRule("kind = \"amount\"\ncurrency = \"EUR\"\nscore = 1\n"), "f:2: from is missing, and so is to"},
      {WithRule("kind = \"amount\"\nfrom = 2\nto = 1\ncurrency = \"EUR\"\nscore = 1\n"), "f:6: to is less than from"},
      {WithRule("kind = \"amount\"\nfrom = 2\nscore = 1\n"), "f:2: currency is missing, and a band"},
      {WithRule("kind = \"list\"\nby = \"card\"\ndecide = \"deny\"\n"), "f:2: values is missing"},
      {WithRule("kind = \"list\"\nby = \"card\"\nvalues = []\ndecide = \"deny\"\n"), "f:6: values is not a list"},
      {WithRule("kind = \"list\"\nby = \"card\"\nvalues = [\"\"]\ndecide = \"deny\"\n"),
       "f:6: values holds a text that"},
      {WithRule("kind = \"list\"\nby = \"card\"\nvalues = [\"a\", \"a\"]\ndecide = \"deny\"\n"),
       "f:6: values holds \"a\""},
      {WithRule("kind = \"new_account\"\nscore = 1\n"), "f:2: younger_than is missing"},
      {WithRule("kind = \"travel\"\nby = \"user\"\nspeed_over_kmh = 1\nscore = 1\n"),
       "f:2: distance_over_km is missing"},
      {WithRule("kind = \"travel\"\nby = \"user\"\ndistance_over_km = 1\nscore = 1\n"),
       "f:2: speed_over_kmh is missing"},
      {WithRule("kind = \"declines\"\nby = \"card\"\nwithin = \"1h\"\nscore = 1\n"), "f:2: count_over is missing"},
  };
  for (const auto& [text, says] : cases) {
    const absl::StatusOr<Rules> rules = ParseRules(text, "f");
    EXPECT_TRUE(absl::IsInvalidArgument(rules.status())) << text;
    EXPECT_THAT(std::string(rules.status().message()), HasSubstr(says)) << text;
  }
}

TEST(RiskRulesFile, SaysWhatARuleIsAbout) {
  const auto about = [](std::string_view rule) {
    const absl::StatusOr<Rules> rules = ParseRules(WithRule(rule), "f");
    EXPECT_TRUE(rules.ok()) << rules.status();
    return rules.ok() ? rules->rules.at(0) : Rule();
  };
  constexpr char kAmount[] = "kind = \"amount\"\ncurrency = \"EUR\"\nto = 5\nscore = 1\n";
  EXPECT_EQ(about(kAmount).about, Subjects{Subject::kOrder}) << "what files without the field have meant";
  EXPECT_EQ(about(fmt::format("{}about = [\"payments\", \"orders\"]\n", kAmount)).about,
            (Subjects{Subject::kOrder, Subject::kPayment}));
  const Rule payouts = about(
      "kind = \"velocity\"\nabout = [\"payouts\"]\nby = \"destination\"\nwithin = \"1h\"\ncount_over = 1\nscore = 1\n");
  EXPECT_EQ(payouts.about, Subjects{Subject::kPayout});
  EXPECT_EQ(std::get<Velocity>(payouts.on).by, Trait::kCard);
  EXPECT_EQ(std::get<Listed>(
                about("kind = \"list\"\nabout = [\"payouts\"]\nby = \"account\"\nvalues = [\"a\"]\nscore = 1\n").on)
                .by,
            Trait::kUser);
  EXPECT_THAT(Describe(*ParseRules(WithRule(fmt::format("{}about = [\"payouts\"]\n", kAmount)), "f")),
              HasSubstr("; r amount of payouts EUR +1"));
}

TEST(RiskRulesFile, WhatARuleCannotBeAboutIsAMistake) {
  const struct {
    std::string rule, says;
  } cases[] = {
      {"kind = \"new_account\"\nyounger_than = \"1h\"\nabout = [\"refunds\"]\n",
       "f:6: about holds \"refunds\", which is none"},
      {"kind = \"new_account\"\nyounger_than = \"1h\"\nabout = [\"order\"]\n",
       "f:6: about holds \"order\", which is none"},
      {"kind = \"new_account\"\nyounger_than = \"1h\"\nabout = [\"orders\", \"orders\"]\n",
       "f:6: about holds \"orders\" twice"},
      {"kind = \"new_account\"\nyounger_than = \"1h\"\nabout = []\n", "f:6: about is not a list"},
      {"kind = \"new_account\"\nyounger_than = \"1h\"\nabout = \"orders\"\n", "f:6: about is not a list"},
      {"kind = \"new_account\"\nyounger_than = \"1h\"\nabout = [\"orders\", \"payouts\"]\n",
       "f:6: about has \"payouts\" and others"},
      {"kind = \"missing\"\nby = \"account\"\nabout = [\"payouts\"]\n", "f:6: about has \"payouts\", of which"},
      {"kind = \"declines\"\nby = \"account\"\nwithin = \"1h\"\ncount_over = 1\nabout = [\"payouts\"]\n",
       "f:8: about has \"payouts\", of which"},
      {"kind = \"travel\"\nby = \"account\"\ndistance_over_km = 1\nspeed_over_kmh = 1\nabout = [\"payouts\"]\n",
       "f:8: about has \"payouts\", of which"},
      {"kind = \"list\"\nby = \"card\"\nvalues = [\"a\"]\nabout = [\"payouts\"]\n", "f:5: by is neither \"account\""},
      {"kind = \"list\"\nby = \"device\"\nvalues = [\"a\"]\nabout = [\"payouts\"]\n", "f:5: by is neither \"account\""},
      {"kind = \"list\"\nby = \"account\"\nvalues = [\"a\"]\n", "f:5: by is none of \"user\""},
  };
  for (const auto& [rule, says] : cases) {
    const absl::StatusOr<Rules> rules = ParseRules(WithRule(rule + "score = 1\n"), "f");
    EXPECT_THAT(std::string(rules.status().message()), HasSubstr(says)) << rule;
  }
}

TEST(RiskRulesFile, ThatCannotBeReadIsAMistakeToo) {
  EXPECT_TRUE(absl::IsInvalidArgument(ReadRules("/nowhere/risk.toml").status()));
}

}  // namespace
}  // namespace waybill::risk
