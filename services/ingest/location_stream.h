// One StreamLocations call: batches in, acks out, and no more in between than a bounded number of points. Knows no
// gRPC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "domain/access.h"
#include "domain/driver.h"
#include "runtime/clock.h"
#include "runtime/scheduler.h"
#include "runtime/trace.h"
#include "services/ingest/ingest.h"

namespace waybill::ingest {

inline constexpr int kPointsMax = 1'000;  // of one batch or report

struct Ack {
  int64_t durable_sequence = 0;
  std::vector<Rejection> rejected;
};

// The client's side of the stream. Every function may be called from any thread; what another thread was just about to
// ask for when the stream was finished, may come after Finish and is nothing then (`sent` is still called).
class StreamPeer {
 public:
  virtual ~StreamPeer() = default;
  virtual void Read() = 0;  // asks for the next batch
  // One at a time; `sent` is called once, on any thread.
  virtual void Send(const Ack& ack, absl::AnyInvocable<void(bool ok)> sent) = 0;
  virtual void Finish(const absl::Status& status) = 0;  // once
  // Gives up what is being sent, after Finish: the client does not read it, so the status does not reach it either.
  virtual void Abandon() = 0;
};

struct StreamOptions {
  // Points a client may have sent whose ack it has not been handed. At the limit it is not read from; reading goes on
  // at half. So a client that never reads its acks holds that much and no more.
  size_t unacked_max = 5'000;
  // Points a second that a stream may send, after as many at once; beyond, it is not read from. 0: as many as it likes.
  int64_t points_per_second = 0;
  size_t streams_max = 20'000;  // open at the same time
  // Of all streams together: points that are parked, and rejections in acks that were not handed over. Beyond, the
  // stream that has not read such an ack for longest is ended; when there is none, the one that would park.
  size_t held_max = 200'000;
  // Each batch is a trace of its own, from its arrival until it is durable, linked to its call: streams live for hours.
  // Outlives them; null: batches are not traced.
  Tracer* tracer = nullptr;
};

class LocationStreams;
using DriversPtr = std::shared_ptr<const domain::DriverPatterns>;

// Owned by whoever may still call it; lets go of the peer when the stream is finished. Thread-safe.
class LocationStream final : public std::enable_shared_from_this<LocationStream> {
 public:
  // `writes_for`: of whose drivers' points it takes; null: of all. `call` may be invalid.
  LocationStream(Ingest& ingest, LocationStreams& streams, StreamOptions options, DriversPtr writes_for,
                 TraceContext call)
      : ingest_(ingest),
        streams_(streams),
        options_(options),
        writes_for_(std::move(writes_for)),
        call_(std::move(call)) {}

  uint64_t number = 0;  // in the order they were made; set by whoever makes it

  void Open(std::shared_ptr<StreamPeer> peer);
  // A batch that was asked for. Ends the stream when it breaks the protocol.
  void OnBatch(int64_t sequence, std::vector<domain::DriverPosition> points);
  // No batch comes any more. OK: the client is done, and gets its last ack; otherwise what it sent was no batch.
  void OnEnd(const absl::Status& status);
  void OnGone();  // the client went away
  // Too much is held for all streams, for this one longest.
  void OnShed();
  void OnTime();  // points_per_second lets it go on
  // The server goes: what was read is made durable and acked, then the client is sent elsewhere with SHUTTING_DOWN.
  void OnDrain();
  // Batches whose ack was not handed over; those that are durable one after the other count as one.
  size_t pending() const {
    std::lock_guard lock(mutex_);
    return batches_.size();
  }

 private:
  struct Batch {
    int64_t sequence;  // of several that were merged, the last
    size_t points;
    bool durable = false;
    std::vector<Rejection> rejected;
  };
  // What is to be done once the lock is released.
  struct Deeds {
    std::shared_ptr<StreamPeer> peer;
    bool read = false;
    std::optional<Ack> ack;
    std::optional<SteadyTime> timer;
    size_t ack_points = 0;
    std::optional<absl::Status> finish;
    bool abandon = false;
  };

  Span Trace(int64_t sequence, size_t points) const;
  void OnDurable(int64_t sequence, const absl::Status& status, std::vector<Rejection> rejected);
  void OnSent(bool ok, size_t points, size_t rejections);
  void AwaitRoom();
  void SubmitParked();
  // Under mutex_: what the state asks for.
  Deeds Next();
  void FinishWith(absl::Status status, Deeds& deeds);
  void Do(Deeds deeds);

  // Under mutex_: how much is held now. `read`: an ack with rejections was just taken.
  void Account(bool read = false);
  // Under mutex_: durable batches beside each other are acked together, and so kept together.
  void Merge(std::vector<Batch>::iterator batch);
  void ShrinkBatches();

  Ingest& ingest_;
  LocationStreams& streams_;
  const StreamOptions options_;
  const DriversPtr writes_for_;
  const TraceContext call_;

  mutable std::mutex mutex_;          // over all of these
  std::shared_ptr<StreamPeer> peer_;  // none: not open, or finished
  std::vector<Batch> batches_;        // sent by the client and not yet in an ack, in the order of their sequences
  std::optional<Report> parked_;      // waits for room; reading_ meanwhile
  int64_t last_sequence_ = 0;
  size_t unacked_ = 0;  // points
  size_t unread_ = 0;   // rejections, those that are being sent included
  size_t parked_points_ = 0;
  bool reading_ = false;  // a batch was asked for, is being taken or is parked
  bool paused_ = false;   // by unacked_max
  // By points_per_second: what was sent is through at that rate (GCRA's theoretical arrival time, one for each stream
  // and by this process's clock). While it is more than a second ahead, a timer says when to go on.
  SteadyTime through_at_ = SteadyTime::InfinitePast();
  bool timed_ = false;
  bool writing_ = false;
  bool ended_ = false;  // nothing is read any more: all that is left is to ack
  absl::Status end_;    // and to finish with this
};

// The streams that are open. Thread-safe.
class LocationStreams {
 public:
  // All outlive this, and this outlives every stream.
  LocationStreams(Ingest& ingest, IngestMetrics& metrics, const Clock& clock, Scheduler& scheduler,
                  StreamOptions options)
      : ingest_(ingest), metrics_(metrics), clock_(clock), scheduler_(scheduler), options_(options) {}

  // QUEUE_FULL when `streams_max` are open, SHUTTING_DOWN while draining.
  absl::StatusOr<std::shared_ptr<LocationStream>> Make(DriversPtr writes_for = nullptr, const TraceContext& call = {});
  // Drains every stream.
  void Drain();
  size_t held() const;  // see StreamOptions::held_max

 private:
  friend class LocationStream;
  struct Held {
    size_t unread = 0;
    size_t parked = 0;
    std::list<LocationStream*>::iterator place;  // in unread_, while it holds rejections
  };

  void Remove(LocationStream& stream);
  void Account(LocationStream& stream, size_t unread, size_t parked, bool read);
  void AccountLocked(LocationStream& stream, size_t unread, size_t parked, bool read);
  // While too much is held: ends streams. Without a lock.
  void Shed(LocationStream& who);

  Ingest& ingest_;
  IngestMetrics& metrics_;
  const Clock& clock_;
  Scheduler& scheduler_;
  const StreamOptions options_;
  mutable std::mutex mutex_;
  bool draining_ = false;
  uint64_t made_ = 0;
  absl::flat_hash_map<LocationStream*, std::weak_ptr<LocationStream>> open_;
  size_t held_ = 0;
  absl::flat_hash_map<LocationStream*, Held> holders_;
  std::list<LocationStream*> unread_;  // those that hold rejections; whose client has not read one for longest, first
};

}  // namespace waybill::ingest
