#include "cli/retry.h"

#include <algorithm>

#include "runtime/status.h"
#include "saga/retry_policy.h"

namespace waybill::cli {

bool IsRetryable(const absl::Status& status) {
  if (status.ok()) return false;
  ErrorDetail detail = GetErrorDetail(status);
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return true;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kResourceExhausted:
      if (detail.reason.empty()) return true;
      break;
    default:
      break;
  }
  return detail.retry_after > absl::ZeroDuration() || detail.reason == "SAGA_TAKEN_OVER" ||
         detail.reason == "ORDER_STILL_RUNNING";
}

bool MayBeDone(const absl::Status& status) {
  return IsRetryable(status) || absl::IsDeadlineExceeded(status) || absl::IsInternal(status) ||
         absl::IsUnknown(status) || absl::IsCancelled(status);
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

absl::Status Retrier::RunStream(const std::function<absl::Status(StreamTry& stream)>& follow) const {
  constexpr absl::Duration kOpenForLong = absl::Seconds(2);
  bool again = true;
  absl::Status status;
  while (again) {
    status = Run([&](SteadyTime) {
      StreamTry stream;
      absl::Status broken = follow(stream);
      again = IsRetryable(broken) && (stream.moved || tools_.clock.Steady() - stream.opened >= kOpenForLong);
      return again ? absl::OkStatus() : broken;
    });
  }
  return status;
}

}  // namespace waybill::cli
