// The way of every report: checked, appended to history by group commit, answered when durable, carried into the hot
// view. And the one place that says "not now": when a store is slower than the clients, whoever brings points waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "runtime/clock.h"
#include "services/ingest/clock_check.h"
#include "services/ingest/driver_front.h"
#include "services/ingest/hot_view_feeder.h"
#include "services/ingest/ingest_metrics.h"
#include "services/ingest/intake.h"
#include "storage/location_log.h"

namespace waybill::ingest {

struct IngestOptions {
  size_t queue_max = 20'000;  // positions waiting for a commit; reading resumes at half
};

// A report on its way: what is to be appended, and what was wrong with the rest.
class Report {
 public:
  // OK: all points are durable or in `rejected` (the store's refusals included). Otherwise nothing is known.
  using Done = absl::AnyInvocable<void(const absl::Status& status, std::vector<Rejection> rejected)>;

  Report(Checked checked, int64_t sequence, absl::Time received_at, SteadyTime since, Done done)
      : checked_(std::move(checked)),
        sequence_(sequence),
        received_at_(received_at),
        since_(since),
        done_(std::move(done)) {}

 private:
  friend class Ingest;

  Checked checked_;
  int64_t sequence_;
  absl::Time received_at_;
  SteadyTime since_;
  Done done_;
};

class Ingest {
 public:
  // All outlive this.
  Ingest(storage::LocationLog& log, HotViewFeeder& feeder, const Intake& intake, DriverFront& front, ClockCheck& clocks,
         IngestMetrics& metrics, const Clock& clock, IngestOptions options)
      : log_(log),
        feeder_(feeder),
        intake_(intake),
        front_(front),
        clocks_(clocks),
        metrics_(metrics),
        clock_(clock),
        options_(options) {}

  // Checks the points, also whether they are of drivers that the caller writes for. `sequence` names the report in
  // rejections.
  Report Check(std::vector<domain::DriverPosition> points, int64_t sequence, Report::Done done,
               const domain::DriverPatterns& writes_for = domain::DriverPatterns::All());

  // Takes the report, or leaves it and answers false: come again after `on_room` (called once, from any thread, when
  // there may be room), or shed the load. `who` names whoever waits, once at a time.
  //
  // While anybody waits, those who come meanwhile must not keep the queue above the half at which the waiting go on:
  // Submit, of those who shed, takes nothing above it, and SubmitBehind, of those who could wait as well, nothing at
  // all. SubmitInTurn is of whoever has waited.
  [[nodiscard]] bool Submit(Report& report);
  [[nodiscard]] bool SubmitBehind(Report& report);
  [[nodiscard]] bool SubmitInTurn(Report& report);
  void AwaitRoom(const void* who, absl::AnyInvocable<void()> on_room);
  // Drops its `on_room`, if it was not called yet: while a store is away, those that gave up must not pile up.
  void Forget(const void* who);

  // A commit or a round trip to Redis ended: there may be room.
  void WakeWaiting();

  size_t waiting() const;

 private:
  struct Waiter {
    const void* who;
    absl::AnyInvocable<void()> on_room;
  };

  void LookAtTimes(const std::vector<domain::DriverPosition>& points, absl::Time latest,
                   const domain::DriverPatterns& writes_for);
  bool Take(Report& report, size_t queue_max);
  size_t half() const { return (options_.queue_max + 1) / 2; }  // an empty queue always has room
  bool Room(size_t queue_max) const { return log_.queue_depth() < queue_max && !feeder_.Congested(); }

  storage::LocationLog& log_;
  HotViewFeeder& feeder_;
  const Intake& intake_;
  DriverFront& front_;
  ClockCheck& clocks_;
  IngestMetrics& metrics_;
  const Clock& clock_;
  const IngestOptions options_;
  mutable std::mutex mutex_;
  std::list<Waiter> waiting_;  // in the order they came
  absl::flat_hash_map<const void*, std::list<Waiter>::iterator> places_;
};

}  // namespace waybill::ingest
