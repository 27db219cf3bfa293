#include "services/ingest/intake.h"

#include <utility>

#include "fmt/format.h"

namespace waybill::ingest {

const char* Name(RejectReason reason) {
  switch (reason) {
    case RejectReason::kBadDriverId:
      return "bad_driver_id";
    case RejectReason::kBadCoordinate:
      return "bad_coordinate";
    case RejectReason::kZeroCoordinate:
      return "zero_coordinate";
    case RejectReason::kBadTime:
      return "bad_time";
    case RejectReason::kTimeInFuture:
      return "time_in_future";
    case RejectReason::kOlderThanRetention:
      return "older_than_retention";
    case RejectReason::kBadMeasurement:
      return "bad_measurement";
    case RejectReason::kRefusedByStore:
      return "refused_by_store";
  }
  return "unknown";
}

std::optional<Rejection> Intake::FindFault(const storage::DriverPosition& position, absl::Time now) const {
  auto because = [](RejectReason reason, std::string field, std::string detail) {
    return Rejection{0, 0, reason, std::move(field), std::move(detail)};
  };
  if (auto fault = storage::FindFault(position)) {
    using Kind = storage::PositionFault::Kind;
    const RejectReason reason = fault->kind == Kind::kDriverId     ? RejectReason::kBadDriverId
                                : fault->kind == Kind::kCoordinate ? RejectReason::kBadCoordinate
                                                                   : RejectReason::kBadMeasurement;
    return because(reason, fault->field, fault->what);
  }
  if (!options_.allow_zero && position.point == storage::GeoPoint{}) {
    return because(RejectReason::kZeroCoordinate, "", "0,0 is a receiver without a fix");
  }
  if (position.recorded_at == absl::InfinitePast()) {
    return because(RejectReason::kBadTime, "recorded_at", "is missing, or no time between the years 1 and 9999");
  }
  if (position.recorded_at > now + options_.future_max) {
    return because(
        RejectReason::kTimeInFuture, "recorded_at",
        fmt::format("is more than {} ahead of the server's clock", absl::FormatDuration(options_.future_max)));
  }
  if (position.recorded_at < now - options_.retention) {
    return because(RejectReason::kOlderThanRetention, "recorded_at",
                   fmt::format("history is kept for {}", absl::FormatDuration(options_.retention)));
  }
  return std::nullopt;
}

Checked Intake::Check(std::vector<storage::DriverPosition> positions, int64_t sequence, absl::Time now) const {
  Checked checked;
  checked.accepted.reserve(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    storage::DriverPosition& position = positions[i];
    if (auto rejection = FindFault(position, now)) {
      if (checked.rejected.empty()) {
        for (size_t before = 0; before < i; ++before) checked.indices.push_back(static_cast<int>(before));
      }
      rejection->sequence = sequence;
      rejection->index = static_cast<int>(i);
      checked.rejected.push_back(*std::move(rejection));
      continue;
    }
    if (!checked.rejected.empty()) checked.indices.push_back(static_cast<int>(i));
    storage::Location location{std::move(position)};
    location.position.recorded_at = absl::FromUnixMicros(absl::ToUnixMicros(location.position.recorded_at));
    location.position.marks = 0;
    checked.accepted.push_back(std::move(location));
  }
  return checked;
}

}  // namespace waybill::ingest
