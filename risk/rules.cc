#include "risk/rules.h"

#include <algorithm>
#include <iterator>

namespace waybill::risk {

std::string_view Name(Subject subject) {
  constexpr std::string_view kNames[] = {"order", "payment", "payout"};
  return kNames[static_cast<size_t>(subject)];
}

std::optional<Subject> ParseSubject(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kSubjects), std::end(kSubjects), [&](Subject one) { return Name(one) == name; });
  return found == std::end(kSubjects) ? std::nullopt : std::optional(*found);
}

std::string PluralOf(const Subjects& subjects) {
  std::string text;
  for (const Subject subject : subjects) {
    if (!text.empty()) text += " and ";
    text += Name(subject);
    text += 's';
  }
  return text;
}

std::string_view Name(Trait trait) {
  constexpr std::string_view kNames[] = {"user", "card", "device", "address"};
  return kNames[static_cast<size_t>(trait)];
}

std::string_view Name(Trait trait, Subject subject) {
  if (subject == Subject::kPayout && trait == Trait::kUser) return "account";
  if (subject == Subject::kPayout && trait == Trait::kCard) return "destination";
  return Name(trait);
}

std::string_view Name(Decision decision) {
  constexpr std::string_view kNames[] = {"allow", "review", "deny"};
  return kNames[static_cast<size_t>(decision)];
}

std::optional<Decision> ParseDecision(std::string_view name) {
  const auto* const found =
      std::find_if(std::begin(kDecisions), std::end(kDecisions), [&](Decision one) { return Name(one) == name; });
  return found == std::end(kDecisions) ? std::nullopt : std::optional(*found);
}

}  // namespace waybill::risk
