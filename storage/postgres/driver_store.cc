#include "storage/postgres/driver_store.h"

#include "domain/driver.h"
#include "fmt/format.h"
#include "storage/postgres/audit_log.h"

namespace waybill::storage {

absl::StatusOr<Rows> PostgresDriverStore::Execute(const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

// Two searches of an index for each driver, as for the order store's loads.
constexpr char kStandings[] =
    "SELECT asked.at, d.capacity, d.capacity_on_duty, a.held FROM unnest($1::text[]) WITH ORDINALITY AS asked "
    "(driver_id, at) "
    "LEFT JOIN LATERAL (SELECT capacity, capacity_on_duty FROM drivers WHERE driver_id = asked.driver_id OFFSET 0) d "
    "ON true "
    "LEFT JOIN LATERAL (SELECT count(*) AS held FROM order_assignments"
    "                   WHERE driver_id = asked.driver_id AND released_at IS NULL AND NOT off_duty OFFSET 0) a ON true "
    "WHERE d.capacity IS NOT NULL OR a.held > 0";

absl::StatusOr<std::vector<DriverStanding>> PostgresDriverStore::Standings(const std::vector<std::string>& driver_ids) {
  ArrayParam asked(kOidText);
  for (const std::string& driver_id : driver_ids) asked.AddText(driver_id);
  absl::StatusOr<Rows> rows = Execute(kStandings, {asked});
  if (!rows.ok()) return rows.status();
  std::vector<DriverStanding> standings(driver_ids.size());
  for (int row = 0; row < rows->size(); ++row) {
    DriverStanding& standing = standings[static_cast<size_t>(rows->Int(row, 0) - 1)];
    standing.orders_held = static_cast<int>(rows->Int(row, 3));
    if (rows->IsNull(row, 1)) continue;
    standing.on_duty = rows->IsNull(row, 2);
    standing.capacity = static_cast<int>(rows->Int(row, standing.on_duty ? 1 : 2));
  }
  return standings;
}

constexpr char kOrdersOf[] =
    "SELECT order_id FROM order_assignments WHERE driver_id = $1 AND released_at IS NULL AND NOT off_duty "
    "ORDER BY order_id";

absl::StatusOr<std::vector<Uuid>> PostgresDriverStore::OrdersOf(const std::string& driver_id) {
  absl::StatusOr<Rows> rows = Execute(kOrdersOf, {Param::Text(driver_id)});
  if (!rows.ok()) return rows.status();
  std::vector<Uuid> orders;
  for (int row = 0; row < rows->size(); ++row) orders.push_back(rows->Id(row, 0));
  return orders;
}

// In the order of the key, so that two calls never wait for each other in a circle.
constexpr char kSetCapacities[] =
    "WITH changed AS (INSERT INTO drivers (driver_id, capacity) SELECT i.driver_id, i.capacity "
    "FROM unnest($1::text[], $2::smallint[]) AS i (driver_id, capacity) ORDER BY i.driver_id "
    "ON CONFLICT (driver_id) DO UPDATE SET"
    " capacity = CASE WHEN drivers.capacity = 0 THEN 0 ELSE EXCLUDED.capacity END,"
    " capacity_on_duty = CASE WHEN drivers.capacity = 0 THEN EXCLUDED.capacity END"
    " WHERE EXCLUDED.capacity <> COALESCE(drivers.capacity_on_duty, drivers.capacity) RETURNING 1) "
    "{}FROM (SELECT FROM changed LIMIT 1) AS any_change";

absl::Status PostgresDriverStore::SetCapacities(const std::vector<domain::DriverSlot>& capacities,
                                                const domain::Deed& deed) {
  ArrayParam driver_ids(kOidText), each(kOidInt2);
  for (const domain::DriverSlot& one : capacities) {
    if (absl::Status fits = domain::CheckCapacity(one.slot); !fits.ok()) return fits;
    driver_ids.AddText(one.driver_id);
    each.AddInt(one.slot);
  }
  const DeedRow row(deed);
  std::vector<Param> params = {driver_ids, each};
  row.AddTo(params);
  return Execute(fmt::format(kSetCapacities, InsertDeed(3)), params).status();
}

constexpr char kOffDuty[] =
    "WITH changed AS (INSERT INTO drivers (driver_id, capacity, capacity_on_duty) VALUES ($1, 0, 1) "
    "ON CONFLICT (driver_id) DO UPDATE SET capacity = 0, capacity_on_duty = drivers.capacity "
    "WHERE drivers.capacity > 0 RETURNING 1) {}FROM changed";
constexpr char kOnDuty[] =
    "WITH changed AS (UPDATE drivers SET capacity = capacity_on_duty, capacity_on_duty = NULL "
    "WHERE driver_id = $1 AND capacity = 0 RETURNING 1) {}FROM changed";

absl::Status PostgresDriverStore::SetDuty(const std::string& driver_id, bool on_duty, const domain::Deed& deed) {
  const DeedRow row(deed);
  std::vector<Param> params = {Param::Text(driver_id)};
  row.AddTo(params);
  return Execute(fmt::format(fmt::runtime(on_duty ? kOnDuty : kOffDuty), InsertDeed(2)), params).status();
}

}  // namespace waybill::storage
