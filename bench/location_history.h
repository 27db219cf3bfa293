// A long history, made by the fastest way there is: for reads to be measured on.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace waybill::bench {

inline constexpr absl::Duration kHistoryStep = absl::Seconds(3);
inline constexpr int64_t kHistoryPointsADriver = 28'800;  // a UTC day

struct HistoryOptions {
  std::string database_url;  // freshly migrated
  int64_t rows = 0;          // rounded down to whole drivers, at least one
  absl::CivilDay day;        // UTC
  int connections = 2;
};

// Every driver sends a point every three seconds, all day long. Rows lie in the order in which they would have arrived,
// by time, so that a driver's own are far from each other. The partition has the primary key and all else that one made
// by the service has, but is unlogged: it is read as any other. Answers the drivers.
absl::StatusOr<std::vector<std::string>> FillHistory(const HistoryOptions& options,
                                                     const std::function<void(const std::string& line)>& progress);

}  // namespace waybill::bench
