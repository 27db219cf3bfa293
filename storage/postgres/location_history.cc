#include "storage/postgres/location_history.h"

#include <utility>

#include "storage/postgres/server_check.h"

namespace waybill::storage {
namespace {

std::optional<double> OptionalDouble(const Rows& rows, int row, int column) {
  if (rows.IsNull(row, column)) return std::nullopt;
  return rows.Double(row, column);
}

// "SELECT driver_id, recorded_at, lat, long, accuracy_m, heading_deg, speed_mps, marks" goes before the rest.
DriverPosition Decode(const Rows& rows, int row) {
  DriverPosition position;
  position.driver_id = std::string(rows.Text(row, 0));
  position.recorded_at = rows.Time(row, 1);
  position.point = {rows.Double(row, 2), rows.Double(row, 3)};
  position.accuracy_m = OptionalDouble(rows, row, 4);
  position.heading_deg = OptionalDouble(rows, row, 5);
  position.speed_mps = OptionalDouble(rows, row, 6);
  position.marks = static_cast<uint16_t>(rows.Int(row, 7));
  return position;
}

absl::StatusOr<std::vector<DriverPosition>> DecodeAll(const absl::StatusOr<Rows>& rows) {
  if (!rows.ok()) return rows.status();
  std::vector<DriverPosition> positions;
  positions.reserve(static_cast<size_t>(rows->size()));
  for (int row = 0; row < rows->size(); ++row) positions.push_back(Decode(*rows, row));
  return positions;
}

}  // namespace

absl::StatusOr<Rows> PostgresLocationHistory::Execute(const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

// One probe of one index a driver: the newest partition is looked at first, and the next only when it has nothing.
constexpr char kLatest[] = R"sql(
SELECT asked.driver_id, l.recorded_at, l.lat, l.long, l.accuracy_m, l.heading_deg, l.speed_mps, l.marks
FROM unnest($1::text[]) WITH ORDINALITY AS asked (driver_id, place)
LEFT JOIN LATERAL (SELECT * FROM driver_locations d WHERE d.driver_id = asked.driver_id
                   ORDER BY d.recorded_at DESC LIMIT 1) AS l ON true
ORDER BY asked.place)sql";

absl::StatusOr<std::vector<std::optional<DriverPosition>>> PostgresLocationHistory::Latest(
    const std::vector<std::string>& driver_ids) {
  ArrayParam asked(kOidText);
  for (const std::string& driver_id : driver_ids) asked.AddText(driver_id);
  absl::StatusOr<Rows> rows = Execute(kLatest, {asked});
  if (!rows.ok()) return rows.status();
  std::vector<std::optional<DriverPosition>> latest;
  for (int row = 0; row < rows->size(); ++row) {
    if (rows->IsNull(row, 1)) {
      latest.emplace_back();
    } else {
      latest.emplace_back(Decode(*rows, row));
    }
  }
  return latest;
}

constexpr char kTrack[] =
    "SELECT driver_id, recorded_at, lat, long, accuracy_m, heading_deg, speed_mps, marks FROM driver_locations "
    "WHERE driver_id = $1 AND recorded_at >= $2 AND recorded_at < $3 ORDER BY recorded_at LIMIT $4";

absl::StatusOr<std::vector<DriverPosition>> PostgresLocationHistory::Track(const TrackQuery& query) {
  return DecodeAll(Execute(kTrack, {Param::Text(query.driver_id), Param::Time(query.from), Param::Time(query.to),
                                    Param::Int8(query.limit)}));
}

constexpr char kNewestSince[] =
    "SELECT l.driver_id, l.recorded_at, l.lat, l.long, l.accuracy_m, l.heading_deg, l.speed_mps, l.marks "
    "FROM (SELECT driver_id, max(recorded_at) AS recorded_at FROM driver_locations WHERE recorded_at >= $1"
    "      GROUP BY driver_id) AS newest "
    "JOIN driver_locations l USING (driver_id, recorded_at) WHERE l.recorded_at >= $1";

absl::StatusOr<std::vector<DriverPosition>> PostgresLocationHistory::NewestSince(absl::Time since) {
  return DecodeAll(Execute(kNewestSince, {Param::Time(since)}));
}

absl::Status PostgresLocationHistory::Ping() { return CheckServing(pool_); }

}  // namespace waybill::storage
