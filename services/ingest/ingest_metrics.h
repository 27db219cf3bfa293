// What the ingest service counts. Names are listed in docs/operations.md.
#pragma once

#include <array>
#include <cstddef>

#include "absl/time/time.h"
#include "runtime/metrics.h"
#include "services/ingest/intake.h"
#include "storage/location_log.h"

namespace waybill::ingest {

class IngestMetrics {
 public:
  explicit IngestMetrics(Metrics& metrics);  // outlives this

  void Received(size_t points) { received_.Increment(static_cast<double>(points)); }
  void Rejected(const Rejection& rejection);
  void Taken(const storage::Location& location);  // late ones and marks
  void Committed(const storage::LocationCommit& commit);
  void Durable(absl::Duration since_receipt) { durable_seconds_.Observe(absl::ToDoubleSeconds(since_receipt)); }
  void StreamOpened() { streams_.Increment(); }
  void StreamClosed() { streams_.Decrement(); }
  void StreamShed() { shed_.Increment(); }
  void StreamSlowed() { slowed_.Increment(); }
  void Paused() { paused_.Increment(); }
  void Published(size_t moves, absl::Duration lag);
  void MovesDropped(size_t moves) { moves_dropped_.Increment(static_cast<double>(moves)); }
  void HotViewStale(bool stale) { stale_.Set(stale ? 1 : 0); }
  void HotViewRebuilt(absl::Duration took) {
    rebuilds_.Increment();
    rebuild_seconds_.Set(absl::ToDoubleSeconds(took));
  }
  void PartitionsKept(size_t failures) { partitions_failing_.Set(static_cast<double>(failures)); }
  void DefaultPartition(bool there) { default_partition_.Set(there ? 1 : 0); }
  void WatchOpened() { watches_.Increment(); }
  void WatchClosed() { watches_.Decrement(); }

 private:
  prometheus::Counter& received_;
  std::array<prometheus::Counter*, kRejectReasons> rejected_;
  prometheus::Counter& stored_;
  prometheus::Counter& late_;
  prometheus::Counter& duplicates_;
  prometheus::Counter& jumps_;
  prometheus::Counter& inaccurate_;
  prometheus::Histogram& batch_size_;
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& durable_seconds_;
  prometheus::Gauge& streams_;
  prometheus::Counter& shed_;
  prometheus::Counter& slowed_;
  prometheus::Counter& paused_;
  prometheus::Counter& published_;
  prometheus::Histogram& lag_seconds_;
  prometheus::Counter& moves_dropped_;
  prometheus::Gauge& stale_;
  prometheus::Counter& rebuilds_;
  prometheus::Gauge& rebuild_seconds_;
  prometheus::Gauge& watches_;
  prometheus::Gauge& partitions_failing_;
  prometheus::Gauge& default_partition_;
};

}  // namespace waybill::ingest
