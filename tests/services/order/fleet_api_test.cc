#include "services/order/fleet_api.h"

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/status.h"
#include "runtime/testing/manual_time.h"
#include "runtime/worker_pool.h"
#include "storage/testing/fake_driver_store.h"
#include "storage/testing/fake_fleet.h"

namespace waybill::order {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class FleetApiTest : public ::testing::Test {
 protected:
  static PlacedDriver At(const std::string& driver_id, double latitude, std::optional<int> capacity = std::nullopt) {
    PlacedDriver driver;
    driver.position.driver_id = driver_id;
    driver.position.point = {latitude, 13.4};
    driver.capacity = capacity;
    return driver;
  }
  // What `call` answers.
  template <typename Answer, typename Call>
  static Answer AnswerOf(Call call) {
    auto promise = std::make_shared<std::promise<Answer>>();
    std::future<Answer> answer = promise->get_future();
    call([promise](Answer given) { promise->set_value(std::move(given)); });
    if (answer.wait_for(std::chrono::seconds(30)) == std::future_status::ready) return answer.get();
    return absl::DeadlineExceededError("not answered");
  }
  absl::Status Put(std::vector<PlacedDriver> drivers, absl::Duration ttl = absl::Minutes(5)) {
    return AnswerOf<absl::Status>([&](auto done) { api_.Put(std::move(drivers), ttl, by_, std::move(done)); });
  }
  absl::StatusOr<FleetApi::Driver> Get(const std::string& driver_id) {
    return AnswerOf<absl::StatusOr<FleetApi::Driver>>([&](auto done) { api_.Get(driver_id, std::move(done)); });
  }
  absl::StatusOr<FleetApi::Driver> SetCapacity(const std::string& driver_id, int capacity) {
    return AnswerOf<absl::StatusOr<FleetApi::Driver>>(
        [&](auto done) { api_.SetCapacity(driver_id, capacity, by_, std::move(done)); });
  }
  absl::StatusOr<FleetApi::Driver> SetDuty(const std::string& driver_id, bool on_duty) {
    return AnswerOf<absl::StatusOr<FleetApi::Driver>>(
        [&](auto done) { api_.SetDuty(driver_id, on_duty, by_, std::move(done)); });
  }
  absl::StatusOr<FleetApi::Page> List(uint64_t cursor, int count) {
    return AnswerOf<absl::StatusOr<FleetApi::Page>>([&](auto done) { api_.List(cursor, count, std::move(done)); });
  }
  static Uuid Order(uint8_t number) {
    Uuid id;
    id.bytes[15] = number;
    return id;
  }

  const domain::Actor by_{"console", "k1"};
  waybill::testing::ManualTime time_;
  storage::testing::FakeFleet fleet_{time_};
  storage::testing::MemoryOrderBook book_;
  storage::testing::FakeDriverStore store_{book_};
  WorkerPool workers_{2, 100};
  WorkerPool list_workers_{1, 100};
  FleetApi api_{fleet_, store_, workers_, list_workers_, time_};
};

TEST_F(FleetApiTest, PutsPositionsOfNowThatAreFreshForSoLong) {
  PlacedDriver ann = At("ann", 52.5);
  ann.position.heading_deg = 90;
  ASSERT_TRUE(Put({ann, At("bob", 52.6, 4)}, absl::Minutes(2)).ok());
  auto driver = Get("ann");
  ASSERT_TRUE(driver.ok()) << driver.status();
  ASSERT_TRUE(driver->position.has_value());
  EXPECT_EQ(driver->position->point, (domain::GeoPoint{52.5, 13.4}));
  EXPECT_EQ(driver->position->heading_deg, 90);
  EXPECT_EQ(driver->position->recorded_at, time_.Now());
  EXPECT_EQ(driver->standing, (storage::DriverStanding{1, true, 0}));
  EXPECT_EQ(Get("bob")->standing.capacity, 4);
  time_.Advance(absl::Minutes(2));
  EXPECT_FALSE(Get("ann")->position.has_value());
  EXPECT_EQ(Get("bob")->standing.capacity, 4) << "that does not grow old";
}

TEST_F(FleetApiTest, OfADriverThatIsPutTwiceTheLastCounts) {
  ASSERT_TRUE(Put({At("ann", 52.1, 3), At("ann", 52.2, 5), At("ann", 52.3)}).ok());
  auto driver = Get("ann");
  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_EQ(driver->position->point.latitude, 52.3);
  EXPECT_EQ(driver->standing.capacity, 5);
}

TEST_F(FleetApiTest, NobodyIsSeenBeforeHisCapacityIsSet) {
  store_.set_error(absl::UnavailableError("down"));
  EXPECT_TRUE(absl::IsUnavailable(Put({At("ann", 52.5), At("bob", 52.5, 4)})));
  store_.set_error(absl::OkStatus());
  EXPECT_FALSE(Get("bob")->position.has_value());
  EXPECT_FALSE(Get("ann")->position.has_value());
  fleet_.set_error(absl::UnavailableError("down"));
  EXPECT_TRUE(absl::IsUnavailable(Put({At("bob", 52.5, 4)})));
  fleet_.set_error(absl::OkStatus());
  EXPECT_EQ(Get("bob")->standing.capacity, 4) << "and repeating it puts him there";
}

TEST_F(FleetApiTest, PositionsAloneNeedNoBooks) {
  store_.set_error(absl::UnavailableError("down"));
  EXPECT_TRUE(Put({At("ann", 52.5)}).ok());
}

TEST_F(FleetApiTest, SaysWhatADriverHoldsAndMayHold) {
  book_.taken_slots[{"ann", 2}] = Order(1);
  book_.taken_slots[{"ann", 1}] = Order(2);
  auto driver = SetCapacity("ann", 3);
  ASSERT_TRUE(driver.ok()) << driver.status();
  EXPECT_EQ(driver->driver_id, "ann");
  EXPECT_EQ(driver->standing, (storage::DriverStanding{3, true, 2}));
  EXPECT_THAT(driver->orders, ElementsAre(Order(1), Order(2)));
  EXPECT_THAT(Get("ann")->orders, ElementsAre(Order(1), Order(2)));
}

TEST_F(FleetApiTest, DutyNeedsNoMap) {
  fleet_.set_error(absl::UnavailableError("down"));
  book_.taken_slots[{"ann", 1}] = Order(1);
  for (const bool on_duty : {false, false, true}) {
    auto driver = SetDuty("ann", on_duty);
    ASSERT_TRUE(driver.ok()) << driver.status();
    EXPECT_EQ(driver->standing, (storage::DriverStanding{1, on_duty, 1}));
    EXPECT_THAT(driver->orders, ElementsAre(Order(1)));
  }
  EXPECT_TRUE(absl::IsUnavailable(Get("ann").status()));
}

TEST_F(FleetApiTest, ListsTheFreshOnesPageByPage) {
  std::vector<PlacedDriver> drivers;
  for (const char* id : {"a", "b", "c", "d", "e"}) drivers.push_back(At(id, 52.5));
  ASSERT_TRUE(Put(drivers).ok());
  ASSERT_TRUE(SetDuty("c", false).ok());
  book_.taken_slots[{"d", 1}] = Order(1);
  std::vector<std::string> ids, off, busy;
  uint64_t cursor = 0;
  int pages = 0;
  do {
    auto page = List(cursor, 2);
    ASSERT_TRUE(page.ok()) << page.status();
    cursor = page->cursor;
    ++pages;
    for (const FleetApi::Driver& driver : page->drivers) {
      EXPECT_TRUE(driver.position.has_value());
      ids.push_back(driver.driver_id);
      if (!driver.standing.on_duty) off.push_back(driver.driver_id);
      if (driver.standing.orders_held == 1) busy.push_back(driver.driver_id);
    }
  } while (cursor != 0 && pages < 10);
  EXPECT_EQ(pages, 3);
  EXPECT_THAT(ids, UnorderedElementsAre("a", "b", "c", "d", "e"));
  EXPECT_THAT(off, ElementsAre("c"));
  EXPECT_THAT(busy, ElementsAre("d"));
  time_.Advance(absl::Hours(1));
  EXPECT_TRUE(List(0, 10)->drivers.empty());
}

TEST_F(FleetApiTest, RefusesWhatNoWorkerTakes) {
  workers_.Stop();
  list_workers_.Stop();
  EXPECT_EQ(GetErrorDetail(Put({At("ann", 52.5)})).reason, "QUEUE_FULL");
  EXPECT_EQ(GetErrorDetail(Get("ann").status()).reason, "QUEUE_FULL");
  EXPECT_EQ(GetErrorDetail(SetDuty("ann", false).status()).reason, "QUEUE_FULL");
  EXPECT_EQ(GetErrorDetail(SetCapacity("ann", 2).status()).reason, "QUEUE_FULL");
  EXPECT_EQ(GetErrorDetail(List(0, 10).status()).reason, "QUEUE_FULL");
}

TEST_F(FleetApiTest, WhoDidWhatIsInTheAudit) {
  ASSERT_TRUE(Put({At("ann", 52.5, 3)}).ok());
  ASSERT_TRUE(Put({At("bob", 52.5, 2), At("cy", 52.6, 2)}, absl::Seconds(90)).ok());
  ASSERT_TRUE(SetCapacity("ann", 4).ok());
  ASSERT_TRUE(SetCapacity("ann", 4).ok()) << "changes nothing";
  ASSERT_TRUE(SetDuty("ann", false).ok());
  using Detail = std::vector<std::pair<std::string, std::string>>;
  EXPECT_THAT(
      store_.audit.deeds(),
      ElementsAre(domain::Deed{by_, "driver.capacity", "driver", "ann", Detail{{"capacity", "3"}}},
                  domain::Deed{by_, "driver.capacity", "driver", "", Detail{{"count", "2"}, {"drivers", "cy bob"}}},
                  domain::Deed{by_, "driver.capacity", "driver", "ann", Detail{{"capacity", "4"}}},
                  domain::Deed{by_, "driver.duty", "driver", "ann", Detail{{"duty", "off"}}}));
}

TEST_F(FleetApiTest, AnEntryNamesAFewOfManyDrivers) {
  std::vector<PlacedDriver> drivers;
  for (int i = 0; i < 1'000; ++i) drivers.push_back(At("driver-" + std::to_string(i), 52.5, 2));
  ASSERT_TRUE(Put(std::move(drivers)).ok());
  const domain::Deed deed = store_.audit.deeds().front();
  EXPECT_EQ(deed.detail.front(), (std::pair<std::string, std::string>("count", "1000")));
  EXPECT_EQ(deed.detail[1].first, "first");
  EXPECT_LT(deed.detail[1].second.size(), 400u);
}

TEST_F(FleetApiTest, PositionsNeedNoAudit) {
  store_.audit.set_error(absl::UnavailableError("down"));
  EXPECT_TRUE(Put({At("ann", 52.5)}).ok());
  EXPECT_TRUE(Get("ann")->position.has_value());
}

}  // namespace
}  // namespace waybill::order
