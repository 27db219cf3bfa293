// A child process a test owns: started with arguments and environment, watched, signalled and waited for by pid.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::testing {

struct ProcessOptions {
  std::vector<std::string> args;                         // without argv[0]
  std::vector<std::pair<std::string, std::string>> env;  // set on top of the test's own environment
  std::string user;                                      // run as this user (only root may ask); empty: as the test
  std::string working_directory;                         // empty: the test's own
  int death_signal = SIGKILL;                            // what the child gets when the test process dies
};

class Process {
 public:
  // Returns once the child has exec'd. NOT_FOUND or INTERNAL when it could not.
  static absl::StatusOr<std::unique_ptr<Process>> Start(std::string binary, ProcessOptions options);

  // SIGKILLs and reaps the child if it still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool Running() const;

  // False when the child has exited already: a reaped pid is never signalled. SIGSTOP has stopped it when this returns.
  bool Signal(int signal);

  // The exit code, or 128 + signal as a shell gives it. nullopt: still running after `timeout`.
  std::optional<int> Wait(absl::Duration timeout);

  // The first whole line of stdout or stderr (they are read as one) that holds `text`; lines printed before the call
  // count. nullopt when `timeout` passed or the child ended without one.
  std::optional<std::string> WaitForLine(std::string_view text, absl::Duration timeout);

  // All that the child wrote so far.
  std::string Output() const;

 private:
  Process() = default;

  void Pump(int output_fd, int pid_fd);

  pid_t pid_ = -1;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::string output_;            // guarded by mutex_
  bool output_complete_ = false;  // guarded by mutex_
  std::optional<int> exit_code_;  // guarded by mutex_; set: the pid is reaped
  std::thread pump_;
};

}  // namespace waybill::testing
