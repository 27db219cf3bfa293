#include "services/ingest/clock_check.h"

#include <functional>

#include "fmt/format.h"

namespace waybill::ingest {
namespace {

constexpr size_t kDriversMax = 10'000;  // remembered of either kind

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

void ClockCheck::Saw(const std::string& driver_id, bool in_future) {
  std::lock_guard lock(mutex_);
  const SteadyTime now = clock_.Steady();
  if (now - window_began_ >= options_.window) {
    Judge();
    window_began_ = now;
    in_future_.clear();
    in_present_.clear();
  }
  auto& drivers = in_future ? in_future_ : in_present_;
  if (drivers.size() >= kDriversMax) return;
  drivers.insert(std::hash<std::string>()(driver_id));
  // It begins as soon as there is enough to say so, and ends with a window.
  if (in_future && !fleet_ahead()) Judge();
}

void ClockCheck::Judge() {
  const bool ahead = in_future_.size() >= options_.drivers_min && in_present_.size() * 4 < in_future_.size();
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
