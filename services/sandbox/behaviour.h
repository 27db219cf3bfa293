// How the sandbox misbehaves: what becomes of one call is drawn from shares, and when it is answered from a
// distribution.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/random.h"

namespace waybill::sandbox {

// What a call gets whose key has a first call that is late or slow, and not answered yet; the numbers are the proto's.
enum class Repetition {
  kByContract = 0,  // the first answer once there is one, ABORTED until then
  kAborted = 1,
  kConflict = 2,  // FAILED_PRECONDITION
  kDeclined = 3,  // against the contract; calls that cannot be declined: kByContract
};

// As in proto/waybill/sandbox/v1: shares of all calls, drawn independently in this order; the first that hits decides.
struct Behaviour {
  double unavailable_rate = 0;
  double lost_before_rate = 0;
  double lost_after_rate = 0;
  double late_rate = 0;
  double slow_rate = 0;
  double decline_rate = 0;
  double pending_rate = 0;  // of calls of Charge, Authorize and Pay only
  int64_t latency_ms_p50 = 0;
  int64_t latency_ms_p99 = 0;
  int64_t late_ms = 0;
  int64_t pending_for_ms = 0;  // until a pending charge or payout is approved by itself
  int64_t expires_ms = 0;      // until a pending charge can be paid no more; 0: it is not said
  int64_t held_ms = 0;         // until what is authorized can be captured no more; 0: seven days
  // Of webhooks, drawn independently.
  double webhook_lost_rate = 0;
  double webhook_twice_rate = 0;
  double webhook_late_rate = 0;  // after late_ms
  double webhook_wrong_amount_rate = 0;
  double webhook_out_of_order_rate = 0;  // sent behind the gateway's next one
  Repetition repetition = Repetition::kByContract;
  std::vector<std::string> methods;  // the shares apply to these RPCs only; empty: to all
};

// INVALID_ARGUMENT naming each bad field: shares outside 0..1, negative or endless times, p99 below p50, p50 0 with a
// p99, methods that are not among `known_methods`.
absl::Status Check(const Behaviour& behaviour, const std::vector<std::string>& known_methods);

inline constexpr int kFateKinds = 8;

struct Fate {
  enum class Kind { kOrdinary, kUnavailable, kLostBefore, kLostAfter, kLate, kSlow, kDecline, kPending };
  Kind kind = Kind::kOrdinary;
  absl::Duration delay = absl::ZeroDuration();  // from the call's arrival to its answer, at least; kSlow: to its effect
  absl::Duration pending_for = absl::ZeroDuration();     // kPending only
  absl::Duration expires_in = absl::InfiniteDuration();  // kPending only
};

const char* NameOf(Fate::Kind kind);  // "ordinary", "lost_after", ...

Fate Draw(const Behaviour& behaviour, std::string_view method, Random& random);

}  // namespace waybill::sandbox
