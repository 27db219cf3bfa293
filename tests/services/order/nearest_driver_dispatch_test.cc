#include "services/order/nearest_driver_dispatch.h"

#include <atomic>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "domain/reasons.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "runtime/worker_pool.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/mock_order_store.h"

namespace waybill::order {
namespace {

using domain::DriverSlot;
using ::testing::NiceMock;

constexpr absl::Duration kTtl = absl::Minutes(10);

class NearestDriverDispatchTest : public ::testing::Test {
 protected:
  NearestDriverDispatchTest() {
    ON_CALL(store_, TakenSlots).WillByDefault([this]() -> absl::StatusOr<std::vector<DriverSlot>> { return taken_; });
    ON_CALL(store_, Loads)
        .WillByDefault(
            [this](const std::vector<std::string>& asked) -> absl::StatusOr<std::vector<domain::DriverLoad>> {
              std::vector<domain::DriverLoad> loads(asked.size());
              for (size_t at = 0; at < asked.size(); ++at) {
                for (const DriverSlot& slot : taken_) {
                  if (slot.driver_id == asked[at]) loads[at].taken.push_back(slot.slot);
                }
              }
              return loads;
            });
    ON_CALL(store_, Capacities).WillByDefault([this]() -> absl::StatusOr<std::vector<DriverSlot>> {
      return capacities_;
    });
    options_.radius_m = 1'000;
  }

  NearestDriverDispatch& dispatch() {
    if (!dispatch_) {
      dispatch_ = std::make_unique<NearestDriverDispatch>(fleet_, store_, workers_, time_, random_, options_);
    }
    return *dispatch_;
  }

  static Uuid Id(int number) {
    Uuid id;
    id.bytes[14] = static_cast<uint8_t>(number >> 8);
    id.bytes[15] = static_cast<uint8_t>(number);
    return id;
  }

  void PutDriver(const std::string& id, double latitude, double longitude) {
    domain::DriverPosition position;
    position.driver_id = id;
    position.point = {latitude, longitude};
    position.recorded_at = time_.Now();
    ASSERT_TRUE(fleet_.Put({position}, kTtl).ok());
  }

  absl::StatusOr<AssignResult> Assign(int number, std::optional<domain::GeoPoint> pickup = std::nullopt,
                                      int conflicts = 0) {
    domain::Order order;
    order.pickup = pickup;
    std::promise<absl::StatusOr<AssignResult>> answer;
    dispatch().Assign({}, Id(number), order, conflicts,
                      [&](absl::StatusOr<AssignResult> result) { answer.set_value(std::move(result)); });
    return answer.get_future().get();
  }

  // "" when there is none, an error's reason when it failed.
  std::string DriverOf(const absl::StatusOr<AssignResult>& result) {
    if (!result.ok()) return GetErrorDetail(result.status()).reason;
    return result->driver.has_value() ? result->driver->driver_id : "";
  }

  void Release(int number, std::optional<DriverSlot> driver) {
    domain::Order order;
    order.driver = std::move(driver);
    absl::Status released = absl::UnknownError("not called");
    dispatch().Release({}, Id(number), order, [&](absl::Status status) { released = status; });
    EXPECT_TRUE(released.ok());
  }

  void AwaitIdleWorker() {
    std::promise<void> idle;
    WorkerPool::Task last = [&] { idle.set_value(); };
    ASSERT_TRUE(workers_.Submit(last));
    idle.get_future().wait();
  }

  waybill::testing::ManualTime time_;
  storage::testing::FakeFleet fleet_{time_};
  NiceMock<storage::testing::MockOrderStore> store_;
  std::vector<DriverSlot> taken_, capacities_;
  SeededRandom random_{3};
  NearestDriverOptions options_;
  std::unique_ptr<NearestDriverDispatch> dispatch_;
  WorkerPool workers_{1, 100};  // stops before what its tasks use
};

TEST_F(NearestDriverDispatchTest, PicksTheNearestFreeDriverWithinTheRadius) {
  PutDriver("far", 52.505, 13.4);   // about 560 m
  PutDriver("near", 52.501, 13.4);  // about 110 m
  PutDriver("away", 52.6, 13.4);    // beyond the radius
  const domain::GeoPoint here{52.5, 13.4};
  EXPECT_EQ(DriverOf(Assign(1, here)), "near");
  EXPECT_EQ(DriverOf(Assign(2, here)), "far");
  absl::StatusOr<AssignResult> none = Assign(3, here);
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->driver.has_value());
  EXPECT_EQ(none->none_reason, "NO_DRIVER_AVAILABLE");
}

TEST_F(NearestDriverDispatchTest, LooksFurtherWhenAllTheNearestAreBusy) {
  for (int i = 0; i < 40; ++i) PutDriver("driver" + std::to_string(i), 52.5 + 0.0001 * i, 13.4);
  options_.nearest_first = 4;
  std::set<std::string> picked;
  for (int i = 0; i < 40; ++i)
    EXPECT_TRUE(picked.insert(DriverOf(Assign(i, domain::GeoPoint{52.5, 13.4}))).second) << i;
  EXPECT_FALSE(picked.contains(""));
  EXPECT_EQ(DriverOf(Assign(40, domain::GeoPoint{52.5, 13.4})), "");
}

TEST_F(NearestDriverDispatchTest, PicksAnyFreshDriverWhenThereIsNoPickup) {
  options_.scan_page = 10;
  for (int i = 0; i < 100; ++i) PutDriver("driver" + std::to_string(i), i * 0.5, i);
  std::set<std::string> picked;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(picked.insert(DriverOf(Assign(i))).second) << i;
  EXPECT_FALSE(picked.contains(""));
  EXPECT_EQ(DriverOf(Assign(100)), "");
}

TEST_F(NearestDriverDispatchTest, DoesNotPickADriverWhosePositionHasGrownOld) {
  PutDriver("ann", 52.5, 13.4);
  EXPECT_EQ(DriverOf(Assign(1)), "ann");
  Release(1, std::nullopt);
  time_.Advance(kTtl + absl::Seconds(1));
  EXPECT_EQ(DriverOf(Assign(2)), "");
  EXPECT_EQ(DriverOf(Assign(3, domain::GeoPoint{52.5, 13.4})), "");
}

TEST_F(NearestDriverDispatchTest, ReadsTheFleetAgainBeforeAnOrderHasToWaitForIt) {
  options_.pool_low = 1;
  options_.pool_high = 10;
  for (int i = 0; i < 100; ++i) PutDriver("driver" + std::to_string(i), i * 0.5, i);
  EXPECT_NE(DriverOf(Assign(0)), "");
  AwaitIdleWorker();
  // One order a while, so the pool never runs low: it only grows old.
  for (int i = 1; i <= 5; ++i) {
    time_.Advance(options_.fresh_for * 0.6);
    std::promise<void> busy;
    WorkerPool::Task hold = [done = busy.get_future().share()] { done.wait(); };
    ASSERT_TRUE(workers_.Submit(hold));
    bool answered = false;
    dispatch().Assign({}, Id(i), {}, 0, [&](const absl::StatusOr<AssignResult>& result) {
      answered = true;
      EXPECT_NE(DriverOf(result), "");
    });
    EXPECT_TRUE(answered) << i;
    busy.set_value();
    AwaitIdleWorker();
  }
}

// A capacity that was lowered is learnt from the first claim that is lost to it.
TEST_F(NearestDriverDispatchTest, LearnsFromALostClaimWhatTheDriverMayHold) {
  capacities_ = {{"van", 100}};
  ASSERT_TRUE(dispatch().Reconcile().ok());
  PutDriver("van", 52.501, 13.4);
  PutDriver("far", 52.505, 13.4);
  const domain::GeoPoint here{52.5, 13.4};
  EXPECT_EQ(DriverOf(Assign(1, here)), "van");
  EXPECT_CALL(store_, Loads(::testing::Contains("van"))).WillRepeatedly([](const std::vector<std::string>& asked) {
    std::vector<domain::DriverLoad> loads(asked.size());
    for (size_t at = 0; at < asked.size(); ++at) {
      if (asked[at] == "van") loads[at] = {1, {1}};
    }
    return loads;
  });
  EXPECT_EQ(DriverOf(Assign(1, here, 1)), "far");
  EXPECT_EQ(DriverOf(Assign(2, here)), "") << "van is full for the others as well";
}

// Off duty is a capacity of 0; that it is over, only the journal says, and it is asked before nobody is there.
TEST_F(NearestDriverDispatchTest, PicksNobodyOffDutyAndFindsWhoIsOnDutyAgain) {
  const domain::GeoPoint here{52.5, 13.4};
  for (const std::optional<domain::GeoPoint> pickup : {std::optional(here), std::optional<domain::GeoPoint>()}) {
    PutDriver("ann", 52.501, 13.4);
    capacities_ = {{"ann", 0}};
    ASSERT_TRUE(dispatch().Reconcile().ok());
    EXPECT_EQ(DriverOf(Assign(1, pickup)), "");
    capacities_ = {};
    time_.Advance(options_.reconcile_min);
    EXPECT_EQ(DriverOf(Assign(2, pickup)), "ann");
    Release(2, std::nullopt);
    AwaitIdleWorker();
    dispatch_.reset();
  }
}

TEST_F(NearestDriverDispatchTest, LearnsFromALostClaimWhoIsOffDuty) {
  const domain::GeoPoint here{52.5, 13.4};
  for (const std::optional<domain::GeoPoint> pickup : {std::optional(here), std::optional<domain::GeoPoint>()}) {
    PutDriver("ann", 52.501, 13.4);
    EXPECT_EQ(DriverOf(Assign(1, pickup)), "ann");
    capacities_ = {{"ann", 0}};
    EXPECT_CALL(store_, Loads).WillRepeatedly([](const std::vector<std::string>& asked) {
      return std::vector<domain::DriverLoad>(asked.size(), {0, {}});
    });
    EXPECT_EQ(DriverOf(Assign(1, pickup, 1)), "");
    EXPECT_EQ(DriverOf(Assign(2, pickup)), "");
    AwaitIdleWorker();
    dispatch_.reset();
    ::testing::Mock::VerifyAndClearExpectations(&store_);
    capacities_ = {};
  }
}

TEST_F(NearestDriverDispatchTest, PicksAnotherDriverWhenTheClaimWasLost) {
  PutDriver("ann", 52.5, 13.4);
  PutDriver("bob", 52.501, 13.4);
  const domain::GeoPoint here{52.5, 13.4};
  EXPECT_EQ(DriverOf(Assign(1, here)), "ann");
  taken_ = {{"ann", 1}};  // another replica was faster,
  EXPECT_EQ(DriverOf(Assign(1, here, 1)), "bob");
  taken_ = {{"ann", 1}, {"bob", 1}};  // both times
  EXPECT_EQ(DriverOf(Assign(1, here, 2)), "");
}

// Another replica took all of them: the first claim that is lost tells that it is there.
TEST_F(NearestDriverDispatchTest, LosesOneClaimAndThenAsksWhoIsFree) {
  constexpr int kDrivers = 10;
  const domain::GeoPoint here{52.5, 13.4};
  for (int i = 0; i < kDrivers; ++i) PutDriver("driver" + std::to_string(i), 52.5 + 0.0001 * i, 13.4);
  EXPECT_EQ(DriverOf(Assign(1, here)), "driver0");
  for (int i = 0; i + 1 < kDrivers; ++i) taken_.push_back({"driver" + std::to_string(i), 1});
  EXPECT_EQ(DriverOf(Assign(1, here, 1)), "driver9");
  taken_.erase(taken_.begin() + 3);
  EXPECT_EQ(DriverOf(Assign(2, here)), "driver3") << "who was given back elsewhere";
}

// An order that wants anybody is no different.
TEST_F(NearestDriverDispatchTest, LearnsFromALostClaimAboutThoseThatAreReady) {
  constexpr int kDrivers = 10;
  for (int i = 0; i < kDrivers; ++i) PutDriver("driver" + std::to_string(i), i, 13.4);
  std::string picked = DriverOf(Assign(1));
  ASSERT_NE(picked, "");
  AwaitIdleWorker();
  const std::string left = picked == "driver4" ? "driver5" : "driver4";
  for (int i = 0; i < kDrivers; ++i) taken_.push_back({"driver" + std::to_string(i), 1});
  std::erase_if(taken_, [&](const DriverSlot& slot) { return slot.driver_id == left; });
  EXPECT_EQ(DriverOf(Assign(1, std::nullopt, 1)), left);
}

TEST_F(NearestDriverDispatchTest, AsksNoLongerWhenNoClaimWasLostForAWhile) {
  PutDriver("ann", 52.5, 13.4);
  PutDriver("bob", 52.501, 13.4);
  const domain::GeoPoint here{52.5, 13.4};
  EXPECT_EQ(DriverOf(Assign(1, here)), "ann");
  taken_ = {{"ann", 1}};
  EXPECT_CALL(store_, Loads).Times(1);
  EXPECT_EQ(DriverOf(Assign(1, here, 1)), "bob");
  dispatch().OnDurable(Id(1));
  Release(1, DriverSlot{"bob", 1});
  dispatch().OnDurable(Id(1));
  time_.Advance(options_.others_for);
  EXPECT_EQ(DriverOf(Assign(2, here)), "bob");
}

TEST_F(NearestDriverDispatchTest, PicksTheSameDriverAgainWhenAnAttemptIsRepeated) {
  PutDriver("ann", 52.5, 13.4);
  EXPECT_EQ(DriverOf(Assign(1)), "ann");
  EXPECT_EQ(DriverOf(Assign(1)), "ann");
}

TEST_F(NearestDriverDispatchTest, FreesADriverOnceItsReleaseIsDurable) {
  PutDriver("ann", 52.5, 13.4);
  taken_ = {{"ann", 1}};  // what the journal says all along
  absl::StatusOr<AssignResult> assigned = Assign(1);
  ASSERT_EQ(DriverOf(assigned), "ann");
  dispatch().OnDurable(Id(1));
  Release(1, *assigned->driver);
  EXPECT_EQ(DriverOf(Assign(2)), "");
  taken_ = {};
  dispatch().OnDurable(Id(1));
  EXPECT_EQ(DriverOf(Assign(3)), "ann");
}

TEST_F(NearestDriverDispatchTest, StartsFromWhatTheJournalHolds) {
  PutDriver("ann", 52.5, 13.4);
  PutDriver("bus", 52.501, 13.4);
  taken_ = {{"ann", 1}, {"bus", 1}};
  capacities_ = {{"bus", 2}};
  ASSERT_TRUE(dispatch().Reconcile().ok());
  absl::StatusOr<AssignResult> assigned = Assign(1, domain::GeoPoint{52.5, 13.4});
  ASSERT_EQ(DriverOf(assigned), "bus");
  EXPECT_EQ(assigned->driver->slot, 2);
}

TEST_F(NearestDriverDispatchTest, AsksTheJournalBeforeItSaysThatEverybodyIsBusy) {
  PutDriver("ann", 52.5, 13.4);
  taken_ = {{"ann", 1}};
  ASSERT_TRUE(dispatch().Reconcile().ok());
  time_.Advance(absl::Seconds(5));
  taken_ = {};  // another replica completed the order
  EXPECT_EQ(DriverOf(Assign(1, domain::GeoPoint{52.5, 13.4})), "ann");

  dispatch().OnDurable(Id(1));
  time_.Advance(absl::Seconds(5));
  EXPECT_EQ(DriverOf(Assign(2)), "ann");
}

TEST_F(NearestDriverDispatchTest, RemembersForAMomentThatNobodyIsFree) {
  EXPECT_CALL(store_, TakenSlots).Times(0);  // nobody is busy either
  EXPECT_EQ(DriverOf(Assign(1)), "");
  PutDriver("ann", 52.5, 13.4);
  EXPECT_EQ(DriverOf(Assign(2)), "");
  time_.Advance(options_.exhausted_min + absl::Milliseconds(1));
  EXPECT_EQ(DriverOf(Assign(3)), "ann");
}

TEST_F(NearestDriverDispatchTest, SaysThatTheFleetCannotBeRead) {
  fleet_.set_error(domain::ReasonError("STORE_UNAVAILABLE", "redis is down"));
  EXPECT_EQ(DriverOf(Assign(1)), "STORE_UNAVAILABLE");
  EXPECT_EQ(DriverOf(Assign(2, domain::GeoPoint{52.5, 13.4})), "STORE_UNAVAILABLE");
  fleet_.set_error(absl::OkStatus());
  PutDriver("ann", 52.5, 13.4);
  EXPECT_EQ(DriverOf(Assign(3)), "ann");
}

TEST_F(NearestDriverDispatchTest, TellsHowManyCandidatesThereWere) {
  std::vector<size_t> seen;
  options_.on_candidates = [&](size_t count) { seen.push_back(count); };
  PutDriver("ann", 52.5, 13.4);
  PutDriver("bob", 52.501, 13.4);
  EXPECT_NE(DriverOf(Assign(1, domain::GeoPoint{52.5, 13.4})), "");
  EXPECT_EQ(DriverOf(Assign(2, domain::GeoPoint{0, 0})), "");
  EXPECT_THAT(seen, ::testing::ElementsAre(2u, 0u));
}

TEST_F(NearestDriverDispatchTest, NeverGivesADriverToTwoOrdersAtOnce) {
  constexpr int kThreads = 4, kOrders = 200, kDrivers = 500;
  for (int i = 0; i < kDrivers; ++i) PutDriver("driver" + std::to_string(i), 52.5 + 0.00001 * i, 13.4);
  options_.scan_page = 50;
  options_.pool_low = 20;
  options_.pool_high = 60;
  dispatch();
  std::mutex mutex;
  std::multiset<std::string> picked;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kOrders; ++i) {
        const int number = t * kOrders + i;
        std::optional<domain::GeoPoint> pickup;
        if (number % 3 == 0) pickup = domain::GeoPoint{52.5, 13.4};
        std::string driver = DriverOf(Assign(number, pickup));
        std::lock_guard lock(mutex);
        picked.insert(driver);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(picked.count(""), static_cast<size_t>(kThreads * kOrders - kDrivers));
  for (int i = 0; i < kDrivers; ++i) EXPECT_EQ(picked.count("driver" + std::to_string(i)), 1u) << i;
}

}  // namespace
}  // namespace waybill::order
