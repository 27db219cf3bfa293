#include "saga/retry_policy.h"

#include <algorithm>

namespace waybill::saga {

absl::Duration Backoff(absl::Duration initial, absl::Duration max, int next_attempt, Random& random) {
  absl::Duration ceiling = initial;
  for (int i = 2; i < next_attempt && ceiling < max; ++i) ceiling *= 2;
  return std::min(ceiling, max) * random.Uniform();
}

}  // namespace waybill::saga
