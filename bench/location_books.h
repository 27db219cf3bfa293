// Whether every point that was acked is where it has to be: in Postgres once, and in Redis if it is the driver's
// newest.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/location_message.h"

namespace waybill::bench {

// Each entry of a result is a sentence on what is wrong; empty: all is well.

// History holds the points of `drivers` and no others. Times are told apart by their sum, from `epoch` on, so that is
// no more than a day before any of them.
absl::StatusOr<std::vector<std::string>> CheckHistory(const std::string& database_url,
                                                      const std::vector<DriverTally>& drivers, absl::Time epoch);

// The hot view has the newest point of a sample of the drivers, at most `sample` spread over all, in hash and geo set.
absl::StatusOr<std::vector<std::string>> CheckHotView(const std::string& redis_url,
                                                      const std::vector<DriverTally>& drivers, size_t sample);

// At least so many events were added to the stream of events, which was empty.
absl::StatusOr<std::vector<std::string>> CheckEvents(const std::string& redis_url, int64_t points);

}  // namespace waybill::bench
