// From the points of a report to the locations that may be stored: each is checked by itself, and what is wrong with
// one costs the others nothing. Knows no protobuf.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "domain/access.h"
#include "storage/location_log.h"

namespace waybill::ingest {

// Numbers are those of RejectReason in waybill/location/v1.
enum class RejectReason {
  kBadDriverId = 1,
  kBadCoordinate = 2,
  kZeroCoordinate = 3,
  kBadTime = 4,
  kTimeInFuture = 5,
  kOlderThanRetention = 6,
  kBadMeasurement = 7,
  kRefusedByStore = 8,
  kNotYourDriver = 9,
};
inline constexpr int kRejectReasons = 9;
const char* Name(RejectReason reason);  // "bad_driver_id"

// Kept until a client reads it, so it is small: texts are shared.
struct Rejection {
  int64_t sequence = 0;  // of its batch; 0 outside of streams
  int index = 0;         // within its batch
  RejectReason reason = RejectReason::kBadDriverId;
  std::string_view field;   // a constant's
  std::string_view detail;  // a constant's, the intake's, or `owned`
  std::shared_ptr<const std::string> owned;
};

struct IntakeOptions {
  absl::Duration retention = absl::Hours(24 * 30);  // older points are rejected
  absl::Duration future_max = absl::Seconds(60);    // by which a driver's clock may be ahead of ours
  bool allow_zero = false;                          // 0,0 is a receiver without a fix, unless somebody drives there
};

// A report's points after the check.
struct Checked {
  std::vector<storage::Location> accepted;
  std::vector<int> indices;  // of the accepted ones in the report; empty: all were accepted
  std::vector<Rejection> rejected;
  bool some_in_future = false;  // of the rejected

  int IndexOf(size_t accepted_index) const {
    return indices.empty() ? static_cast<int>(accepted_index) : indices[accepted_index];
  }
};

// Thread-safe.
class Intake {
 public:
  explicit Intake(IntakeOptions options);  // outlives the rejections

  // A position whose time is missing or no time at all has recorded_at = InfinitePast. Positions are taken to the
  // microsecond, which is what identifies them. A measurement of -1 is taken for not known.
  // The store's clock is `store_ahead` of `now`: where they differ, no point is refused for its time that either clock
  // would take, since what is refused is lost. Points of drivers that are not among `writes_for` are not the caller's
  // to write.
  Checked Check(std::vector<domain::DriverPosition> positions, int64_t sequence, absl::Time now,
                absl::Duration store_ahead = absl::ZeroDuration(),
                const domain::DriverPatterns& writes_for = domain::DriverPatterns::All()) const;
  // A point of a later time is in the future.
  absl::Time LatestAllowed(absl::Time now, absl::Duration store_ahead) const {
    return std::max(now, now + store_ahead) + options_.future_max;
  }

 private:
  std::optional<Rejection> FindFault(const domain::DriverPosition& position, absl::Time earliest, absl::Time latest,
                                     const domain::DriverPatterns& writes_for) const;

  const IntakeOptions options_;
  const std::string too_new_, too_old_;  // what is wrong
};

}  // namespace waybill::ingest
