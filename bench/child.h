// A child process of the bench: the service, the sandbox. Its output goes to a file; it never outlives the bench.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::bench {

class Child {
 public:
  // stdout and stderr are appended to `log`. Errors of exec show as an early exit (127).
  static absl::StatusOr<std::unique_ptr<Child>> Start(const std::filesystem::path& binary,
                                                      const std::vector<std::string>& args,
                                                      const std::filesystem::path& log);
  // SIGKILLs and reaps it if it still runs.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }  // of the binary
  bool Running();
  void Kill();  // SIGKILL, and reaps it
  // Waits for the end. INTERNAL when its exit code is not 0; DEADLINE_EXCEEDED when it had to be killed.
  absl::Status Join(absl::Duration timeout);
  absl::Status Stop(absl::Duration timeout);  // SIGTERM, then as Join

  // Waits for `file` to hold text, which is what it says. INTERNAL with the log's end when the child exits before that.
  absl::StatusOr<std::string> WaitForFile(const std::filesystem::path& file, absl::Duration timeout);

 private:
  Child(std::string name, pid_t pid, std::filesystem::path log)
      : name_(std::move(name)), pid_(pid), log_(std::move(log)) {}

  std::string LogTail() const;

  std::string name_;
  pid_t pid_;
  std::filesystem::path log_;
  bool reaped_ = false;
  int wait_status_ = 0;
};

// The port of this name in what a port file says.
std::optional<int> PortIn(const std::string& ports, const std::string& name);

}  // namespace waybill::bench
