// Orders that were, and what rules ask of them: told order by order, with no index and no shortcut.
#pragma once

#include <algorithm>
#include <limits>
#include <vector>

#include "risk/facts.h"

namespace waybill::risk::testing {

struct PastOrder {
  Facts facts;
  absl::Time at;
  bool declined = false;
};

inline bool SharesTrait(const Facts& a, const Facts& b, Trait by) {
  return a.client == b.client && !a.Of(by).empty() && a.Of(by) == b.Of(by);
}

inline bool IsIn(const Window& window, const Facts& facts, absl::Time now, const PastOrder& past) {
  return window.of.contains(past.facts.subject) && SharesTrait(facts, past.facts, window.by) &&
         past.at > now - window.within && past.at < now &&
         (window.currency.empty() || past.facts.currency == window.currency) && (!window.declined || past.declined);
}

// By what was before `now`.
inline History HistoryOf(const Questions& questions, const Facts& facts, absl::Time now,
                         const std::vector<PastOrder>& orders) {
  History history;
  for (const Window& window : questions.windows) {
    Sum& sum = history.windows.emplace_back();
    for (const PastOrder& past : orders) {
      if (!IsIn(window, facts, now, past)) continue;
      ++sum.count;
      const int64_t left = std::numeric_limits<int64_t>::max() - sum.amount_minor;
      sum.amount_minor += std::min(left, past.facts.amount_minor);
    }
  }
  for (const PastOrder& past : orders) {
    if (past.at >= now || past.facts.subject != facts.subject) continue;
    if (questions.first_seen && SharesTrait(facts, past.facts, Trait::kUser)) {
      history.first_seen = std::min(history.first_seen.value_or(past.at), past.at);
    }
    for (const Trait by : kTraits) {
      std::optional<Sighting>& last = history.previous[static_cast<size_t>(by)];
      if (!questions.previous[static_cast<size_t>(by)] || !SharesTrait(facts, past.facts, by)) continue;
      if (!past.facts.position || (last && last->at > past.at)) continue;
      last = Sighting{past.at, *past.facts.position};
    }
  }
  return history;
}

}  // namespace waybill::risk::testing
