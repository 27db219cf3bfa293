#include "risk/assess.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "risk/testing/past.h"
#include "tests/support/even_ranges.h"

namespace waybill::risk {
namespace {

using ::testing::ElementsAre;
using testing::HistoryOf;
using testing::PastOrder;
using waybill::testing::Below;
using waybill::testing::Within;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);
const domain::GeoPoint kBerlin{52.52, 13.405}, kParis{48.8566, 2.3522};  // 877 km

Facts Order(int64_t amount_minor = 1'000) {
  Facts facts;
  facts.client = "acme";
  facts.traits = {"u-1", "card-1", "device-1", "10.0.0.1"};
  facts.amount_minor = amount_minor;
  facts.currency = "EUR";
  return facts;
}

Rule RuleOf(decltype(Rule::on) on, int score = 60) {
  Rule rule;
  rule.name = "r";
  rule.score = score;
  rule.currency = "EUR";
  rule.on = std::move(on);
  return rule;
}

Assessment Assessed(const Rules& rules, const Facts& facts, const std::vector<PastOrder>& past = {}) {
  return Assess(rules, facts, HistoryOf(QuestionsOf(rules, facts), facts, kNow, past), kNow);
}

// Whether a single rule is met.
bool IsMet(decltype(Rule::on) on, const Facts& facts, const std::vector<PastOrder>& past = {}) {
  Rules rules;
  rules.rules = {RuleOf(std::move(on))};
  return !Assessed(rules, facts, past).reasons.empty();
}

TEST(RiskWindow, IsOpenAtItsOldEndAndClosedAtThePresent) {
  const Velocity twice{Trait::kUser, absl::Hours(1), 1, std::nullopt};
  const auto with_one_at = [&](absl::Time at) { return IsMet(twice, Order(), {{Order(), at, false}}); };
  EXPECT_FALSE(with_one_at(kNow - absl::Hours(1)));  // as old as the window is long: out
  EXPECT_TRUE(with_one_at(kNow - absl::Hours(1) + absl::Microseconds(1)));
  EXPECT_TRUE(with_one_at(kNow - absl::Microseconds(1)));
  EXPECT_FALSE(with_one_at(kNow));                                                                // not before this one
  EXPECT_TRUE(IsMet(Velocity{Trait::kUser, absl::Seconds(1), std::nullopt, 999}, Order(1'000)));  // which is in itself
}

TEST(RiskVelocity, CountsThisOrderToo) {
  const Velocity over_two{Trait::kUser, absl::Hours(1), 2, std::nullopt};
  const PastOrder one{Order(), kNow - absl::Minutes(1), false};
  EXPECT_FALSE(IsMet(over_two, Order()));
  EXPECT_FALSE(IsMet(over_two, Order(), {one}));
  EXPECT_TRUE(IsMet(over_two, Order(), {one, one}));
}

TEST(RiskVelocity, SumsAmountsOfItsCurrency) {
  const Velocity over{Trait::kCard, absl::Hours(1), std::nullopt, 3'000};
  PastOrder one{Order(2'000), kNow - absl::Minutes(1), false};
  EXPECT_FALSE(IsMet(over, Order(1'000), {one}));  // 3,000 is not more than 3,000
  EXPECT_TRUE(IsMet(over, Order(1'001), {one}));
  one.facts.currency = "USD";
  EXPECT_FALSE(IsMet(over, Order(1'001), {one}));
  one.facts = Order(std::numeric_limits<int64_t>::max());
  EXPECT_TRUE(IsMet(over, Order(1), {one, one}));  // no overflow
}

TEST(RiskVelocity, IsOfOneTraitOfOneClient) {
  const Velocity over_one{Trait::kDevice, absl::Hours(1), 1, std::nullopt};
  const absl::Time earlier = kNow - absl::Microseconds(1);
  PastOrder other{Order(), earlier, false};
  EXPECT_TRUE(IsMet(over_one, Order(), {other}));
  other.facts.Of(Trait::kDevice) = "device-2";
  EXPECT_FALSE(IsMet(over_one, Order(), {other}));
  other = {Order(), earlier, false};
  other.facts.client = "bolt";
  EXPECT_FALSE(IsMet(over_one, Order(), {other}));
  Facts unsaid = Order();
  unsaid.Of(Trait::kDevice).clear();
  EXPECT_FALSE(IsMet(over_one, unsaid, {{unsaid, earlier, false}}));
}

TEST(RiskRule, IsAboutOrdersUnlessItSaysOtherwise) {
  Rules rules;
  rules.rules = {RuleOf(Velocity{Trait::kUser, absl::Hours(1), 1, std::nullopt})};
  Facts payment = Order(), payout = Order();
  payment.subject = Subject::kPayment;
  payout.subject = Subject::kPayout;
  const absl::Time earlier = kNow - absl::Minutes(1);
  const std::vector<PastOrder> past = {{Order(), earlier}, {payment, earlier}, {payment, earlier}, {payout, earlier}};
  const auto said = [&](const Facts& facts) {
    const Assessment assessment = Assessed(rules, facts, past);
    return assessment.reasons.empty() ? "" : assessment.reasons[0].detail;
  };
  EXPECT_EQ(said(Order()), "2 orders of the user within 1h, more than 1") << "of orders alone";
  EXPECT_EQ(said(payment), "");
  EXPECT_EQ(said(payout), "");
  rules.rules[0].about = {Subject::kPayout};
  EXPECT_EQ(said(Order()), "");
  EXPECT_EQ(said(payout), "2 payouts of the account within 1h, more than 1");
  rules.rules[0].about = {Subject::kOrder, Subject::kPayment};
  EXPECT_EQ(said(Order()), "4 orders and payments of the user within 1h, more than 1") << "counted together";
  EXPECT_EQ(said(payment), "4 orders and payments of the user within 1h, more than 1");
}

TEST(RiskAmount, IsMetFromTheFirstToTheLast) {
  const AmountBand band{100, 200};
  for (const auto& [amount, met] :
       {std::pair(99, false), std::pair(100, true), std::pair(200, true), std::pair(201, false)}) {
    EXPECT_EQ(IsMet(band, Order(amount)), met) << amount;
  }
  Facts yen = Order(150);
  yen.currency = "JPY";
  EXPECT_FALSE(IsMet(band, yen));
}

TEST(RiskLists, NameWhatTheOrderSays) {
  EXPECT_TRUE(IsMet(Listed{Trait::kCard, {"card-1"}}, Order()));
  EXPECT_FALSE(IsMet(Listed{Trait::kCard, {"card-2"}}, Order()));
  EXPECT_FALSE(IsMet(Listed{Trait::kUser, {"card-1"}}, Order()));
  Facts unsaid = Order();
  unsaid.Of(Trait::kCard).clear();
  EXPECT_TRUE(IsMet(Missing{Trait::kCard}, unsaid));
  EXPECT_FALSE(IsMet(Missing{Trait::kCard}, Order()));
}

TEST(RiskNewAccount, IsNewUntilItIsSoOld) {
  const NewAccount day{absl::Hours(24)};
  Facts order = Order();
  const auto since = [&](absl::Time account) {
    order.account = account;
    return IsMet(day, order);
  };
  EXPECT_FALSE(since(kNow - absl::Hours(24)));
  EXPECT_TRUE(since(kNow - absl::Hours(24) + absl::Microseconds(1)));
  EXPECT_TRUE(since(kNow + absl::Hours(1)));  // of the future: it is not old
}

TEST(RiskNewAccount, ThatNobodyDatesIsAsOldAsItsFirstOrder) {
  const NewAccount day{absl::Hours(24)};
  EXPECT_TRUE(IsMet(day, Order()));
  EXPECT_TRUE(IsMet(day, Order(), {{Order(), kNow - absl::Hours(1), false}}));
  EXPECT_FALSE(
      IsMet(day, Order(), {{Order(), kNow - absl::Hours(1), false}, {Order(), kNow - absl::Hours(24), false}}));
}

TEST(RiskNewAccount, IsOfWhatIsAssessedAndOfNobodyWithoutAName) {
  Rules rules;
  rules.rules = {RuleOf(NewAccount{absl::Hours(24)})};
  rules.rules[0].about = {Subject::kOrder, Subject::kPayment};
  Facts payment = Order();
  payment.subject = Subject::kPayment;
  const std::vector<PastOrder> past = {{Order(), kNow - absl::Hours(25), false}};
  EXPECT_TRUE(Assessed(rules, Order(), past).reasons.empty());
  EXPECT_FALSE(Assessed(rules, payment, past).reasons.empty()) << "the first payment, whatever was ordered";
  payment.Of(Trait::kUser).clear();
  EXPECT_TRUE(Assessed(rules, payment, past).reasons.empty());
  payment.account = kNow;
  EXPECT_FALSE(Assessed(rules, payment, past).reasons.empty()) << "which the request dates";
}

TEST(RiskTravel, IsImpossibleWhenItIsFarAndFast) {
  const Travel plane{Trait::kUser, 100'000, 250};  // 900 km/h: 877 km take 58 minutes
  Facts here = Order();
  here.position = kParis;
  PastOrder there{Order(), kNow - absl::Minutes(50), false};
  there.facts.position = kBerlin;
  EXPECT_TRUE(IsMet(plane, here, {there}));
  PastOrder earlier = there;
  earlier.at = kNow - absl::Hours(1);
  EXPECT_FALSE(IsMet(plane, here, {earlier}));
  EXPECT_TRUE(IsMet(plane, here, {earlier, there}));  // the latest counts
  there.at = kNow - absl::Microseconds(1);
  EXPECT_TRUE(IsMet(plane, here, {there}));                                // in no time at all
  EXPECT_FALSE(IsMet(Travel{Trait::kUser, 900'000, 250}, here, {there}));  // not far enough
  EXPECT_FALSE(IsMet(plane, Order(), {there}));
  EXPECT_FALSE(IsMet(plane, here, {{Order(), there.at, false}}));  // which said no position
}

TEST(RiskDeclines, CountWhatWasDeclinedBefore) {
  const Declines over_one{Trait::kCard, absl::Hours(1), 1};
  const PastOrder declined{Order(), kNow - absl::Minutes(1), true}, paid{Order(), kNow - absl::Minutes(1), false};
  EXPECT_FALSE(IsMet(over_one, Order(), {declined, paid, paid}));
  EXPECT_TRUE(IsMet(over_one, Order(), {declined, declined}));
}

// --- What comes of rules that are met.

// Rules that are always met.
Rules Met(const std::vector<std::pair<int, std::optional<Decision>>>& each) {
  Rules rules;
  for (const auto& [score, decides] : each) {
    Rule rule = RuleOf(AmountBand{1, 1'000'000}, score);
    rule.name = fmt::format("r{}", rules.rules.size());
    rule.decides = decides;
    rules.rules.push_back(std::move(rule));
  }
  return rules;
}

TEST(RiskVerdict, ScoresAddUpToThresholds) {
  const auto decided = [](const Rules& rules) { return Assessed(rules, Order()).verdict; };
  EXPECT_EQ(decided(Met({})), (Verdict{Decision::kAllow, 0, ""}));
  EXPECT_EQ(decided(Met({{49, {}}})), (Verdict{Decision::kAllow, 49, "r0"}));
  EXPECT_EQ(decided(Met({{20, {}}, {30, {}}})), (Verdict{Decision::kReview, 50, "r1"}));
  EXPECT_EQ(decided(Met({{50, {}}, {49, {}}})), (Verdict{Decision::kReview, 99, "r0"}));
  EXPECT_EQ(decided(Met({{50, {}}, {50, {}}})), (Verdict{Decision::kDeny, 100, "r0"}));
}

TEST(RiskVerdict, RulesThatDecideGoBeforeScores) {
  constexpr auto kAllow = Decision::kAllow, kReview = Decision::kReview, kDeny = Decision::kDeny;
  const auto decided = [](const Rules& rules) {
    const Verdict verdict = Assessed(rules, Order()).verdict;
    return std::pair(verdict.decision, verdict.rule);
  };
  EXPECT_EQ(decided(Met({{0, kAllow}, {0, kDeny}})), std::pair(kDeny, std::string("r1")));
  EXPECT_EQ(decided(Met({{100, {}}, {0, kAllow}, {0, kReview}})), std::pair(kAllow, std::string("r1")));
  EXPECT_EQ(decided(Met({{1, {}}, {0, kReview}})), std::pair(kReview, std::string("r1")));
  EXPECT_EQ(decided(Met({{100, {}}, {0, kReview}})), std::pair(kDeny, std::string("r0")));
  EXPECT_EQ(decided(Met({{0, kDeny}, {0, kDeny}})), std::pair(kDeny, std::string("r0")));
}

TEST(RiskVerdict, ShadowOnlySaysWhatItWouldHaveBeen) {
  Rules rules = Met({{60, {}}, {60, {}}});
  rules.rules[1].shadow = true;
  Assessment assessment = Assessed(rules, Order());
  EXPECT_EQ(assessment.verdict, (Verdict{Decision::kReview, 60, "r0"}));
  EXPECT_EQ(assessment.shadow, (Verdict{Decision::kDeny, 120, "r0"}));
  EXPECT_THAT(assessment.reasons,
              ElementsAre(Reason{"r0", 60, {}, false, "10.00 EUR"}, Reason{"r1", 60, {}, true, "10.00 EUR"}));
  rules.shadow = true;
  assessment = Assessed(rules, Order());
  EXPECT_EQ(assessment.verdict, (Verdict{Decision::kAllow, 0, ""}));
  EXPECT_EQ(assessment.shadow, (Verdict{Decision::kDeny, 120, "r0"}));
}

TEST(RiskQuestions, AskForEachWindowOnceAndForNothingThatIsOfNoUse) {
  Rules rules;
  rules.rules = {RuleOf(Velocity{Trait::kUser, absl::Hours(1), 1, std::nullopt}),
                 RuleOf(Velocity{Trait::kUser, absl::Hours(1), std::nullopt, 5}),
                 RuleOf(Declines{Trait::kUser, absl::Hours(1), 1}), RuleOf(NewAccount{absl::Hours(1)}),
                 RuleOf(Travel{Trait::kCard, 1, 1})};
  Questions questions = QuestionsOf(rules, Order());
  EXPECT_THAT(questions.windows, ElementsAre(Window{Trait::kUser, absl::Hours(1), "EUR", false},
                                             Window{Trait::kUser, absl::Hours(1), "EUR", true}));
  EXPECT_TRUE(questions.first_seen);
  EXPECT_THAT(questions.previous, ElementsAre(false, false, false, false));  // the order has no position
  Facts said = Order();
  said.position = kBerlin;
  said.account = kNow;
  questions = QuestionsOf(rules, said);
  EXPECT_FALSE(questions.first_seen);
  EXPECT_THAT(questions.previous, ElementsAre(false, true, false, false));
  said.currency = "USD";
  questions = QuestionsOf(rules, said);
  EXPECT_TRUE(questions.windows.empty());
  EXPECT_FALSE(questions.first_seen);
}

// --- Against a model that looks at every order for every rule.

bool ModelIsMet(const Rule& rule, const Facts& facts, const std::vector<PastOrder>& past) {
  if (!rule.currency.empty() && rule.currency != facts.currency) return false;
  if (!rule.about.contains(facts.subject)) return false;
  // What rules over a window see: shared trait, young enough, of the rule's currency.
  const auto seen = [&](Trait by, absl::Duration within) {
    std::vector<PastOrder> orders;
    for (const PastOrder& one : past) {
      const absl::Duration age = kNow - one.at;
      if (facts.Of(by).empty() || one.facts.Of(by) != facts.Of(by) || one.facts.client != facts.client) continue;
      if (age <= absl::ZeroDuration() || age >= within || !rule.about.contains(one.facts.subject)) continue;
      if (!rule.currency.empty() && one.facts.currency != rule.currency) continue;
      orders.push_back(one);
    }
    return orders;
  };
  if (const auto* on = std::get_if<Velocity>(&rule.on)) {
    if (facts.Of(on->by).empty()) return false;
    auto orders = seen(on->by, on->within);
    orders.push_back({facts, kNow, false});
    int64_t sum = 0;
    for (const PastOrder& one : orders) sum += one.facts.amount_minor;
    return (on->count_over && static_cast<int64_t>(orders.size()) > *on->count_over) ||
           (on->amount_over && sum > *on->amount_over);
  }
  if (const auto* on = std::get_if<AmountBand>(&rule.on)) {
    return facts.amount_minor >= on->from && facts.amount_minor <= on->to;
  }
  if (const auto* on = std::get_if<Listed>(&rule.on)) return on->values.contains(facts.Of(on->by));
  if (const auto* on = std::get_if<Missing>(&rule.on)) return facts.Of(on->by).empty();
  if (const auto* on = std::get_if<NewAccount>(&rule.on)) {
    absl::Time since = kNow;
    for (const PastOrder& one : past) {
      if (one.facts.subject == facts.subject && one.facts.client == facts.client &&
          one.facts.Of(Trait::kUser) == facts.Of(Trait::kUser)) {
        since = std::min(since, one.at);
      }
    }
    return kNow - facts.account.value_or(since) < on->younger_than;
  }
  if (const auto* on = std::get_if<Travel>(&rule.on)) {
    if (!facts.position || facts.Of(on->by).empty()) return false;
    const PastOrder* last = nullptr;
    for (const PastOrder& one : past) {
      if (one.facts.client != facts.client || one.facts.Of(on->by) != facts.Of(on->by)) continue;
      if (one.facts.subject != facts.subject) continue;
      // Of two at one moment the one that came later.
      if (one.facts.position && one.at < kNow && (last == nullptr || one.at >= last->at)) last = &one;
    }
    if (last == nullptr) return false;
    const double metres = domain::DistanceM(*last->facts.position, *facts.position);
    return metres > on->over_m && metres > on->over_mps * absl::ToDoubleSeconds(kNow - last->at);
  }
  const auto& on = std::get<Declines>(rule.on);
  int64_t declined = 0;
  for (const PastOrder& one : seen(on.by, on.within)) declined += one.declined ? 1 : 0;
  return declined > on.count_over;
}

Decision ModelDecision(const Rules& rules, const std::set<const Rule*>& met, bool with_shadow) {
  int score = 0;
  std::set<Decision> decided;
  for (const Rule* rule : met) {
    if (!with_shadow && (rules.shadow || rule->shadow)) continue;
    if (rule->decides) decided.insert(*rule->decides);
    if (!rule->decides) score += rule->score;
  }
  if (decided.contains(Decision::kDeny)) return Decision::kDeny;
  if (decided.contains(Decision::kAllow)) return Decision::kAllow;
  if (score >= rules.deny_at) return Decision::kDeny;
  return score >= rules.review_at || decided.contains(Decision::kReview) ? Decision::kReview : Decision::kAllow;
}

Trait AnyTrait() { return kTraits[*Below<size_t>(kTraitCount)]; }
// Few of them, and the edges of windows among them.
absl::Duration AnyAge() { return absl::Seconds(*Below(5)) - absl::Microseconds(*Below(2)); }

Facts AnyFacts() {
  Facts facts;
  if (*Below(3) == 0) facts.subject = kSubjects[*Below<size_t>(std::size(kSubjects))];
  facts.client = *Below(8) == 0 ? "bolt" : "acme";
  for (const Trait trait : kTraits) {
    facts.Of(trait) = std::vector<std::string>{"", "a", "b"}[*Within<size_t>(trait == Trait::kUser ? 1 : 0, 3)];
  }
  facts.amount_minor = *Within<int64_t>(1, 10);
  facts.currency = *Below(4) == 0 ? "USD" : "EUR";
  if (*Below(2) == 0) facts.position = domain::GeoPoint{0, 0.001 * *Below(8)};  // 111 m each
  if (*Below(3) == 0) facts.account = kNow - AnyAge();
  return facts;
}

Rule AnyRule(size_t number) {
  const absl::Duration within = absl::Seconds(*Within(1, 5));
  Rule rule;
  switch (*Below(7)) {
    case 0:
      rule.on = Velocity{AnyTrait(), within, *Below(2) == 0 ? std::optional<int64_t>(*Within(1, 4)) : std::nullopt,
                         *Below(2) == 0 ? std::optional<int64_t>(*Within(1, 20)) : std::nullopt};
      break;
    case 1:
      rule.on = AmountBand{*Within<int64_t>(1, 5), *Within<int64_t>(5, 10)};
      break;
    case 2:
      rule.on = Listed{AnyTrait(), {"a"}};
      break;
    case 3:
      rule.on = Missing{AnyTrait()};
      break;
    case 4:
      rule.on = NewAccount{within};
      break;
    case 5:
      rule.on = Travel{AnyTrait(), 100.0 * *Below(5), 100.0 * *Within(1, 5)};
      break;
    default:
      rule.on = Declines{AnyTrait(), within, *Below<int64_t>(3)};
  }
  rule.name = fmt::format("r{}", number);
  if (*Below(2) == 0) rule.currency = "EUR";
  rule.score = *Within(1, 60);
  if (*Below(6) == 0) rule.decides = kDecisions[*Below<size_t>(3)];
  rule.shadow = *Below(4) == 0;
  for (const Subject subject : kSubjects) {
    if (*Below(3) == 0) rule.about.insert(subject);
  }
  if (rule.about.size() > 1 && *Below(2) == 0) rule.about.erase(Subject::kOrder);
  return rule;
}

TEST(RiskAssess, AgreesWithAModelThatLooksAtEveryOrder) {
  const bool holds = rc::check([] {
    Rules rules;
    rules.shadow = *Below(8) == 0;
    for (size_t at = *Below<size_t>(8); at > 0; --at) rules.rules.push_back(AnyRule(at));
    std::vector<PastOrder> past;
    for (int left = *Below(12); left > 0; --left) past.push_back({AnyFacts(), kNow - AnyAge(), *Below(2) == 0});
    const Facts facts = AnyFacts();

    const Assessment assessment = Assessed(rules, facts, past);

    std::set<const Rule*> met;
    std::vector<std::string> names, reasons;
    for (const Rule& rule : rules.rules) {
      if (!ModelIsMet(rule, facts, past)) continue;
      met.insert(&rule);
      names.push_back(rule.name);
    }
    for (const Reason& reason : assessment.reasons) reasons.push_back(reason.rule);
    RC_ASSERT(reasons == names);
    RC_ASSERT(assessment.verdict.decision == ModelDecision(rules, met, false));
    RC_ASSERT(assessment.shadow.decision == ModelDecision(rules, met, true));
    if (rules.shadow) RC_ASSERT(assessment.verdict == Verdict{});
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace waybill::risk
