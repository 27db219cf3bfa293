// What the bench measures of locations: every scenario brings up its own service on a fresh database and an emptied
// Redis, puts load on it, takes the figures, stops it and checks the books.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/pacer.h"
#include "bench/report.h"
#include "bench/stage.h"

namespace waybill::bench {

// Of the Redis, database 2 is emptied by every scenario. The binary is waybill-ingest.
struct LocationBenchOptions : StageOptions {
  int batches_window = 16;             // messages of a stream that are not yet acked, at most (batches)
  int singles_window = 256;            // the same (singles)
  int connections = 8;                 // of the load, where nothing else is said
  int open_streams = 10'000;           // streams and idle
  double radius_m = 5'000;             // near
  int64_t history_rows = 100'000'000;  // track
  int64_t tracks = 500;                // asked for
};

// In the order in which they run.
std::vector<ScenarioInfo> LocationScenarios();

// An error means that the bench could not run; what it measured before is lost.
absl::StatusOr<Report> RunLocationScenarios(const LocationBenchOptions& options, Timer& timer,
                                            const Progress& progress);

}  // namespace waybill::bench
