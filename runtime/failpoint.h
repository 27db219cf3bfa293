// Named places where a crash test ends or stops the process, to see what the next start makes of what it left behind.
// Compiled in only with WAYBILL_FAILPOINTS=1 (test builds); elsewhere the macro checks the name and does nothing.
#pragma once

#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace waybill {

// The registry: each place has one line here, and the crash tests walk all of them; those of waybill-ingest start with
// "ingest.", those of gateways' webhooks, which not every order meets, with "inbox.", of what clients are told with
// "webhook.", those of rules of risk with "risk.", those of payouts with "pay_out." or "create_payout.". A name that
// stands in the code and not here does not compile; a name that stands here and is never hit fails the crash tests.
inline constexpr std::string_view kFailpoints[] = {
    "create.before_answer",
    "create.after_answer",
    "cancel.before_answer",
    "complete.before_answer",
    "begin.before_commit",
    "begin.after_commit",
    "advance.before_commit",
    "advance.after_commit",
    "charge.before_send",
    "charge.after_receive",
    "refund.before_send",
    "refund.after_receive",
    "capture.before_send",
    "capture.after_receive",
    "assign.before_pick",
    "assign.after_pick",
    "release.before_send",
    "release.after_receive",
    "dispatch.before_send",
    "dispatch.after_receive",
    "dispatch.before_release",
    "recover.after_claim",
    "lease.before_renew",
    "resolve.after_commit",
    "signal.after_commit",
    "route.before_close",
    "route.after_close",
    "ingest.before_commit",
    "ingest.after_commit",
    "ingest.before_ack",
    "ingest.after_ack",
    "ingest.before_publish",
    "ingest.after_publish",
    "ingest.before_rebuild",
    "ingest.before_partition",
    "inbox.before_commit",
    "inbox.after_commit",
    "inbox.before_signal",
    "inbox.before_settle",
    "webhook.after_claim",
    "webhook.before_send",
    "webhook.after_receive",
    "webhook.before_finish",
    "webhook.after_finish",
    "refund_part.before_send",
    "refund_part.after_receive",
    "refund_order.before_answer",
    "take_payment.before_answer",
    "create_transfers.before_answer",
    "pay_out.before_send",
    "pay_out.after_receive",
    "create_payout.before_answer",
    "risk.before_commit",
    "risk.after_commit",
};

#ifdef WAYBILL_FAILPOINTS
inline constexpr bool kFailpointsCompiledIn = true;
#else
inline constexpr bool kFailpointsCompiledIn = false;
#endif

// std::size(kFailpoints) when there is no such name.
constexpr size_t FailpointIndex(std::string_view name) {
  size_t index = 0;
  while (index < std::size(kFailpoints) && kFailpoints[index] != name) ++index;
  return index;
}

// `spec` is `name=action[@hit]`, several separated by ';'. Actions: kill (SIGKILL to this process), stop (SIGSTOP to
// this process, once). `@3` means at the third hit; without it, at the first. Empty arms nothing. INVALID_ARGUMENT for
// an unknown name or a malformed spec, and then nothing is armed; FAILED_PRECONDITION when failpoints are not compiled
// in.
absl::Status ArmFailpoints(std::string_view spec);

// The same from the environment variable WAYBILL_FAILPOINT. Every main() calls this first, and exits on an error.
absl::Status ArmFailpointsFromEnvironment();

// The registry for --list-failpoints: one name a line; empty when failpoints are not compiled in.
std::string ListFailpoints();

// Called by the macro. When armed and due, writes "failpoint <name> hit <n>: <action>" to stderr and sends the signal.
void HitFailpoint(size_t index);

}  // namespace waybill

#ifdef WAYBILL_FAILPOINTS
#define WAYBILL_FAILPOINT(name)                                                                   \
  do {                                                                                            \
    constexpr size_t waybill_failpoint_index = ::waybill::FailpointIndex(name);                   \
    static_assert(waybill_failpoint_index < std::size(::waybill::kFailpoints), "not registered"); \
    ::waybill::HitFailpoint(waybill_failpoint_index);                                             \
  } while (false)
#else
#define WAYBILL_FAILPOINT(name) \
  static_assert(::waybill::FailpointIndex(name) < std::size(::waybill::kFailpoints), "not registered")
#endif
