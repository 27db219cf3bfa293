// What this Postgres can take at most: the rows and commits of confirmed orders, written by set-based statements with
// nothing else in the way. The product's figures are read as a share of it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::bench {

struct CeilingOptions {
  std::string database_url;  // freshly migrated
  int connections = 2;
  int batch = 256;  // orders a commit
  absl::Duration warm_up = absl::Seconds(1);
  absl::Duration duration = absl::Seconds(5);
};

struct CeilingResult {
  double orders_per_second = 0;  // in the window after the warm-up
  int64_t orders = 0;            // all, for the books
};

// Two commits a batch, as the product does: the headers first, then the settled headers with two log entries, the
// payment and the assignment of each.
absl::StatusOr<CeilingResult> MeasureCeiling(const CeilingOptions& options);

}  // namespace waybill::bench
