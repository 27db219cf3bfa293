// Whether this process should get traffic: named checks, each run again and again on a thread of its own. Whoever asks
// is told what came out last and never waits, so neither a probe nor a scrape hangs on what is checked.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
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
  // What it means that a check fails.
  enum class Severity {
    kRequired,  // nothing can be served: no traffic
    kDegraded,  // a part cannot be served; the rest can, and no replica is better off
  };
  struct CheckResult {
    std::string name;
    Severity severity = Severity::kRequired;
    // The message is for people: what is wrong, and what to do. UNAVAILABLE before the first run has ended,
    // DEADLINE_EXCEEDED while one has not come back within its budget.
    absl::Status status;
  };
  struct Report {
    bool ready = false;     // every required check OK, and not draining
    bool degraded = false;  // some other check is not
    bool draining = false;
    std::vector<CheckResult> checks;  // in the order they were added; empty when draining
  };

  // A check is run again `every` so long after its last run. `clock` outlives this.
  explicit Readiness(const Clock& clock, absl::Duration every = absl::Seconds(1));
  ~Readiness() { Stop(); }
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // `check` may block, and begins to run now. Thread-safe.
  void Add(std::string name, Severity severity, absl::Duration budget, std::function<absl::Status()> check);

  // Until SetServing not ready, whatever the checks say: what starts is asked long before it serves. A required check
  // of the name "serving" says so.
  void AwaitServing();
  void SetServing();

  // From now on not ready, whatever the checks say. There is no way back.
  void SetDraining();

  // No check runs any more, so that what they look at may go. Waits for those under way; one that hangs for ever is
  // ended by the StopWatchdog with the process.
  void Stop();

  // Never blocks. Thread-safe.
  Report Get() const;

 private:
  struct Check {
    CheckResult result;  // of the run that last ended
    absl::Duration budget;
    std::function<absl::Status()> run;
    std::optional<SteadyTime> running_since;
    std::thread thread;
  };
  void Run(Check& check);

  const Clock& clock_;
  const absl::Duration every_;
  mutable std::mutex mutex_;
  std::condition_variable stopped_;
  std::optional<bool> serving_;  // nothing: nobody has said that it is awaited
  bool draining_ = false;
  bool stopping_ = false;
  std::vector<std::unique_ptr<Check>> checks_;
};

// waybill_ready and waybill_degraded, and while not draining waybill_ready_check{check}: 1 or 0. `readiness` outlives
// every scrape.
void AddReadinessMetrics(Metrics& metrics, const Readiness& readiness);

}  // namespace waybill
