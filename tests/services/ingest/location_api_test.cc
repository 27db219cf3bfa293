#include "services/ingest/location_api.h"

#include <future>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck.h"
#include "runtime/status.h"
#include "runtime/worker_pool.h"
#include "tests/services/ingest/ingest_world.h"
#include "tests/support/even_ranges.h"
#include "tracks/downsample.h"

namespace waybill::ingest {
namespace {

using domain::DriverPosition;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

absl::Status StoreAway() { return domain::ReasonError("STORE_UNAVAILABLE", "away"); }

class Reads {
 public:
  explicit Reads(World& world) : world_(world) {}
  ~Reads() {
    view_workers.Stop();
    history_workers.Stop();
  }

  absl::StatusOr<std::vector<std::optional<DriverLocation>>> Drivers(const std::vector<std::string>& ids) {
    return Await<std::vector<std::optional<DriverLocation>>>([&](auto done) { api.Drivers(ids, std::move(done)); });
  }
  absl::StatusOr<Nearby> Near(const storage::NearestQuery& query) {
    return Await<Nearby>([&](auto done) { api.Near(query, std::move(done)); });
  }
  absl::StatusOr<TrackPage> Track(const TrackRequest& request) {
    return Await<TrackPage>([&](auto done) { api.Track(request, std::move(done)); });
  }

 private:
  template <typename Answer, typename Ask>
  absl::StatusOr<Answer> Await(Ask ask) {
    auto answered = std::make_shared<std::promise<absl::StatusOr<Answer>>>();
    auto answer = answered->get_future();
    ask([answered](absl::StatusOr<Answer> got) { answered->set_value(std::move(got)); });
    return answer.get();
  }

  World& world_;

 public:
  WorkerPool view_workers{1, 10}, history_workers{1, 10};
  LocationApi api{world_.fleet, world_.fleet, world_.store, world_.feeder, view_workers, history_workers, world_.time};
};

class LocationApiTest : public ::testing::Test {
 protected:
  LocationApiTest() { EXPECT_TRUE(world_.fleet.BeginRebuild().ok() && world_.fleet.MarkWhole().value()); }

  void Store(const std::vector<DriverPosition>& positions) {
    storage::LocationAppend append;
    for (const DriverPosition& position : positions) append.locations.push_back({position});
    append.done = [](const absl::Status&, storage::LocationAppend&) {};
    ASSERT_TRUE(world_.store.Append(append));
  }
  void Put(const std::vector<DriverPosition>& positions) {
    ASSERT_TRUE(world_.fleet.Put(positions, absl::Seconds(30)).ok());
  }
  // "ann 5s fresh", or "none".
  std::vector<std::string> Describe(const std::vector<std::string>& ids) {
    auto found = reads_.Drivers(ids);
    if (!found.ok()) return {GetErrorDetail(found.status()).reason};
    std::vector<std::string> lines;
    for (const auto& one : *found) {
      lines.push_back(one ? fmt::format("{} {}{}", one->position.driver_id, absl::FormatDuration(one->age),
                                        one->fresh ? " fresh" : "")
                          : "none");
    }
    return lines;
  }

  World world_;
  Reads reads_{world_};
};

TEST_F(LocationApiTest, FindsDriversInTheOrderAskedForFreshOrFromHistory) {
  Store({world_.At("old", -60'000), world_.At("old", -50'000), world_.At("ann", -5'000)});
  Put({world_.At("ann", -1'000), world_.At("bob", -2'000)});
  EXPECT_THAT(Describe({"bob", "nobody", "old", "ann", "bob"}),
              ElementsAre("bob 2s fresh", "none", "old 50s", "ann 1s fresh", "bob 2s fresh"));
  EXPECT_THAT(Describe({"nobody"}), ElementsAre("none"));
}

TEST_F(LocationApiTest, AgesFollowTheClockAndAreNeverNegative) {
  Store({world_.At("ann", 2'000)});
  Put({world_.At("ann", 2'000)});
  EXPECT_THAT(Describe({"ann"}), ElementsAre("ann 0 fresh")) << "by its own clock it is ahead";
  world_.time.Advance(absl::Seconds(12));
  EXPECT_THAT(Describe({"ann"}), ElementsAre("ann 10s fresh"));
  world_.time.Advance(absl::Seconds(20));
  EXPECT_THAT(Describe({"ann"}), ElementsAre("ann 30s")) << "no longer fresh, but known";
}

TEST_F(LocationApiTest, HistoryAnswersWhileTheHotViewIsAway) {
  Store({world_.At("ann", -5'000)});
  Put({world_.At("ann", -1'000)});
  world_.fleet.set_error(StoreAway());
  EXPECT_THAT(Describe({"ann", "nobody"}), ElementsAre("ann 5s", "none"));
  world_.store.set_error(StoreAway());
  EXPECT_THAT(Describe({"ann"}), ElementsAre("STORE_UNAVAILABLE"));
  world_.fleet.set_error(absl::OkStatus());
  EXPECT_THAT(Describe({"ann"}), ElementsAre("ann 1s fresh")) << "history is not needed for it";
  EXPECT_THAT(Describe({"ann", "nobody"}), ElementsAre("STORE_UNAVAILABLE"));
}

TEST_F(LocationApiTest, WhileTheHotViewIsStaleTheNewerOneCounts) {
  Store({world_.At("ann", -5'000), world_.At("bob", -5'000)});
  Put({world_.At("ann", -20'000), world_.At("bob", -1'000)});
  ASSERT_TRUE(world_.feeder.stale());
  EXPECT_THAT(Describe({"ann", "bob"}), ElementsAre("ann 5s", "bob 1s fresh"));
  ASSERT_TRUE(world_.Publish());  // rebuilt
  EXPECT_THAT(Describe({"ann", "bob"}), ElementsAre("ann 5s fresh", "bob 1s fresh"));
}

TEST_F(LocationApiTest, FindsWhoIsNear) {
  Put({world_.At("far", -1'000, 52.6), world_.At("near", -2'000, 52.501), world_.At("away", 0, 60)});
  storage::NearestQuery query;
  query.point = {52.5, 13.4};
  query.radius_m = 20'000;
  auto near = reads_.Near(query);
  ASSERT_TRUE(near.ok());
  EXPECT_TRUE(near->stale) << "the feeder has not looked at the view yet";
  ASSERT_THAT(near->drivers, SizeIs(2));
  EXPECT_EQ(near->drivers[0].position.driver_id, "near");
  EXPECT_EQ(near->drivers[0].age, absl::Seconds(2));
  EXPECT_NEAR(near->drivers[0].distance_m, 111, 1);
  EXPECT_EQ(near->drivers[1].position.driver_id, "far");
  ASSERT_TRUE(world_.Publish());
  query.radius_m = 1;
  near = reads_.Near(query);
  ASSERT_TRUE(near.ok());
  EXPECT_THAT(near->drivers, IsEmpty());
  EXPECT_FALSE(near->stale);
  world_.fleet.set_error(StoreAway());
  EXPECT_EQ(GetErrorDetail(reads_.Near(query).status()).reason, "STORE_UNAVAILABLE");
}

TEST_F(LocationApiTest, WhoExpiresBetweenTheTwoReadsIsNotNear) {
  Put({world_.At("ann")});
  world_.time.Advance(absl::Seconds(20));
  Put({world_.At("bob", 0, 52.51)});
  world_.fleet.set_defer([this](storage::testing::FakeFleet::Task task) {
    world_.time.Advance(absl::Seconds(15));
    task();
  });
  auto near = reads_.Near({{52.5, 13.4}, 5'000, 10});
  ASSERT_TRUE(near.ok());
  ASSERT_THAT(near->drivers, SizeIs(1));
  EXPECT_EQ(near->drivers[0].position.driver_id, "bob");
}

TEST_F(LocationApiTest, DistancesAndTheirOrderAreOfThePositionsAnswered) {
  Put({world_.At("ann", 0, 52.501), world_.At("bob", 0, 52.502), world_.At("cid", 0, 52.503)});
  world_.fleet.set_defer([this](storage::testing::FakeFleet::Task task) {
    Put({world_.At("ann", 1, 52.51), world_.At("bob", 1, 60)});  // moved on after the search
    task();
  });
  auto near = reads_.Near({{52.5, 13.4}, 5'000, 10});
  ASSERT_TRUE(near.ok());
  ASSERT_THAT(near->drivers, SizeIs(2));
  EXPECT_EQ(near->drivers[0].position.driver_id, "cid");
  EXPECT_EQ(near->drivers[1].position.driver_id, "ann");
  EXPECT_NEAR(near->drivers[1].distance_m, 1'112, 1);
}

TEST_F(LocationApiTest, RefusesReadsWhileTooManyWait) {
  reads_.view_workers.Stop();
  auto drivers = reads_.Drivers({"ann"});
  EXPECT_EQ(GetErrorDetail(drivers.status()).reason, "QUEUE_FULL");
  EXPECT_GT(GetErrorDetail(drivers.status()).retry_after, absl::ZeroDuration());
}

// Holds a pool's one worker until it goes.
class Busy {
 public:
  explicit Busy(WorkerPool& workers) {
    WorkerPool::Task hold = [go = go_.get_future().share()] { go.wait(); };
    EXPECT_TRUE(workers.Submit(hold));
  }
  ~Busy() { go_.set_value(); }

 private:
  std::promise<void> go_;
};

TEST_F(LocationApiTest, FreshDriversAreAnsweredWhileHistoryHangs) {
  ASSERT_TRUE(world_.Publish());  // not stale
  Store({world_.At("old")});
  Put({world_.At("ann")});
  std::promise<absl::StatusOr<std::vector<std::optional<DriverLocation>>>> answer;
  {
    Busy busy(reads_.history_workers);
    reads_.api.Drivers({"old"}, [&](auto found) { answer.set_value(std::move(found)); });
    auto fresh = reads_.Drivers({"ann"});
    ASSERT_TRUE(fresh.ok()) << fresh.status();
    EXPECT_TRUE(fresh->front()->fresh);
  }
  auto old = answer.get_future().get();
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_FALSE(old->front()->fresh);
}

TEST_F(LocationApiTest, NothingIsReadForACallerWhoHasGone) {
  Store({world_.At("ann")});
  bool gone = false;
  auto is_gone = [&gone] { return gone; };
  std::promise<absl::Status> track, drivers;
  {
    Busy view(reads_.view_workers), history(reads_.history_workers);
    TrackRequest request;
    request.driver_id = "ann";
    reads_.api.Track(
        request, [&](const auto& page) { track.set_value(page.status()); }, is_gone);
    reads_.api.Drivers(
        {"ann"}, [&](const auto& found) { drivers.set_value(found.status()); }, is_gone);
    gone = true;
  }
  EXPECT_EQ(track.get_future().get().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(drivers.get_future().get().code(), absl::StatusCode::kCancelled);
}

TEST_F(LocationApiTest, IdsThatWaitAreBounded) {
  const std::vector<std::string> many(60'000, "ann");
  std::promise<absl::Status> first, second;
  {
    Busy busy(reads_.view_workers);
    reads_.api.Drivers(many, [&](const auto& found) { first.set_value(found.status()); });
    reads_.api.Drivers(many, [&](const auto& found) { second.set_value(found.status()); });
    EXPECT_EQ(GetErrorDetail(second.get_future().get()).reason, "QUEUE_FULL");
  }
  EXPECT_TRUE(first.get_future().get().ok());
  EXPECT_TRUE(reads_.Drivers(many).ok()) << "nothing of them is counted any more";
}

class TrackTest : public LocationApiTest {
 protected:
  std::vector<int64_t> Seconds(const TrackPage& page) const {
    std::vector<int64_t> seconds;
    for (const DriverPosition& point : page.points) {
      seconds.push_back(absl::ToInt64Seconds(point.recorded_at - start_));
    }
    return seconds;
  }
  TrackPage Page(const TrackRequest& request) {
    auto page = reads_.Track(request);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.value_or(TrackPage());
  }
  TrackRequest Of(int page_size) const {
    TrackRequest request;
    request.driver_id = "ann";
    request.page_size = page_size;
    return request;
  }
  std::string Violation(const TrackRequest& request) {
    auto page = reads_.Track(request);
    if (page.ok()) return "ok";
    const ErrorDetail detail = GetErrorDetail(page.status());
    return detail.reason + " " + detail.violations.at(0).first;
  }
  void StoreSeconds(int first, int last) {
    std::vector<DriverPosition> points;
    for (int second = first; second <= last; ++second) {
      points.push_back(world_.At("ann"));
      points.back().recorded_at = start_ + absl::Seconds(second);
    }
    Store(points);
  }

  const absl::Time start_ = world_.time.Now();
};

TEST_F(TrackTest, HasFromInclusiveAndToExclusive) {
  StoreSeconds(-10, -1);
  TrackRequest request = Of(100);
  request.from = start_ - absl::Seconds(5);
  request.to = start_ - absl::Seconds(2);
  const TrackPage page = Page(request);
  EXPECT_THAT(Seconds(page), ElementsAre(-5, -4, -3));
  EXPECT_EQ(page.next_page_token, "");
}

TEST_F(TrackTest, IsOfTheLastDayUnlessAskedOtherwise) {
  Store({world_.At("ann", -24 * 3'600'000 - 1), world_.At("ann", -24 * 3'600'000), world_.At("ann", -1),
         world_.At("ann", 0), world_.At("bob", -5)});
  EXPECT_THAT(Page(Of(10)).points, SizeIs(2));
  TrackRequest request = Of(10);
  request.to = start_ + absl::Seconds(1);
  EXPECT_THAT(Page(request).points, SizeIs(2)) << "a day before the end";
  request = Of(10);
  request.driver_id = "nobody";
  EXPECT_THAT(Page(request).points, IsEmpty());
}

TEST_F(TrackTest, AnEndThatIsNowStaysWhereItWasAcrossPages) {
  StoreSeconds(-4, -1);
  TrackRequest request = Of(2);
  TrackPage page = Page(request);
  EXPECT_THAT(Seconds(page), ElementsAre(-4, -3));
  world_.time.Advance(absl::Hours(23));
  StoreSeconds(0, 5);
  request.page_token = page.next_page_token;
  page = Page(request);
  EXPECT_THAT(Seconds(page), ElementsAre(-2, -1));
  EXPECT_EQ(page.next_page_token, "");
}

TEST_F(TrackTest, HasNoEmptyLastPage) {
  StoreSeconds(-4, -1);
  const TrackPage page = Page(Of(4));
  EXPECT_THAT(page.points, SizeIs(4));
  EXPECT_EQ(page.next_page_token, "");
}

TEST_F(TrackTest, ATokenIsOfItsRequestOnly) {
  StoreSeconds(-9, -1);
  TrackRequest request = Of(2);
  request.from = start_ - absl::Seconds(9);
  request.page_token = Page(request).next_page_token;
  ASSERT_NE(request.page_token, "");
  EXPECT_EQ(Violation(request), "ok");
  TrackRequest other = request;
  other.driver_id = "bob";
  EXPECT_EQ(Violation(other), "BAD_REQUEST page_token");
  other = request;
  other.from.reset();
  EXPECT_EQ(Violation(other), "BAD_REQUEST page_token");
  other = request;
  other.to = start_;
  EXPECT_EQ(Violation(other), "BAD_REQUEST page_token");
  other = request;
  other.thinner.min_interval = absl::Seconds(1);
  EXPECT_EQ(Violation(other), "BAD_REQUEST page_token");
  other = request;
  other.thinner.min_distance_m = 1;
  EXPECT_EQ(Violation(other), "BAD_REQUEST page_token");
  for (const std::string& token :
       {std::string("x"), request.page_token + "0", request.page_token.substr(1), std::string(80, 'g'),
        std::string(80, '-'), std::string(80, '0'), std::string(80, '\0')}) {
    other = request;
    other.page_token = token;
    EXPECT_EQ(Violation(other), "BAD_REQUEST page_token") << token;
  }
}

TEST_F(TrackTest, ARangeThatEndsBeforeItStartsIsRefused) {
  TrackRequest request = Of(2);
  request.from = start_ + absl::Seconds(1);
  EXPECT_EQ(Violation(request), "BAD_REQUEST end_time");
  request.to = request.from;
  EXPECT_EQ(Violation(request), "ok");
}

TEST_F(TrackTest, SaysWhenHistoryIsAway) {
  world_.store.set_error(StoreAway());
  EXPECT_EQ(GetErrorDetail(reads_.Track(Of(2)).status()).reason, "STORE_UNAVAILABLE");
}

TEST_F(TrackTest, LooksAtABoundedNumberOfPointsForAPage) {
  std::vector<DriverPosition> points;
  for (int i = 1; i <= 60'000; ++i) points.push_back(world_.At("ann", -i));
  Store(points);
  TrackRequest request = Of(1'000);
  request.thinner.min_interval = absl::Hours(1);
  const TrackPage first = Page(request);
  EXPECT_THAT(first.points, SizeIs(1));
  ASSERT_NE(first.next_page_token, "") << "there is more to look at";
  request.page_token = first.next_page_token;
  const TrackPage second = Page(request);
  ASSERT_THAT(second.points, SizeIs(1));
  EXPECT_EQ(second.points[0].recorded_at, start_ - absl::Milliseconds(1)) << "a track ends where it ended";
  EXPECT_EQ(second.next_page_token, "");
}

// Pages of any size, put together, are the whole track, thinned out as it would be in one go; whatever arrives beyond
// the range meanwhile.
TEST(TrackProperty, PagesPutTogetherAreTheWholeTrack) {
  World world;
  Reads reads(world);
  int round = 0;
  EXPECT_TRUE(rc::check([&] {
    const absl::Time start = world.time.Now();
    std::vector<DriverPosition> points;
    TrackRequest request;
    request.driver_id = "d" + std::to_string(++round);
    auto store = [&](DriverPosition position) {
      storage::LocationAppend append;
      append.locations.push_back({std::move(position)});
      append.done = [](const absl::Status&, storage::LocationAppend&) {};
      RC_ASSERT(world.store.Append(append));
    };
    auto at = [&](absl::Duration after, double latitude) {
      DriverPosition position;
      position.driver_id = request.driver_id;
      position.recorded_at = start + after;
      position.point = {latitude, 13.4};
      return position;
    };
    // Backwards from now, which is the end.
    double latitude = 52.5;
    int64_t millis = 0;
    std::vector<DriverPosition> all;
    for (const auto& [step, north] : *rc::gen::container<std::vector<std::pair<int, int>>>(
             rc::gen::pair(testing::Within(1, 3'000), testing::Within(-20, 21)))) {
      millis += step;
      latitude += north * 1e-5;
      all.insert(all.begin(), at(-absl::Milliseconds(millis), latitude));
    }
    const size_t before = all.empty() ? 0 : *testing::Below<size_t>(all.size());
    if (before > 0) request.from = all[before].recorded_at;
    for (const DriverPosition& position : all) store(position);
    const int bound = *testing::Below(40);
    if (*rc::gen::arbitrary<bool>()) {
      request.thinner.min_interval = absl::Milliseconds(bound * 200);
    } else {
      request.thinner.min_distance_m = bound;
    }
    const std::vector<DriverPosition> expected =
        tracks::Downsample({all.begin() + static_cast<std::ptrdiff_t>(before), all.end()}, request.thinner);

    std::vector<DriverPosition> got;
    int pages = 0;
    do {
      request.page_size = *testing::Within(1, 8);
      auto page = reads.Track(request);
      RC_ASSERT(page.ok());
      RC_ASSERT(page->points.size() <= static_cast<size_t>(request.page_size));
      RC_ASSERT(!page->points.empty() || page->next_page_token.empty());
      got.insert(got.end(), page->points.begin(), page->points.end());
      request.page_token = page->next_page_token;
      world.time.Advance(absl::Seconds(1));
      store(at(absl::Milliseconds(++pages), 0));
      if (before > 0) store(at(-absl::Milliseconds(millis) - absl::Milliseconds(pages), 0));
    } while (!request.page_token.empty());
    RC_ASSERT(got == expected);
    world.time.Advance(absl::Hours(1));
  }));
}

}  // namespace
}  // namespace waybill::ingest
