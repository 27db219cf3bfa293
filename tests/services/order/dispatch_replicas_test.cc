// Several processes assign drivers of one fleet. What they know of each other is what the journal says, and the claims
// they lose.
#include <algorithm>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "runtime/worker_pool.h"
#include "services/order/nearest_driver_dispatch.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/mock_order_store.h"

namespace waybill::order {
namespace {

using domain::DriverSlot;
using ::testing::NiceMock;

constexpr absl::Duration kBetweenOrders = absl::Microseconds(100);
constexpr double kLostMax = 0.05;  // claims an order

class DispatchReplicas : public ::testing::Test {
 protected:
  DispatchReplicas() {
    // One slot each.
    ON_CALL(store_, Loads)
        .WillByDefault(
            [this](const std::vector<std::string>& asked) -> absl::StatusOr<std::vector<domain::DriverLoad>> {
              asked_ += asked.size();
              std::vector<domain::DriverLoad> loads(asked.size());
              for (size_t at = 0; at < asked.size(); ++at) {
                if (claims_.contains(asked[at])) loads[at].taken = {1};
              }
              return loads;
            });
    ON_CALL(store_, TakenSlots).WillByDefault([this]() -> absl::StatusOr<std::vector<DriverSlot>> {
      std::vector<DriverSlot> taken;
      for (const auto& [driver_id, order] : claims_) taken.push_back({driver_id, 1});
      return taken;
    });
    ON_CALL(store_, Capacities).WillByDefault([]() -> absl::StatusOr<std::vector<DriverSlot>> {
      return std::vector<DriverSlot>();
    });
  }

  // A process: its book, its chance and its worker.
  struct Replica {
    Replica(DispatchReplicas& test, uint64_t seed)
        : random(seed), dispatch(test.fleet_, test.store_, workers, test.time_, random, test.options_) {}
    ~Replica() { workers.Stop(); }

    SeededRandom random;
    WorkerPool workers{1, 10'000};
    NearestDriverDispatch dispatch;
  };
  struct Flight {  // an order between its pick and its claim
    int number = 0;
    Replica* replica = nullptr;
    domain::Order order;
    int conflicts = 0;
    std::optional<DriverSlot> pick;
  };

  void Start(size_t replicas) {
    for (size_t i = 0; i < replicas; ++i) replicas_.push_back(std::make_unique<Replica>(*this, 100 + i));
  }

  // In a square of 5 km.
  domain::GeoPoint Somewhere() { return {52.5 + 0.045 * chance_.Uniform(), 13.4 + 0.074 * chance_.Uniform()}; }

  void PutDrivers(int count) {
    std::vector<domain::DriverPosition> positions;
    for (int i = 0; i < count; ++i) {
      domain::DriverPosition position;
      position.driver_id = fmt::format("driver-{:05}", i);
      position.point = Somewhere();
      position.recorded_at = time_.Now();
      positions.push_back(std::move(position));
    }
    ASSERT_TRUE(fleet_.Put(positions, absl::Minutes(10)).ok());
  }

  static Uuid Id(int number) {
    Uuid id;
    for (int byte = 0; byte < 4; ++byte) id.bytes[15 - byte] = static_cast<uint8_t>(number >> (8 * byte));
    return id;
  }

  // One thing at a time, so that the same seed is the same story.
  void AwaitIdle(Replica& replica) {
    std::promise<void> idle;
    WorkerPool::Task last = [&] { idle.set_value(); };
    ASSERT_TRUE(replica.workers.Submit(last));
    idle.get_future().wait();
  }

  void Pick(Flight& flight) {
    std::promise<absl::StatusOr<AssignResult>> answer;
    flight.replica->dispatch.Assign({}, Id(flight.number), flight.order, flight.conflicts,
                                    [&](absl::StatusOr<AssignResult> result) { answer.set_value(std::move(result)); });
    absl::StatusOr<AssignResult> result = answer.get_future().get();
    ASSERT_TRUE(result.ok()) << result.status();
    flight.pick = result->driver;
    AwaitIdle(*flight.replica);
  }

  Flight Begin(Replica& replica, bool with_pickup) {
    Flight flight;
    flight.number = ++orders_;
    flight.replica = &replica;
    if (with_pickup) flight.order.pickup = Somewhere();
    Pick(flight);
    return flight;
  }

  // True: the order has its driver, or there is none for it.
  bool Claim(Flight& flight) {
    if (!flight.pick.has_value()) {
      ++refused_;
      return true;
    }
    if (claims_.emplace(flight.pick->driver_id, flight.number).second) {
      flight.replica->dispatch.OnDurable(Id(flight.number));
      held_.emplace_back(flight.number, *flight.pick);
      return true;
    }
    ++lost_;
    ++flight.conflicts;
    Pick(flight);
    return false;
  }

  // The order that holds its driver for the longest gives him back, through any replica.
  void CompleteOldest() {
    auto [number, driver] = held_.front();
    held_.pop_front();
    Replica& replica = *replicas_[chance_.Next() % replicas_.size()];
    domain::Order order;
    order.driver = driver;
    replica.dispatch.Release({}, Id(number), order, [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
    claims_.erase(driver.driver_id);
    replica.dispatch.OnDurable(Id(number));
  }

  // Orders come to each replica; as many as `in_flight` are between pick and claim at once, and claims come in any
  // order. No more than `held_max` drivers are held.
  void Run(int orders, int in_flight, size_t held_max, bool with_pickup) {
    std::vector<Flight> flights;
    for (auto& replica : replicas_) {
      for (int i = 0; i < in_flight; ++i) flights.push_back(Begin(*replica, with_pickup));
    }
    for (int settled = 0; settled < orders;) {
      time_.Advance(kBetweenOrders);
      Flight& flight = flights[chance_.Next() % flights.size()];
      if (!Claim(flight)) continue;
      ++settled;
      if (held_.size() > held_max) CompleteOldest();
      flight = Begin(*flight.replica, with_pickup);
    }
    for (Flight& flight : flights) {
      while (!Claim(flight)) {
      }
    }
  }

  double LostAnOrder() const { return static_cast<double>(lost_) / orders_; }
  double AskedAnOrder() const { return static_cast<double>(asked_) / orders_; }

  waybill::testing::ManualTime time_;
  storage::testing::FakeFleet fleet_{time_};
  NiceMock<storage::testing::MockOrderStore> store_;
  NearestDriverOptions options_;
  SeededRandom chance_{5};
  std::map<std::string, int> claims_;  // the journal's: driver, order
  std::list<std::pair<int, DriverSlot>> held_;
  int orders_ = 0;
  int lost_ = 0;
  int refused_ = 0;
  size_t asked_ = 0;
  std::vector<std::unique_ptr<Replica>> replicas_;
};

constexpr size_t kForever = 1'000'000;

TEST_F(DispatchReplicas, OneAloneLosesNothingAndAsksNothing) {
  PutDrivers(5'000);
  Start(1);
  Run(4'000, 64, kForever, false);
  Run(500, 64, kForever, true);
  EXPECT_EQ(lost_, 0);
  EXPECT_EQ(asked_, 0u);
}

TEST_F(DispatchReplicas, SeldomWantTheSameDriverOfALargeFleet) {
  PutDrivers(40'000);
  Start(2);
  Run(12'000, 64, kForever, false);
  EXPECT_EQ(refused_, 0);
  EXPECT_LE(LostAnOrder(), kLostMax);
  EXPECT_LE(AskedAnOrder(), 4);
  RecordProperty("lost_an_order", fmt::format("{:.4f}", LostAnOrder()));
}

// Every process has the whole fleet ready, and drivers come back all the time.
TEST_F(DispatchReplicas, SeldomWantTheSameDriverOfASmallFleet) {
  PutDrivers(1'000);
  Start(2);
  Run(8'000, 16, 400, false);
  EXPECT_EQ(refused_, 0);
  EXPECT_LE(LostAnOrder(), kLostMax);
  EXPECT_LE(AskedAnOrder(), 20);
  RecordProperty("lost_an_order", fmt::format("{:.4f}", LostAnOrder()));
}

TEST_F(DispatchReplicas, SeldomWantTheSameNearestDriver) {
  PutDrivers(2'000);
  Start(2);
  Run(4'000, 8, 1'000, true);
  EXPECT_EQ(refused_, 0);
  EXPECT_LE(LostAnOrder(), kLostMax);
  EXPECT_LE(AskedAnOrder(), 20);
  RecordProperty("lost_an_order", fmt::format("{:.4f}", LostAnOrder()));
}

TEST_F(DispatchReplicas, ManyOfThemStillShareAFleet) {
  PutDrivers(40'000);
  Start(6);
  Run(12'000, 16, kForever, false);
  EXPECT_EQ(refused_, 0);
  EXPECT_LE(LostAnOrder(), kLostMax);
  RecordProperty("lost_an_order", fmt::format("{:.4f}", LostAnOrder()));
}

TEST_F(DispatchReplicas, GiveAwayTheWholeFleetAndNobodyTwice) {
  PutDrivers(300);
  Start(2);
  std::vector<Flight> flights;
  for (int i = 0; i < 300; ++i) flights.push_back(Begin(*replicas_[i % 2], i % 3 == 0));
  for (Flight& flight : flights) {
    while (!Claim(flight)) {
    }
  }
  EXPECT_EQ(refused_, 0);
  EXPECT_EQ(claims_.size(), 300u);
  for (auto& replica : replicas_) {
    for (bool with_pickup : {false, true}) {
      Flight flight = Begin(*replica, with_pickup);
      while (!Claim(flight)) {
      }
    }
  }
  EXPECT_EQ(refused_, 4);
}

// Which drivers the journal gives back through one of them is nothing that the other hears of.
TEST_F(DispatchReplicas, FindWhomAnotherOneFreed) {
  PutDrivers(50);
  Start(2);
  Run(2'000, 4, 38, false);
  EXPECT_EQ(refused_, 0);
}

TEST_F(DispatchReplicas, GoOnWhenTheJournalCannotBeAsked) {
  EXPECT_CALL(store_, Loads).WillRepeatedly([](const std::vector<std::string>&) {
    return domain::ReasonError("STORE_UNAVAILABLE", "postgres is down");
  });
  PutDrivers(2'000);
  Start(2);
  Run(500, 8, kForever, false);
  Run(200, 8, kForever, true);
  EXPECT_EQ(refused_, 0);
}

}  // namespace
}  // namespace waybill::order
