// The load shape of the race contract ("rinha de backend" 2025, its final's script): how many clients there are when,
// and how the two processors fare meanwhile. All of it in seconds since the start of the load.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace waybill::bench {

// How one of the processors fares.
struct ProcessorFare {
  int64_t delay_ms = 0;
  bool failing = false;  // 500 once the delay is over

  bool operator==(const ProcessorFare&) const = default;
};

struct RaceStage {
  absl::Duration from;
  ProcessorFare by_default;
  ProcessorFare by_fallback;
};

struct RaceShape {
  absl::Duration duration;
  int clients_at_start = 1;
  int clients_max = 603;                              // at the end
  std::vector<RaceStage> stages;                      // by `from`
  int64_t amount_minor = 2005;                        // of every payment
  absl::Duration pause = absl::Seconds(1);            // of a client between an answer and its next payment
  absl::Duration timeout = absl::Milliseconds(1500);  // of every call
  // The summaries are compared so often, over what was requested between so long ago and so long ago.
  absl::Duration check_every;
  absl::Duration check_from = absl::Seconds(15);
  absl::Duration check_to = absl::Seconds(2);

  // Clients that go at `at`: a line from the first to the last number, rounded down.
  int ClientsAt(absl::Duration at) const;
  // When client `number` (0 is the first) begins; the duration for one who never does.
  absl::Duration BeginningOf(int number) const;
  // What holds at `at`; nothing before the first one.
  const RaceStage* StageAt(absl::Duration at) const;
};

// The official 300 s, or the same clients and stages in another time: delays, pauses and time-outs stay as they are.
RaceShape OfficialRace(absl::Duration duration = absl::Seconds(300));

}  // namespace waybill::bench
