// The limits of a service: the file with the rules, read at the start and at SIGHUP, and the limiter over Redis.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "edge/limits/limiter.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/readiness.h"
#include "runtime/shutdown.h"
#include "storage/redis/redis_limit_store.h"

namespace waybill::process {

struct LimitsOptions {
  std::string file;  // empty: no limits
};

// --limits-file.
void AddLimitsFlag(CLI::App& app, LimitsOptions& options);
// INVALID_ARGUMENT names the line. `methods`: "package.Service/Method", those that a rule may be about.
absl::Status CheckLimits(const LimitsOptions& options, const std::vector<std::string>& methods);

class CallLimits {
 public:
  // Reads the file. Nothing connects yet. All that is passed by reference outlives this. `service`: "order"; the rules
  // of another may have the same names.
  static absl::StatusOr<std::unique_ptr<CallLimits>> Open(const std::string& service, const LimitsOptions& options,
                                                          std::vector<std::string> methods,
                                                          const storage::RedisUrl& redis, const Clock& clock,
                                                          Metrics& metrics, const Logger& log);

  // For the servers' options. Without a file it lets everybody pass.
  limits::Limiter* limiter() { return limiter_.get(); }

  // The check "limits": whether Redis holds them; degraded, since no other replica is better off.
  void AddCheck(Readiness& readiness);

  // What the rules were and are, for people; when they were changed.
  using OnChange = std::function<void(const std::string& before, const std::string& after)>;
  // Before the servers; from now on the file is read again at SIGHUP. A file with a mistake changes nothing.
  void Start(const Loops& loops, StopRequest& stop, OnChange on_change = {});
  // After the servers have drained: who waits still, is told.
  void Stop();

 private:
  CallLimits(const LimitsOptions& options, std::vector<std::string> methods, const Logger& log)
      : options_(options), methods_(std::move(methods)), log_(log) {}
  absl::Status Read(bool also_unchanged);

  const LimitsOptions options_;
  const std::vector<std::string> methods_;
  const Logger& log_;
  std::unique_ptr<storage::RedisLimitStore> store_;
  std::unique_ptr<limits::Limiter> limiter_;
  OnChange on_change_;
  std::mutex reading_;    // one at a time
  std::string in_force_;  // see OnChange
  StopRequest* stop_ = nullptr;
};

}  // namespace waybill::process
