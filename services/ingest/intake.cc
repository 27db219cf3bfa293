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
    case RejectReason::kNotYourDriver:
      return "not_your_driver";
  }
  return "unknown";
}

Intake::Intake(IntakeOptions options)
    : options_(options),
      too_new_(fmt::format("is more than {} ahead of the server's clock", absl::FormatDuration(options.future_max))),
      too_old_(fmt::format("history is kept for {}", absl::FormatDuration(options.retention))) {}

namespace {

// What phones say when they do not know. A driver who stands still has no heading and often no speed: he is where he is
// all the same.
void TakeUnknown(domain::DriverPosition& position) {
  for (std::optional<double>* measured : {&position.accuracy_m, &position.heading_deg, &position.speed_mps}) {
    if (*measured == -1.0) measured->reset();
  }
}

}  // namespace

std::optional<Rejection> Intake::FindFault(const domain::DriverPosition& position, absl::Time earliest,
                                           absl::Time latest, const domain::DriverPatterns& writes_for) const {
  auto because = [](RejectReason reason, std::string_view field, std::string_view detail) {
    return Rejection{0, 0, reason, field, detail, nullptr};
  };
  if (auto fault = domain::FindFault(position)) {
    using Kind = domain::PositionFault::Kind;
    const RejectReason reason = fault->kind == Kind::kDriverId     ? RejectReason::kBadDriverId
                                : fault->kind == Kind::kCoordinate ? RejectReason::kBadCoordinate
                                                                   : RejectReason::kBadMeasurement;
    return because(reason, fault->field, fault->what);
  }
  if (!writes_for.Match(position.driver_id)) {
    return because(RejectReason::kNotYourDriver, "driver_id", "is not among the drivers that the caller writes for");
  }
  if (!options_.allow_zero && position.point == domain::GeoPoint{}) {
    return because(RejectReason::kZeroCoordinate, "", "0,0 is a receiver without a fix");
  }
  if (position.recorded_at == absl::InfinitePast()) {
    return because(RejectReason::kBadTime, "recorded_at", "is missing, or no time between the years 1 and 9999");
  }
  if (position.recorded_at > latest) {
    return because(RejectReason::kTimeInFuture, "recorded_at", too_new_);
  }
  if (position.recorded_at < earliest) {
    return because(RejectReason::kOlderThanRetention, "recorded_at", too_old_);
  }
  return std::nullopt;
}

Checked Intake::Check(std::vector<domain::DriverPosition> positions, int64_t sequence, absl::Time now,
                      absl::Duration store_ahead, const domain::DriverPatterns& writes_for) const {
  const absl::Time latest = LatestAllowed(now, store_ahead);
  const absl::Time earliest = std::min(now, now + store_ahead) - options_.retention;
  Checked checked;
  checked.accepted.reserve(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    domain::DriverPosition& position = positions[i];
    TakeUnknown(position);
    if (auto rejection = FindFault(position, earliest, latest, writes_for)) {
      if (checked.rejected.empty()) {
        for (size_t before = 0; before < i; ++before) checked.indices.push_back(static_cast<int>(before));
      }
      checked.some_in_future = checked.some_in_future || rejection->reason == RejectReason::kTimeInFuture;
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
