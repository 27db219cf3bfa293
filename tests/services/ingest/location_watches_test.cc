#include "services/ingest/location_watches.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/scheduled_executor.h"
#include "runtime/worker_pool.h"
#include "tests/services/ingest/ingest_world.h"

namespace waybill::ingest {
namespace {

using domain::DriverPosition;
using storage::LocationEvent;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::Status ViewAway() { return domain::ReasonError("STORE_UNAVAILABLE", "away"); }

// Calls back between a read of the moves and its answer.
class WatchedView final : public storage::HotView {
 public:
  explicit WatchedView(storage::HotView& view) : view_(view) {}
  absl::StatusOr<storage::ViewState> Publish(const storage::HotUpdate& update) override {
    return view_.Publish(update);
  }
  absl::Status BeginRebuild() override { return view_.BeginRebuild(); }
  absl::StatusOr<bool> MarkWhole() override { return view_.MarkWhole(); }
  absl::StatusOr<std::vector<std::optional<DriverPosition>>> Get(const std::vector<std::string>& ids) override {
    return view_.Get(ids);
  }
  absl::StatusOr<storage::EventPage> Follow(const std::string& after, int limit) override {
    auto page = view_.Follow(after, limit);
    CallBack();
    return page;
  }
  absl::StatusOr<std::string> LastEventId() override {
    auto id = view_.LastEventId();
    CallBack();
    return id;
  }
  absl::Status Ping() override { return view_.Ping(); }

  // By the thread that made this.
  int reads() const { return reads_; }

  void AfterRead(std::function<void()> after) {
    std::lock_guard lock(mutex_);
    after_read_ = std::move(after);
  }

 private:
  void CallBack() {
    if (std::this_thread::get_id() == maker_) ++reads_;
    std::function<void()> after;
    {
      std::lock_guard lock(mutex_);
      after.swap(after_read_);
    }
    if (after) after();
  }

  storage::HotView& view_;
  const std::thread::id maker_ = std::this_thread::get_id();
  int reads_ = 0;
  std::mutex mutex_;
  std::function<void()> after_read_;
};

// Whoever watches. Takes what is sent at once, or (slow) when told to.
class Watcher {
 public:
  explicit Watcher(bool slow = false) : slow_(slow) {}

  std::shared_ptr<WatchPeer> MakePeer() {
    auto peer = std::make_shared<Peer>(*this);
    peer_ = peer;
    return peer;
  }
  std::vector<std::string> Ids() const {
    std::lock_guard lock(mutex_);
    return ids_;
  }
  std::vector<std::string> Drivers() const {
    std::lock_guard lock(mutex_);
    return drivers_;
  }
  int gaps() const {
    std::lock_guard lock(mutex_);
    return gaps_;
  }
  std::string reached() const {
    std::lock_guard lock(mutex_);
    return reached_;
  }
  int heartbeats() const {
    std::lock_guard lock(mutex_);
    return heartbeats_;
  }
  size_t largest() const {
    std::lock_guard lock(mutex_);
    return largest_;
  }
  bool sending() const {
    std::lock_guard lock(mutex_);
    return sent_ != nullptr;
  }
  bool Take(bool ok = true) {
    absl::AnyInvocable<void(bool)> sent;
    {
      std::lock_guard lock(mutex_);
      sent = std::exchange(sent_, nullptr);
    }
    if (sent) {
      sent(ok);
      return true;
    }
    return false;
  }
  std::optional<absl::Status> end() const {
    std::lock_guard lock(mutex_);
    return end_;
  }
  std::string EndReason() const {
    auto status = end();
    return status ? GetErrorDetail(*status).reason : "open";
  }
  void AwaitEvents(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ids_.size() >= count; });
  }
  bool peer_alive() const { return !peer_.expired(); }

 private:
  struct Peer final : WatchPeer {
    explicit Peer(Watcher& owner) : watcher(owner) {}
    void Send(const std::vector<LocationEvent>& events, bool gap, const std::string& reached,
              absl::AnyInvocable<void(bool)> sent) override {
      watcher.Send(events, gap, reached, std::move(sent));
    }
    void Finish(const absl::Status& status) override {
      std::lock_guard lock(watcher.mutex_);
      EXPECT_FALSE(watcher.end_) << "finished twice";
      watcher.end_ = status;
    }
    Watcher& watcher;
  };

  void Send(const std::vector<LocationEvent>& events, bool gap, const std::string& reached,
            absl::AnyInvocable<void(bool)> sent) {
    {
      std::unique_lock lock(mutex_);
      if (end_) {  // by another thread meanwhile: as gRPC answers it
        lock.unlock();
        sent(false);
        return;
      }
      EXPECT_FALSE(sent_) << "one at a time";
      reached_ = reached;
      if (!gap && events.empty()) ++heartbeats_;
      for (const LocationEvent& event : events) {
        ids_.push_back(event.id);
        drivers_.push_back(event.position.driver_id);
      }
      largest_ = std::max(largest_, events.size());
      gaps_ += gap;
      if (slow_) sent_ = std::exchange(sent, nullptr);
      changed_.notify_all();
    }
    if (sent) sent(true);
  }

  const bool slow_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> ids_;
  std::vector<std::string> drivers_;
  int gaps_ = 0;
  int heartbeats_ = 0;
  size_t largest_ = 0;
  std::string reached_;
  absl::AnyInvocable<void(bool)> sent_;
  std::optional<absl::Status> end_;
  std::weak_ptr<WatchPeer> peer_;
};

class LocationWatchesTest : public ::testing::Test {
 protected:
  LocationWatchesTest() {
    options_.page_max = 3;
    options_.window_max = 6;
    watches_.emplace(view_, workers_, world_.metrics, options_);
  }

  ~LocationWatchesTest() override {
    watches_->Stop();
    workers_.Stop();
  }

  // Moves of that driver.
  void Move(const std::string& driver_id, int count = 1, double latitude = 52.5, double longitude = 13.4) {
    storage::HotUpdate update;
    for (int i = 0; i < count; ++i) update.moves.push_back(world_.At(driver_id, i, latitude, longitude));
    ASSERT_TRUE(world_.fleet.Publish(update).ok());
  }
  std::shared_ptr<LocationWatches::Watch> Add(Watcher& watcher, const std::string& resume_after,
                                              WatchFilter filter = {}) {
    auto watch = watches_->Add(std::move(filter), resume_after, watcher.MakePeer());
    Settle();
    return watch;
  }
  // Until the worker has done what it was given, and what it gave itself.
  void Settle() {
    for (int i = 0; i < 40; ++i) {
      std::promise<void> done;
      WorkerPool::Task last = [&] { done.set_value(); };
      ASSERT_TRUE(workers_.Submit(last));
      done.get_future().get();
    }
  }
  void Poll() {
    EXPECT_TRUE(watches_->Poll());
    Settle();
  }
  static WatchFilter Of(std::initializer_list<std::string> driver_ids) {
    WatchFilter filter;
    filter.driver_ids = driver_ids;
    return filter;
  }
  static std::vector<std::string> Range(int first, int last) {
    std::vector<std::string> ids;
    for (int i = first; i <= last; ++i) ids.push_back(std::to_string(i));
    return ids;
  }

  World world_;
  std::deque<Watcher> watchers_;  // outlive what sends to them
  WatchedView view_{world_.fleet};
  WorkerPool workers_{1, 100};
  WatchOptions options_;
  std::optional<LocationWatches> watches_;
};

// Many may come at once, as when another replica ended.
TEST_F(LocationWatchesTest, ThoseWhoComeMakeItReadNoSooner) {
  waybill::testing::ManualTime time;
  const waybill::testing::ScheduledLoops loops(time, time, [] { return absl::ZeroDuration(); });
  watches_->Start(loops);
  time.Advance(absl::ZeroDuration());
  EXPECT_EQ(view_.reads(), 0) << "nobody looks";
  Add(watchers_.emplace_back(), "");
  time.Advance(absl::ZeroDuration());
  const int first = view_.reads();
  EXPECT_GT(first, 0);
  for (int i = 0; i < 20; ++i) {
    Add(watchers_.emplace_back(), "");
    time.Advance(absl::ZeroDuration());
  }
  EXPECT_EQ(view_.reads(), first);
  time.Advance(options_.poll);
  EXPECT_GT(view_.reads(), first);
  watches_->Stop();  // before what drives it goes
}

TEST(BoundingBox, HoldsItsEdges) {
  const BoundingBox box{10, 20, 30, 40};
  EXPECT_TRUE(box.Holds({10, 20}));
  EXPECT_TRUE(box.Holds({30, 40}));
  EXPECT_FALSE(box.Holds({9.999, 30}));
  EXPECT_FALSE(box.Holds({30.001, 30}));
  EXPECT_FALSE(box.Holds({20, 19.999}));
  EXPECT_FALSE(box.Holds({20, 40.001}));
  EXPECT_TRUE(BoundingBox{}.Holds({90, -180}));
}

TEST(BoundingBox, WestAboveEastIsAcrossTheAntimeridian) {
  const BoundingBox box{-10, 170, 10, -170};
  EXPECT_TRUE(box.Holds({0, 175}));
  EXPECT_TRUE(box.Holds({0, 180}));
  EXPECT_TRUE(box.Holds({0, -180}));
  EXPECT_TRUE(box.Holds({0, -170}));
  EXPECT_FALSE(box.Holds({0, 0}));
  EXPECT_FALSE(box.Holds({0, 169.9}));
  EXPECT_FALSE(box.Holds({11, 175}));
}

TEST(BoundingBox, TheAntimeridianIsOneMeridianByBothItsNames) {
  for (double longitude : {180.0, -180.0}) {
    EXPECT_TRUE((BoundingBox{-10, -180, 10, -170}.Holds({0, longitude})));
    EXPECT_TRUE((BoundingBox{-10, 170, 10, 180}.Holds({0, longitude})));
    EXPECT_FALSE((BoundingBox{-10, -170, 10, 170}.Holds({0, longitude})));
  }
}

TEST_F(LocationWatchesTest, FromNowOnSeesWhatComes) {
  Move("ann", 5);
  Watcher& watcher = watchers_.emplace_back();
  Add(watcher, "");
  Poll();
  EXPECT_THAT(watcher.Ids(), IsEmpty());
  Move("bob", 2);
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(6, 7));
  EXPECT_THAT(watcher.Drivers(), ElementsAre("bob", "bob"));
  EXPECT_EQ(watcher.gaps(), 0);
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(6, 7)) << "each once";
}

TEST_F(LocationWatchesTest, FromZeroSeesAllThatIsKept) {
  Move("ann", 20);
  Watcher& watcher = watchers_.emplace_back();
  Add(watcher, "0");
  EXPECT_EQ(watcher.Ids(), Range(1, 20));
  Poll();
  Move("bob", 8);  // more than a page, and than the window
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(1, 28));
  EXPECT_EQ(watcher.gaps(), 0);
  EXPECT_LE(watcher.largest(), 3u);
}

TEST_F(LocationWatchesTest, ResumesAfterAnEvent) {
  Move("ann", 7);
  Watcher& near = watchers_.emplace_back();
  Watcher& last = watchers_.emplace_back();
  Add(near, "4");
  Add(last, "7");
  EXPECT_EQ(near.Ids(), Range(5, 7));
  EXPECT_THAT(last.Ids(), IsEmpty());
  Poll();
  Move("ann");
  Poll();
  EXPECT_EQ(near.Ids(), Range(5, 8));
  EXPECT_EQ(last.Ids(), Range(8, 8));
}

TEST_F(LocationWatchesTest, ResumesWithoutMissingWhatComesMeanwhile) {
  Move("ann", 5);
  Watcher& watcher = watchers_.emplace_back();
  // After the watch has read that nothing follows 5, and before it says so, 6 comes and the tail is read for the first
  // time.
  view_.AfterRead([this] {
    Move("bob");
    EXPECT_TRUE(watches_->Poll());
  });
  Add(watcher, "5");
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(6, 6));
  EXPECT_EQ(watcher.gaps(), 0);
}

TEST_F(LocationWatchesTest, FiltersByDriver) {
  WatchFilter filter;
  filter.driver_ids = {"ann", "cy"};
  Watcher& watcher = watchers_.emplace_back();
  Move("bob", 7);
  Move("ann");
  Add(watcher, "0", filter);
  EXPECT_THAT(watcher.Drivers(), ElementsAre("ann"));
  Poll();
  Move("bob", 7);
  Move("cy");
  Move("dan");
  Poll();
  EXPECT_THAT(watcher.Drivers(), ElementsAre("ann", "cy"));
}

TEST_F(LocationWatchesTest, FiltersByAreaAlsoAcrossTheAntimeridian) {
  WatchFilter fiji, both;
  fiji.area = BoundingBox{-20, 177, -15, -178};
  both = fiji;
  both.driver_ids = {"east"};
  Watcher& watcher = watchers_.emplace_back();
  Watcher& picky = watchers_.emplace_back();
  Add(watcher, "", fiji);
  Add(picky, "", both);
  Poll();
  Move("west", 1, -18, 178);
  Move("east", 1, -18, -179);
  Move("berlin");
  Move("north", 1, 18, 179);
  Poll();
  EXPECT_THAT(watcher.Drivers(), ElementsAre("west", "east"));
  EXPECT_THAT(picky.Drivers(), ElementsAre("east"));
}

TEST_F(LocationWatchesTest, ASlowWatcherIsSentOnePageAndCatchesUpThroughRedis) {
  Watcher& slow = watchers_.emplace_back(true);
  Watcher& quick = watchers_.emplace_back();
  Add(slow, "");
  Add(quick, "");
  Poll();
  for (int i = 0; i < 10; ++i) {
    Move("ann", 3);
    Poll();
  }
  EXPECT_EQ(quick.Ids(), Range(1, 30));
  EXPECT_EQ(slow.Ids(), Range(1, 3)) << "the window has moved on";
  while (slow.Take()) Settle();
  EXPECT_EQ(slow.Ids(), Range(1, 30));
  EXPECT_EQ(slow.gaps(), 0);
  EXPECT_LE(slow.largest(), 3u);
}

TEST_F(LocationWatchesTest, TellsOfAGapWhenRedisHasMovedOnToo) {
  Watcher& slow = watchers_.emplace_back(true);
  Add(slow, "");
  Poll();
  for (int i = 0; i < 10; ++i) {
    Move("ann", 3);
    Poll();
  }
  world_.fleet.TrimMoves(4);
  while (slow.Take()) Settle();
  EXPECT_THAT(slow.Ids(), ElementsAre("1", "2", "3", "27", "28", "29", "30"));
  EXPECT_EQ(slow.gaps(), 1);
}

TEST_F(LocationWatchesTest, TellsOfAGapWhenItResumesAfterWhatIsNoLongerKept) {
  Move("ann", 10);
  world_.fleet.TrimMoves(2);
  Watcher& resumed = watchers_.emplace_back();
  Watcher& from_zero = watchers_.emplace_back();
  Add(resumed, "3");
  Add(from_zero, "0");
  EXPECT_EQ(resumed.Ids(), Range(9, 10));
  EXPECT_EQ(resumed.gaps(), 1);
  EXPECT_EQ(from_zero.Ids(), Range(9, 10));
  EXPECT_EQ(from_zero.gaps(), 0) << "it asked for what is kept";
}

TEST_F(LocationWatchesTest, TellsOfAGapWhenTheViewIsLost) {
  Watcher& watcher = watchers_.emplace_back();
  Add(watcher, "");
  Poll();
  Move("ann", 2);
  Poll();
  world_.fleet.Clear();
  Poll();
  Move("ann", 3);
  world_.fleet.TrimMoves(2);  // 3 is lost
  Poll();
  Poll();
  EXPECT_THAT(watcher.Ids(), ElementsAre("1", "2", "4", "5"));
  EXPECT_EQ(watcher.gaps(), 1);
}

TEST_F(LocationWatchesTest, AnIdAheadOfTheStreamIsAGapAndMovesComeAtOnce) {
  Move("ann", 2);
  Watcher& watcher = watchers_.emplace_back();
  Add(watcher, "900");
  Poll();
  EXPECT_EQ(watcher.gaps(), 1);
  Move("ann", 2);
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(3, 4));
  EXPECT_EQ(watcher.gaps(), 1);
}

TEST_F(LocationWatchesTest, AStreamThatStartsAgainWithSmallerIdsIsAGapAndGoesOn) {
  Move("ann", 5);
  Watcher& watcher = watchers_.emplace_back();
  Watcher& slow = watchers_.emplace_back(true);
  Add(watcher, "");
  Add(slow, "");
  Poll();
  Move("ann");
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(6, 6));
  world_.fleet.Clear();
  world_.fleet.set_last_move(1);  // another Redis, whose clock is behind
  Poll();
  Move("bob", 2);
  Poll();
  Poll();
  EXPECT_THAT(watcher.Ids(), ElementsAre("6", "2", "3"));
  EXPECT_EQ(watcher.gaps(), 1);
  while (slow.Take()) Settle();
  Move("cy");
  Poll();
  while (slow.Take()) Settle();
  EXPECT_THAT(slow.Ids(), ElementsAre("6", "4")) << "from the end of the stream it found";
  EXPECT_EQ(slow.gaps(), 1);
}

// The new stream comes past the place where a watch was while that could not look.
TEST_F(LocationWatchesTest, AStreamThatWasLostWhileAWatchWasBusyIsAGap) {
  Move("ann", 5);
  Watcher& slow = watchers_.emplace_back(true);
  Add(slow, "");
  Poll();
  Move("ann");
  Poll();
  ASSERT_TRUE(slow.sending()) << "6";
  Move("ann", 4);  // seen by nobody
  world_.fleet.Clear();
  world_.fleet.set_last_move(0);
  Poll();
  Move("ann", 12);
  Poll();
  while (slow.Take()) Settle();
  Poll();
  while (slow.Take()) Settle();
  Move("ann");
  Poll();
  while (slow.Take()) Settle();
  EXPECT_EQ(slow.gaps(), 1);
  EXPECT_EQ(slow.Ids().back(), "13");
}

// The same for one that stands at the stream's beginning, which every stream has.
TEST_F(LocationWatchesTest, AStreamThatWasLostUnderAWatchAtItsBeginningIsAGap) {
  Watcher& slow = watchers_.emplace_back(true);
  Add(slow, "", Of({"bob"}));
  Poll();
  watches_->Beat();
  watches_->Beat();
  ASSERT_TRUE(slow.sending()) << "a heartbeat";
  Move("bob", 5);
  Poll();
  world_.fleet.Clear();
  world_.fleet.set_last_move(5);
  Move("bob");
  Poll();
  for (int i = 0; i < 3; ++i) {
    while (slow.Take()) Settle();
    Poll();
  }
  EXPECT_EQ(slow.gaps(), 1);
  EXPECT_EQ(slow.Ids().back(), "6");
}

TEST_F(LocationWatchesTest, AGapIsToldEvenWhenNoEventPassesTheFilter) {
  Move("ann", 10);
  world_.fleet.TrimMoves(2);
  WatchFilter filter;
  filter.driver_ids = {"bob"};
  Watcher& watcher = watchers_.emplace_back();
  Add(watcher, "3", filter);
  Poll();
  EXPECT_THAT(watcher.Ids(), IsEmpty());
  Move("bob");
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(11, 11));
  EXPECT_EQ(watcher.gaps(), 1);
}

TEST_F(LocationWatchesTest, EndsAtOnceWhenItResumesAfterWhatIsNoEvent) {
  Watcher& watcher = watchers_.emplace_back();
  Add(watcher, "yesterday");
  EXPECT_EQ(watcher.EndReason(), "BAD_REQUEST");
  EXPECT_EQ(watches_->size(), 0u);
  EXPECT_FALSE(watcher.peer_alive());
}

TEST_F(LocationWatchesTest, GoesOnAfterRedisWasAway) {
  Move("ann", 2);
  Watcher& early = watchers_.emplace_back();
  Watcher& late = watchers_.emplace_back();
  Watcher& resumed = watchers_.emplace_back();
  Add(early, "");
  Poll();
  world_.fleet.set_error(ViewAway());
  EXPECT_FALSE(watches_->Poll());
  Add(late, "");
  Add(resumed, "1");
  EXPECT_FALSE(watches_->Poll());
  EXPECT_FALSE(late.end());
  world_.fleet.set_error(absl::OkStatus());
  Move("ann");
  Poll();
  Move("ann");
  Poll();
  Poll();
  EXPECT_EQ(early.Ids(), Range(3, 4));
  EXPECT_EQ(resumed.Ids(), Range(2, 4));
  EXPECT_EQ(late.Ids(), Range(4, 4)) << "now was when Redis came back";
  EXPECT_EQ(early.gaps() + resumed.gaps() + late.gaps(), 0);
}

// A quiet watch whose stream is cut: what did not concern it is no gap, and what comes meanwhile is not lost.
TEST_F(LocationWatchesTest, AHeartbeatSaysWhereTheWatchStands) {
  Watcher& watcher = watchers_.emplace_back();
  auto watch = Add(watcher, "", Of({"ann"}));
  Poll();
  Move("bob", 200);
  for (int i = 0; i < 5; ++i) Poll();
  watches_->Beat();
  watches_->Beat();
  EXPECT_EQ(watcher.heartbeats(), 1);
  EXPECT_EQ(watcher.reached(), "200");
  watches_->Remove(watch);
  Move("ann");
  world_.fleet.TrimMoves(2);
  Watcher& again = watchers_.emplace_back();
  Add(again, watcher.reached(), Of({"ann"}));
  Poll();
  Poll();
  EXPECT_EQ(again.Ids(), Range(201, 201));
  EXPECT_EQ(again.gaps(), 0);
  EXPECT_EQ(again.reached(), "201");
}

// Before Redis was asked where a watch stands, it stands where its client said.
TEST_F(LocationWatchesTest, AHeartbeatLosesNoPlaceWhileRedisIsAway) {
  for (int i = 0; i < 3; ++i) Move("ann");
  world_.fleet.set_error(ViewAway());
  Watcher& watcher = watchers_.emplace_back();
  auto watch = Add(watcher, "1");
  EXPECT_FALSE(watches_->Poll());
  watches_->Beat();
  watches_->Beat();
  EXPECT_EQ(watcher.heartbeats(), 1);
  EXPECT_EQ(watcher.reached(), "1");
}

// Moves come faster than they are read.
class EndlessView final : public storage::HotView {
 public:
  absl::StatusOr<storage::ViewState> Publish(const storage::HotUpdate&) override { return absl::UnknownError(""); }
  absl::Status BeginRebuild() override { return absl::OkStatus(); }
  absl::StatusOr<bool> MarkWhole() override { return true; }
  absl::StatusOr<std::vector<std::optional<DriverPosition>>> Get(const std::vector<std::string>& ids) override {
    return std::vector<std::optional<DriverPosition>>(ids.size());
  }
  absl::StatusOr<storage::EventPage> Follow(const std::string& after, int limit) override {
    storage::EventPage page;
    for (int i = 1; i <= limit; ++i) {
      LocationEvent& event = page.events.emplace_back();
      event.id = std::to_string(std::stoll(after) + i);
      event.position.driver_id = "bob";
    }
    page.next = page.events.back().id;
    if (++pages_ == kMany) many_.set_value();
    return page;
  }
  absl::StatusOr<std::string> LastEventId() override { return "1"; }
  absl::Status Ping() override { return absl::OkStatus(); }
  void AwaitMany() { many_.get_future().get(); }

 private:
  static constexpr int kMany = 100;
  std::atomic<int> pages_{0};
  std::promise<void> many_;
};

TEST(LocationWatches, EndWhileMovesComeFasterThanTheyAreRead) {
  World world;
  EndlessView view;
  WorkerPool workers(1, 10);
  Watcher watcher;
  WatchOptions options;
  options.beat = absl::ZeroDuration();
  options.poll = absl::ZeroDuration();
  LocationWatches watches(view, workers, world.metrics, options);
  WatchFilter filter;
  filter.driver_ids = {"ann"};
  watches.Add(filter, "1", watcher.MakePeer());
  watches.Start(ThreadLoops());
  view.AwaitMany();
  watches.Stop();
  workers.Stop();
  EXPECT_EQ(watcher.EndReason(), "SHUTTING_DOWN");
}

TEST_F(LocationWatchesTest, TriesAgainWhenNoWorkerIsFree) {
  std::promise<void> go, started;
  WorkerPool::Task block = [&] {
    started.set_value();
    go.get_future().get();
  };
  ASSERT_TRUE(workers_.Submit(block));
  started.get_future().get();
  for (int i = 0; i < 100; ++i) {
    WorkerPool::Task nothing = [] {};
    ASSERT_TRUE(workers_.Submit(nothing));
  }
  Move("ann", 2);
  Watcher& watcher = watchers_.emplace_back();
  watches_->Add({}, "0", watcher.MakePeer());
  go.set_value();
  while (workers_.queue_depth() > 0) std::this_thread::yield();
  Settle();
  EXPECT_THAT(watcher.Ids(), IsEmpty());
  Poll();
  EXPECT_EQ(watcher.Ids(), Range(1, 2));
}

TEST_F(LocationWatchesTest, NothingIsLeftOfAClientThatGoesAwayWhateverItWaitsFor) {
  Move("ann", 5);
  for (const std::string state : {"locating", "idle", "sending", "sent badly", "twice"}) {
    Watcher& watcher = watchers_.emplace_back(true);
    std::shared_ptr<LocationWatches::Watch> watch;
    if (state == "locating") {
      std::promise<void> go;
      WorkerPool::Task block = [gone = go.get_future().share()] { gone.get(); };
      ASSERT_TRUE(workers_.Submit(block));
      watch = watches_->Add({}, "0", watcher.MakePeer());
      watches_->Remove(watch);
      go.set_value();
    } else {
      watch = Add(watcher, state == "idle" ? "" : "0");
      if (state == "sent badly") watcher.Take(false);
      watches_->Remove(watch);
      if (state == "twice") watches_->Remove(watch);
    }
    Settle();
    watcher.Take(state == "sending");
    Settle();
    Poll();
    ASSERT_TRUE(watcher.end()) << state;
    EXPECT_EQ(watcher.end()->code(), absl::StatusCode::kCancelled);
    EXPECT_FALSE(watcher.peer_alive()) << state;
    EXPECT_EQ(watches_->size(), 0u) << state;
    EXPECT_EQ(world_.Metric("waybill_location_watches_open"), 0) << state;
    std::weak_ptr<LocationWatches::Watch> weak = watch;
    watch.reset();
    EXPECT_TRUE(weak.expired()) << state;
  }
}

TEST_F(LocationWatchesTest, NoMoreAreOpenThanAllowed) {
  options_.watches_max = 1;
  watches_.emplace(view_, workers_, world_.metrics, options_);
  Watcher& first = watchers_.emplace_back();
  Watcher& second = watchers_.emplace_back();
  Watcher& third = watchers_.emplace_back();
  Add(first, "x");
  Settle();
  EXPECT_EQ(first.EndReason(), "BAD_REQUEST");
  Add(second, "");
  Add(third, "");
  Settle();
  EXPECT_EQ(second.EndReason(), "open");
  EXPECT_EQ(third.EndReason(), "QUEUE_FULL");
}

TEST_F(LocationWatchesTest, NoMoreDriversAreNamedThanAllowed) {
  options_.drivers_max = 3;
  watches_.emplace(view_, workers_, world_.metrics, options_);
  Watcher& first = watchers_.emplace_back();
  Watcher& second = watchers_.emplace_back();
  Watcher& third = watchers_.emplace_back();
  auto watch = Add(first, "", Of({"a", "b"}));
  Add(second, "", Of({"a", "c"}));
  EXPECT_EQ(first.EndReason(), "open");
  EXPECT_EQ(second.EndReason(), "QUEUE_FULL");
  watches_->Remove(watch);
  Add(third, "", Of({"a", "c"}));
  EXPECT_EQ(third.EndReason(), "open");
}

TEST_F(LocationWatchesTest, AWatchWhoseDriverIsQuietKeepsUpWithTheOthersAndReadsNothingAgain) {
  Watcher& quiet = watchers_.emplace_back();
  Watcher& here = watchers_.emplace_back();
  Watcher& all = watchers_.emplace_back();
  Add(quiet, "", Of({"bob", "cy"}));
  WatchFilter around;
  around.area = BoundingBox{52, 13, 53, 14};
  Add(here, "", around);
  Add(all, "");
  Poll();
  for (int i = 0; i < 10; ++i) {
    Move("ann", 5, 10, 10);
    Poll();
  }
  Move("bob");
  Move("ann", 1, 52.5, 13.4);
  Move("cy", 1, 10, 10);
  Poll();
  EXPECT_THAT(quiet.Ids(), ElementsAre("51", "53"));
  EXPECT_THAT(here.Ids(), ElementsAre("51", "52"));
  EXPECT_THAT(all.Ids(), ::testing::ElementsAreArray(Range(1, 53)));
  EXPECT_EQ(quiet.gaps() + here.gaps() + all.gaps(), 0);
}

TEST_F(LocationWatchesTest, SendsAHeartbeatToWhoeverWasSentNothing) {
  Watcher& quiet = watchers_.emplace_back();
  Watcher& moved = watchers_.emplace_back();
  WatchFilter nobody;
  nobody.driver_ids = {"nobody"};
  Add(quiet, "", nobody);
  Add(moved, "");
  Poll();
  watches_->Beat();
  EXPECT_EQ(quiet.heartbeats() + moved.heartbeats(), 0) << "not yet silent for a whole beat";
  Move("van-1");
  Poll();
  watches_->Beat();
  EXPECT_EQ(quiet.heartbeats(), 1);
  EXPECT_EQ(moved.heartbeats(), 0);
  watches_->Beat();
  watches_->Beat();
  EXPECT_EQ(moved.heartbeats(), 2);
  Move("van-2");  // and the stream goes on behind them
  Poll();
  EXPECT_THAT(moved.Drivers(), ElementsAre("van-1", "van-2"));
  EXPECT_EQ(moved.gaps(), 0);
}

TEST_F(LocationWatchesTest, StopEndsThemAllAndThoseToCome) {
  Move("ann", 5);
  Watcher& idle = watchers_.emplace_back();
  Watcher& sending = watchers_.emplace_back(true);
  Watcher& late = watchers_.emplace_back();
  Add(idle, "");
  Add(sending, "0");
  EXPECT_TRUE(sending.sending());
  watches_->Stop();
  EXPECT_EQ(idle.EndReason(), "SHUTTING_DOWN");
  EXPECT_EQ(sending.EndReason(), "SHUTTING_DOWN");
  Add(late, "");
  EXPECT_EQ(late.EndReason(), "SHUTTING_DOWN");
  sending.Take();
  Settle();
  EXPECT_EQ(watches_->size(), 0u);
  EXPECT_FALSE(sending.peer_alive());
}

TEST_F(LocationWatchesTest, AThreadOfItsOwnFollowsTheTail) {
  options_.poll = absl::Milliseconds(1);
  watches_.emplace(view_, workers_, world_.metrics, options_);
  watches_->Start(ThreadLoops());
  for (int round = 0; round < 2; ++round) {
    Watcher& one = watchers_.emplace_back();
    Watcher& two = watchers_.emplace_back();
    auto first = watches_->Add({}, "0", one.MakePeer());
    auto second = watches_->Add({}, "0", two.MakePeer());
    for (int i = 0; i < 50; ++i) Move("ann");
    one.AwaitEvents(50);
    two.AwaitEvents(50);
    EXPECT_EQ(one.Ids().front(), "1");
    watches_->Remove(first);
    watches_->Remove(second);  // nobody looks: the window goes
    Settle();
  }
  watches_->Stop();
}

}  // namespace
}  // namespace waybill::ingest
