// What Postgres makes of transfers at most: whole batches of them, straight into the ledger's tables, without anybody
// who looks at a transfer or answers for it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::bench {

struct LedgerCeilingOptions {
  std::string database_url;   // migrated, and empty
  int64_t accounts = 10'000;  // between which transfers go
  int batch = 1'000;          // transfers of a commit
  int connections = 2;
  absl::Duration duration = absl::Seconds(10);
};

// Transfers a second.
absl::StatusOr<double> MeasureLedgerCeiling(const LedgerCeilingOptions& options);

}  // namespace waybill::bench
