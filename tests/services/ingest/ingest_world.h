// The ingest service's parts over history and hot view in memory, on a clock that moves when told to.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "runtime/log.h"
#include "runtime/metrics.h"
#include "runtime/testing/manual_time.h"
#include "services/ingest/ingest.h"
#include "services/ingest/location_stream.h"
#include "storage/testing/fake_fleet.h"
#include "storage/testing/fake_location_store.h"

namespace waybill::ingest {

// A log whose reports become durable one by one, in any order.
class PickingLog final : public storage::LocationLog {
 public:
  explicit PickingLog(storage::testing::FakeLocationStore& store) : store_(store) {}

  bool Append(storage::LocationAppend& append) override {
    std::lock_guard lock(mutex_);
    if (stopped_) return false;
    waiting_.push_back(std::move(append));
    return true;
  }
  size_t queue_depth() const override {
    std::function<void()> look;
    {
      std::lock_guard lock(mutex_);
      look.swap(on_look_);
    }
    if (look) look();
    std::lock_guard lock(mutex_);
    size_t depth = pretended_;
    for (const storage::LocationAppend& append : waiting_) depth += append.weight();
    return depth;
  }
  bool stalled() const override { return false; }

  // The report at that place of those that wait becomes durable, or ends with the error. False: there is none.
  bool Commit(size_t place = 0, const absl::Status& status = absl::OkStatus()) {
    storage::LocationAppend append;
    {
      std::lock_guard lock(mutex_);
      if (place >= waiting_.size()) return false;
      append = std::move(waiting_[place]);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(place));
    }
    if (!status.ok()) {
      append.done(status, append);
      return true;
    }
    return store_.Append(append);
  }
  size_t waiting() const {
    std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  void Stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  // Positions that others have waiting.
  void Pretend(size_t positions) {
    std::lock_guard lock(mutex_);
    pretended_ = positions;
  }
  // Runs once, when somebody next looks how deep the queue is: what happens in between.
  void OnLook(std::function<void()> look) {
    std::lock_guard lock(mutex_);
    on_look_ = std::move(look);
  }

 private:
  storage::testing::FakeLocationStore& store_;
  mutable std::mutex mutex_;
  mutable std::function<void()> on_look_;
  bool stopped_ = false;
  size_t pretended_ = 0;
  std::vector<storage::LocationAppend> waiting_;
};

// A round trip, and all that the rebuilder does where it has something to do. False: something failed.
inline bool Round(HotViewFeeder& feeder) {
  if (!feeder.Step()) return false;
  while (true) {
    switch (feeder.RebuildStep()) {
      case HotViewFeeder::Rebuilding::kNone:
        return true;
      case HotViewFeeder::Rebuilding::kGoesOn:
        break;
      case HotViewFeeder::Rebuilding::kWaits:
        if (!feeder.Step()) return false;
        break;
      case HotViewFeeder::Rebuilding::kFailed:
        return false;
    }
  }
}

struct WorldOptions {
  SanityOptions sanity;
  IntakeOptions intake;
  IngestOptions ingest;
  HotViewOptions hot_view;
  StreamOptions streams;
};

struct World {
  explicit World(WorldOptions options = {})
      : front(options.sanity, 1'000),
        intake(options.intake),
        feeder(fleet, store, metrics, time, log, options.hot_view, [] {}),
        ingest(positions, feeder, intake, front, clocks, metrics, time, options.ingest),
        streams(ingest, metrics, time, time, options.streams) {}

  domain::DriverPosition At(const std::string& driver_id, int64_t millis = 0, double latitude = 52.5,
                            double longitude = 13.4) const {
    domain::DriverPosition position;
    position.driver_id = driver_id;
    position.point = {latitude, longitude};
    position.recorded_at = time.Now() + absl::Milliseconds(millis);
    return position;
  }
  bool Durable(const std::string& driver_id) {
    auto latest = store.Latest({driver_id});
    return latest.ok() && latest->front().has_value();
  }
  // A commit, and who waited for it.
  bool Commit(size_t place = 0, const absl::Status& status = absl::OkStatus()) {
    const bool some = positions.Commit(place, status);
    ingest.WakeWaiting();
    return some;
  }
  // A round trip of the feeder, and who waited for it.
  bool Publish() {
    const bool answered = Round(feeder);
    ingest.WakeWaiting();
    return answered;
  }
  double Metric(const std::string& name) const {
    for (const prometheus::MetricFamily& family : registry.Collect()) {
      if (family.name != name) continue;
      double sum = 0;
      for (const prometheus::ClientMetric& metric : family.metric) sum += metric.counter.value + metric.gauge.value;
      return sum;
    }
    return -1;
  }

  testing::ManualTime time;
  Logger log{LogFormat::kText, LogLevel::kOff, time};
  Metrics registry;
  IngestMetrics metrics{registry};
  storage::testing::FakeFleet fleet{time};
  storage::testing::FakeLocationStore store;
  PickingLog positions{store};
  ClockCheck clocks{time, log};
  DriverFront front;
  Intake intake;
  HotViewFeeder feeder;
  Ingest ingest;
  LocationStreams streams;
};

}  // namespace waybill::ingest
