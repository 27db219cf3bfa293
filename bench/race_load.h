// The race contract's load on a backend, its stages on the two processors, and its check that both agree.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/pacer.h"
#include "bench/race_score.h"
#include "bench/race_shape.h"

namespace waybill::bench {

struct RaceLoadOptions {
  RaceShape shape;
  std::string backend;  // host:port, as of what follows
  std::string default_processor;
  std::string fallback_processor;
  std::string token = "123";            // the processors'
  std::function<void()> begun = [] {};  // called once all three are purged
  std::function<void(const std::string& line)> tell = [](const std::string&) {};
};

struct RaceLoadResult {
  std::vector<double> took_ms;       // of all calls to anybody that were answered by 2xx or 3xx
  int64_t taken = 0;                 // payments by the backend
  std::map<int, int64_t> not_taken;  // by the code it answered; 0: nothing in time
  int64_t checks = 0;
  int64_t checks_unanswered = 0;  // one side's summary did not come, and nothing was compared
  int64_t inconsistencies = 0;    // over all checks
  ProcessorTotals by_default;     // of all, by the processors' own books when the load ended
  ProcessorTotals by_fallback;
};

// Purges all three, puts the load on, and ends once each client has its last answer. UNAVAILABLE, INTERNAL: a processor
// does not do as told.
absl::StatusOr<RaceLoadResult> RunRaceLoad(const RaceLoadOptions& options, const Timer& timer);

}  // namespace waybill::bench
