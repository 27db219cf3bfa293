// What a service does besides serving, in one loop: each chore again and again, at its own pace.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"

namespace waybill {

struct Chore {
  std::string what;  // "renewing leases", for the log
  // Does it and answers how long until the next time. May block.
  std::function<absl::StatusOr<absl::Duration>()> run;
  absl::Duration retry = absl::Seconds(1);  // until the next time after an error
};

// A chore that is done at a fixed pace, also after an error.
Chore EveryChore(absl::Duration every, std::string what, std::function<absl::Status()> run);

class Chores {
 public:
  // Each is due at once, in their order, once Start is called. All outlive this.
  Chores(std::vector<Chore> chores, const Clock& clock, const Logger& log);
  ~Chores() { Stop(); }
  Chores(const Chores&) = delete;
  Chores& operator=(const Chores&) = delete;

  void Start(const Loops& loops);
  void Stop();  // joins the loop

  // Does what is due, and answers when the next one is. For tests, instead of Start.
  SteadyTime RunDue();

 private:
  struct Entry {
    Chore chore;
    SteadyTime due = SteadyTime::InfinitePast();
    bool failing = false;
  };

  const Clock& clock_;
  const Logger log_;
  std::vector<Entry> entries_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Loop> loop_;  // once started
};

}  // namespace waybill
