// The race contract ("rinha de backend" 2025) by its official load: ours beside a plain queue with workers
// (bench/plain_race.h), one after the other, each two instances behind the same balancer and before the same two
// processors.
#pragma once

#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/pacer.h"
#include "bench/report.h"
#include "bench/stage.h"

namespace waybill::bench {

inline constexpr char kPlain[] = "plain";
inline constexpr char kOurs[] = "ours";

// Of the options of a stage those of scenarios, rounds and windows have no meaning here. Of the Redis, database 3 is
// the plain one's.
struct RaceBenchOptions : StageOptions {
  std::set<std::string> contenders;           // kPlain, kOurs; empty: both
  absl::Duration length = absl::Seconds(60);  // of the load; officially 300 s
  absl::Duration drain = absl::Seconds(60);   // after it, at most, for what was taken to be paid
  bool kill = false;  // one instance is killed by SIGKILL in the midst, then waybill-order; each is started again
  std::string balancer = "/usr/sbin/haproxy";
};

// An error means that the bench could not run.
absl::StatusOr<Report> RunRace(const RaceBenchOptions& options, Timer& timer, const Progress& progress);

}  // namespace waybill::bench
