// Thins a track out: keeps only points that lie far enough behind the last one that was kept.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "domain/driver.h"

namespace waybill::tracks {

// At most one above zero; neither below it. Both zero: every point is kept.
struct ThinnerOptions {
  absl::Duration min_interval = absl::ZeroDuration();  // since the last kept point's recorded_at
  double min_distance_m = 0;                           // along the great circle from the last kept point
};

// Point by point, for one driver's track in the order of recorded_at. Knows only the last point it kept, so a caller
// that reads a track in pages goes on with a new one that is given that point.
class Thinner {
 public:
  explicit Thinner(ThinnerOptions options, std::optional<domain::DriverPosition> last_kept = std::nullopt)
      : options_(options), last_kept_(std::move(last_kept)) {}

  // Whether `position` belongs to the thinned track: it is the first, or far enough from the last that was kept.
  bool Keep(const domain::DriverPosition& position);

  // What a Thinner that goes on from here needs; nothing before the first point.
  const std::optional<domain::DriverPosition>& last_kept() const { return last_kept_; }

 private:
  bool FarEnough(const domain::DriverPosition& position) const;

  ThinnerOptions options_;
  std::optional<domain::DriverPosition> last_kept_;
};

// A whole track thinned out. Its last point is kept wherever it lies, so that the track still ends where it ended.
std::vector<domain::DriverPosition> Downsample(const std::vector<domain::DriverPosition>& points,
                                               ThinnerOptions options);

}  // namespace waybill::tracks
