// Streams moves to whoever watches: one loop reads the tail of the stream in Redis into a window, finds by an index
// whom each move concerns, and every watch that is concerned takes from the window at its own pace. The others cost
// nothing. A watch that resumes from afar, or was too slow for the window, reads Redis itself until it has caught up.
// No watch holds more than the events it is just sending.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/executor.h"
#include "services/ingest/ingest_metrics.h"
#include "storage/hot_view.h"

namespace waybill::ingest {

// Degrees. West above east: across the antimeridian.
struct BoundingBox {
  double south = -90;
  double west = -180;
  double north = 90;
  double east = 180;

  bool Holds(const domain::GeoPoint& point) const;
};

struct WatchFilter {
  absl::flat_hash_set<std::string> driver_ids;  // empty: all
  std::optional<BoundingBox> area;

  bool Wants(const domain::DriverPosition& position) const;
};

// Where a watch sends to. What a thread was just about to send when another finished the watch may come after Finish:
// then `sent` is called with false.
class WatchPeer {
 public:
  virtual ~WatchPeer() = default;
  // One at a time; `sent` is called once, on any thread. `gap`: events before these are missing. Neither events nor a
  // gap: a heartbeat. `reached`: the id up to which events were looked at.
  virtual void Send(const std::vector<storage::LocationEvent>& events, bool gap, const std::string& reached,
                    absl::AnyInvocable<void(bool ok)> sent) = 0;
  virtual void Finish(const absl::Status& status) = 0;  // once
};

struct WatchOptions {
  size_t watches_max = 1'000;                      // open at the same time; more are ended with QUEUE_FULL
  size_t drivers_max = 200'000;                    // named by all watches together; the same
  size_t window_max = 20'000;                      // events kept in memory for all watches
  int page_max = 500;                              // events looked at or sent at a time
  int pages_max = 20;                              // read by one Poll, lest heartbeats and the end wait for it
  absl::Duration poll = absl::Milliseconds(25);    // of the stream's tail
  absl::Duration retry = absl::Milliseconds(500);  // while Redis does not answer
  absl::Duration beat = absl::Seconds(10);  // a watch without events is sent a heartbeat after one to two of these
};

class LocationWatches {
 public:
  class Watch;

  // All outlive this. `workers` are for watches that are behind: they read page after page. Call Start, or Poll by
  // hand.
  LocationWatches(storage::HotView& view, Executor& workers, IngestMetrics& metrics, WatchOptions options)
      : view_(view), workers_(workers), metrics_(metrics), options_(options) {}
  ~LocationWatches() { Stop(); }

  void Start(const Loops& loops);
  // Ends every watch, and those to come, with SHUTTING_DOWN; joins.
  void Stop();

  // `resume_after` as in waybill/location/v1. Ends with BAD_REQUEST when it is no event's id.
  std::shared_ptr<Watch> Add(WatchFilter filter, std::string resume_after, std::shared_ptr<WatchPeer> peer);
  // The client went away.
  void Remove(const std::shared_ptr<Watch>& watch);

  // Reads what is new into the window and wakes the watches. False: Redis did not answer.
  bool Poll();
  // Sends a heartbeat to each watch that was sent nothing since the last call.
  void Beat();
  size_t size() const;

 private:
  using WatchPtr = std::shared_ptr<Watch>;
  using EventId = std::pair<uint64_t, uint64_t>;
  struct AddedBefore {
    bool operator()(const WatchPtr& one, const WatchPtr& other) const;
  };
  using Watches = std::set<WatchPtr, AddedBefore>;  // an order that does not depend on where they lie

  static EventId ParseId(const std::string& id);
  // Under mutex_: whom a move concerns.
  class Index {
   public:
    void Add(Watch& watch);
    void Remove(Watch& watch);
    void Stir(const domain::DriverPosition& position);
    size_t drivers() const { return drivers_; }

   private:
    absl::flat_hash_map<std::string, std::vector<Watch*>> by_driver_;
    std::vector<Watch*> by_area_;  // of any driver
    std::vector<Watch*> of_all_;
    size_t drivers_ = 0;  // named
  };

  std::optional<SteadyTime> TakeTurn(const Clock& clock);
  void Pump(const WatchPtr& watch);
  void CatchUp(const WatchPtr& watch);
  void CatchUpOnWorker(const WatchPtr& watch);
  void Deliver(const WatchPtr& watch, std::vector<storage::LocationEvent> events, bool gap);
  void Send(const WatchPtr& watch, const std::vector<storage::LocationEvent>& events, bool gap);
  void End(const WatchPtr& watch, const absl::Status& status);

  storage::HotView& view_;
  Executor& workers_;
  IngestMetrics& metrics_;
  const WatchOptions options_;

  mutable std::mutex mutex_;  // over the window, and over every watch's state
  bool stopping_ = false;
  uint64_t added_ = 0;
  Watches watches_;
  Index index_;
  std::string tail_;            // id of the newest event read; empty: none yet
  uint64_t losses_ = 0;         // how often the tail was found to be gone
  EventId window_start_{0, 0};  // the window holds every event after this one, up to the tail
  std::deque<std::pair<EventId, storage::LocationEvent>> window_;
  SteadyTime next_poll_ = SteadyTime::InfinitePast();  // the loop's, as is
  SteadyTime next_beat_ = SteadyTime::InfinitePast();
  std::unique_ptr<Loop> loop_;  // once started
};

}  // namespace waybill::ingest
