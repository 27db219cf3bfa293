// Deadlines as gRPC has them: moments of its own steady clock. By way of the wall clock, whose moments it also takes, a
// step of that clock would move them, and one beyond the year 2262 would turn into the past.
#pragma once

#include "grpc/support/time.h"
#include "runtime/clock.h"

namespace waybill::rpc {

inline gpr_timespec ToGrpcDeadline(SteadyTime deadline) {
  const absl::Duration left = deadline - SystemClock().Steady();
  if (left == absl::InfiniteDuration()) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  const timespec span = absl::ToTimespec(left);
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), {span.tv_sec, static_cast<int32_t>(span.tv_nsec), GPR_TIMESPAN});
}

inline SteadyTime FromGrpcDeadline(gpr_timespec deadline) {
  deadline = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
  if (gpr_time_cmp(deadline, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0) return SteadyTime::InfiniteFuture();
  const gpr_timespec left = gpr_time_sub(deadline, gpr_now(GPR_CLOCK_MONOTONIC));
  return SystemClock().Steady() + absl::Seconds(left.tv_sec) + absl::Nanoseconds(left.tv_nsec);
}

}  // namespace waybill::rpc
