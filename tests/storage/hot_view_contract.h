// What every HotView does; run against the fake and against Redis.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "storage/fleet.h"
#include "storage/hot_view.h"

namespace waybill::storage {

// An empty hot view.
class HotViewHarness {
 public:
  virtual ~HotViewHarness() = default;
  virtual HotView& view() = 0;
  virtual HotView& another_writer() = 0;  // of the same view
  virtual Fleet& fleet() = 0;             // which reads it
  virtual void Lose() = 0;
  virtual void TrimMoves(size_t count) = 0;  // to exactly that many
};

class HotViewContract : public ::testing::TestWithParam<std::function<std::unique_ptr<HotViewHarness>()>> {
 protected:
  static domain::DriverPosition At(const std::string& driver_id, int second, double latitude = 52.5) {
    domain::DriverPosition position;
    position.driver_id = driver_id;
    position.point = {latitude, 13.4};
    position.recorded_at = absl::FromUnixSeconds(1'800'000'000 + second);
    return position;
  }
  HotView& view() { return harness_->view(); }
  static void Publish(HotView& view, const std::vector<domain::DriverPosition>& newest,
                      std::vector<domain::DriverPosition> moves = {}) {
    HotUpdate update;
    for (const domain::DriverPosition& position : newest) update.newest.push_back({position, absl::Hours(1)});
    update.moves = std::move(moves);
    auto published = view.Publish(update);
    ASSERT_TRUE(published.ok()) << published.status();
  }
  std::optional<domain::DriverPosition> Get(const std::string& driver_id) {
    auto positions = view().Get({driver_id});
    EXPECT_TRUE(positions.ok()) << positions.status();
    return positions.ok() ? (*positions)[0] : std::nullopt;
  }
  EventPage Follow(const std::string& after, int limit = 100) {
    auto page = view().Follow(after, limit);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.value_or(EventPage());
  }
  bool Whole() {
    auto whole = view().Publish({});
    EXPECT_TRUE(whole.ok()) << whole.status();
    return whole.ok() && *whole == ViewState::kWhole;
  }

  std::unique_ptr<HotViewHarness> harness_ = GetParam()();
};

TEST_P(HotViewContract, KeepsEveryFieldOfAPosition) {
  domain::DriverPosition full = At("ada", 0, -89.123456789);
  full.recorded_at += absl::Microseconds(123456);
  full.accuracy_m = 3.5;
  full.heading_deg = 0;
  full.speed_mps = 12.25;
  full.marks = domain::kPoorAccuracy;
  Publish(view(), {full, At("bob", 0)}, {full});
  EXPECT_EQ(Get("ada"), full);
  EXPECT_EQ(Get("bob"), At("bob", 0));
  EXPECT_EQ(Get("nobody"), std::nullopt);
  ASSERT_EQ(Follow("0").events.size(), 1u);
  EXPECT_EQ(Follow("0").events[0].position, full);
}

TEST_P(HotViewContract, AnOlderPositionNeverMovesADriver) {
  Publish(view(), {At("ada", 5, 1)});
  Publish(view(), {At("ada", 4, 2)});
  Publish(harness_->another_writer(), {At("ada", 3, 3)});
  EXPECT_EQ(Get("ada"), At("ada", 5, 1));
  Publish(harness_->another_writer(), {At("ada", 6, 4)});
  EXPECT_EQ(Get("ada"), At("ada", 6, 4));
}

TEST_P(HotViewContract, IsWhatTheFleetReads) {
  Publish(view(), {At("ada", 1), At("bob", 1)});
  auto all = harness_->fleet().Get({"ada", "bob"});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(*all, ::testing::ElementsAre(At("ada", 1), At("bob", 1)));
}

TEST_P(HotViewContract, FollowsMovesInTheirOrderFromWhereOneWas) {
  EXPECT_EQ(view().LastEventId().value(), "0");
  Publish(view(), {}, {At("ada", 1), At("bob", 1), At("ada", 2)});
  EventPage all = Follow("0");
  ASSERT_EQ(all.events.size(), 3u);
  EXPECT_FALSE(all.gap);
  EXPECT_EQ(all.events[2].position, At("ada", 2));
  EXPECT_EQ(view().LastEventId().value(), all.events[2].id);
  EventPage rest = Follow(all.events[0].id, 1);
  ASSERT_EQ(rest.events.size(), 1u);
  EXPECT_EQ(rest.events[0].position, At("bob", 1));
  EXPECT_FALSE(rest.gap);
  EXPECT_THAT(Follow(all.events[2].id).events, ::testing::IsEmpty());
}

TEST_P(HotViewContract, TellsWhenMovesAreMissing) {
  Publish(view(), {}, {At("ada", 1), At("ada", 2), At("ada", 3)});
  const std::string first = Follow("0").events[0].id;
  EXPECT_FALSE(Follow(first).gap);
  harness_->TrimMoves(1);
  EventPage page = Follow(first);
  EXPECT_TRUE(page.gap);
  ASSERT_EQ(page.events.size(), 1u);
  EXPECT_EQ(page.events[0].position, At("ada", 3));
  EXPECT_FALSE(Follow("0").gap) << "from the oldest that is kept, nothing is missing";
}

TEST_P(HotViewContract, SaysWhereToGoOnFrom) {
  EXPECT_EQ(Follow("0").next, "0");
  Publish(view(), {}, {At("ada", 1), At("ada", 2)});
  const EventPage page = Follow("0");
  EXPECT_EQ(page.next, page.events[1].id);
  EXPECT_EQ(Follow(page.next).next, page.next);
  EXPECT_EQ(Follow("0", 1).next, page.events[0].id);
}

TEST_P(HotViewContract, AnIdAheadOfTheStreamIsAGapAndGoesOnFromItsEnd) {
  // As from a Redis whose clock was ahead of this one's.
  const std::string ahead = "99999999999999";
  EventPage page = Follow(ahead);
  EXPECT_TRUE(page.gap);
  EXPECT_EQ(page.next, "0");
  Publish(view(), {}, {At("ada", 1), At("ada", 2)});
  page = Follow(ahead);
  EXPECT_TRUE(page.gap);
  EXPECT_THAT(page.events, ::testing::IsEmpty());
  EXPECT_EQ(page.next, view().LastEventId().value());
  Publish(view(), {}, {At("ada", 3)});
  page = Follow(page.next);
  EXPECT_FALSE(page.gap);
  ASSERT_EQ(page.events.size(), 1u);
  EXPECT_EQ(page.events[0].position, At("ada", 3));
}

TEST_P(HotViewContract, RefusesWhatIsNoId) {
  for (const char* id :
       {"", "x", "1-x", "-", "1-", "18446744073709551615-18446744073709551615", "000000000000000000000000000000001"}) {
    auto page = view().Follow(id, 1);
    EXPECT_EQ(GetErrorDetail(page.status()).reason, "BAD_REQUEST") << id;
  }
}

TEST_P(HotViewContract, KnowsWhetherItWasLost) {
  EXPECT_FALSE(Whole());
  EXPECT_FALSE(view().MarkWhole().value()) << "nothing was rebuilt";
  ASSERT_TRUE(view().BeginRebuild().ok());
  EXPECT_FALSE(Whole()) << "not yet";
  ASSERT_TRUE(view().MarkWhole().value());
  EXPECT_TRUE(Whole());
  // Another process may rebuild it without need.
  ASSERT_TRUE(harness_->another_writer().BeginRebuild().ok());
  EXPECT_TRUE(Whole());
  harness_->Lose();
  EXPECT_FALSE(Whole());
}

TEST_P(HotViewContract, ALossDuringARebuildIsNotMarkedWhole) {
  ASSERT_TRUE(view().BeginRebuild().ok());
  harness_->Lose();
  EXPECT_FALSE(view().MarkWhole().value());
  EXPECT_FALSE(Whole());
}

TEST_P(HotViewContract, AnotherRebuildDoesNotVouchForWhatWasLost) {
  ASSERT_TRUE(view().BeginRebuild().ok());
  harness_->Lose();
  ASSERT_TRUE(harness_->another_writer().BeginRebuild().ok());
  EXPECT_FALSE(view().MarkWhole().value()) << "what it published first is lost";
  EXPECT_FALSE(Whole());
  ASSERT_TRUE(view().BeginRebuild().ok());
  EXPECT_TRUE(harness_->another_writer().MarkWhole().value());
  EXPECT_TRUE(Whole());
  EXPECT_TRUE(view().MarkWhole().value());
  EXPECT_TRUE(Whole());
}

TEST_P(HotViewContract, AnUpdateOfThousandsGoesThroughAtOnce) {
  HotUpdate update;
  for (int i = 0; i < 2'000; ++i) {
    update.newest.push_back({At("driver-" + std::to_string(i), 1), absl::Hours(1)});
    update.moves.push_back(update.newest.back().position);
  }
  ASSERT_TRUE(view().Publish(update).ok());
  EXPECT_EQ(Get("driver-0"), At("driver-0", 1));
  EXPECT_EQ(Get("driver-1999"), At("driver-1999", 1));
  EXPECT_EQ(Follow("0", 5'000).events.size(), 2'000u);
}

}  // namespace waybill::storage
