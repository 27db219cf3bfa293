#include "services/order/order_watch.h"

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/order/order_world.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What a client of a watch has seen.
struct Seen {
  std::mutex mutex;
  std::vector<std::string> lines;
  std::optional<absl::Status> end;
  bool gone = false;  // the client takes nothing any more
  bool destroyed = false;

  std::vector<std::string> Lines() {
    std::lock_guard lock(mutex);
    return lines;
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
      for (const Transition& line : batch) {
        if (gone) break;
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
  std::shared_ptr<Seen> Watch(Replica& replica, const Uuid& id, int64_t from = 0) {
    auto seen = std::make_shared<Seen>();
    watch_ = replica.watches.Add(id, from, std::make_unique<RecordingSink>(seen));
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
  world_.time.Advance(absl::Seconds(1));
  b.Settle();
  EXPECT_THAT(seen->Lines(), ElementsAre("3 closed COMPLETED"));
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
  world_.time.Advance(absl::Seconds(1));
  a_.Settle();
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
  a_.watches.Add(id, 0, std::make_unique<RecordingSink>(sending));
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

}  // namespace
}  // namespace waybill::order
