#include "services/order/fleet_api.h"

#include <memory>
#include <unordered_set>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/order_api.h"

namespace waybill::order {
namespace {

// Answers what `work` answers, on one of `workers`; that too many calls wait, if none takes it.
template <typename Answer, typename Work>
void AnswerOn(Executor& workers, absl::AnyInvocable<void(Answer)> done, Work work) {
  auto shared = std::make_shared<absl::AnyInvocable<void(Answer)>>(std::move(done));
  Executor::Task task = [shared, work = std::move(work)]() mutable { (*shared)(work()); };
  if (!workers.Submit(task)) (*shared)(domain::TooBusy());
}

// How many there are, and who the first ones are: an entry has a bound.
template <typename Drivers, typename IdOf>
std::vector<std::pair<std::string, std::string>> NamesOf(const Drivers& drivers, IdOf id_of) {
  constexpr size_t kNamed = 20;
  std::string names;
  for (size_t i = 0; i < drivers.size() && i < kNamed; ++i)
    names += fmt::format("{}{}", i == 0 ? "" : " ", id_of(drivers[i]));
  return {{"count", fmt::format("{}", drivers.size())},
          {drivers.size() > kNamed ? "first" : "drivers", std::move(names)}};
}

}  // namespace

void FleetApi::Put(std::vector<PlacedDriver> drivers, absl::Duration ttl, domain::Actor by,
                   absl::AnyInvocable<void(absl::Status)> done) {
  AnswerOn(workers_, std::move(done), [this, drivers = std::move(drivers), ttl, by = std::move(by)]() mutable {
    return PutNow(std::move(drivers), ttl, by);
  });
}

absl::Status FleetApi::PutNow(std::vector<PlacedDriver> drivers, absl::Duration ttl, const domain::Actor& by) {
  const absl::Time now = clock_.Now();
  std::vector<domain::DriverPosition> positions;
  std::vector<domain::DriverSlot> capacities;
  std::unordered_set<std::string> placed, measured;
  for (auto driver = drivers.rbegin(); driver != drivers.rend(); ++driver) {
    const std::string& driver_id = driver->position.driver_id;
    if (driver->capacity.has_value() && measured.insert(driver_id).second) {
      capacities.push_back({driver_id, *driver->capacity});
    }
    if (!placed.insert(driver_id).second) continue;
    driver->position.recorded_at = now;
    positions.push_back(std::move(driver->position));
  }
  // Capacities first: a driver that is seen may be given an order.
  if (!capacities.empty()) {
    const bool one = capacities.size() == 1;
    domain::Deed deed{by, "driver.capacity", "driver", one ? capacities.front().driver_id : ""};
    if (one) {
      deed.detail = {{"capacity", fmt::format("{}", capacities.front().slot)}};
    } else {
      deed.detail = NamesOf(capacities, [](const domain::DriverSlot& slot) { return slot.driver_id; });
    }
    if (absl::Status set = store_.SetCapacities(capacities, deed); !set.ok()) return set;
  }
  return fleet_.Put(positions, ttl);
}

void FleetApi::Get(std::string driver_id, Done done) {
  AnswerOn(workers_, std::move(done), [this, driver_id = std::move(driver_id)]() -> absl::StatusOr<Driver> {
    auto positions = fleet_.Get({driver_id});
    if (!positions.ok()) return positions.status();
    absl::StatusOr<Driver> driver = InTheBooks(driver_id);
    if (driver.ok()) driver->position = std::move(positions->front());
    return driver;
  });
}

absl::StatusOr<FleetApi::Driver> FleetApi::InTheBooks(const std::string& driver_id) {
  absl::StatusOr<std::vector<storage::DriverStanding>> standings = store_.Standings({driver_id});
  if (!standings.ok()) return standings.status();
  absl::StatusOr<std::vector<Uuid>> orders = store_.OrdersOf(driver_id);
  if (!orders.ok()) return orders.status();
  Driver driver{driver_id, std::nullopt, standings->front(), *std::move(orders)};
  driver.standing.orders_held = static_cast<int>(driver.orders.size());  // both as of the same moment
  return driver;
}

void FleetApi::List(uint64_t cursor, int count, absl::AnyInvocable<void(absl::StatusOr<Page>)> done) {
  AnswerOn(list_workers_, std::move(done), [this, cursor, count] { return ListNow(cursor, count); });
}

absl::StatusOr<FleetApi::Page> FleetApi::ListNow(uint64_t cursor, int count) {
  absl::StatusOr<storage::FleetPage> scanned = fleet_.Scan(cursor, count);
  if (!scanned.ok()) return scanned.status();
  auto positions = fleet_.Get(scanned->driver_ids);
  if (!positions.ok()) return positions.status();
  auto standings = store_.Standings(scanned->driver_ids);
  if (!standings.ok()) return standings.status();
  Page page;
  page.cursor = scanned->cursor;
  for (size_t i = 0; i < scanned->driver_ids.size(); ++i) {
    if (!(*positions)[i].has_value()) continue;  // expired meanwhile
    page.drivers.push_back({std::move(scanned->driver_ids[i]), std::move((*positions)[i]), (*standings)[i], {}});
  }
  return page;
}

void FleetApi::SetCapacity(std::string driver_id, int capacity, domain::Actor by, Done done) {
  domain::Deed deed{std::move(by), "driver.capacity", "driver", driver_id, {{"capacity", fmt::format("{}", capacity)}}};
  AnswerOn(workers_, std::move(done),
           [this, driver_id = std::move(driver_id), capacity, deed = std::move(deed)]() -> absl::StatusOr<Driver> {
             if (absl::Status set = store_.SetCapacities({{driver_id, capacity}}, deed); !set.ok()) return set;
             return InTheBooks(driver_id);
           });
}

void FleetApi::SetDuty(std::string driver_id, bool on_duty, domain::Actor by, Done done) {
  domain::Deed deed{std::move(by), "driver.duty", "driver", driver_id, {{"duty", on_duty ? "on" : "off"}}};
  AnswerOn(workers_, std::move(done),
           [this, driver_id = std::move(driver_id), on_duty, deed = std::move(deed)]() -> absl::StatusOr<Driver> {
             if (absl::Status set = store_.SetDuty(driver_id, on_duty, deed); !set.ok()) return set;
             return InTheBooks(driver_id);
           });
}

}  // namespace waybill::order
