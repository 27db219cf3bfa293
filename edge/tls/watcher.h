// Certificates that are renewed while the process runs: the files are read again and again, and what they hold is taken
// over only if it is fit. Whoever makes a connection asks for what is current.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/tls/credentials.h"
#include "prometheus/counter.h"
#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "runtime/metrics.h"

namespace waybill::tls {

class Watcher {
 public:
  // Reads `files` for the first time; INVALID_ARGUMENT as of ReadCredentials. One that is not valid at this time is
  // taken all the same, and complained of. `use` tells this process's certificates apart in log and metrics: "server".
  // The others outlive this, and this outlives every scrape.
  static absl::StatusOr<std::unique_ptr<Watcher>> Start(std::string use, Files files, const Clock& clock,
                                                        const Logger& log, Metrics& metrics);
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Never null; the same object until there are others.
  std::shared_ptr<const Credentials> current() const;

  // Reads the files again; true: there are others from now on. What is not fit, or not valid at this time while the
  // present ones are, is left alone, logged once and counted each time.
  bool Look();
  // What is wrong at this time: the files cannot be taken over, or what is current is not valid.
  absl::Status Verdict() const;

 private:
  Watcher(std::string use, Files files, const Clock& clock, const Logger& log, Metrics& metrics);
  void Taken(Credentials credentials);

  const std::string use_;
  const Files files_;
  const Clock& clock_;
  const Logger log_;
  prometheus::Counter& taken_;
  prometheus::Counter& refused_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Credentials> current_;
  absl::Status refusal_;  // of what the files hold now
};

// A turn of its watching every 5 s. `taken` runs after others were.
Chore WatchChore(
    Watcher& watcher, std::function<void()> taken = [] {});

}  // namespace waybill::tls
