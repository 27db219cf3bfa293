// Rules of risk, as an operator writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "risk/facts.h"

namespace waybill::risk {

enum class Decision : uint8_t { kAllow, kReview, kDeny };
inline constexpr Decision kDecisions[] = {Decision::kAllow, Decision::kReview, Decision::kDeny};
std::string_view Name(Decision decision);  // "allow", "review", "deny": persisted
std::optional<Decision> ParseDecision(std::string_view name);

// More orders of one user, card, device or address than `count_over` within a time, or for more than `amount_over` in
// the rule's currency; this one counts, too. At least one of the two is there.
struct Velocity {
  Trait by = Trait::kUser;
  absl::Duration within;
  std::optional<int64_t> count_over;
  std::optional<int64_t> amount_over;
  friend bool operator==(const Velocity&, const Velocity&) = default;
};

// From `from` to `to`, both included, in the rule's currency.
struct AmountBand {
  int64_t from = 1;
  int64_t to = 0;
  friend bool operator==(const AmountBand&, const AmountBand&) = default;
};

struct Listed {
  Trait by = Trait::kUser;
  std::set<std::string> values;
  friend bool operator==(const Listed&, const Listed&) = default;
};

// The order does not say it.
struct Missing {
  Trait by = Trait::kCard;
  friend bool operator==(const Missing&, const Missing&) = default;
};

// The user's account is there for less than that: as the caller says, or else since the first order of the user.
struct NewAccount {
  absl::Duration younger_than;
  friend bool operator==(const NewAccount&, const NewAccount&) = default;
};

// Farther from where the last one was than `over_m`, and in less time than it takes at `over_mps`.
struct Travel {
  Trait by = Trait::kUser;
  double over_m = 0;
  double over_mps = 0;
  friend bool operator==(const Travel&, const Travel&) = default;
};

// More orders before this one than `count_over` within a time whose charge was declined. A decline counts by when its
// order was assessed.
struct Declines {
  Trait by = Trait::kUser;
  absl::Duration within;
  int64_t count_over = 0;
  friend bool operator==(const Declines&, const Declines&) = default;
};

struct Rule {
  std::string name;
  std::string currency;             // orders in others are none of its business; empty: in all of them
  int score = 0;                    // what it adds when it is met
  std::optional<Decision> decides;  // in place of that
  bool shadow = false;              // it only says what it would have done
  std::variant<Velocity, AmountBand, Listed, Missing, NewAccount, Travel, Declines> on;
  Subjects about = {Subject::kOrder};  // all else is none of its business; its window counts them together
  friend bool operator==(const Rule&, const Rule&) = default;
};

// A rule that decides goes before all scores: deny before allow before review. Otherwise the sum of scores counts.
struct Rules {
  std::string version;  // the operator's; with every assessment it is kept which it was
  bool shadow = false;  // all of them
  int review_at = 50;
  int deny_at = 100;
  absl::Duration review_for = absl::Hours(24);  // how long a person has
  Decision after_review = Decision::kDeny;      // then; kDeny or kAllow
  std::vector<Rule> rules;
  friend bool operator==(const Rules&, const Rules&) = default;
};

}  // namespace waybill::risk
