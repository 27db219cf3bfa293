// One life of waybill-ingest: main's own objects on a point's way and a watch's, on simulated threads and stores.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/testing/scheduled_executor.h"
#include "services/ingest/ingest.h"
#include "services/ingest/location_stream.h"
#include "services/ingest/location_watches.h"
#include "tests/simulation/ingest_stores.h"

namespace waybill::simulation {

class IngestProcess {
 public:
  IngestProcess(EventLoop& loop, storage::testing::FakeLocationStore& store, storage::testing::FakeFleet& fleet,
                const Outages& outages, const GapOdds& odds, Chance chance, int life, std::function<void()> on_death)
      : host(loop, life, odds, chance, absl::ZeroDuration(), std::move(on_death)),
        view_(fleet, host, outages),
        history_(store, host, outages),
        feeder(view_, history_, counts_, host, log_, FeederOptions(), [this] { Wake(); }),
        location_log_(store, host, outages, loops_, [this] { Wake(); }),
        ingest_(location_log_, feeder, intake_, front_, clocks_, counts_, host, IngestOptions()),
        streams(ingest_, counts_, host, host, ingest::StreamOptions{.unacked_max = 60}),
        watches(view_, catching_up_, counts_, ingest::WatchOptions{.window_max = 200, .page_max = 20}) {
    feeder.Start(loops_);
    watches.Start(loops_);
  }
  ~IngestProcess() {
    loops_.Abandon();
    for (const std::function<void()>& end : at_end) end();
  }

  // As main stops, without waiting.
  void Drain() {
    streams.Drain();
    watches.Stop();
  }
  void Stop() {
    location_log_.Stop();
    feeder.Stop();
  }

  Host host;

 private:
  static ingest::HotViewOptions FeederOptions() {
    ingest::HotViewOptions options;
    options.backlog_max = 80;
    options.update_max = 30;
    options.part_max = 3;
    return options;
  }
  static ingest::IngestOptions IngestOptions() { return {.queue_max = 100}; }
  void Wake() { ingest_.WakeWaiting(); }
  testing::Delay Soon() {
    return [this] { return host.Soon(); };
  }

  testing::ScheduledLoops loops_{host, host, Soon()};
  testing::ScheduledExecutor catching_up_{host, host, 50, Soon()};
  Logger log_{LogFormat::kText, LogLevel::kOff, host};
  Metrics registry_;
  ingest::IngestMetrics counts_{registry_};
  ingest::ClockCheck clocks_{host, log_};
  ingest::DriverFront front_{ingest::SanityOptions(), 1'000};
  const ingest::Intake intake_{ingest::IntakeOptions()};
  SimulatedHotView view_;
  SimulatedHistory history_;

 public:
  ingest::HotViewFeeder feeder;

 private:
  SimulatedLog location_log_;
  ingest::Ingest ingest_;

 public:
  ingest::LocationStreams streams;
  ingest::LocationWatches watches;
  std::vector<std::function<void()>> at_end;  // of its streams: they end with the process
};

}  // namespace waybill::simulation
