// What the bench measures of the ledger: every scenario brings up waybill-ledger on a fresh database, and beside it
// what it is measured by, puts load on them in turns, stops them and has the ledger prove itself.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/pacer.h"
#include "bench/report.h"
#include "bench/stage.h"

namespace waybill::bench {

// The binaries are waybill-ledger and waybill-bench itself.
struct LedgerBenchOptions : StageOptions {
  int callers = 256;          // singles: each with one transfer at a time
  int64_t accounts = 10'000;  // between which transfers go
  int batch = 1'000;          // batches: transfers of a call
  int batch_callers = 4;      // batches
  int plain_connections = 16;
  double balance_rate = 5'000;  // balances: reads a second
};

// In the order in which they run.
std::vector<ScenarioInfo> LedgerScenarios();

// An error means that the bench could not run; what it measured before is lost.
absl::StatusOr<Report> RunLedgerScenarios(const LedgerBenchOptions& options, Timer& timer, const Progress& progress);

}  // namespace waybill::bench
