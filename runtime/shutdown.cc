#include "runtime/shutdown.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>

namespace waybill {
namespace {

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

}  // namespace

ShutdownSignals::ShutdownSignals() {
  sigset_t signals = StopSignals();
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int ShutdownSignals::Wait(const std::function<void()>& on_hangup) {
  sigset_t signals = StopSignals();
  sigaddset(&signals, SIGHUP);
  while (true) {
    int signal_number = 0;
    if (sigwait(&signals, &signal_number) != 0) continue;
    if (signal_number != SIGHUP) return signal_number;
    on_hangup();
  }
}

StopWatchdog::StopWatchdog(absl::Duration limit, const Logger& log)
    : log_(log), thread_([this, limit] { Watch(limit); }) {}

StopWatchdog::~StopWatchdog() {
  stopped_ = true;
  // To that thread alone, which waits for it: wakes it.
  pthread_kill(thread_.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  thread_.join();
}

void StopWatchdog::Watch(absl::Duration limit) {
  sigset_t signals = StopSignals();
  auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limit);
  while (true) {
    absl::Duration left = absl::FromChrono(deadline - std::chrono::steady_clock::now());
    timespec wait = absl::ToTimespec(std::max(left, absl::ZeroDuration()));
    int signal_number = sigtimedwait(&signals, nullptr, &wait);
    if (stopped_) return;
    if (signal_number > 0) {
      log_.Error("second signal: exiting at once", {{"signal", signal_number}});
      _exit(128 + signal_number);
    }
    if (errno == EAGAIN) {
      log_.Error("stopping took too long: exiting", {{"limit_seconds", absl::ToDoubleSeconds(limit)}});
      _exit(1);
    }
  }
}

}  // namespace waybill
