// What the bench runs: every scenario brings up its own service on a fresh database, puts load on it, takes the
// figures, stops it and checks the books.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/pacer.h"
#include "bench/report.h"

namespace waybill::bench {

struct BenchOptions {
  std::string database_url;        // a Postgres server: databases are made there and dropped again
  std::string redis_url;           // a Redis whose database 0 is empty or seeded, and whose database 1 is empty
  std::filesystem::path binaries;  // where waybill-order and waybill-sandbox are
  std::filesystem::path folder;    // for logs and port files; made if missing
  std::set<std::string> only;      // names of scenarios; empty: all
  absl::Duration warm_up = absl::Seconds(2);
  absl::Duration duration = absl::Seconds(10);  // of a scenario's measured window
  absl::Duration idle_duration = absl::Seconds(60);
  int64_t drivers = 400'000;     // seeded; each takes one order
  int64_t unfinished = 100'000;  // sagas in flight at the kill -9
};

struct ScenarioInfo {
  std::string_view name;
  std::string_view description;
};
// In the order in which they run.
std::vector<ScenarioInfo> Scenarios();

// `progress` is told lines for people. An error means that the bench could not run; what it measured before is lost.
absl::StatusOr<Report> RunScenarios(const BenchOptions& options, Timer& timer,
                                    const std::function<void(const std::string& line)>& progress);

}  // namespace waybill::bench
