// What the kernel says a process has used: CPU time and memory, from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace waybill::bench {

struct Memory {
  int64_t resident_bytes = 0;       // now
  int64_t resident_bytes_peak = 0;  // since the process began
};

class ProcessStats {
 public:
  // `proc`: where the proc file system is mounted.
  explicit ProcessStats(std::filesystem::path proc = "/proc") : proc_(std::move(proc)) {}

  // User and system time of the process, its living descendants, and all those of them that ended and were waited for.
  // NOT_FOUND when there is no such process.
  absl::StatusOr<absl::Duration> TreeCpu(pid_t root) const;
  // Time all processors of the machine together were not idle, since it started.
  absl::StatusOr<absl::Duration> MachineCpu() const;
  absl::StatusOr<Memory> ResidentMemory(pid_t pid) const;
  absl::StatusOr<pid_t> Parent(pid_t pid) const;

 private:
  std::filesystem::path proc_;
};

// "2 x AMD EPYC, 24 GiB, Linux 6.1.0".
std::string DescribeMachine();

}  // namespace waybill::bench
