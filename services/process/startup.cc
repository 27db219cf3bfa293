#include "services/process/startup.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>

#include "absl/synchronization/mutex.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/random.h"
#include "runtime/status.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/migrate.h"
#include "storage/postgres/server_check.h"
#include "storage/redis/connection.h"

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

absl::Status CheckDatabase(const std::string& url, std::span<const storage::Rights> rights, const Logger& log) {
  auto connection = storage::Connection::Open(url, storage::WriteConnectionOptions());
  if (!connection.ok()) return connection.status();
  if (absl::Status schema = storage::CheckSchema(**connection); !schema.ok()) return schema;
  if (absl::Status may = storage::CheckRights(**connection, rights); !may.ok()) return may;
  auto careless = storage::SettingsThatLoseData(**connection);
  if (!careless.ok()) return careless.status();
  for (const std::string& setting : *careless) {
    log.Warn("a crash of Postgres may lose what was promised", {{"off", setting}});
  }
  return absl::OkStatus();
}

// A connection is an open file. The usual soft limit of 1,024 is for programs that still use select(2).
void AllowOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

RepeatedLines::RepeatedLines(Logger& log) : log_(log) {
  log_.CountRepeated(absl::Seconds(10));
  loop_ = ThreadLoops().Start([this](const Clock& clock) -> std::optional<SteadyTime> {
    log_.SayRepeated();
    if (stopping_) return std::nullopt;
    return clock.Steady() + absl::Seconds(1);
  });
}

RepeatedLines::~RepeatedLines() {
  stopping_ = true;
  loop_->Join();
  log_.SayRepeated(/*all=*/true);
}

bool PrepareProcess(const char* name) {
  if (absl::Status armed = ArmFailpointsFromEnvironment(); !armed.ok()) {
    std::cerr << name << ": " << std::string(armed.message()) << '\n';
    return false;
  }
  // Debian's build of Abseil looks for deadlocks at every lock, also in what ships.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  AllowOpenFiles();
  return true;
}

absl::Status CheckStoreUrls(const std::string& database_url, const std::string& redis_url) {
  if (absl::Status taken = storage::CheckConnectionString(database_url); !taken.ok()) {
    return absl::InvalidArgumentError(fmt::format("--database-url {}", std::string(taken.message())));
  }
  if (absl::Status taken = storage::RedisUrl::Parse(redis_url).status(); !taken.ok()) {
    return absl::InvalidArgumentError(fmt::format("--redis-url: {}", std::string(taken.message())));
  }
  return absl::OkStatus();
}

void AddPoolMetrics(Metrics& metrics, std::vector<std::pair<std::string, const storage::Pool*>> pools) {
  for (const auto& [name, pool] : pools) {
    metrics.AddCallbackCounter("waybill_postgres_pool_exhausted_total",
                               "Times that no connection of a pool became free in time.",
                               [pool = pool] { return static_cast<double>(pool->use().exhausted); }, {{"pool", name}});
  }
  metrics.AddCallbackGauges("waybill_postgres_connections", "Connections to Postgres, by pool and state.",
                            [pools = std::move(pools)] {
                              std::vector<Metrics::Sample> samples;
                              for (const auto& [name, pool] : pools) {
                                const storage::Pool::Use use = pool->use();
                                samples.push_back({{{"pool", name}, {"state", "in_use"}}, double(use.in_use)});
                                samples.push_back({{{"pool", name}, {"state", "idle"}}, double(use.idle)});
                              }
                              return samples;
                            });
}

std::string InstanceName(const std::string& listen) {
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  const std::string port = listen.substr(listen.rfind(':') + 1);
  if (port != "0") return fmt::format("{}:{}", host, port);
  return fmt::format("{}:any-{}-{:08x}", host, getpid(), static_cast<uint32_t>(EntropySeed()));
}

int Fail(const Logger& log, std::string_view what, const absl::Status& status) {
  log.Error(what, {{"error", std::string(status.message())}});
  return 1;
}

absl::Status AwaitDatabase(const std::string& database_url, std::span<const storage::Rights> rights, bool migrate,
                           absl::Duration wait_max, const Clock& clock, StopRequest& stop, const Logger& log) {
  const SteadyTime give_up = clock.Steady() + wait_max;
  while (true) {
    absl::Status ready = storage::CheckSessionsAreOurs(database_url);
    if (absl::IsFailedPrecondition(ready)) return ready;
    if (ready.ok() && migrate) ready = Migrate(database_url, log);
    if (ready.ok()) ready = CheckDatabase(database_url, rights, log);
    if (ready.ok()) return ready;
    // Without --migrate somebody else may be about to do it, or to grant what lacks.
    const bool lacks = absl::IsFailedPrecondition(ready) || GetErrorDetail(ready).reason == "RIGHTS_MISSING";
    if (!absl::IsUnavailable(ready) && (migrate || !lacks)) return ready;
    if (clock.Steady() >= give_up) return ready;
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
