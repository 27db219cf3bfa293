#include "storage/testing/fake_limit_store.h"

#include <algorithm>
#include <utility>

namespace waybill::storage::testing {

void FakeLimitStore::set_error(absl::Status error) {
  std::lock_guard lock(mutex_);
  error_ = std::move(error);
}

int64_t FakeLimitStore::asked() const {
  std::lock_guard lock(mutex_);
  return asked_;
}

int64_t FakeLimitStore::granted() const {
  std::lock_guard lock(mutex_);
  return granted_;
}

absl::StatusOr<std::vector<CellGrant>> FakeLimitStore::Take(const std::vector<CellRequest>& requests) {
  std::lock_guard lock(mutex_);
  if (!requests.empty()) ++asked_;
  if (!error_.ok()) return error_;
  const SteadyTime now = clock_.Steady();
  std::vector<CellGrant> grants;
  for (const CellRequest& request : requests) {
    const absl::Duration cell = request.rate.period / request.rate.count;
    SteadyTime& arrival = arrivals_.try_emplace(request.key, now).first->second;
    arrival = std::max(arrival, now);
    CellGrant& grant = grants.emplace_back();
    grant.left = std::max<int64_t>((cell * request.rate.burst - (arrival - now)) / cell, 0);
    grant.granted = std::min(grant.left, request.cells);
    grant.left -= grant.granted;
    granted_ += grant.granted;
    arrival += cell * grant.granted;
    if (grant.left == 0) grant.next = arrival - now - cell * (request.rate.burst - 1);
    grant.whole = arrival - now;
  }
  return grants;
}

}  // namespace waybill::storage::testing
