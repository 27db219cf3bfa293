#include "services/process/startup.h"

#include <cstdio>
#include <fstream>
#include <iostream>

#include "absl/synchronization/mutex.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/pool.h"

namespace waybill::process {
namespace {

absl::Status Migrate(const std::string& url, const Logger& log) {
  auto connection = storage::Connection::Open(url, storage::MigrationConnectionOptions());
  if (!connection.ok()) return connection.status();
  auto applied = [&log](std::string_view name, absl::Duration took) {
    log.Info("migration applied", {{"name", name}, {"seconds", absl::ToDoubleSeconds(took)}});
  };
  return storage::Migrate(**connection, applied).status();
}

absl::Status CheckSchema(const std::string& url) {
  auto connection = storage::Connection::Open(url, storage::ReadConnectionOptions());
  if (!connection.ok()) return connection.status();
  return storage::CheckSchema(**connection);
}

}  // namespace

bool PrepareProcess(const char* name) {
  if (absl::Status armed = ArmFailpointsFromEnvironment(); !armed.ok()) {
    std::cerr << name << ": " << std::string(armed.message()) << '\n';
    return false;
  }
  // Debian's build of Abseil looks for deadlocks at every lock, also in what ships.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return true;
}

int Fail(const Logger& log, std::string_view what, const absl::Status& status) {
  log.Error(what, {{"error", std::string(status.message())}});
  return 1;
}

absl::Status AwaitSchema(const std::string& database_url, bool migrate, absl::Duration wait_max, const Clock& clock,
                         StopRequest& stop, const Logger& log) {
  const SteadyTime give_up = clock.Steady() + wait_max;
  while (true) {
    absl::Status ready = migrate ? Migrate(database_url, log) : CheckSchema(database_url);
    if (ready.ok()) return ready;
    // Without --migrate somebody else may be about to do it.
    const bool passes = ready.code() == absl::StatusCode::kUnavailable ||
                        (!migrate && ready.code() == absl::StatusCode::kFailedPrecondition);
    if (!passes || clock.Steady() >= give_up) return ready;
    log.Warn("waiting for Postgres", {{"error", std::string(ready.message())}});
    if (stop.WaitFor(absl::Milliseconds(500))) return absl::CancelledError("asked to stop");
  }
}

absl::Status WritePortFile(const std::string& path, int grpc_port, int side_port) {
  if (path.empty()) return absl::OkStatus();
  const std::string fresh = path + ".new";
  std::ofstream file(fresh);
  file << fmt::format("grpc={}\nside={}\n", grpc_port, side_port) << std::flush;
  const bool written = file.good();
  file.close();
  if (written && std::rename(fresh.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::InternalError(fmt::format("cannot write {}", path));
}

}  // namespace waybill::process
