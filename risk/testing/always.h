// Rules that say the same of whatever they are asked about.
#pragma once

#include <optional>
#include <utility>

#include "risk/rules.h"

namespace waybill::risk::testing {

// One rule, "always" of version "v1", that any amount in EUR of up to 1,000,000 minor units meets. It decides this, and
// where that is nullopt it adds a score of 10 alone, by which nothing is reviewed or denied. A person has two hours.
inline Rules Always(Subjects subjects, std::optional<Decision> decides, bool shadow = false) {
  Rule rule;
  rule.name = "always";
  rule.about = std::move(subjects);
  rule.currency = "EUR";
  rule.decides = decides;
  rule.score = 10;
  rule.shadow = shadow;
  rule.on = AmountBand{1, 1'000'000};
  Rules rules;
  rules.version = "v1";
  rules.review_for = absl::Hours(2);
  rules.rules = {std::move(rule)};
  return rules;
}

}  // namespace waybill::risk::testing
