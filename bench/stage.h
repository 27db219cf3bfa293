// What scenarios have in common, whatever they measure: servers of their own on fresh databases, what those cost, and
// the run of one scenario after the other.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/child.h"
#include "bench/database.h"
#include "bench/pacer.h"
#include "bench/process_stats.h"
#include "bench/report.h"

namespace waybill::bench {

inline constexpr absl::Duration kStopTimeout = absl::Seconds(60);  // for a server to stop in good order
inline constexpr double kMega = 1e6;

struct StageOptions {
  std::string database_url;        // a Postgres server: databases are made there and dropped again
  std::string redis_url;           // a Redis for this run alone
  std::filesystem::path binaries;  // where the servers are
  std::filesystem::path against;   // where those of an earlier build are, to compare with; empty: nothing is compared
  std::filesystem::path folder;    // for logs and port files; made if missing
  std::set<std::string> only;      // names of scenarios; empty: all
  absl::Duration warm_up = absl::Seconds(2);
  absl::Duration duration = absl::Seconds(10);  // of a scenario's measured window
  int rounds = 2;                               // of what is compared, in turns
  std::vector<std::string> service_flags;       // for the service that is measured, besides the bench's own
  std::vector<std::string> against_flags;       // the same for the earlier build's
};

enum class Build { kToday, kEarlier };

// Of today's build and, where there is one, of the earlier build.
template <typename T>
struct ByBuild {
  std::optional<T> today;
  std::optional<T> earlier;

  std::optional<T>& of(Build build) { return build == Build::kToday ? today : earlier; }
};

// Told lines for people.
using Progress = std::function<void(const std::string& line)>;

struct ScenarioInfo {
  std::string_view name;
  std::string_view description;
};

struct Scenario {
  ScenarioInfo info;
  std::function<absl::StatusOr<ScenarioResult>()> run;
};

// A server that was started, and where its ports are.
struct Server {
  std::unique_ptr<Child> process;
  std::string address;       // of gRPC
  std::string side_address;  // of HTTP
  std::string ports;         // its port file
};

// Of a port by its name in a port file; "" when it is not there.
std::string AddressOf(const std::string& port, const std::string& ports);

// CPU time since a process began; or, as a difference of two samples, what a window cost.
struct Usage {
  absl::Duration service;
  absl::Duration generator;                // the bench itself and what else it started
  std::optional<absl::Duration> postgres;  // none: it runs elsewhere
  std::optional<absl::Duration> redis;     // none: it runs elsewhere, or was not looked for
  absl::Duration others;                   // of processes that have no part in the bench, the whole machine over

  Usage operator-(const Usage& earlier) const;
  Usage operator+(const Usage& other) const;
};

// Of two windows, the larger.
Memory Larger(const Memory& one, const Memory& other);

// The ceiling before, between and after the rounds of one scenario, so that a drift of the machine shows instead of
// flattering either side.
class CeilingAround {
 public:
  // `measure` takes the figure's name and answers what was reached in a second.
  CeilingAround(int rounds, std::function<absl::StatusOr<double>(const std::string& name)> measure)
      : rounds_(rounds), measure_(std::move(measure)) {}

  absl::Status Before() { return Measure("ceiling before"); }
  absl::Status After(int round);  // from 1 on
  double Mean() const { return sum_ / (rounds_ + 1); }

 private:
  absl::Status Measure(const std::string& name);

  const int rounds_;
  const std::function<absl::StatusOr<double>(const std::string& name)> measure_;
  double sum_ = 0;
};

class Stage {
 public:
  // All of them outlive the stage.
  Stage(const StageOptions& options, Timer& timer, const Progress& progress)
      : options_(options), timer_(timer), progress_(progress) {}

  // The folder, the binaries that have to be there (of an earlier build, the service alone: everything else is the same
  // for both), and which process is Postgres.
  absl::Status SetUp(const std::string& service, const std::vector<std::string>& others = {});
  // Which process is Redis; its time counts among that of others before.
  absl::Status FindRedis();

  void Tell(const std::string& line) const { progress_(line); }
  Timer& timer() const { return timer_; }

  // Those that are measured in turns, and how often: without an earlier build today's alone, once.
  std::vector<Build> builds() const;
  int rounds() const { return options_.against.empty() ? 1 : options_.rounds; }

  // `scenario` names the database. Another of that name is replaced.
  absl::StatusOr<std::unique_ptr<FreshDatabase>> EmptyDatabase(const std::string& scenario) const;
  absl::StatusOr<std::unique_ptr<FreshDatabase>> MigratedDatabase(const std::string& scenario) const;

  // Starts today's binary with `args`, and --listen and --port-file; serves when this returns. Its log is
  // <scenario>.<name>.log.
  absl::StatusOr<Server> Start(const std::string& binary, const std::string& scenario, const std::string& name,
                               std::vector<std::string> args) const;
  // The same of the service that is measured, of either build, with the flags that were asked for.
  absl::StatusOr<Server> StartService(Build build, const std::string& scenario, const std::string& name,
                                      std::vector<std::string> args) const;

  // `services`: those that are measured.
  absl::StatusOr<Usage> SampleUsage(const std::vector<pid_t>& services) const;
  absl::StatusOr<Memory> ResidentMemory(pid_t pid) const { return processes_.ResidentMemory(pid); }

  // Those that are asked for, in their order. An error means that the bench could not run; what it measured before is
  // lost.
  absl::StatusOr<Report> Run(const std::vector<Scenario>& scenarios) const;

 private:
  absl::StatusOr<Server> StartFrom(const std::filesystem::path& binary, const std::string& scenario,
                                   const std::string& name, std::vector<std::string> args) const;

  const StageOptions& options_;
  Timer& timer_;
  const Progress& progress_;
  ProcessStats processes_;
  std::string service_;
  pid_t postgres_ = 0;  // the postmaster; 0: not on this machine
  pid_t redis_ = 0;     // 0: not on this machine, or not looked for
};

// What samples at the start and the end of a window say of it; for the hooks of a load.
class UsageOfWindow {
 public:
  // `services`: at least one.
  UsageOfWindow(const Stage& stage, std::vector<pid_t> services) : stage_(stage), services_(std::move(services)) {}

  void Start() { before_ = stage_.SampleUsage(services_); }
  void End() {
    after_ = stage_.SampleUsage(services_);
    memory_ = stage_.ResidentMemory(services_.front());
  }

  // Any error there was. Afterwards the rest may be asked.
  absl::Status status() const;
  Usage usage() const { return *after_ - *before_; }
  const Memory& memory() const { return *memory_; }  // of the first service, at the end

 private:
  const Stage& stage_;
  const std::vector<pid_t> services_;
  absl::StatusOr<Usage> before_ = Usage();
  absl::StatusOr<Usage> after_ = Usage();
  absl::StatusOr<Memory> memory_ = Memory();
};

}  // namespace waybill::bench
