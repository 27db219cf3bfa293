// Carries durable positions into the hot view, behind the acks: a loop of its own takes whatever became durable while
// its last round trip ran, and publishes all moves and each driver's newest position in one pipeline.
//
// While Redis is away nothing waits for it: the latest moves are kept, up to a limit, and the rest is dropped, for
// history has them all.
//
// At the start, and when the view may lack something, it is rebuilt from history, part by part, by a second loop that
// reads. Publishing does not wait for that: the parts go out beside what is new.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/log.h"
#include "services/ingest/ingest_metrics.h"
#include "services/ingest/recent_drivers.h"
#include "storage/hot_view.h"
#include "storage/location_log.h"

namespace waybill::ingest {

struct HotViewOptions {
  absl::Duration fresh_for = absl::Minutes(2);    // how long after recorded_at a position is in the view, or a move
  size_t backlog_max = 20'000;                    // positions waiting; more slow the streams, or are dropped while away
  size_t update_max = 4'000;                      // positions a round trip, about
  size_t drivers_max = 200'000;                   // whose place in the view is kept in mind
  absl::Duration check_every = absl::Seconds(1);  // while nothing moves: is the view still there?
  absl::Duration retry = absl::Milliseconds(200);  // between tries while Redis is away
  int part_max = 1'000;                            // drivers in a part of a rebuild; less after a part was too slow
  absl::Duration part_retry = absl::Milliseconds(200);  // after a part could not be read; doubled up to part_retry_max
  absl::Duration part_retry_max = absl::Seconds(5);
};

class HotViewFeeder {
 public:
  // All outlive this. Call Start, or Step and RebuildStep by hand. `on_room` is called by the feeder's loop after
  // each round trip.
  HotViewFeeder(storage::HotView& view, storage::LocationHistory& history, IngestMetrics& metrics, const Clock& clock,
                const Logger& log, HotViewOptions options, std::function<void()> on_room);
  ~HotViewFeeder() { Stop(); }

  void Start(const Loops& loops);
  // Publishes what waits, if Redis takes it; then joins its loops.
  void Stop();

  // These positions are durable. Never waits.
  void Add(std::vector<storage::Location> durable);
  // Whoever brings new points had better wait: Redis takes them, but not that fast.
  bool Congested() const;
  // The view lacks what it should have, or may.
  bool stale() const;
  size_t backlog() const;

  // One round: takes what waits and publishes it, or looks whether the view is there. False: Redis did not answer.
  bool Step();

  enum class Rebuilding {
    kNone,    // there is nothing to rebuild
    kWaits,   // for the part that was read to be published, or for Redis
    kGoesOn,  // something was done: call again
    kFailed,  // try again after a pause
  };
  // Reads the next part from history. One loop's, as Step is another's.
  Rebuilding RebuildStep();

 private:
  struct Waiting {
    std::vector<storage::Location> locations;
    SteadyTime since;
  };
  // Where the view had a driver when this process first had a point of his.
  struct Floor {
    int64_t recorded_us = INT64_MIN;
    int64_t seen_us = INT64_MIN;  // when this process last had one
  };

  std::optional<SteadyTime> FeedTurn(const Clock& clock);
  std::optional<SteadyTime> RebuildTurn(const Clock& clock);
  void WakeRebuild() {
    if (rebuilder_) rebuilder_->Wake();
  }
  // `marked`: the view had been marked as rebuilt before this began.
  bool Publish(std::vector<Waiting> batch, std::vector<domain::DriverPosition> part, bool marked);
  absl::StatusOr<std::vector<const storage::Location*>> FindMoves(const std::vector<Waiting>& batch, absl::Time now);
  storage::HotUpdate Merge(const std::vector<const storage::Location*>& moves, std::vector<domain::DriverPosition> part,
                           absl::Time now) const;
  bool Live(const storage::Location& location, absl::Time now) const;
  bool Failed(const absl::Status& status, std::vector<Waiting> batch);
  Rebuilding RebuildFailed(const absl::Status& status, bool anew);
  void Rebuilt();
  void Complain(const absl::Status& status);
  void ShowStale() const;

  storage::HotView& view_;
  storage::LocationHistory& history_;
  IngestMetrics& metrics_;
  const Clock& clock_;
  const Logger log_;
  const HotViewOptions options_;
  const std::function<void()> on_room_;

  mutable std::mutex mutex_;  // over these
  std::deque<Waiting> waiting_;
  size_t backlog_ = 0;  // positions in waiting_
  bool away_ = true;    // Redis did not answer; until the first answer says otherwise
  bool whole_ = false;  // the view lacks nothing that this process knows of
  bool wanted_ = true;  // a rebuild is to begin, anew if one is under way: every start looks what died with the last
  bool rebuilding_ = false;
  bool marked_ = false;  // all was published and marked; the next round trip is to see it
  bool complained_ = false;
  bool stopping_ = false;
  std::optional<std::vector<domain::DriverPosition>> part_;  // read, and not published yet

  RecentDrivers<Floor> floors_;  // Step's

  // RebuildStep's, of the rebuild under way; read by others only while it waits.
  storage::NewestQuery query_;
  bool read_all_ = false;
  size_t restored_ = 0;  // positions
  SteadyTime began_;

  // The loops', and what they wait for.
  bool answered_ = true;                               // FeedTurn's: the last Step was
  SteadyTime look_at_ = SteadyTime::InfinitePast();    // FeedTurn's: the next Step, if nothing moves
  absl::Duration part_pause_ = options_.part_retry;    // RebuildTurn's, after a part that failed
  SteadyTime next_part_ = SteadyTime::InfinitePast();  // RebuildTurn's, not before then
  std::unique_ptr<Loop> feeder_;                       // once started, as is the other
  std::unique_ptr<Loop> rebuilder_;
};

}  // namespace waybill::ingest
