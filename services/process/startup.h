// What the main of every service that lives on Postgres does besides building its objects.
#pragma once

#include <atomic>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/shutdown.h"
#include "services/process/audit.h"
#include "services/process/settings.h"
#include "storage/postgres/pool.h"
#include "storage/postgres/rights.h"

namespace waybill::process {

// Arms the failpoints of the environment, quiets libraries, and lets as many files be open as the machine allows.
// False: the environment is wrong, which was told on stderr.
bool PrepareProcess(const char* name);

// Whether these can be such URLs; INVALID_ARGUMENT names the flag.
absl::Status CheckStoreUrls(const std::string& database_url, const std::string& redis_url);

// Waits until the service can live on Postgres: it takes writes, commits end, it has the schema, and its role has
// `rights`. With `migrate`, brings the schema up to date. Warns of settings with which a crash loses what was promised.
// CANCELLED when asked to stop meanwhile; the last error when `wait_max` is over, or when waiting cannot help.
absl::Status AwaitDatabase(const std::string& database_url, std::span<const storage::Rights> rights, bool migrate,
                           absl::Duration wait_max, const Clock& clock, StopRequest& stop, const Logger& log);

// Writes "grpc=PORT" and "side=PORT", whole or not at all: whoever waits for the file may read it at once. An empty
// path writes nothing.
absl::Status WritePortFile(const std::string& path, int grpc_port, int side_port);

// Of these pools, by name; they outlive `metrics`' use.
void AddPoolMetrics(Metrics& metrics, std::vector<std::pair<std::string, const storage::Pool*>> pools);

// "HOST:PORT" of this machine and of where a process listens; where any port will do, a name that no other has.
std::string InstanceName(const std::string& listen);

// Logs what went wrong; the exit code.
int Fail(const Logger& log, std::string_view what, const absl::Status& status);

// While it lives, lines of `log` that repeat are counted, and said on a thread of its own.
class RepeatedLines {
 public:
  explicit RepeatedLines(Logger& log);
  ~RepeatedLines();
  RepeatedLines(const RepeatedLines&) = delete;
  RepeatedLines& operator=(const RepeatedLines&) = delete;

 private:
  Logger& log_;
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Loop> loop_;
};

// main() of a service: arms failpoints, reads the settings, blocks the signals before any thread starts, and serves
// until `serve` answers the exit code.
template <typename Options>
int RunService(const Service<Options>& service, int argc, char** argv,
               int (*serve)(const Options&, const Clock&, const Logger&, StopRequest&, ProcessAudit&)) {
  if (!PrepareProcess(service.name.c_str())) return 2;
  Options options;
  std::vector<Setting> in_force;
  if (auto exit_code = ReadSettings(service, argc, argv, options, in_force, std::cout, std::cerr)) return *exit_code;
  ShutdownSignals signals;
  SystemClock clock;
  Logger log(options.log_format, options.log_levels.level, clock);
  log.SetLevels(options.log_levels);
  const RepeatedLines repeated(log);
  ProcessAudit audit(service.name, service.build, in_force);
  const auto changed = [&audit](const Setting& before, const Setting& after) { audit.Changed(before, after); };
  StopRequest stop(signals, [&] { ReadSettingsAgain(service, argc, argv, options, in_force, log, changed); });
  const int exit_code = serve(options, clock, log, stop, audit);
  if (!stop.WaitFor(absl::ZeroDuration())) stop.Raise();
  return exit_code;
}

}  // namespace waybill::process
