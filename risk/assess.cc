#include "risk/assess.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "domain/currency.h"
#include "fmt/format.h"

namespace waybill::risk {
namespace {

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

bool IsAbout(const Rule& rule, const Facts& facts) {
  return rule.about.contains(facts.subject) && (rule.currency.empty() || rule.currency == facts.currency);
}

// What a rule asks for; nullopt: no window.
std::optional<Window> WindowOf(const Rule& rule) {
  if (const auto* velocity = std::get_if<Velocity>(&rule.on)) {
    return Window{velocity->by, velocity->within, rule.currency, false, rule.about};
  }
  if (const auto* declines = std::get_if<Declines>(&rule.on)) {
    return Window{declines->by, declines->within, rule.currency, true, rule.about};
  }
  return std::nullopt;
}

int64_t SaturatingAdd(int64_t a, int64_t b) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  return a > kMost - b ? kMost : a + b;
}

// One order, looked at by one rule after the other.
class Look {
 public:
  Look(const Rules& rules, const Facts& facts, const History& history, absl::Time now)
      : facts_(facts), history_(history), now_(now), questions_(QuestionsOf(rules, facts)) {}

  // Why the rule is met; nullopt: it is not.
  std::optional<std::string> At(const Rule& rule) const {
    if (!IsAbout(rule, facts_)) return std::nullopt;
    return std::visit(
        Overloaded{
            [&](const Velocity& on) { return AtVelocity(rule, on); },
            [&](const AmountBand& on) { return AtAmount(rule, on); }, [&](const Listed& on) { return AtListed(on); },
            [&](const Missing& on) { return AtMissing(on); }, [&](const NewAccount& on) { return AtNewAccount(on); },
            [&](const Travel& on) { return AtTravel(on); }, [&](const Declines& on) { return AtDeclines(rule, on); }},
        rule.on);
  }

 private:
  using Why = std::optional<std::string>;

  std::string_view NameOf(Trait by) const { return Name(by, facts_.subject); }

  // nullopt: the order does not say what it would be of.
  std::optional<Sum> SumOf(const Rule& rule) const {
    const auto asked = std::find(questions_.windows.begin(), questions_.windows.end(), WindowOf(rule));
    if (asked == questions_.windows.end()) return std::nullopt;
    return history_.windows.at(static_cast<size_t>(asked - questions_.windows.begin()));
  }

  Why AtVelocity(const Rule& rule, const Velocity& on) const {
    std::optional<Sum> sum = SumOf(rule);
    if (!sum) return std::nullopt;
    ++sum->count;
    sum->amount_minor = SaturatingAdd(sum->amount_minor, facts_.amount_minor);
    if (on.count_over && sum->count > *on.count_over) {
      return fmt::format("{} {} of the {} within {}, more than {}", sum->count, PluralOf(rule.about), NameOf(on.by),
                         absl::FormatDuration(on.within), *on.count_over);
    }
    if (on.amount_over && sum->amount_minor > *on.amount_over) {
      return fmt::format("{} by the {} within {}, more than {}", domain::ShowMoney(sum->amount_minor, rule.currency),
                         NameOf(on.by), absl::FormatDuration(on.within),
                         domain::ShowMoney(*on.amount_over, rule.currency));
    }
    return std::nullopt;
  }

  Why AtAmount(const Rule& rule, const AmountBand& on) const {
    if (facts_.amount_minor < on.from || facts_.amount_minor > on.to) return std::nullopt;
    return domain::ShowMoney(facts_.amount_minor, rule.currency);
  }

  Why AtListed(const Listed& on) const {
    if (!on.values.contains(facts_.Of(on.by))) return std::nullopt;
    return fmt::format("the {} is listed", NameOf(on.by));
  }

  Why AtMissing(const Missing& on) const {
    if (!facts_.Of(on.by).empty()) return std::nullopt;
    return fmt::format("no {} is named", NameOf(on.by));
  }

  Why AtNewAccount(const NewAccount& on) const {
    if (!facts_.account && facts_.Of(Trait::kUser).empty()) return std::nullopt;
    const absl::Time since = facts_.account ? *facts_.account : history_.first_seen.value_or(now_);
    if (now_ - since >= on.younger_than) return std::nullopt;
    return fmt::format("the account is younger than {}", absl::FormatDuration(on.younger_than));
  }

  Why AtTravel(const Travel& on) const {
    const std::optional<Sighting>& last = history_.previous[static_cast<size_t>(on.by)];
    if (!last || !facts_.position) return std::nullopt;
    const double metres = domain::DistanceM(last->point, *facts_.position);
    const absl::Duration took = now_ - last->at;
    if (metres <= on.over_m || metres <= on.over_mps * absl::ToDoubleSeconds(took)) return std::nullopt;
    return fmt::format("{:.0f} km from the {}'s last {} {} ago", metres / 1'000, NameOf(on.by), Name(facts_.subject),
                       absl::FormatDuration(absl::Trunc(took, absl::Milliseconds(1))));
  }

  Why AtDeclines(const Rule& rule, const Declines& on) const {
    const std::optional<Sum> sum = SumOf(rule);
    if (!sum || sum->count <= on.count_over) return std::nullopt;
    return fmt::format("{} declined charges of the {} within {}, more than {}", sum->count, NameOf(on.by),
                       absl::FormatDuration(on.within), on.count_over);
  }

  const Facts& facts_;
  const History& history_;
  const absl::Time now_;
  const Questions questions_;
};

Verdict VerdictOf(const Rules& rules, const std::vector<Reason>& reasons, bool with_shadow) {
  Verdict verdict;
  const Reason* most = nullptr;
  std::optional<Verdict> decided;
  // A rule that denies goes before one that allows, that before one that wants a person.
  const auto rank = [](Decision decision) {
    return decision == Decision::kDeny ? 2 : decision == Decision::kAllow ? 1 : 0;
  };
  for (const Reason& reason : reasons) {
    if (reason.shadow && !with_shadow) continue;
    verdict.score += reason.score;
    if (reason.decides && (!decided || rank(*reason.decides) > rank(decided->decision))) {
      decided = Verdict{*reason.decides, 0, reason.rule};
    }
    if (!reason.decides && (most == nullptr || reason.score > most->score)) most = &reason;
  }
  if (most != nullptr) verdict.rule = most->rule;
  verdict.decision = verdict.score >= rules.deny_at     ? Decision::kDeny
                     : verdict.score >= rules.review_at ? Decision::kReview
                                                        : Decision::kAllow;
  // Who wants a person is content with what scores deny.
  if (decided && (decided->decision != Decision::kReview || verdict.decision == Decision::kAllow)) {
    verdict.decision = decided->decision;
    verdict.rule = decided->rule;
  }
  return verdict;
}

}  // namespace

Questions QuestionsOf(const Rules& rules, const Facts& facts) {
  Questions questions;
  for (const Rule& rule : rules.rules) {
    if (!IsAbout(rule, facts)) continue;
    if (const std::optional<Window> window = WindowOf(rule); window && !facts.Of(window->by).empty()) {
      if (std::find(questions.windows.begin(), questions.windows.end(), *window) == questions.windows.end()) {
        questions.windows.push_back(*window);
      }
    }
    if (std::holds_alternative<NewAccount>(rule.on) && !facts.account && !facts.Of(Trait::kUser).empty()) {
      questions.first_seen = true;
    }
    if (const auto* travel = std::get_if<Travel>(&rule.on)) {
      if (facts.position && !facts.Of(travel->by).empty()) {
        questions.previous[static_cast<size_t>(travel->by)] = true;
      }
    }
  }
  return questions;
}

Assessment Assess(const Rules& rules, const Facts& facts, const History& history, absl::Time now) {
  Assessment assessment;
  assessment.version = rules.version;
  const Look look(rules, facts, history, now);
  for (const Rule& rule : rules.rules) {
    std::optional<std::string> why = look.At(rule);
    if (!why) continue;
    assessment.reasons.push_back(
        {rule.name, rule.decides ? 0 : rule.score, rule.decides, rules.shadow || rule.shadow, *std::move(why)});
  }
  assessment.verdict = VerdictOf(rules, assessment.reasons, false);
  assessment.shadow = VerdictOf(rules, assessment.reasons, true);
  return assessment;
}

}  // namespace waybill::risk
