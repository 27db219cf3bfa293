// The whole order service in one seeded loop: every story has to end with books that add up and callers that were told
// the truth. A seed that fails is shrunk and printed. To replay one: WAYBILL_SIMULATION_SEED=123, with
// --gtest_filter=OrderSimulation.EveryStoryEndsWell.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/simulation/order_story.h"
#include "tests/support/long_forms.h"

namespace waybill::simulation {
namespace {

std::string WrongOf(const Plan& plan) { return OrderStory(plan, false).Run().wrong; }

std::string Explain(const Plan& plan) {
  const Plan small = Shrink(plan, [](const Plan& smaller) { return !WrongOf(smaller).empty(); });
  const StoryEnd end = OrderStory(small, true).Run();
  return fmt::format("{}\n\nIt takes no more than this:\n{}\n{}\n{}\nOnce more: WAYBILL_SIMULATION_SEED={}",
                     WrongOf(plan), Describe(small), end.story, end.wrong, plan.seed);
}

std::string FirstDifference(const std::string& one, const std::string& other) {
  const auto at =
      static_cast<size_t>(std::mismatch(one.begin(), one.end(), other.begin(), other.end()).first - one.begin());
  const size_t line = one.rfind('\n', at) == std::string::npos ? 0 : one.rfind('\n', at) + 1;
  return one.substr(line, 300) + "\n-- and --\n" + other.substr(line, 300);
}

TEST(OrderSimulation, EveryStoryEndsWell) {
  uint64_t first = 1, last = ::waybill::testing::LongForms() ? 3'000 : 60;
  if (const char* seed = std::getenv("WAYBILL_SIMULATION_SEED")) {
    first = last = std::strtoull(seed, nullptr, 10);
  }
  std::map<saga::State, int> ends;
  for (uint64_t seed = first; seed <= last; ++seed) {
    const Plan plan = Draw(seed);
    const StoryEnd end = OrderStory(plan, false).Run();
    ASSERT_EQ(end.wrong, "") << Explain(plan);
    for (saga::State state : end.states) ++ends[state];
  }
  if (first == last) return;
  for (saga::State state : {saga::State::kSucceeded, saga::State::kClosed, saga::State::kCompensated}) {
    EXPECT_GT(ends[state], static_cast<int>(last)) << saga::Name(state);
  }
}

std::string GoneOnAfter(domain::PaymentAttempt::State state) {
  return fmt::format("another gateway was asked after {}", domain::Name(state));
}

std::string Parts(domain::PartialRefund::State state) { return fmt::format("parts are {}", domain::Name(state)); }

std::string Webhooks(storage::InboxState state) { return fmt::format("webhooks are {}", storage::Name(state)); }

// A simulation in which nothing happens finds nothing.
TEST(OrderSimulation, StoriesHaveTroubleOfEveryKind) {
  std::map<std::string, double> met;
  int closures = 0;
  using Attempt = domain::PaymentAttempt::State;
  for (Attempt left : {Attempt::kDeclined, Attempt::kNotSent, Attempt::kClosed, Attempt::kRefunded}) {
    met[GoneOnAfter(left)] = 0;
  }
  using Part = domain::PartialRefund::State;
  for (Part state : {Part::kDone, Part::kRefused}) met[Parts(state)] = 0;
  using Inbox = storage::InboxState;
  for (Inbox state : {Inbox::kSignalled, Inbox::kLate, Inbox::kUnmatched, Inbox::kAttention}) met[Webhooks(state)] = 0;
  for (uint64_t seed = 1; seed <= 160; ++seed) {
    const Plan plan = Draw(seed);
    OrderStory story(plan, false);
    const StoryEnd end = story.Run();
    met["deaths"] += end.deaths;
    met["payments have expired"] += end.expired;
    met["webhooks are refused"] += end.refused;
    met["orders are forgotten by a gateway"] += end.forgotten;
    closures += end.closures;
    met["entries watched"] += static_cast<double>(end.entries);
    for (const auto& [state, count] : end.attempts_left) met[GoneOnAfter(state)] += count;
    for (const auto& [state, count] : end.refunds) met[Parts(state)] += count;
    for (const auto& [state, count] : end.webhooks) met[Webhooks(state)] += count;
    for (const char* metric :
         {"waybill_sagas_recovered_total", "waybill_saga_fenced_writes_total", "waybill_dispatch_lost_claims_total",
          "waybill_saga_retries_total", "waybill_saga_signals_total", "waybill_sagas_settled_total"}) {
      met[metric] += story.Counted(metric);
    }
  }
  for (const auto& [what, times] : met) EXPECT_GT(times, 20) << what;
  EXPECT_GT(closures, 5);
}

// As one does that fails: what is under way is let go of, and nobody is told who is no more (under AddressSanitizer).
TEST(OrderSimulation, AStoryMayStopAnywhere) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Plan plan = Draw(seed);
    for (Act& act : plan.acts) {
      if (act.kind == Act::Kind::kRetry || act.kind == Act::Kind::kRepeat) act.kind = Act::Kind::kWatch;
    }
    OrderStory(plan, false).RunFor(absl::Milliseconds(400 * seed));
  }
}

TEST(OrderSimulation, OneSeedTellsOneStory) {
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const Plan plan = Draw(seed);
    const StoryEnd once = OrderStory(plan, true).Run(), again = OrderStory(plan, true).Run();
    ASSERT_TRUE(once.story == again.story) << "seed " << seed << ":\n" << FirstDifference(once.story, again.story);
    ASSERT_NE(once.story, OrderStory(Draw(seed + 100), true).Run().story);
  }
}

}  // namespace
}  // namespace waybill::simulation
