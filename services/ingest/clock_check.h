// Whether this process's clock can be believed. A point is refused for its time by this clock, and what is refused is
// forgotten by the device that sent it: so the clock is compared with the store's, and with those of the fleet.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/log.h"

namespace waybill::ingest {

struct ClockCheckOptions {
  absl::Duration tolerance = absl::Seconds(5);  // by which the store's clock may differ without a word
  // The fleet is believed rather than this clock when, within the window, the points of so many drivers are in the
  // future, and of fewer than a quarter as many are not; those that were not in the window before, and have not
  // reported since, count against it.
  size_t drivers_min = 10;
  absl::Duration window = absl::Minutes(1);
};

// Thread-safe.
class ClockCheck {
 public:
  ClockCheck(const Clock& clock, const Logger& log, ClockCheckOptions options = {})
      : clock_(clock), log_(log.For("services.ingest")), options_(options), window_began_(clock.Steady()) {}

  // The store said that it was `store_now` when this clock said `now`.
  void Compare(absl::Time now, absl::Time store_now);
  // By which the store's clock is ahead; negative: behind; 0: they agree.
  absl::Duration store_ahead() const { return absl::Microseconds(store_ahead_us_.load(std::memory_order_relaxed)); }

  // A driver reported a point of a time that is in the future by this clock and the store's, or is not.
  struct Sighting {
    uint64_t driver = 0;  // a hash of the id
    bool in_future = false;
  };
  static uint64_t Hash(const std::string& driver_id) { return std::hash<std::string>()(driver_id); }
  void Saw(std::span<const Sighting> sightings);
  // Nearly the whole fleet is in the future: it is this clock that is behind.
  bool fleet_ahead() const { return fleet_ahead_.load(std::memory_order_relaxed); }

  // OK, or what is wrong with the clocks: for readiness.
  absl::Status Verdict() const;

 private:
  // Under mutex_.
  void TurnWindow(SteadyTime now);
  void Judge(size_t in_present);

  const Clock& clock_;
  const Logger log_;
  const ClockCheckOptions options_;
  std::atomic<int64_t> store_ahead_us_{0};
  std::atomic<bool> fleet_ahead_{false};
  std::mutex mutex_;  // over these
  SteadyTime window_began_;
  // Drivers of this window, by what they reported last; and of the window before those that have not reported since.
  absl::flat_hash_set<uint64_t> in_future_, in_present_, in_present_before_;
};

}  // namespace waybill::ingest
