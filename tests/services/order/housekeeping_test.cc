#include "services/order/housekeeping.h"

#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "runtime/executor.h"
#include "tests/services/order/order_world.h"
#include "tests/support/eventually.h"

namespace waybill::order {
namespace {

class HousekeepingTest : public ::testing::Test {
 protected:
  // Orders whose charge goes unanswered.
  void CreateHanging(Replica& replica, int count) {
    world_.gateway.set_defer([this](testing::FakePaymentGateway::Task task) { held_.push_back(std::move(task)); });
    for (int i = 0; i < count; ++i) {
      replica.Create(replica.NewOrder(fmt::format("{}-{}", replica.ids.Next().ToString(), i)));
    }
  }
  size_t StillLeasedTo(const std::string& life) {
    size_t count = 0;
    for (const auto& [id, row] : world_.book.rows) count += row.life == life;
    return count;
  }

  SharedWorld world_;
  std::vector<testing::FakePaymentGateway::Task> held_;
  Replica a_{world_};
};

TEST_F(HousekeepingTest, RecoveryLooksAtItsOwnLoadAndNotAtAllLiveOrders) {
  CreateHanging(a_, 20);
  HousekeepingOptions options;
  options.recovery_in_flight = 10;
  Recovery recovery(a_.runner, a_.log, options);
  absl::StatusOr<absl::Duration> pause = recovery.Run();
  ASSERT_TRUE(pause.ok()) << pause.status();
  EXPECT_EQ(*pause, options.look) << "it polls the store";
}

TEST_F(HousekeepingTest, OrdersOfAnEarlierLifeAreLookedForUntilThereAreNone) {
  CreateHanging(a_, 5);
  // Looks at the whole book as an earlier life of the same instance.
  saga::testing::MemoryJournal journal(world_.book, world_.store_clock, saga::Lease{"a", "2", absl::Seconds(10)});
  saga::Runner runner(a_.kinds, journal, world_.time, world_.time, a_.random, a_.observer, saga::RunnerOptions{});
  HousekeepingOptions options;
  options.recovery_in_flight = 10;
  Recovery recovery(runner, a_.log, options);
  EXPECT_FALSE(recovery.caught_up());
  EXPECT_EQ(*recovery.Run(), options.look);
  EXPECT_EQ(StillLeasedTo("2"), 5u);
  EXPECT_FALSE(recovery.caught_up()) << "they are not at rest";
  CreateHanging(a_, 3);
  EXPECT_EQ(*recovery.Run(), options.look);
  EXPECT_EQ(StillLeasedTo("2"), 5u) << "what lives on is not taken over";
}

TEST_F(HousekeepingTest, RecoveryWaitsForTheBookAndForNoCount) {
  CreateHanging(a_, 1);
  Replica b(world_, "b");
  world_.time.Advance(absl::Seconds(11));
  Recovery recovery(b.runner, b.log, {});
  std::vector<Chore> chores = HousekeepingChores(b.store, b.kinds, b.order_metrics, recovery,
                                                 [&] {
                                                   EXPECT_FALSE(recovery.looked()) << "it picks drivers by the book";
                                                   return absl::OkStatus();
                                                 },
                                                 {});
  for (Chore& chore : chores) {
    if (chore.what == "counting unfinished sagas") {
      EXPECT_TRUE(recovery.looked());
      EXPECT_EQ(b.runner.live(), 1u);
    }
    ASSERT_TRUE(chore.run().ok());
  }
}

TEST_F(HousekeepingTest, RecoveryPacesItselfByTheRoomItHas) {
  CreateHanging(a_, 30);
  Replica b(world_, "b");
  world_.time.Advance(absl::Seconds(11));
  HousekeepingOptions options;
  options.recovery_in_flight = 10;
  Recovery recovery(b.runner, b.log, options);
  for (int look = 0; look < 5; ++look) {
    absl::StatusOr<absl::Duration> pause = recovery.Run();
    ASSERT_TRUE(pause.ok()) << pause.status();
    EXPECT_GE(*pause, absl::Milliseconds(100));
    EXPECT_EQ(b.runner.recovered_in_flight(), 10u);
  }
}

TEST_F(HousekeepingTest, WhatIsRecoveredLeavesRoomToWhatBeginsAndToOtherKinds) {
  world_.PutDrivers({"ann"});
  const Uuid confirmed = a_.Create(Replica::NewOrder("confirmed")).Get().order.id;
  CreateHanging(a_, 30);
  a_.refunds.Refund({confirmed, "r1", 250, ""}, std::nullopt, {}, {}, SteadyTime::InfiniteFuture(),
                    a_.refunds.Expect([](const absl::StatusOr<domain::PartialRefund>&) {}));
  a_.Settle();
  world_.time.Advance(absl::Seconds(11));
  Replica b(world_, "b");
  saga::RunnerOptions options;
  options.live_max = 12;
  saga::Runner runner(b.kinds, b.journal, world_.time, world_.time, b.random, b.observer, options);
  Recovery recovery(runner, b.log, {});
  for (int look = 0; look < 5; ++look) {
    ASSERT_TRUE(recovery.Run().ok());
    EXPECT_EQ(runner.live(), 9u) << "eight orders and the refund";
    EXPECT_EQ(runner.room_to_recover(domain::Order::kKind), 0u);
    EXPECT_EQ(runner.room(), 3u) << "for new ones";
  }
  EXPECT_FALSE(recovery.caught_up()) << "there are more";
}

TEST_F(HousekeepingTest, LeasesAreRenewedWhileTheBookIsCompared) {
  SystemClock clock;
  CreateHanging(a_, 3);
  std::latch comparing{1}, renewed{1};
  Recovery recovery(a_.runner, a_.log, {});
  Chores housekeeping(HousekeepingChores(a_.store, a_.kinds, a_.order_metrics, recovery,
                                         [&] {
                                           comparing.count_down();
                                           renewed.wait();
                                           return absl::OkStatus();
                                         },
                                         {}),
                      clock, a_.log);
  Chores leases({RenewingLeases(a_.runner, absl::Milliseconds(10))}, clock, a_.log);
  leases.Start(ThreadLoops());
  housekeeping.Start(ThreadLoops());
  comparing.wait();
  world_.time.Advance(absl::Seconds(5));
  auto all_renewed = [&] {
    std::lock_guard lock(world_.book.mutex);
    for (const auto& [id, row] : world_.book.rows) {
      if (row.lease_until < world_.store_clock.Now() + absl::Seconds(10)) return false;
    }
    return true;
  };
  EXPECT_TRUE(waybill::testing::Eventually(absl::Seconds(20), all_renewed));
  renewed.count_down();
  housekeeping.Stop();
  leases.Stop();
}

}  // namespace
}  // namespace waybill::order
