// How far the replay of a track file has come, kept in a small file beside it; and the pace it goes at.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::cli {

// "max": 0, as fast as the service takes it; "real": 1; "10" or "10x": ten times as fast as it was recorded.
// INVALID_ARGUMENT for anything else.
absl::StatusOr<double> ParsePace(std::string_view text);

// Moves a recording to another time and speeds it up: what was recorded at `from` happens at `to`.
struct TimeShift {
  absl::Time from;
  absl::Time to;
  double pace = 1;  // above 0

  // To the microsecond, so that the same point becomes the same one in every run.
  absl::Time Apply(absl::Time recorded_at) const;
  friend bool operator==(const TimeShift&, const TimeShift&) = default;
};

struct ReplayState {
  int64_t points = 0;  // from the file's beginning: all of them are durable, or were rejected
  // The last of them, as the file has it. Tells a file that was exchanged since.
  std::string driver_id;
  absl::Time recorded_at;
  std::optional<TimeShift> shift;
  friend bool operator==(const ReplayState&, const ReplayState&) = default;
};

// nullopt when there is no such file; INVALID_ARGUMENT when it holds something else.
absl::StatusOr<std::optional<ReplayState>> LoadReplayState(const std::string& path);
// Replaces the file as a whole: whoever reads it, also after a crash, finds this state or the one before.
absl::Status SaveReplayState(const std::string& path, const ReplayState& state);

}  // namespace waybill::cli
