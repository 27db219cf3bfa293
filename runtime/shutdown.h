// Ending a process: one signal asks for a graceful stop, a second one or too long a stop ends it at once.
//
//   ShutdownSignals signals;                       // first in main, before any thread
//   … start everything …
//   signals.Wait();
//   StopWatchdog watchdog(absl::Seconds(20), log);
//   … stop everything …
#pragma once

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "runtime/log.h"

namespace waybill {

// Blocks SIGTERM, SIGINT and SIGHUP in the calling thread and all threads it starts later, so that only Wait and
// StopWatchdog see them; and ignores SIGPIPE, so that a peer that goes away is an error of the write instead.
class ShutdownSignals {
 public:
  ShutdownSignals();
  // Blocks until SIGTERM or SIGINT; which one. Calls `on_hangup` at each SIGHUP that comes before.
  int Wait(const std::function<void()>& on_hangup = [] {});
};

// Whether somebody asked this process to end, from the start on: waiting for Postgres must not keep it alive.
class StopRequest {
 public:
  // `on_hangup` as in ShutdownSignals::Wait, on a thread of this.
  explicit StopRequest(
      ShutdownSignals& signals, std::function<void()> on_hangup = [] {})
      : thread_([this, &signals, on_hangup = std::move(on_hangup)] {
          signals.Wait([&] {
            on_hangup();
            std::lock_guard lock(hangup_mutex_);
            for (const auto& [who, also] : also_on_hangup_) also();
          });
          Set();
        }) {}
  ~StopRequest() { thread_.join(); }

  // True when it was asked for within `timeout`.
  bool WaitFor(absl::Duration timeout) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return stopped_; });
  }
  void Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return stopped_; });
  }
  // What else is done for `who` at each SIGHUP from now on; null: nothing, and what was is not under way any more.
  void AlsoOnHangup(const void* who, std::function<void()> also) {
    std::lock_guard lock(hangup_mutex_);
    also_on_hangup_.erase(who);
    if (also) also_on_hangup_.emplace(who, std::move(also));
  }
  // Ends the thread as the signal would.
  void Raise() { kill(getpid(), SIGTERM); }

 private:
  void Set() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;
  std::mutex hangup_mutex_;
  std::map<const void*, std::function<void()>> also_on_hangup_;  // under hangup_mutex_
  std::thread thread_;
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
