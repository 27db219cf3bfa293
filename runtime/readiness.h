// Whether this process should get traffic: named checks, cached so that probes cannot stampede what they check.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/metrics.h"

namespace waybill {

class Readiness {
 public:
  struct CheckResult {
    std::string name;
    absl::Status status;  // DEADLINE_EXCEEDED when the check has not come back within its budget
  };
  struct Report {
    bool ready = false;  // every check OK and not draining
    bool draining = false;
    std::vector<CheckResult> checks;  // in the order they were added; empty when draining
  };

  // A result is reused for `cache_for`. `clock` outlives this.
  explicit Readiness(const Clock& clock, absl::Duration cache_for = absl::Seconds(1));
  // Waits for running checks: they use objects that the caller is about to destroy. A check that hangs for ever is
  // ended by the StopWatchdog with the process.
  ~Readiness();
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // `check` may block; it runs on a thread of its own, one run at a time. Called before the first Get.
  void Add(std::string name, absl::Duration budget, std::function<absl::Status()> check);

  // From now on not ready, whatever the checks say. There is no way back.
  void SetDraining();

  // Blocks for the largest budget at most. Thread-safe.
  Report Get();

 private:
  struct Check {
    std::string name;
    absl::Duration budget;
    std::function<absl::Status()> run;
    bool wanted = false;                             // a probe asks for a fresh result
    std::chrono::steady_clock::time_point deadline;  // of the run last asked for
    absl::Status result;                             // of the run that last ended
    SteadyTime fresh_until = SteadyTime::InfinitePast();
    std::thread thread;
  };
  void Run(Check& check);

  const Clock& clock_;
  const absl::Duration cache_for_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool draining_ = false;
  bool stopping_ = false;
  std::vector<std::unique_ptr<Check>> checks_;
};

// waybill_ready, and waybill_ready_check{check} while not draining: 1 or 0. A scrape asks like a probe does.
// `readiness` outlives every scrape.
void AddReadinessMetrics(Metrics& metrics, Readiness& readiness);

}  // namespace waybill
