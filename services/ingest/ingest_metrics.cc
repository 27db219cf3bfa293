#include "services/ingest/ingest_metrics.h"

namespace waybill::ingest {
namespace {

const std::vector<double>& BatchBuckets() {
  static const auto& buckets = *new std::vector<double>{1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
  return buckets;
}

}  // namespace

IngestMetrics::IngestMetrics(Metrics& metrics)
    : received_(metrics.AddCounter("waybill_locations_received_total", "Points that arrived, good or bad.")),
      stored_(metrics.AddCounter("waybill_locations_stored_total", "Points made durable for the first time.")),
      late_(metrics.AddCounter("waybill_locations_late_total",
                               "Points not newer than what was taken of their driver before; resends among them.")),
      duplicates_(metrics.AddCounter("waybill_locations_duplicate_total", "Points that were durable already.")),
      jumps_(metrics.AddCounter("waybill_locations_marked_total", "Points kept although they look wrong, by mark.",
                                {{"mark", "speed_jump"}})),
      inaccurate_(metrics.AddCounter("waybill_locations_marked_total", "Points kept although they look wrong, by mark.",
                                     {{"mark", "poor_accuracy"}})),
      batch_size_(metrics.AddHistogram("waybill_location_batch_points", "Points in one commit.", BatchBuckets())),
      commit_seconds_(
          metrics.AddHistogram("waybill_location_commit_seconds", "Duration of one commit.", LatencyBuckets())),
      durable_seconds_(metrics.AddHistogram("waybill_location_durable_seconds",
                                            "From a report's receipt until its points were durable.",
                                            LatencyBuckets())),
      streams_(metrics.AddGauge("waybill_location_streams_open", "StreamLocations calls that are open.")),
      shed_(metrics.AddCounter("waybill_location_streams_shed_total",
                               "Streams that were ended, because too much was held for all of them.")),
      slowed_(metrics.AddCounter("waybill_location_streams_slowed_total",
                                 "Times that a stream was not read from, because it sent more than --stream-points.")),
      paused_(metrics.AddCounter("waybill_location_reading_paused_total",
                                 "How often a stream was not read from, because a queue was full.")),
      published_(metrics.AddCounter("waybill_hot_view_moves_total", "Moves published to Redis.")),
      lag_seconds_(metrics.AddHistogram("waybill_hot_view_lag_seconds",
                                        "From a point's commit until it was in the hot view.", LatencyBuckets())),
      moves_dropped_(
          metrics.AddCounter("waybill_hot_view_moves_dropped_total",
                             "Moves that the stream of recent ones lacks, because Redis was away too long.")),
      stale_(metrics.AddGauge("waybill_hot_view_stale", "1 while Redis is away, or the hot view is being rebuilt.")),
      rebuilds_(metrics.AddCounter("waybill_hot_view_rebuilds_total", "Times the hot view was rebuilt from history.")),
      rebuild_seconds_(metrics.AddGauge("waybill_hot_view_rebuild_seconds", "How long the last rebuild took.")),
      watches_(metrics.AddGauge("waybill_location_watches_open", "WatchLocations calls that are open.")),
      partitions_failing_(metrics.AddGauge("waybill_partitions_failing",
                                           "Days of history that could not be made or dropped the last time round.")),
      default_partition_(
          metrics.AddGauge("waybill_partitions_default", "1 while driver_locations has a DEFAULT partition.")) {
  for (int i = 0; i < kRejectReasons; ++i) {
    rejected_[static_cast<size_t>(i)] =
        &metrics.AddCounter("waybill_locations_rejected_total", "Points that were refused, by reason.",
                            {{"reason", Name(static_cast<RejectReason>(i + 1))}});
  }
}

void IngestMetrics::Rejected(const Rejection& rejection) {
  rejected_[static_cast<size_t>(rejection.reason) - 1]->Increment();
}

void IngestMetrics::Taken(const storage::Location& location) {
  if (location.standing == storage::Standing::kBehind) late_.Increment();
  if (location.position.marks & domain::kSpeedJump) jumps_.Increment();
  if (location.position.marks & domain::kPoorAccuracy) inaccurate_.Increment();
}

void IngestMetrics::Committed(const storage::LocationCommit& commit) {
  stored_.Increment(static_cast<double>(commit.stored));
  duplicates_.Increment(static_cast<double>(commit.locations - commit.stored - commit.refused));
  batch_size_.Observe(static_cast<double>(commit.locations));
  commit_seconds_.Observe(absl::ToDoubleSeconds(commit.took));
}

void IngestMetrics::Published(size_t moves, absl::Duration lag) {
  published_.Increment(static_cast<double>(moves));
  lag_seconds_.Observe(absl::ToDoubleSeconds(lag));
}

}  // namespace waybill::ingest
