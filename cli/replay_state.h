// How far the replay of a track file has come, kept in a small file beside it; and the time and pace it goes at.
#pragma once

#include <cstdint>
#include <map>
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

// Farther apart, two times of a recording are none of one clock: the first fixes of a receiver have the date that it
// was made with, or one that is 1024 weeks off.
constexpr absl::Duration kClockJump = absl::Hours(24 * 30);

// When a recording was made, by most of its times.
class RecordingSpan {
 public:
  void Add(absl::Time recorded_at);

  struct Span {
    absl::Time first, last;
    int64_t outside = 0;  // times that are more than kClockJump apart from these
  };
  // Around the median, as far as no gap is longer than kClockJump; nullopt without any time.
  std::optional<Span> Find() const;

 private:
  struct Day {
    int64_t count = 0;
    absl::Time first = absl::InfiniteFuture(), last = absl::InfinitePast();
  };
  std::map<int64_t, Day> days_;
  int64_t count_ = 0;
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
