// How much callers have used of their limits, shared by all processes: the generic cell rate algorithm on the store's
// own clock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::storage {

// `count` cells every `period`, and `burst` at once after a pause: in no window of w more than burst + count * w /
// period are granted.
struct CellRate {
  int64_t count = 1;      // 1 to a million
  absl::Duration period;  // whole microseconds, up to a year
  int64_t burst = 1;      // 1 to a million
};

struct CellRequest {
  std::string key;
  CellRate rate;
  int64_t cells = 1;  // up to so many; 0: only where it stands
};

struct CellGrant {
  int64_t granted = 0;
  int64_t left = 0;                             // that could be granted right now
  absl::Duration next = absl::ZeroDuration();   // until there is one; zero: there is
  absl::Duration whole = absl::ZeroDuration();  // until the whole burst is there again
};

// Thread-safe; every call blocks on the store. STORE_UNAVAILABLE when it does not answer.
class LimitStore {
 public:
  virtual ~LimitStore() = default;
  // In the order of the requests; each is granted by itself, and atomically. What was granted is gone, whether or not
  // the answer arrives. No request: OK when the store answers.
  virtual absl::StatusOr<std::vector<CellGrant>> Take(const std::vector<CellRequest>& requests) = 0;
};

}  // namespace waybill::storage
