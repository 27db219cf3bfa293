#include "services/order/order_watch.h"

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/testing/mock_order_store.h"
#include "tests/services/order/order_world.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What a client of a watch has seen.
struct Seen {
  std::mutex mutex;
  std::vector<std::string> lines;
  int heartbeats = 0;
  std::optional<absl::Status> end;
  bool gone = false;  // the client takes nothing any more
  bool destroyed = false;

  std::vector<std::string> Lines() {
    std::lock_guard lock(mutex);
    return lines;
  }
  int Heartbeats() {
    std::lock_guard lock(mutex);
    return heartbeats;
  }
  std::optional<absl::Status> End() {
    std::lock_guard lock(mutex);
    return end;
  }
};

class RecordingSink final : public WatchSink {
 public:
  explicit RecordingSink(std::shared_ptr<Seen> seen) : seen_(std::move(seen)) {}
  ~RecordingSink() override {
    std::lock_guard lock(seen_->mutex);
    seen_->destroyed = true;
  }
  void Send(std::vector<Transition> batch, absl::AnyInvocable<void(bool)> sent) override {
    bool gone;
    {
      std::lock_guard lock(seen_->mutex);
      gone = seen_->gone;
      if (batch.empty()) ++seen_->heartbeats;
      for (const Transition& line : batch) {
        if (gone) break;
        if (line.refund) {
          seen_->lines.push_back(line.refund->refund_id + " " + std::string(Name(line.refund->state)) + " " +
                                 std::string(Name(line.status)));
          continue;
        }
        seen_->lines.push_back(std::to_string(line.entry.seq) + " " + std::string(line.outcome()) + " " +
                               std::string(Name(line.status)));
      }
    }
    sent(!gone);
  }
  void End(const absl::Status& status) override {
    std::lock_guard lock(seen_->mutex);
    EXPECT_FALSE(seen_->end.has_value());
    seen_->end = status;
  }

 private:
  std::shared_ptr<Seen> seen_;
};

class OrderWatchTest : public ::testing::Test {
 protected:
  std::shared_ptr<Seen> Watch(Replica& replica, const Uuid& id, int64_t from = 0, bool refunds = false) {
    auto seen = std::make_shared<Seen>();
    watch_ = replica.watches.Add(id, std::nullopt, from, std::make_unique<RecordingSink>(seen), refunds);
    replica.Settle();
    return seen;
  }

  SharedWorld world_;
  Replica a_{world_, "a"};
  std::shared_ptr<OrderWatches::Watch> watch_;
};

TEST_F(OrderWatchTest, TellsATerminalOrdersStoryAndEnds) {
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto seen = Watch(a_, id);
  EXPECT_THAT(seen->Lines(), ElementsAre("0 accepted PENDING", "1 succeeded COMPENSATING", "2 rejected COMPENSATING",
                                         "3 undone FAILED"));
  EXPECT_EQ(seen->End(), absl::OkStatus());
  EXPECT_EQ(a_.watches.size(), 0u);
  EXPECT_TRUE(seen->destroyed);
}

TEST_F(OrderWatchTest, StartsWhereItIsAskedTo) {
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  EXPECT_THAT(Watch(a_, id, 3)->Lines(), ElementsAre("3 undone FAILED"));
  auto beyond = Watch(a_, id, 4);
  EXPECT_THAT(beyond->Lines(), IsEmpty());
  EXPECT_EQ(beyond->End(), absl::OkStatus());
}

TEST_F(OrderWatchTest, SeesTransitionsAsTheyHappenAndStaysUntilTheOrderIsTerminal) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto seen = Watch(a_, id);
  EXPECT_THAT(seen->Lines(), ElementsAre("0 accepted PENDING", "1 succeeded CONFIRMED", "2 succeeded CONFIRMED"));
  EXPECT_EQ(seen->End(), std::nullopt) << "a confirmed order may still be cancelled or completed";
  ASSERT_TRUE(a_.Complete(id).Get().status.ok());
  a_.Settle();  // no time has passed: it was told, it did not look
  EXPECT_EQ(seen->Lines().back(), "3 closed COMPLETED");
  EXPECT_EQ(seen->End(), absl::OkStatus());
  EXPECT_EQ(world_.time.pending(), 0u);
}

TEST_F(OrderWatchTest, LooksForWhatAnotherReplicaDoes) {
  world_.PutDrivers({"ann"});
  Replica b(world_, "b");
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto seen = Watch(b, id, 3);
  ASSERT_TRUE(a_.Complete(id).Get().status.ok());
  EXPECT_THAT(seen->Lines(), IsEmpty());
  b.Pass(absl::Seconds(1));
  EXPECT_THAT(seen->Lines(), ElementsAre("3 closed COMPLETED"));
  EXPECT_EQ(seen->End(), absl::OkStatus());
}

// A watch reads the log and then the order, and something may happen in between.
TEST_F(OrderWatchTest, DoesNotEndBeforeAnEntryThatWasWrittenWhileItLooked) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  ::testing::NiceMock<storage::testing::MockOrderStore> store;
  ON_CALL(store, Log).WillByDefault([&](const Uuid& order, int64_t from) {
    auto log = a_.store.Log(order, from);
    static_cast<void>(a_.Complete(id).Get());
    return log;
  });
  ON_CALL(store, Get).WillByDefault([&](const Uuid& order) { return a_.store.Get(order); });
  ON_CALL(store, LastSequences).WillByDefault([&](const std::vector<Uuid>& ids) {
    return a_.store.LastSequences(ids);
  });
  Replica b(world_, "b");
  OrderWatches watches(store, b.workers, world_.time, world_.time, WatchOptions{});
  auto seen = std::make_shared<Seen>();
  watches.Add(id, std::nullopt, 3, std::make_unique<RecordingSink>(seen));
  b.Settle();
  b.Pass(absl::Seconds(1));
  EXPECT_THAT(seen->Lines(), ElementsAre("3 closed COMPLETED"));
  EXPECT_EQ(seen->End(), absl::OkStatus());
}

// However many watch orders to which nothing happens, the store is asked after all of them at once, and ever less
// often.
TEST_F(OrderWatchTest, AsksAfterAllQuietOrdersAtOnce) {
  std::vector<std::string> drivers;
  for (int i = 0; i < 40; ++i) drivers.push_back("driver-" + std::to_string(i));
  world_.PutDrivers(drivers);
  std::vector<Uuid> ids;
  std::vector<std::shared_ptr<Seen>> seen;
  Replica b(world_, "b");
  for (int i = 0; i < 40; ++i) {
    ids.push_back(a_.Create(a_.NewOrder("k" + std::to_string(i))).Get().order.id);
    seen.push_back(Watch(b, ids.back()));
    EXPECT_EQ(seen.back()->Lines().size(), 3u);
  }
  const size_t before = b.store.reads();
  for (int i = 0; i < 60; ++i) b.Pass(absl::Seconds(1));
  EXPECT_LE(b.store.reads() - before, 35u) << "40 watches, a minute";
  EXPECT_GE(b.store.reads() - before, 25u);

  ASSERT_TRUE(a_.Complete(ids[7]).Get().status.ok());
  b.Pass(absl::Seconds(2));
  EXPECT_EQ(seen[7]->Lines().back(), "3 closed COMPLETED");
  EXPECT_EQ(seen[8]->Lines().size(), 3u);
  EXPECT_EQ(b.watches.size(), 39u);
}

TEST_F(OrderWatchTest, NoMoreAreOpenThanAllowed) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  WatchOptions options;
  options.watches_max = 2;
  OrderWatches watches(a_.store, a_.workers, world_.time, world_.time, options);
  std::vector<std::shared_ptr<Seen>> seen;
  std::vector<std::shared_ptr<OrderWatches::Watch>> open;
  for (int i = 0; i < 3; ++i) {
    seen.push_back(std::make_shared<Seen>());
    open.push_back(watches.Add(id, std::nullopt, 0, std::make_unique<RecordingSink>(seen.back())));
  }
  a_.Settle();
  EXPECT_EQ(seen[1]->End(), std::nullopt);
  ASSERT_TRUE(seen[2]->End().has_value());
  EXPECT_EQ(GetErrorDetail(*seen[2]->End()).reason, "QUEUE_FULL");
  EXPECT_GT(GetErrorDetail(*seen[2]->End()).retry_after, absl::ZeroDuration());
  EXPECT_THAT(seen[2]->Lines(), IsEmpty());

  watches.Remove(open[0]);  // makes room
  a_.Settle();
  seen.push_back(std::make_shared<Seen>());
  watches.Add(id, std::nullopt, 0, std::make_unique<RecordingSink>(seen.back()));
  a_.Settle();
  EXPECT_EQ(seen.back()->Lines().size(), 3u);
  watches.Stop();
  a_.Settle();
}

TEST_F(OrderWatchTest, ASilentWatchIsSentAHeartbeat) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto seen = Watch(a_, id);
  for (int i = 0; i < 19; ++i) a_.Pass(absl::Seconds(1));
  EXPECT_EQ(seen->Heartbeats(), 0);
  for (int i = 0; i < 42; ++i) a_.Pass(absl::Seconds(1));
  EXPECT_EQ(seen->Heartbeats(), 3);
  EXPECT_EQ(seen->Lines().size(), 3u);
  ASSERT_TRUE(a_.Complete(id).Get().status.ok());
  a_.Settle();
  EXPECT_EQ(seen->End(), absl::OkStatus());
}

TEST_F(OrderWatchTest, DoesNotKnowAnOrderThatIsNotThere) {
  auto seen = Watch(a_, Uuid());
  ASSERT_TRUE(seen->End().has_value());
  EXPECT_EQ(GetErrorDetail(*seen->End()).reason, "ORDER_NOT_FOUND");
}

TEST_F(OrderWatchTest, WaitsWhileTheStoreDoesNotAnswer) {
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  a_.store.set_error(absl::UnavailableError("postgres is down"));
  auto seen = Watch(a_, id);
  EXPECT_EQ(seen->End(), std::nullopt);
  a_.store.set_error(absl::OkStatus());
  a_.Pass(absl::Seconds(1));
  EXPECT_EQ(seen->Lines().size(), 4u);
  EXPECT_EQ(seen->End(), absl::OkStatus());
}

TEST_F(OrderWatchTest, LetsGoOfAClientThatWentAway) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto resting = Watch(a_, id);
  a_.watches.Remove(watch_);
  a_.Settle();
  EXPECT_TRUE(resting->destroyed);

  auto sending = std::make_shared<Seen>();
  sending->gone = true;  // found out at the first write
  a_.watches.Add(id, std::nullopt, 0, std::make_unique<RecordingSink>(sending));
  a_.Settle();
  EXPECT_TRUE(sending->destroyed);
  EXPECT_EQ(a_.watches.size(), 0u);
  EXPECT_EQ(world_.time.pending(), 0u);
}

TEST_F(OrderWatchTest, SendsClientsToAnotherReplicaWhenItStops) {
  world_.PutDrivers({"ann"});
  const Uuid id = a_.Create(a_.NewOrder("k")).Get().order.id;
  auto seen = Watch(a_, id);
  a_.watches.Stop();
  a_.Settle();
  ASSERT_TRUE(seen->End().has_value());
  EXPECT_EQ(GetErrorDetail(*seen->End()).reason, "SHUTTING_DOWN");
  auto late = Watch(a_, id);
  ASSERT_TRUE(late->End().has_value());
  EXPECT_EQ(late->End()->code(), absl::StatusCode::kUnavailable);
}

// What another replica does, as a watch finds it.
class RefundWatchTest : public OrderWatchTest {
 protected:
  Uuid Confirmed() {
    world_.PutDrivers({"ann"});
    return a_.Create(a_.NewOrder("k")).Get().order.id;
  }
  void Ask(const Uuid& id, const std::string& refund_id) {
    a_.refunds.Refund({id, refund_id, 100, ""}, std::nullopt, {}, {}, SteadyTime::InfiniteFuture(),
                      a_.refunds.Expect([](absl::StatusOr<domain::PartialRefund>) {}));
    a_.Settle();
  }
  Replica b_{world_, "b"};
};

TEST_F(RefundWatchTest, IsToldOfEachAsItStandsAndWhenThatChanges) {
  const Uuid id = Confirmed();
  Ask(id, "r1");
  auto seen = Watch(b_, id, 2, /*refunds=*/true), without = Watch(b_, id, 2);
  EXPECT_THAT(seen->Lines(), ElementsAre("2 succeeded CONFIRMED", "r1 done CONFIRMED"));
  world_.gateway.WillMeet(std::deque<testing::Fate>(20, testing::Fate::kUnavailable));
  Ask(id, "r2");
  b_.Pass(absl::Seconds(2));
  EXPECT_EQ(seen->Lines().back(), "r2 open CONFIRMED");
  for (int i = 0; i < 6'000 && seen->Lines().back() != "r2 done CONFIRMED"; ++i) {
    a_.Pass(absl::Milliseconds(100));
    b_.Settle();
  }
  EXPECT_THAT(seen->Lines(),
              ElementsAre("2 succeeded CONFIRMED", "r1 done CONFIRMED", "r2 open CONFIRMED", "r2 done CONFIRMED"));
  EXPECT_THAT(without->Lines(), ElementsAre("2 succeeded CONFIRMED"));
}

TEST_F(RefundWatchTest, EndsBehindTheLastOpenOneOfAnOrderThatIsTerminal) {
  const Uuid id = Confirmed();
  world_.gateway.WillMeet({testing::Fate::kLostBefore});
  Ask(id, "r1");
  ASSERT_TRUE(a_.Complete(id).Get().status.ok());
  auto seen = Watch(b_, id, 3, /*refunds=*/true), without = Watch(b_, id, 3);
  EXPECT_EQ(without->End(), absl::OkStatus());
  EXPECT_THAT(seen->Lines(), ElementsAre("3 closed COMPLETED", "r1 open COMPLETED"));
  EXPECT_EQ(seen->End(), std::nullopt);
  for (int i = 0; i < 600 && !seen->End(); ++i) {
    a_.Pass(absl::Milliseconds(100));
    b_.Settle();
  }
  EXPECT_EQ(seen->Lines().back(), "r1 done COMPLETED");
  EXPECT_EQ(seen->End(), absl::OkStatus());
  auto late = Watch(b_, id, 4, /*refunds=*/true);
  EXPECT_THAT(late->Lines(), ElementsAre("r1 done COMPLETED"));
  EXPECT_EQ(late->End(), absl::OkStatus());
}

TEST_F(RefundWatchTest, AsksAfterAQuietOrderAndReadsNothing) {
  const Uuid id = Confirmed();
  Ask(id, "r1");
  auto seen = Watch(b_, id, 2, /*refunds=*/true);
  b_.Pass(absl::Seconds(3));
  const int64_t before = b_.store.reads();
  b_.Pass(absl::Seconds(4));
  EXPECT_LE(b_.store.reads() - before, 6) << "two questions every two seconds";
  EXPECT_THAT(seen->Lines(), ElementsAre("2 succeeded CONFIRMED", "r1 done CONFIRMED"));
}

}  // namespace
}  // namespace waybill::order
