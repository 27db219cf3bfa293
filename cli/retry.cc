#include "cli/retry.h"

#include <algorithm>

#include "runtime/status.h"
#include "saga/retry_policy.h"

namespace waybill::cli {

bool IsRetryable(const absl::Status& status) {
  if (status.ok()) return false;
  ErrorDetail detail = GetErrorDetail(status);
  return status.code() == absl::StatusCode::kUnavailable || detail.retry_after > absl::ZeroDuration() ||
         detail.reason == "SAGA_TAKEN_OVER";
}

absl::Status Retrier::Run(const std::function<absl::Status(SteadyTime deadline)>& attempt) const {
  const SteadyTime deadline = tools_.clock.Steady() + budget_.timeout;
  for (int tries = 1;; ++tries) {
    absl::Status status = attempt(deadline);
    if (!IsRetryable(status) || tries > budget_.retries) return status;
    absl::Duration pause =
        std::max(saga::Backoff(budget_.backoff_initial, budget_.backoff_max, tries + 1, tools_.random),
                 GetErrorDetail(status).retry_after);
    if (tools_.clock.Steady() + pause >= deadline) return status;
    if (tools_.on_retry) tools_.on_retry(status, pause);
    tools_.sleep(pause);
  }
}

}  // namespace waybill::cli
