// The ingest service in one seeded loop: whatever befalls it, what is acked is durable, and the view comes to have the
// newest position of every driver. To replay a seed: WAYBILL_SIMULATION_SEED=123.
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "tests/simulation/ingest_story.h"
#include "tests/support/long_forms.h"

namespace waybill::simulation {
namespace {

std::string IngestWrongOf(const IngestPlan& plan) { return IngestStory(plan, false).Run().wrong; }

// Leaves out what it does not take to fail.
IngestPlan ShrinkIngest(IngestPlan plan) {
  auto leave_out = [&](auto field, bool all = true) {
    while (field(plan) > 0) {
      IngestPlan smaller = plan;
      field(smaller) = all ? 0 : field(smaller) / 2;
      if (IngestWrongOf(smaller).empty()) return;
      plan = smaller;
    }
  };
  for (uint64_t GapOdds::*odds : {&GapOdds::crash, &GapOdds::sleep, &GapOdds::lost_request, &GapOdds::lost_answer}) {
    leave_out([odds](IngestPlan & p) -> auto& { return p.gaps.*odds; });
  }
  leave_out([](IngestPlan & p) -> auto& { return p.crashes; });
  leave_out([](IngestPlan & p) -> auto& { return p.rolls; });
  leave_out([](IngestPlan & p) -> auto& { return p.store_outages; });
  leave_out([](IngestPlan & p) -> auto& { return p.view_outages; });
  leave_out([](IngestPlan & p) -> auto& { return p.view_losses; });
  leave_out([](IngestPlan & p) -> auto& { return p.watches; });
  leave_out(
      [](IngestPlan & p) -> auto& { return p.drivers; }, false);
  leave_out(
      [](IngestPlan & p) -> auto& { return p.batches; }, false);
  return plan;
}

TEST(IngestSimulation, EveryStoryEndsWell) {
  uint64_t first = 1, last = ::waybill::testing::LongForms() ? 1'000 : 25;
  if (const char* seed = std::getenv("WAYBILL_SIMULATION_SEED")) first = last = std::strtoull(seed, nullptr, 10);
  size_t points = 0, moves = 0;
  int deaths = 0;
  for (uint64_t seed = first; seed <= last; ++seed) {
    const IngestEnd end = IngestStory(DrawIngest(seed), false).Run();
    if (!end.wrong.empty()) {
      const IngestPlan small = ShrinkIngest(DrawIngest(seed));
      const IngestEnd told = IngestStory(small, true).Run();
      FAIL() << "seed " << seed << ": " << end.wrong << "\nshrunk to " << small.drivers << " drivers with "
             << small.batches << " batches at " << small.processes << " processes:\n"
             << told.story << told.wrong;
    }
    points += end.points;
    moves += end.moves;
    deaths += end.deaths;
  }
  if (first == last) return;
  EXPECT_GT(points, 100 * last);
  EXPECT_GT(moves, 50 * last);
  EXPECT_GT(deaths, static_cast<int>(last) / 2);
}

TEST(IngestSimulation, OneSeedTellsOneStory) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    const IngestEnd once = IngestStory(DrawIngest(seed), true).Run(), again = IngestStory(DrawIngest(seed), true).Run();
    ASSERT_EQ(once.story, again.story) << "seed " << seed;
    ASSERT_EQ(once.moves, again.moves) << "seed " << seed;
  }
}

}  // namespace
}  // namespace waybill::simulation
