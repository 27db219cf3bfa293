// How many cases of reconciliation are open, for the metrics.
#pragma once

#include <mutex>
#include <vector>

#include "runtime/chores.h"
#include "runtime/metrics.h"
#include "storage/reconciliation.h"

namespace waybill::order {

class OpenCases {
 public:
  explicit OpenCases(Metrics& metrics);  // this outlives their use

  // `store` outlives it.
  Chore CountChore(storage::ReconciliationStore& store);

 private:
  absl::Status Count(storage::ReconciliationStore& store);

  std::mutex mutex_;
  std::vector<storage::ReconciliationStore::Open> open_;
};

}  // namespace waybill::order
