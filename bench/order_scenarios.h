// What the bench measures of orders: every scenario brings up its own service on a fresh database, puts load on it,
// takes the figures, stops it and checks the books.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/pacer.h"
#include "bench/report.h"
#include "bench/stage.h"

namespace waybill::bench {

// Of the Redis, database 0 is empty or seeded, and database 1 is empty. The binaries are waybill-order and
// waybill-sandbox.
struct OrderBenchOptions : StageOptions {
  absl::Duration idle_duration = absl::Seconds(60);
  int callers = 256;              // confirmed, gateway, compensated, replicas and recovery
  int connections = 1;            // of the load, each with a thread
  int ceiling_connections = 0;    // 0: as many as the service has that write sagas
  int64_t drivers = 0;            // seeded; each takes one order; 0: enough for any machine
  int64_t unfinished = 100'000;   // sagas in flight at the kill -9
  int64_t waiting = 1'000'000;    // sagas that wait for a signal
  int idle_connections = 10'000;  // over TLS
};

// In the order in which they run.
std::vector<ScenarioInfo> OrderScenarios();

// An error means that the bench could not run; what it measured before is lost.
absl::StatusOr<Report> RunOrderScenarios(const OrderBenchOptions& options, Timer& timer, const Progress& progress);

}  // namespace waybill::bench
