// Keeps the days of history: makes those to come, drops those that are too old. Each day is a duty by itself: one that
// fails stops no other.
#pragma once

#include <atomic>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "services/ingest/ingest_metrics.h"

namespace waybill::ingest {

struct PartitionOptions {
  int ahead = 2;  // days after today
  absl::Duration retention = absl::Hours(24 * 30);
  // Dropping a day waits for the queries that read it. Not for long at a time: it is gone on with the next time.
  absl::Duration statement_timeout = absl::Seconds(8);
};

// Used by one thread at a time.
class PartitionKeeper {
 public:
  // All outlive this.
  PartitionKeeper(std::string database_url, const Clock& clock, const Logger& log, IngestMetrics& metrics,
                  PartitionOptions options)
      : database_url_(std::move(database_url)),
        clock_(clock),
        log_(log.For("services.ingest")),
        metrics_(metrics),
        options_(options) {}

  // Does what there is to do. The error names all that failed. That somebody detached a day by hand, or added a DEFAULT
  // partition, is no error; it is told once.
  absl::Status Keep();
  // Keep ends before the next day, and does nothing any more. From any thread.
  void Stop() { stopping_.store(true, std::memory_order_relaxed); }

 private:
  const std::string database_url_;
  const Clock& clock_;
  const Logger log_;
  IngestMetrics& metrics_;
  const PartitionOptions options_;
  std::atomic<bool> stopping_{false};
  std::set<absl::CivilDay> left_alone_;  // and told of
  bool told_of_rest_ = false;
};

}  // namespace waybill::ingest
