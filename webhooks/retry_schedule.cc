#include "webhooks/retry_schedule.h"

#include <algorithm>
#include <iterator>

namespace waybill::webhooks {

std::optional<absl::Duration> NextPause(int failed, absl::Duration retry_after, Random& random) {
  if (failed >= static_cast<int>(std::size(kRetryPauses))) return std::nullopt;
  const absl::Duration pause = std::max(kRetryPauses[std::max(failed, 0)], std::min(retry_after, kRetryAfterMax));
  return pause * (1 + kRetryJitter * random.Uniform());
}

}  // namespace waybill::webhooks
