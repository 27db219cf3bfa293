#include "storage/postgres/location_history.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "storage/postgres/location_partitions.h"
#include "storage/postgres/server_check.h"

namespace waybill::storage {
namespace {

std::optional<double> OptionalDouble(const Rows& rows, int row, int column) {
  if (rows.IsNull(row, column)) return std::nullopt;
  return rows.Double(row, column);
}

// "SELECT driver_id, recorded_at, lat, long, accuracy_m, heading_deg, speed_mps, marks" goes before the rest.
domain::DriverPosition Decode(const Rows& rows, int row) {
  domain::DriverPosition position;
  position.driver_id = std::string(rows.Text(row, 0));
  position.recorded_at = rows.Time(row, 1);
  position.point = {rows.Double(row, 2), rows.Double(row, 3)};
  position.accuracy_m = OptionalDouble(rows, row, 4);
  position.heading_deg = OptionalDouble(rows, row, 5);
  position.speed_mps = OptionalDouble(rows, row, 6);
  position.marks = static_cast<uint16_t>(rows.Int(row, 7));
  return position;
}

absl::StatusOr<std::vector<domain::DriverPosition>> DecodeAll(const absl::StatusOr<Rows>& rows) {
  if (!rows.ok()) return rows.status();
  std::vector<domain::DriverPosition> positions;
  positions.reserve(static_cast<size_t>(rows->size()));
  for (int row = 0; row < rows->size(); ++row) positions.push_back(Decode(*rows, row));
  return positions;
}

absl::Status TooFar(absl::Time reached) {
  return domain::ReasonError(
      "STORE_UNAVAILABLE", fmt::format("history was searched for as long as a call may, and as far as {}; ask for less",
                                       DayText(PartitionDay(reached))));
}

}  // namespace

absl::StatusOr<Rows> PostgresLocationHistory::Execute(const std::string& sql, absl::Span<const Param> params) {
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql, params);
}

// They need not be up to date: whatever was made or dropped since, all of time is in them.
constexpr std::chrono::minutes kWindowsKept{1};
constexpr size_t kFirstWindow = 4;  // partitions: what is to come, today's, yesterday's
constexpr size_t kLargestWindow = 32;
// For one call; a client that asks for much, far back in a long history, has to ask for less.
constexpr std::chrono::seconds kSearchMax{5};

absl::StatusOr<std::vector<PostgresLocationHistory::Window>> PostgresLocationHistory::Windows() {
  {
    std::lock_guard lock(mutex_);
    if (!windows_.empty() && std::chrono::steady_clock::now() < windows_until_) return windows_;
  }
  absl::StatusOr<Pool::Lease> connection = pool_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<PartitionList> list = ListPartitions(**connection);
  if (!list.ok()) return list.status();
  std::vector<Window> windows;
  absl::Time to = absl::InfiniteFuture();
  size_t size = kFirstWindow, held = 0;
  for (auto partition = list->days.rbegin(); partition != list->days.rend(); ++partition) {
    if (++held < size) continue;
    const absl::Time from = absl::FromCivil(partition->day, absl::UTCTimeZone());
    windows.push_back({from, to});
    to = from;
    held = 0;
    size = std::min(size * 2, kLargestWindow);
  }
  windows.push_back({absl::InfinitePast(), to});
  std::lock_guard lock(mutex_);
  windows_ = windows;
  windows_until_ = std::chrono::steady_clock::now() + kWindowsKept;
  return windows;
}

// One probe of one index a driver and partition: the newest is looked at first, and the next only when it has nothing.
constexpr char kLatest[] = R"sql(
SELECT asked.driver_id, l.recorded_at, l.lat, l.long, l.accuracy_m, l.heading_deg, l.speed_mps, l.marks
FROM unnest($1::text[]) WITH ORDINALITY AS asked (driver_id, place)
LEFT JOIN LATERAL (SELECT * FROM driver_locations d
                   WHERE d.driver_id = asked.driver_id AND d.recorded_at >= $2 AND d.recorded_at < $3
                   ORDER BY d.recorded_at DESC LIMIT 1) AS l ON true
ORDER BY asked.place)sql";

absl::StatusOr<std::vector<std::optional<domain::DriverPosition>>> PostgresLocationHistory::Latest(
    const std::vector<std::string>& driver_ids) {
  absl::StatusOr<std::vector<Window>> windows = Windows();
  if (!windows.ok()) return windows.status();
  const auto give_up = std::chrono::steady_clock::now() + kSearchMax;
  std::vector<std::optional<domain::DriverPosition>> latest(driver_ids.size());
  std::vector<size_t> missing(driver_ids.size());
  std::iota(missing.begin(), missing.end(), size_t{0});
  for (const Window& window : *windows) {
    if (std::chrono::steady_clock::now() > give_up) return TooFar(window.to);
    ArrayParam asked(kOidText);
    for (size_t place : missing) asked.AddText(driver_ids[place]);
    absl::StatusOr<Rows> rows = Execute(kLatest, {asked, Param::Time(window.from), Param::Time(window.to)});
    if (!rows.ok()) return rows.status();
    std::vector<size_t> still_missing;
    for (int row = 0; row < rows->size(); ++row) {
      const size_t place = missing[static_cast<size_t>(row)];
      if (rows->IsNull(row, 1)) {
        still_missing.push_back(place);
      } else {
        latest[place] = Decode(*rows, row);
      }
    }
    missing = std::move(still_missing);
    if (missing.empty()) break;
  }
  return latest;
}

constexpr char kTrack[] =
    "SELECT driver_id, recorded_at, lat, long, accuracy_m, heading_deg, speed_mps, marks FROM driver_locations "
    "WHERE driver_id = $1 AND recorded_at >= $2 AND recorded_at < $3 ORDER BY recorded_at LIMIT $4";

absl::StatusOr<std::vector<domain::DriverPosition>> PostgresLocationHistory::Track(const TrackQuery& query) {
  absl::StatusOr<std::vector<Window>> windows = Windows();
  if (!windows.ok()) return windows.status();
  const auto give_up = std::chrono::steady_clock::now() + kSearchMax;
  std::vector<domain::DriverPosition> track;
  for (auto window = windows->rbegin(); window != windows->rend(); ++window) {
    const absl::Time from = std::max(query.from, window->from), to = std::min(query.to, window->to);
    if (from >= to) continue;
    if (std::chrono::steady_clock::now() > give_up) return TooFar(from);
    auto part = DecodeAll(Execute(kTrack, {Param::Text(query.driver_id), Param::Time(from), Param::Time(to),
                                           Param::Int8(query.limit - static_cast<int64_t>(track.size()))}));
    if (!part.ok()) return part.status();
    track.insert(track.end(), std::make_move_iterator(part->begin()), std::make_move_iterator(part->end()));
    if (track.size() >= static_cast<size_t>(query.limit)) break;
  }
  return track;
}

// From driver to driver in the key of one day, backwards: the next entry below the newest of one driver is the newest
// of the one before. Each costs one descent of the key, however many positions he has. ID: the driver to go on below.
constexpr char kNewest[] = R"sql(
WITH RECURSIVE newest AS (
  (SELECT driver_id, recorded_at, lat, long, accuracy_m, heading_deg, speed_mps, marks FROM driver_locations
   WHERE recorded_at >= $1 AND recorded_at < $2 AND driver_id < $3 COLLATE "C"
   ORDER BY driver_id DESC, recorded_at DESC LIMIT 1)
  UNION ALL
  SELECT below.* FROM newest, LATERAL (
    SELECT driver_id, recorded_at, lat, long, accuracy_m, heading_deg, speed_mps, marks FROM driver_locations
    WHERE recorded_at >= $1 AND recorded_at < $2 AND driver_id < newest.driver_id
    ORDER BY driver_id DESC, recorded_at DESC LIMIT 1) AS below)
SELECT * FROM newest LIMIT $4)sql";
// Above every driver's id, which is visible ASCII.
constexpr char kAllDrivers[] = "\x7f";

absl::StatusOr<NewestPart> PostgresLocationHistory::Newest(const NewestQuery& query) {
  // The newest day first. A cursor is a day and the driver that was looked at last: "2026-05-28 d-1".
  constexpr size_t kDayLength = 10;
  absl::CivilDay day = PartitionDay(query.until - absl::Nanoseconds(1));
  std::string below = kAllDrivers;
  if (query.cursor.size() > kDayLength && absl::ParseCivilTime(query.cursor.substr(0, kDayLength), &day)) {
    below = query.cursor.substr(kDayLength + 1);
  }
  const absl::Time midnight = absl::FromCivil(day, absl::UTCTimeZone());
  auto rows =
      DecodeAll(Execute(kNewest, {Param::Time(midnight), Param::Time(std::min(midnight + absl::Hours(24), query.until)),
                                  Param::Text(below), Param::Int8(query.limit)}));
  if (!rows.ok()) return rows.status();
  NewestPart part;
  if (rows->size() == static_cast<size_t>(query.limit)) {
    part.cursor = fmt::format("{} {}", DayText(day), rows->back().driver_id);
  } else if (midnight > query.since) {
    part.cursor = fmt::format("{} {}", DayText(day - 1), kAllDrivers);
  }
  for (domain::DriverPosition& position : *rows) {
    if (position.recorded_at >= query.since) part.positions.push_back(std::move(position));
  }
  return part;
}

absl::StatusOr<absl::Time> PostgresLocationHistory::Now() {
  absl::StatusOr<Rows> rows = Execute("SELECT clock_timestamp()");
  if (!rows.ok()) return rows.status();
  return rows->Time(0, 0);
}

absl::Status PostgresLocationHistory::Ping() { return CheckServing(pool_); }

}  // namespace waybill::storage
