#include "services/ingest/hot_view_feeder.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "runtime/executor.h"
#include "tests/services/ingest/ingest_world.h"
#include "tests/support/even_ranges.h"

namespace waybill::ingest {
namespace {

using domain::DriverPosition;
using storage::Location;
using storage::Standing;
using ::testing::ElementsAre;

absl::Status Away() { return domain::ReasonError("STORE_UNAVAILABLE", "away"); }

HotViewOptions SmallBacklog() {
  HotViewOptions options;
  options.backlog_max = 4;
  options.update_max = 3;
  return options;
}

// A feeder, as one process has it, of a view and a history that several may share.
class Process {
 public:
  Process(World& world, HotViewOptions options)
      : world_(world), feeder(world.fleet, world.store, world.metrics, world.time, world.log, options, [] {}) {}

  // These became durable, in a report each or in one.
  void Add(const std::vector<DriverPosition>& positions) {
    std::vector<Location> locations;
    for (const DriverPosition& position : positions) {
      front_.Take(locations.emplace_back(Location{position}));
    }
    Store(locations);
    feeder.Add(std::move(locations));
  }
  void Store(const std::vector<Location>& locations) {
    storage::LocationAppend append;
    append.locations = locations;
    append.done = [](const absl::Status&, storage::LocationAppend&) {};
    ASSERT_TRUE(world_.store.Append(append));
  }

 private:
  World& world_;
  DriverFront front_{SanityOptions{}, 1'000};

 public:
  HotViewFeeder feeder;
};

// Calls back at the reads of the rebuilding.
class WatchedHistory final : public storage::LocationHistory {
 public:
  explicit WatchedHistory(storage::LocationHistory& history) : history_(history) {}
  absl::StatusOr<std::vector<std::optional<DriverPosition>>> Latest(const std::vector<std::string>& ids) override {
    return history_.Latest(ids);
  }
  absl::StatusOr<std::vector<DriverPosition>> Track(const storage::TrackQuery& query) override {
    return history_.Track(query);
  }
  absl::StatusOr<storage::NewestPart> Newest(const storage::NewestQuery& query) override {
    auto part = history_.Newest(query);
    if (auto after = std::exchange(after_read, nullptr)) after();
    return part;
  }
  absl::Status Ping() override { return history_.Ping(); }

  std::function<void()> after_read;

 private:
  storage::LocationHistory& history_;
};

class HotViewFeederTest : public ::testing::Test {
 protected:
  // Milliseconds after the start where the view has the driver; nothing where it has none.
  std::optional<int64_t> Seen(const std::string& driver_id) {
    auto found = world_.fleet.Get({driver_id});
    if (!found.ok() || !found->front()) return std::nullopt;
    return absl::ToInt64Milliseconds(found->front()->recorded_at - start_);
  }
  std::vector<std::string> Moves() {
    std::vector<std::string> moves;
    auto page = world_.fleet.Follow("0", 1'000);
    if (!page.ok()) return {"away"};
    for (const auto& event : page->events) {
      moves.push_back(event.position.driver_id + " " +
                      std::to_string(absl::ToInt64Milliseconds(event.position.recorded_at - start_)));
    }
    return moves;
  }
  DriverPosition At(const std::string& driver_id, int64_t millis) const { return world_.At(driver_id, millis); }

  World world_;
  absl::Time start_ = world_.time.Now();
  Process process_{world_, SmallBacklog()};
  HotViewFeeder& feeder_ = process_.feeder;
};

TEST_F(HotViewFeederTest, PublishesMovesInOrderAndTheNewestOfEach) {
  ASSERT_TRUE(Round(feeder_));
  process_.Add({At("ann", 1), At("bob", 5), At("ann", 3)});
  process_.Add({At("ann", 2), At("bob", 6)});  // ann's is late
  EXPECT_EQ(feeder_.backlog(), 5u);
  ASSERT_TRUE(Round(feeder_));
  ASSERT_TRUE(Round(feeder_));
  EXPECT_EQ(feeder_.backlog(), 0u);
  EXPECT_THAT(Moves(), ElementsAre("ann 1", "bob 5", "ann 3", "bob 6"));
  EXPECT_EQ(Seen("ann"), 3);
  EXPECT_EQ(Seen("bob"), 6);
}

TEST_F(HotViewFeederTest, WhatBecomesDurableOutOfOrderDoesNotMoveADriverBack) {
  Location older{At("ann", 1), Standing::kUnknown}, newer{At("ann", 2), Standing::kAhead};
  feeder_.Add({newer});
  ASSERT_TRUE(Round(feeder_));
  feeder_.Add({older});
  ASSERT_TRUE(Round(feeder_));
  EXPECT_EQ(Seen("ann"), 2);
}

TEST_F(HotViewFeederTest, WhatIsTooOldToBeFreshIsHistoryOnly) {
  const int64_t fresh_for = absl::ToInt64Milliseconds(SmallBacklog().fresh_for);
  process_.Add({At("old", -fresh_for), At("ann", -fresh_for + 1)});
  ASSERT_TRUE(Round(feeder_));
  EXPECT_EQ(Seen("old"), std::nullopt);
  EXPECT_EQ(Seen("ann"), -fresh_for + 1);
  EXPECT_THAT(Moves(), ElementsAre("ann " + std::to_string(-fresh_for + 1)));
  world_.time.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Seen("ann"), std::nullopt) << "fresh as long as that after it was recorded, however late it came";
}

// A phone that was without coverage sends its last hour oldest first, to a process that has not heard of it.
TEST_F(HotViewFeederTest, ABacklogOfADriverThatIsFurtherInTheViewIsHistoryOnly) {
  process_.Add({At("ann", 0)});
  ASSERT_TRUE(Round(feeder_));
  Process another(world_, SmallBacklog());
  ASSERT_TRUE(Round(another.feeder));
  for (int64_t back : {90'000, 60'000, 30'000, 1}) another.Add({At("ann", -back), At("new", -back)});
  another.Add({At("ann", 1), At("new", 1)});
  while (another.feeder.backlog() > 0) ASSERT_TRUE(Round(another.feeder));
  EXPECT_THAT(Moves(), ElementsAre("ann 0", "new -90000", "new -60000", "new -30000", "new -1", "ann 1", "new 1"));
  EXPECT_EQ(Seen("ann"), 1);
}

TEST_F(HotViewFeederTest, ADriverThatMovedElsewhereMeanwhileIsLookedUpAgain) {
  process_.Add({At("ann", 0)});
  ASSERT_TRUE(Round(feeder_));
  const int64_t fresh_for = absl::ToInt64Milliseconds(SmallBacklog().fresh_for);
  world_.time.Advance(SmallBacklog().fresh_for + absl::Seconds(1));
  Process another(world_, SmallBacklog());
  another.Add({At("ann", 0)});
  ASSERT_TRUE(Round(another.feeder));
  process_.Add({At("ann", -2'000), At("ann", 1'000)});
  ASSERT_TRUE(Round(feeder_));
  EXPECT_THAT(Moves(), ElementsAre("ann 0", "ann " + std::to_string(fresh_for + 1'000),
                                   "ann " + std::to_string(fresh_for + 2'000)));
}

TEST_F(HotViewFeederTest, IsStaleUntilTheFirstAnswer) {
  EXPECT_TRUE(feeder_.stale());
  ASSERT_TRUE(Round(feeder_));
  EXPECT_FALSE(feeder_.stale());
  EXPECT_EQ(world_.Metric("waybill_hot_view_stale"), 0);
}

TEST_F(HotViewFeederTest, IsCongestedWhenTheViewTakesThemButNotThatFast) {
  ASSERT_TRUE(Round(feeder_));
  for (int i = 0; i < 4; ++i) process_.Add({At("ann", i)});
  EXPECT_FALSE(feeder_.Congested());
  process_.Add({At("ann", 4)});
  EXPECT_TRUE(feeder_.Congested());
  EXPECT_EQ(feeder_.backlog(), 5u) << "nothing is dropped";
  ASSERT_TRUE(Round(feeder_));
  EXPECT_FALSE(feeder_.Congested());
  EXPECT_EQ(feeder_.backlog(), 2u);
}

TEST_F(HotViewFeederTest, WhileTheViewIsAwayKeepsTheLatestAndHoldsUpNobody) {
  ASSERT_TRUE(Round(feeder_));
  world_.fleet.set_error(Away());
  EXPECT_FALSE(Round(feeder_));
  EXPECT_TRUE(feeder_.stale());
  for (int i = 1; i <= 100; ++i) {
    process_.Add({At("ann", i)});
    EXPECT_FALSE(feeder_.Congested());
    EXPECT_LE(feeder_.backlog(), 4u);
    if (i % 7 == 0) {
      EXPECT_FALSE(Round(feeder_));
    }
  }
  EXPECT_EQ(world_.Metric("waybill_hot_view_moves_dropped_total"), 96);
  world_.fleet.set_error(absl::OkStatus());
  ASSERT_TRUE(Round(feeder_));
  ASSERT_TRUE(Round(feeder_));
  EXPECT_THAT(Moves(), ElementsAre("ann 97", "ann 98", "ann 99", "ann 100"));
  EXPECT_EQ(Seen("ann"), 100);
  EXPECT_FALSE(feeder_.stale());
}

TEST_F(HotViewFeederTest, AViewThatWasAwayIsRebuiltAlsoWithDriversThatDoNotMove) {
  process_.Add({At("ann", 1)});
  ASSERT_TRUE(Round(feeder_));
  world_.fleet.set_error(Away());
  process_.Add({At("bob", 2)});
  for (int i = 0; i < 10; ++i) process_.Add({At("cy", 3 + i)});  // bob's move is dropped
  EXPECT_FALSE(Round(feeder_));
  world_.fleet.Clear();
  world_.fleet.set_error(absl::OkStatus());
  ASSERT_TRUE(Round(feeder_));
  EXPECT_EQ(Seen("ann"), 1);
  EXPECT_EQ(Seen("bob"), 2);
  EXPECT_EQ(Seen("cy"), 12);
}

TEST_F(HotViewFeederTest, AViewThatIsLostWhileNothingMovesIsFoundOutAndRebuilt) {
  process_.Add({At("ann", 1), At("bob", 2)});
  ASSERT_TRUE(Round(feeder_));
  const double rebuilds = world_.Metric("waybill_hot_view_rebuilds_total");
  ASSERT_TRUE(Round(feeder_));
  EXPECT_EQ(world_.Metric("waybill_hot_view_rebuilds_total"), rebuilds) << "without need it is not";
  world_.fleet.Clear();
  ASSERT_EQ(Seen("ann"), std::nullopt);
  ASSERT_TRUE(Round(feeder_));
  EXPECT_EQ(Seen("ann"), 1);
  EXPECT_EQ(Seen("bob"), 2);
  EXPECT_EQ(world_.Metric("waybill_hot_view_rebuilds_total"), rebuilds + 1);
  EXPECT_FALSE(feeder_.stale());
}

TEST_F(HotViewFeederTest, ARebuiltViewHasNoneThatAreTooOld) {
  process_.Add({At("old", 0), At("ann", 60'000)});
  ASSERT_TRUE(Round(feeder_));
  world_.time.Advance(SmallBacklog().fresh_for);
  world_.fleet.Clear();
  ASSERT_TRUE(Round(feeder_));
  EXPECT_EQ(Seen("old"), std::nullopt);
  EXPECT_EQ(Seen("ann"), 60'000);
  world_.time.Advance(absl::Minutes(1));
  EXPECT_EQ(Seen("ann"), std::nullopt);
}

TEST_F(HotViewFeederTest, PublishesAllTheSameWhileHistoryCannotBeRead) {
  process_.Add({At("ann", 1)});
  ASSERT_TRUE(Round(feeder_));
  world_.fleet.Clear();
  world_.store.set_error(Away());
  EXPECT_FALSE(Round(feeder_));
  EXPECT_TRUE(feeder_.stale());
  for (int i = 2; i < 20; ++i) {
    process_.Add({At("bob", i)});
    EXPECT_FALSE(Round(feeder_)) << "the rebuild fails";
    EXPECT_EQ(Seen("bob"), i);
    EXPECT_EQ(feeder_.backlog(), 0u);
    EXPECT_TRUE(feeder_.stale());
  }
  world_.store.set_error(absl::OkStatus());
  EXPECT_TRUE(Round(feeder_));
  EXPECT_EQ(Seen("ann"), 1);
  EXPECT_EQ(Seen("bob"), 19);
  EXPECT_FALSE(feeder_.stale());
  EXPECT_EQ(world_.Metric("waybill_hot_view_moves_dropped_total"), 0);
}

TEST_F(HotViewFeederTest, ARebuildGoesPartByPartAndOnFromWhereItFailed) {
  HotViewOptions options = SmallBacklog();
  options.part_max = 4;
  for (int i = 0; i < 20; ++i) process_.Store({Location{At("d" + std::to_string(i), i)}});
  WatchedHistory history(world_.store);
  HotViewFeeder feeder(world_.fleet, history, world_.metrics, world_.time, world_.log, options, [] {});
  ASSERT_TRUE(feeder.Step());
  int read = 0;
  for (int step = 0; feeder.stale() && step < 1'000; ++step) {
    if (step == 5) world_.store.set_error(Away());
    if (step == 9) world_.store.set_error(absl::OkStatus());
    history.after_read = [&] { ++read; };
    const auto result = feeder.RebuildStep();
    if (result == HotViewFeeder::Rebuilding::kWaits) {
      EXPECT_EQ(feeder.RebuildStep(), HotViewFeeder::Rebuilding::kWaits) << "one part at a time";
      ASSERT_TRUE(feeder.Step());
    }
  }
  EXPECT_FALSE(feeder.stale());
  EXPECT_LE(read, 16) << "not from the beginning";
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Seen("d" + std::to_string(i)), i);
}

TEST_F(HotViewFeederTest, APartThatIsTooSlowIsReadInSmallerOnes) {
  class Slow final : public storage::LocationHistory {
   public:
    explicit Slow(storage::LocationHistory& history) : history_(history) {}
    absl::StatusOr<std::vector<std::optional<DriverPosition>>> Latest(const std::vector<std::string>& ids) override {
      return history_.Latest(ids);
    }
    absl::StatusOr<std::vector<DriverPosition>> Track(const storage::TrackQuery& query) override {
      return history_.Track(query);
    }
    absl::StatusOr<storage::NewestPart> Newest(const storage::NewestQuery& query) override {
      if (query.limit > 3) return Away();
      return history_.Newest(query);
    }
    absl::Status Ping() override { return history_.Ping(); }

   private:
    storage::LocationHistory& history_;
  };
  for (int i = 0; i < 20; ++i) process_.Store({Location{At("d" + std::to_string(i), i)}});
  Slow history(world_.store);
  HotViewFeeder feeder(world_.fleet, history, world_.metrics, world_.time, world_.log, HotViewOptions{}, [] {});
  for (int round = 0; feeder.stale() && round < 1'000; ++round) (void)Round(feeder);
  EXPECT_FALSE(feeder.stale());
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Seen("d" + std::to_string(i)), i);
}

TEST_F(HotViewFeederTest, WhatIsDroppedBeforeTheFirstAnswerIsMadeGoodFromHistory) {
  ASSERT_TRUE(world_.fleet.BeginRebuild().ok() &&
              world_.fleet.MarkWhole().value());  // by a process that was here before
  for (int i = 0; i < 8; ++i) process_.Add({At("d" + std::to_string(i), i)});
  ASSERT_EQ(feeder_.backlog(), 4u);
  while (feeder_.backlog() > 0) {
    ASSERT_TRUE(Round(feeder_));
  }
  for (int i = 0; i < 8; ++i) EXPECT_EQ(Seen("d" + std::to_string(i)), i);
}

TEST_F(HotViewFeederTest, WhatIsDroppedWhileItIsRebuiltIsMadeGoodAsWell) {
  WatchedHistory history(world_.store);
  HotViewFeeder feeder(world_.fleet, history, world_.metrics, world_.time, world_.log, SmallBacklog(), [] {});
  ASSERT_TRUE(Round(feeder));
  world_.fleet.set_error(Away());
  ASSERT_FALSE(Round(feeder));
  world_.fleet.set_error(absl::OkStatus());
  history.after_read = [&] {
    for (int i = 0; i < 8; ++i) {
      Location location{At("d" + std::to_string(i), i)};
      process_.Store({location});
      feeder.Add({location});
    }
  };
  while (feeder.stale() || feeder.backlog() > 0) {
    ASSERT_TRUE(Round(feeder));
  }
  for (int i = 0; i < 8; ++i) EXPECT_EQ(Seen("d" + std::to_string(i)), i);
}

TEST_F(HotViewFeederTest, AViewThatIsLostWhileItIsRebuiltIsRebuiltAgain) {
  WatchedHistory history(world_.store);
  HotViewFeeder feeder(world_.fleet, history, world_.metrics, world_.time, world_.log, SmallBacklog(), [] {});
  process_.Store({Location{At("ann", 1)}});
  history.after_read = [&] { world_.fleet.Clear(); };
  EXPECT_FALSE(Round(feeder));
  EXPECT_TRUE(feeder.stale());
  EXPECT_TRUE(Round(feeder));
  EXPECT_FALSE(feeder.stale());
  EXPECT_EQ(Seen("ann"), 1);
}

TEST_F(HotViewFeederTest, AThreadOfItsOwnPublishesAndSoDoesStop) {
  std::atomic<int> rounds{0};
  HotViewFeeder feeder(world_.fleet, world_.store, world_.metrics, world_.time, world_.log, HotViewOptions{},
                       [&rounds] { ++rounds; });
  feeder.Start(ThreadLoops());
  for (int i = 0; i < 100; ++i) feeder.Add({Location{At("d" + std::to_string(i), i)}});
  feeder.Stop();
  EXPECT_EQ(feeder.backlog(), 0u);
  EXPECT_GT(rounds, 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Seen("d" + std::to_string(i)), i);
}

TEST_F(HotViewFeederTest, StopDoesNotWaitForAViewThatIsAway) {
  world_.fleet.set_error(Away());
  HotViewFeeder feeder(world_.fleet, world_.store, world_.metrics, world_.time, world_.log, HotViewOptions{}, [] {});
  feeder.Start(ThreadLoops());
  feeder.Add({Location{At("ann", 1)}});
  feeder.Stop();
  EXPECT_EQ(feeder.backlog(), 1u);
}

// Two processes feed one view, which goes away, comes back, and is lost in between.
TEST(HotViewFeederProperty, TheViewComesToHaveTheNewestOfEveryDriver) {
  EXPECT_TRUE(rc::check([] {
    World world;
    HotViewOptions options;
    options.backlog_max = static_cast<size_t>(*testing::Within(1, 10));
    options.update_max = static_cast<size_t>(*testing::Within(1, 6));
    Process processes[] = {{world, options}, {world, options}};
    std::map<std::string, absl::Time> newest;
    const auto deeds = *rc::gen::container<std::vector<std::tuple<int, bool, std::vector<std::pair<int, int>>>>>(
        rc::gen::tuple(testing::Below(12), rc::gen::arbitrary<bool>(),
                       rc::gen::container<std::vector<std::pair<int, int>>>(
                           rc::gen::pair(testing::Below(5), testing::Below(50)))));
    bool away = false, lost = false;
    size_t moves = 0;
    for (const auto& [deed, second, taken] : deeds) {
      Process& process = processes[second ? 1 : 0];
      switch (deed) {
        case 0:
          away = !away;
          world.fleet.set_error(away ? Away() : absl::OkStatus());
          break;
        case 1:
          world.fleet.Clear();
          lost = true;
          break;
        case 2:
        case 3:
        case 4:
          RC_ASSERT(Round(process.feeder) || away);
          break;
        default: {
          std::vector<DriverPosition> positions;
          for (const auto& [driver, millis] : taken) {
            positions.push_back(world.At("d" + std::to_string(driver), millis));
            absl::Time& time = newest.try_emplace(positions.back().driver_id, absl::InfinitePast()).first->second;
            time = std::max(time, positions.back().recorded_at);
          }
          moves += positions.size();
          process.Add(positions);
        }
      }
    }
    world.fleet.set_error(absl::OkStatus());
    for (int round = 0; round < 2; ++round) {
      for (Process& process : processes) {
        do {
          RC_ASSERT(Round(process.feeder));
        } while (process.feeder.backlog() > 0);
        RC_ASSERT(Round(process.feeder));
      }
    }
    for (const auto& [driver_id, time] : newest) {
      auto found = world.fleet.Get({driver_id});
      RC_ASSERT(found.ok());
      RC_ASSERT(found->front().has_value());
      RC_ASSERT(found->front()->recorded_at == time);
    }
    auto page = world.fleet.Follow("0", 1'000'000);
    RC_ASSERT(page.ok());
    RC_ASSERT(page->events.size() <= moves || away || lost);
    RC_ASSERT(!processes[0].feeder.stale());
    RC_ASSERT(!processes[1].feeder.stale());
  }));
}

}  // namespace
}  // namespace waybill::ingest
