// Limits in memory, by a clock of the test's.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/clock.h"
#include "storage/limit_store.h"

namespace waybill::storage::testing {

class FakeLimitStore final : public LimitStore {
 public:
  explicit FakeLimitStore(const Clock& clock) : clock_(clock) {}

  // Every call answers this until it is OK again.
  void set_error(absl::Status error);
  // How often it was asked for cells, and how many it has granted.
  int64_t asked() const;
  int64_t granted() const;

  absl::StatusOr<std::vector<CellGrant>> Take(const std::vector<CellRequest>& requests) override;

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;  // over all below
  absl::Status error_;
  int64_t asked_ = 0, granted_ = 0;
  std::map<std::string, SteadyTime> arrivals_;  // theoretical
};

}  // namespace waybill::storage::testing
