#include "cli/interrupts.h"

#include <algorithm>
#include <atomic>

#include "absl/time/clock.h"

namespace waybill::cli {
namespace {

// How often a sleep looks up.
constexpr absl::Duration kLookUp = absl::Milliseconds(50);

std::atomic<bool> interrupt_seen{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

}  // namespace

Interrupts::Interrupts() {
  interrupt_seen = false;
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupt_seen = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
}

Interrupts::~Interrupts() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

bool Interrupts::Seen() { return interrupt_seen; }

void Interrupts::SleepUnlessSeen(absl::Duration pause) {
  for (; pause > absl::ZeroDuration() && !Seen(); pause -= kLookUp) absl::SleepFor(std::min(pause, kLookUp));
}

}  // namespace waybill::cli
