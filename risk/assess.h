// What rules say of one order, payment or payout. Pure: the same of the same.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "risk/facts.h"
#include "risk/rules.h"

namespace waybill::risk {

// A rule that was met.
struct Reason {
  std::string rule;
  int score = 0;
  std::optional<Decision> decides;
  bool shadow = false;
  std::string detail;  // "4 orders of the user within 1h, more than 3"; without what the order says of itself
  friend bool operator==(const Reason&, const Reason&) = default;
};

struct Verdict {
  Decision decision = Decision::kAllow;
  int score = 0;
  std::string rule;  // that decided, or added most, the first of several; empty: none was met
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

struct Assessment {
  std::string version;  // of the rules
  Verdict verdict;      // by what is in force
  Verdict shadow;       // what it would have been, were nothing in shadow
  std::vector<Reason> reasons;
  friend bool operator==(const Assessment&, const Assessment&) = default;
};

// What of the past the rules ask for. What an order does not say is not asked for.
Questions QuestionsOf(const Rules& rules, const Facts& facts);

// `history` answers QuestionsOf(rules, facts), as of `now`.
Assessment Assess(const Rules& rules, const Facts& facts, const History& history, absl::Time now);

}  // namespace waybill::risk
