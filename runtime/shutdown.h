// Ending a process: one signal asks for a graceful stop, a second one or too long a stop ends it at once.
//
//   ShutdownSignals signals;                       // first in main, before any thread
//   … start everything …
//   signals.Wait();
//   StopWatchdog watchdog(absl::Seconds(20), log);
//   … stop everything …
#pragma once

#include <signal.h>

#include <atomic>
#include <thread>

#include "absl/time/time.h"
#include "runtime/log.h"

namespace waybill {

// Blocks SIGTERM and SIGINT in the calling thread and all threads it starts later, so that only Wait and StopWatchdog
// see them; and ignores SIGPIPE, so that a peer that goes away is an error of the write instead.
class ShutdownSignals {
 public:
  ShutdownSignals();
  // Blocks until SIGTERM or SIGINT; which one.
  int Wait();
};

// From construction on, a further SIGTERM or SIGINT ends the process at once with 128 + its number, and a stop that
// takes longer than `limit` ends it with 1. Needs the mask of ShutdownSignals. Destroyed last, when everything has
// stopped.
class StopWatchdog {
 public:
  StopWatchdog(absl::Duration limit, const Logger& log);  // `log` outlives this
  ~StopWatchdog();
  StopWatchdog(const StopWatchdog&) = delete;
  StopWatchdog& operator=(const StopWatchdog&) = delete;

 private:
  void Watch(absl::Duration limit);

  const Logger& log_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

}  // namespace waybill
