// Carries durable positions into the hot view, behind the acks: a thread of its own takes whatever became durable while
// its last round trip ran, and publishes all moves and each driver's newest position in one pipeline.
//
// While Redis is away nothing waits for it: the latest moves are kept, up to a limit, and the rest is dropped, for
// history has them all. At the start, and when Redis is back or was found empty, the view is rebuilt from history
// first.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/log.h"
#include "services/ingest/ingest_metrics.h"
#include "storage/hot_view.h"
#include "storage/location_log.h"

namespace waybill::ingest {

struct HotViewOptions {
  absl::Duration fresh_for = absl::Minutes(2);  // how long after recorded_at a position is in the view
  size_t backlog_max = 20'000;                  // positions waiting; more slow the streams, or are dropped while stale
  size_t update_max = 4'000;                    // positions a round trip, about
  absl::Duration check_every = absl::Seconds(1);         // while nothing moves: is the view still there?
  absl::Duration rebuild_retry_max = absl::Seconds(10);  // pause after failed rebuilds, doubled from `retry`
  absl::Duration retry = absl::Milliseconds(200);        // between tries while Redis is away
};

class HotViewFeeder {
 public:
  // All outlive this. Call Start, or Step by hand. `on_room` is called by the feeder's thread after each round trip.
  HotViewFeeder(storage::HotView& view, storage::LocationHistory& history, IngestMetrics& metrics, const Clock& clock,
                const Logger& log, HotViewOptions options, std::function<void()> on_room);
  ~HotViewFeeder() { Stop(); }

  void Start();
  // Publishes what waits, if Redis takes it; then joins.
  void Stop();

  // These positions are durable. Never waits.
  void Add(std::vector<storage::Location> durable);
  // Whoever brings new points had better wait: Redis takes them, but not that fast.
  bool Congested() const;
  // The view lacks what it should have.
  bool stale() const;
  size_t backlog() const;

  // One round: takes what waits and publishes it, or looks whether the view is there; rebuilds it where needed. False:
  // Redis did not answer.
  bool Step();

 private:
  struct Waiting {
    std::vector<storage::Location> locations;
    SteadyTime since;
  };

  void Run();
  bool Publish(std::vector<Waiting> batch);
  // Under mutex_: what comes during a rebuild waits for it, instead of being dropped and made good by the next one. But
  // a rebuild that has failed holds up nobody any more.
  bool Holding() const { return rebuilding_ && failed_rebuilds_ == 0; }
  bool Rebuild();
  bool Failed(const absl::Status& status, std::vector<Waiting> batch);
  void SetStale(bool stale);
  storage::HotUpdate Merge(std::vector<Waiting>& batch) const;

  storage::HotView& view_;
  storage::LocationHistory& history_;
  IngestMetrics& metrics_;
  const Clock& clock_;
  const Logger& log_;
  const HotViewOptions options_;
  const std::function<void()> on_room_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Waiting> waiting_;
  size_t backlog_ = 0;    // positions in waiting_
  bool stale_ = true;     // until the first answer says otherwise
  bool dropped_ = false;  // since the last rebuilding began
  bool stopping_ = false;
  bool rebuilding_ = false;  // from the reading of history on
  int failed_rebuilds_ = 0;  // in a row, and not because Redis was away
  // These two are Step's. A process that died may have left positions in history that are not in the view, although the
  // view is there: every start looks.
  bool rebuild_ = true;
  bool complained_ = false;
  std::thread thread_;
};

}  // namespace waybill::ingest
