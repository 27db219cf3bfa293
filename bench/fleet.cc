#include "bench/fleet.h"

#include <algorithm>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "runtime/executor.h"
#include "storage/redis/connection.h"
#include "storage/redis/redis_fleet.h"

namespace waybill::bench {
namespace {

constexpr int64_t kPositionsAPut = 10'000;
constexpr int64_t kRows = 1'000;  // of the grid the drivers stand on
constexpr double kSpacingDegrees = 0.0005;
constexpr domain::GeoPoint kCorner{52.3, 13.1};

}  // namespace

absl::Status SeedFleet(storage::Fleet& fleet, int64_t drivers, absl::Time now) {
  std::vector<domain::DriverPosition> positions;
  for (int64_t first = 0; first < drivers; first += kPositionsAPut) {
    positions.clear();
    for (int64_t number = first; number < std::min(first + kPositionsAPut, drivers); ++number) {
      domain::DriverPosition& position = positions.emplace_back();
      position.driver_id = fmt::format("bench-{:07}", number);
      const int64_t row = number % kRows, column = number / kRows;
      position.point.latitude = kCorner.latitude + kSpacingDegrees * static_cast<double>(row);
      position.point.longitude = kCorner.longitude + kSpacingDegrees * static_cast<double>(column);
      position.recorded_at = now;
    }
    if (const absl::Status put = fleet.Put(positions, absl::Hours(24)); !put.ok()) return put;
  }
  return absl::OkStatus();
}

absl::Status SeedFleet(const std::string& redis_url, int64_t drivers) {
  absl::StatusOr<storage::RedisUrl> url = storage::RedisUrl::Parse(redis_url);
  if (!url.ok()) return url.status();
  storage::RedisFleet fleet(*url, {}, ThreadLoops());
  return SeedFleet(fleet, drivers, absl::Now());
}

}  // namespace waybill::bench
