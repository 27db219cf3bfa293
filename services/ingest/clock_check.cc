#include "services/ingest/clock_check.h"

#include <utility>

#include "fmt/format.h"

namespace waybill::ingest {
namespace {

// Remembered of either kind; so many in the present outweigh all that are remembered of the future.
constexpr size_t kFutureMax = 40'000, kPresentMax = 10'000;

std::string Text(absl::Duration duration) { return absl::FormatDuration(absl::Trunc(duration, absl::Milliseconds(1))); }

}  // namespace

void ClockCheck::Compare(absl::Time now, absl::Time store_now) {
  absl::Duration ahead = store_now - now;
  if (absl::AbsDuration(ahead) <= options_.tolerance) ahead = absl::ZeroDuration();
  const bool before = store_ahead_us_.exchange(absl::ToInt64Microseconds(ahead)) != 0;
  const bool differs = ahead != absl::ZeroDuration();
  if (differs && !before) log_.Warn("this clock and Postgres's differ", {{"postgres_ahead", Text(ahead)}});
  if (!differs && before) log_.Info("this clock and Postgres's agree again", {});
}

void ClockCheck::Saw(std::span<const Sighting> sightings) {
  std::lock_guard lock(mutex_);
  const SteadyTime now = clock_.Steady();
  if (now - window_began_ >= options_.window) TurnWindow(now);
  for (const Sighting& sighting : sightings) {
    in_present_before_.erase(sighting.driver);
    (sighting.in_future ? in_present_ : in_future_).erase(sighting.driver);
    auto& drivers = sighting.in_future ? in_future_ : in_present_;
    if (drivers.size() < (sighting.in_future ? kFutureMax : kPresentMax)) drivers.insert(sighting.driver);
  }
  // It begins as soon as there is enough to say so, and ends with a window.
  if (!fleet_ahead()) Judge(in_present_.size() + in_present_before_.size());
}

void ClockCheck::TurnWindow(SteadyTime now) {
  if (fleet_ahead()) Judge(in_present_.size());
  // What was seen long ago says nothing of now.
  if (now - window_began_ >= 2 * options_.window) in_present_.clear();
  in_present_before_ = std::move(in_present_);
  in_present_.clear();
  in_future_.clear();
  window_began_ = now;
}

void ClockCheck::Judge(size_t in_present) {
  const bool ahead = in_future_.size() >= options_.drivers_min && in_present * 4 < in_future_.size();
  if (fleet_ahead_.exchange(ahead) == ahead) return;
  if (ahead) {
    log_.Warn("the fleet is ahead of this clock", {{"drivers", in_future_.size()}});
  } else {
    log_.Info("the fleet agrees with this clock again", {});
  }
}

absl::Status ClockCheck::Verdict() const {
  if (fleet_ahead()) {
    return absl::FailedPreconditionError(
        "nearly all drivers report points of the future: this host's clock seems to be behind; set it");
  }
  const absl::Duration ahead = store_ahead();
  if (ahead == absl::ZeroDuration()) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("Postgres's clock is {} {} this host's; set the wrong one",
                                                   Text(absl::AbsDuration(ahead)),
                                                   ahead > absl::ZeroDuration() ? "ahead of" : "behind"));
}

}  // namespace waybill::ingest
