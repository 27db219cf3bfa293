// Two ingest services take points of the same drivers, older ones here and newer ones there, at the same time: each
// point is stored once, and a driver's position in the hot view only ever moves forward, to the newest.
#include <algorithm>
#include <atomic>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "tests/e2e/fleet_client.h"
#include "tests/support/eventually.h"
#include "tests/support/long_forms.h"

namespace waybill::testing {
namespace {

namespace pb = location::v1;

constexpr absl::Duration kReplicasMax = absl::Seconds(60);
constexpr int kDrivers = 25;

std::vector<std::string> DriverIds() {
  std::vector<std::string> ids;
  for (int i = 0; i < kDrivers; ++i) ids.push_back(fmt::format("shared-{}", i));
  return ids;
}

class IngestReplicasTest : public ::testing::Test {
 protected:
  IngestReplicasTest() {
    for (const std::string name : {"a", "b"}) stack_.AddReplica(name).Start();
  }

  // Points first, first + step, ... of every driver, `ahead` of each other shuffled, to one replica.
  std::unique_ptr<FleetClient> Stream(size_t replica, std::vector<int64_t> numbers) {
    return std::make_unique<FleetClient>(
        stack_.replica(replica),
        [this, numbers = std::move(numbers), next = size_t{0}](pb::LocationBatch& batch) mutable {
          if (next >= numbers.size()) return false;
          const size_t end = std::min(next + 4, numbers.size());
          for (; next < end; ++next) {
            for (const std::string& driver : drivers_) *batch.add_points() = Numbered(driver, numbers[next]);
          }
          return true;
        },
        8);
  }
  pb::Point Numbered(const std::string& driver, int64_t number) const {
    return PointOf(driver, {52.5 + static_cast<double>(number) * 1e-6, 13.4}, start_ + number * absl::Milliseconds(10));
  }
  void ExpectNewest(int64_t number) {
    std::map<std::string, int64_t> newest;
    for (const std::string& driver : drivers_) newest[driver] = KeyOf(Numbered(driver, number)).second;
    EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return stack_.HotTimes(drivers_) == newest; }));
  }

  const absl::Time start_ = absl::Now() - absl::Minutes(1);
  const std::vector<std::string> drivers_ = DriverIds();
  IngestStack stack_;
};

TEST_F(IngestReplicasTest, RacingPointsMoveDriversForwardOnly) {
  const int64_t count = LongForms() ? 5'000 : 800;
  std::mt19937 random(7);
  std::vector<int64_t> even, odd, shuffled;
  for (int64_t i = 0; i < count; ++i) (i % 2 ? odd : even).push_back(i);
  // And some both, out of order: resends and latecomers of one are the first sight of the other.
  for (int64_t i = 0; i < count; i += 3) shuffled.push_back(i);
  std::shuffle(shuffled.begin(), shuffled.end(), random);

  std::atomic<bool> done = false;
  std::vector<std::string> backwards;
  int64_t looks = 0;
  std::thread watcher([&] {
    std::map<std::string, int64_t> last;
    while (!done) {
      ++looks;
      for (const auto& [driver, time] : stack_.HotTimes(drivers_)) {
        if (time < last[driver])
          backwards.push_back(fmt::format("{} went back from {} to {}", driver, last[driver], time));
        last[driver] = time;
      }
    }
  });
  std::vector<std::unique_ptr<FleetClient>> clients;
  clients.push_back(Stream(0, even));
  clients.push_back(Stream(1, odd));
  clients.push_back(Stream(0, shuffled));
  std::reverse(shuffled.begin(), shuffled.end());
  clients.push_back(Stream(1, shuffled));
  for (auto& client : clients) {
    EXPECT_TRUE(client->Drain(kReplicasMax));
    EXPECT_EQ(client->complaints(), std::vector<std::string>());
    EXPECT_EQ(client->refused(), 0);
  }
  ExpectNewest(count - 1);
  done = true;
  watcher.join();
  EXPECT_GT(looks, 1);
  EXPECT_EQ(backwards, std::vector<std::string>());

  EXPECT_EQ(stack_.StoredCount(), count * kDrivers);
  double stored = 0, duplicates = 0;
  for (size_t i = 0; i < 2; ++i) {
    stored += stack_.replica(i).Metric("waybill_locations_stored_total");
    duplicates += stack_.replica(i).Metric("waybill_locations_duplicate_total");
  }
  EXPECT_EQ(stored, static_cast<double>(count * kDrivers));
  EXPECT_EQ(duplicates, static_cast<double>(2 * shuffled.size() * kDrivers));
}

TEST_F(IngestReplicasTest, OlderPointsAtTheOtherReplicaDoNotMoveADriverBack) {
  ASSERT_TRUE(Stream(0, {1'000})->Drain(kReplicasMax));
  ExpectNewest(1'000);
  // The other one has not seen the newer point: to it, these are the newest, until it asks the view.
  ASSERT_TRUE(Stream(1, {10, 20, 30})->Drain(kReplicasMax));
  ExpectNewest(1'000);
  // Points are fed in the order of their acks: where these are in the view, the older ones were fed, and are no moves.
  ASSERT_TRUE(Stream(1, {1'001})->Drain(kReplicasMax));
  ExpectNewest(1'001);
  EXPECT_EQ(stack_.replica(1).Metric("waybill_hot_view_moves_total"), kDrivers);
  EXPECT_EQ(stack_.StoredCount(), 5 * kDrivers);
}

TEST_F(IngestReplicasTest, OneReplicaGoesOnWhereTheOtherWasKilled) {
  ASSERT_TRUE(Stream(0, {1, 2, 3})->Drain(kReplicasMax));
  stack_.replica(0).Kill();
  // The client was not sure, and sends again, to whoever is there.
  ASSERT_TRUE(Stream(1, {2, 3, 4})->Drain(kReplicasMax));
  ExpectNewest(4);
  EXPECT_EQ(stack_.StoredCount(), 4 * kDrivers);
  EXPECT_EQ(stack_.replica(1).Metric("waybill_locations_duplicate_total"), 2 * kDrivers);
}

}  // namespace
}  // namespace waybill::testing
