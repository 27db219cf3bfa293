#include "services/ingest/location_stream.h"

#include <algorithm>
#include <string>
#include <utility>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"

namespace waybill::ingest {
namespace {

// One whose batch nobody answers, since the stream has ended first, does not look as if its points were durable.
struct BatchSpan {
  explicit BatchSpan(Span of) : span(std::move(of)) {}
  BatchSpan(BatchSpan&&) = default;
  BatchSpan& operator=(BatchSpan&&) = default;
  ~BatchSpan() { span.Fail("let go of before it was durable"); }

  Span span;
};

}  // namespace

void LocationStream::Open(std::shared_ptr<StreamPeer> peer) {
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    peer_ = std::move(peer);
    deeds = Next();
  }
  Do(std::move(deeds));
}

void LocationStream::OnBatch(int64_t sequence, std::vector<domain::DriverPosition> points) {
  absl::Status wrong;
  const size_t size = points.size();
  if (size == 0 || size > kPointsMax) wrong = domain::BadField("points", fmt::format("have to be 1 to {}", kPointsMax));
  std::unique_lock lock(mutex_);
  if (peer_ == nullptr || ended_) return;
  if (sequence <= last_sequence_) {
    wrong = domain::BadField("sequence", last_sequence_ == 0
                                             ? "has to be positive"
                                             : fmt::format("has to be above the last one, {}", last_sequence_));
  }
  if (!wrong.ok()) {
    Deeds deeds;
    FinishWith(wrong, deeds);
    lock.unlock();
    Do(std::move(deeds));
    return;
  }
  last_sequence_ = sequence;
  unacked_ += size;
  batches_.push_back({sequence, size, false, {}});
  if (options_.points_per_second > 0) {
    through_at_ = std::max(through_at_, streams_.clock_.Steady()) +
                  absl::Seconds(1) / options_.points_per_second * static_cast<int64_t>(size);
  }
  lock.unlock();

  // Without the lock: a report without a good point is answered at once, on this thread.
  Report report = ingest_.Check(
      std::move(points), sequence,
      [self = shared_from_this(), sequence, traced = BatchSpan{Trace(sequence, size)}](
          const absl::Status& status, std::vector<Rejection> rejected) mutable {
        if (!status.ok()) traced.span.Fail(std::string(status.message()));
        traced.span.Set("waybill.locations.rejected", static_cast<int64_t>(rejected.size()));
        traced.span.End();
        self->OnDurable(sequence, status, std::move(rejected));
      },
      writes_for_ == nullptr ? domain::DriverPatterns::All() : *writes_for_);
  const bool taken = ingest_.SubmitBehind(report);
  lock.lock();
  if (taken) reading_ = false;  // only now: until here nobody may ask for the next batch
  if (!taken && peer_ != nullptr) {
    parked_.emplace(std::move(report));
    parked_points_ = size;
    Account();
  }
  const bool wait = parked_.has_value();
  Deeds deeds = Next();
  lock.unlock();
  Do(std::move(deeds));
  if (!wait) return;
  AwaitRoom();
  streams_.Shed(*this);
}

Span LocationStream::Trace(int64_t sequence, size_t points) const {
  if (options_.tracer == nullptr) return {};
  Span span = options_.tracer->Enter("location batch", SpanKind::kConsumer, {});
  if (call_.valid()) span.Link(call_);
  span.Set("waybill.locations.sequence", sequence);
  span.Set("waybill.locations.points", static_cast<int64_t>(points));
  return span;
}

void LocationStream::AwaitRoom() {
  ingest_.AwaitRoom(this, [weak = weak_from_this()] {
    if (auto self = weak.lock()) self->SubmitParked();
  });
}

void LocationStream::SubmitParked() {
  std::optional<Report> report;
  {
    std::lock_guard lock(mutex_);
    report = std::exchange(parked_, std::nullopt);
  }
  if (!report) return;  // the stream is finished
  const bool taken = ingest_.SubmitInTurn(*report);
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    if (peer_ == nullptr) return;
    if (taken) {
      reading_ = false;
      parked_points_ = 0;
      Account();
    } else {
      parked_ = std::move(report);
    }
    deeds = Next();
  }
  Do(std::move(deeds));
  if (!taken) AwaitRoom();
}

void LocationStream::OnDurable(int64_t sequence, const absl::Status& status, std::vector<Rejection> rejected) {
  Deeds deeds;
  bool held = false;
  {
    std::lock_guard lock(mutex_);
    if (peer_ == nullptr) return;
    if (!status.ok()) {
      FinishWith(status, deeds);
    } else {
      auto batch = std::lower_bound(batches_.begin(), batches_.end(), sequence,
                                    [](const Batch& one, int64_t wanted) { return one.sequence < wanted; });
      batch->durable = true;
      batch->rejected = std::move(rejected);
      held = !batch->rejected.empty();
      if (held) {
        unread_ += batch->rejected.size();
        Account();
      }
      Merge(batch);
      deeds = Next();
    }
  }
  Do(std::move(deeds));
  if (held) streams_.Shed(*this);
}

void LocationStream::OnSent(bool ok, size_t points, size_t rejections) {
  WAYBILL_FAILPOINT("ingest.after_ack");
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (peer_ == nullptr) return;
    if (ok) {
      unacked_ -= points;
      if (rejections > 0) {
        unread_ -= rejections;
        Account(/*read=*/true);
      }
      deeds = Next();
    } else {
      FinishWith(absl::CancelledError("the client went away"), deeds);
    }
  }
  Do(std::move(deeds));
}

void LocationStream::OnEnd(const absl::Status& status) {
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    reading_ = false;
    if (peer_ == nullptr) return;
    ended_ = true;
    if (status.ok()) {
      deeds = Next();
    } else {
      FinishWith(status, deeds);
    }
  }
  Do(std::move(deeds));
}

void LocationStream::OnDrain() {
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    if (ended_) return;
    ended_ = true;  // also of a stream that is not open yet
    end_ = domain::ReasonError("SHUTTING_DOWN", "this process is draining");
    deeds = Next();
  }
  Do(std::move(deeds));
}

void LocationStream::OnTime() {
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    timed_ = false;
    deeds = Next();
  }
  Do(std::move(deeds));
}

void LocationStream::OnShed() {
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    if (peer_ == nullptr) return;
    deeds.abandon = writing_;
    FinishWith(domain::QueueFull("too much is held for clients that do not read their acks, or wait for the store",
                                 absl::Seconds(5)),
               deeds);
  }
  Do(std::move(deeds));
}

void LocationStream::Account(bool read) { streams_.Account(*this, unread_, parked_points_, read); }

void LocationStream::Merge(std::vector<Batch>::iterator batch) {
  auto swallow = [this](std::vector<Batch>::iterator one) {
    auto next = one + 1;
    one->sequence = next->sequence;
    one->points += next->points;
    if (one->rejected.empty()) {
      one->rejected = std::move(next->rejected);
    } else {
      std::move(next->rejected.begin(), next->rejected.end(), std::back_inserter(one->rejected));
    }
    batches_.erase(next);
  };
  if (batch + 1 != batches_.end() && (batch + 1)->durable) swallow(batch);
  if (batch != batches_.begin() && (batch - 1)->durable) swallow(batch - 1);
  ShrinkBatches();
}

// A client that does not read its acks keeps no room for those it once had under way.
void LocationStream::ShrinkBatches() {
  constexpr size_t kKept = 64;
  if (batches_.capacity() > kKept && batches_.size() < batches_.capacity() / 4) batches_.shrink_to_fit();
}

void LocationStream::OnGone() {
  Deeds deeds;
  {
    std::lock_guard lock(mutex_);
    if (peer_ == nullptr) return;
    FinishWith(absl::CancelledError("the client went away"), deeds);
  }
  Do(std::move(deeds));
}

LocationStream::Deeds LocationStream::Next() {
  Deeds deeds;
  if (peer_ == nullptr) return deeds;
  deeds.peer = peer_;
  if (!writing_ && !batches_.empty() && batches_.front().durable) {
    // One ack for all that is durable from the front on.
    auto end = std::find_if(batches_.begin(), batches_.end(), [](const Batch& batch) { return !batch.durable; });
    deeds.ack.emplace();
    for (auto batch = batches_.begin(); batch != end; ++batch) {
      deeds.ack->durable_sequence = batch->sequence;
      deeds.ack_points += batch->points;
      std::move(batch->rejected.begin(), batch->rejected.end(), std::back_inserter(deeds.ack->rejected));
    }
    batches_.erase(batches_.begin(), end);
    ShrinkBatches();
    writing_ = true;
  }
  if (ended_) {
    if (!writing_ && batches_.empty()) FinishWith(end_, deeds);  // what is parked is in batches_
    return deeds;
  }
  if (unacked_ >= options_.unacked_max) paused_ = true;
  if (unacked_ <= options_.unacked_max / 2) paused_ = false;
  if (!reading_ && !paused_ && options_.points_per_second > 0) {
    if (timed_) return deeds;
    const SteadyTime go_on = through_at_ - absl::Seconds(1);
    if (go_on > streams_.clock_.Steady()) {
      timed_ = true;
      deeds.timer = go_on;
      streams_.metrics_.StreamSlowed();
      return deeds;
    }
  }
  if (!reading_ && !paused_) {
    reading_ = true;
    deeds.read = true;
  }
  return deeds;
}

void LocationStream::FinishWith(absl::Status status, Deeds& deeds) {
  deeds.peer = std::move(peer_);
  peer_ = nullptr;
  deeds.finish = std::move(status);
  batches_.clear();
  if (parked_) ingest_.Forget(this);
  parked_.reset();
  streams_.Remove(*this);
}

void LocationStream::Do(Deeds deeds) {
  if (deeds.ack) {
    WAYBILL_FAILPOINT("ingest.before_ack");
    const size_t points = deeds.ack_points, rejections = deeds.ack->rejected.size();
    deeds.peer->Send(
        *deeds.ack, [self = shared_from_this(), points, rejections](bool ok) { self->OnSent(ok, points, rejections); });
  }
  if (deeds.read) deeds.peer->Read();
  if (deeds.timer) {
    streams_.scheduler_.At(*deeds.timer, [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->OnTime();
    });
  }
  if (deeds.finish) deeds.peer->Finish(*deeds.finish);
  if (deeds.abandon) deeds.peer->Abandon();
}

absl::StatusOr<std::shared_ptr<LocationStream>> LocationStreams::Make(DriversPtr writes_for, const TraceContext& call) {
  auto stream = std::make_shared<LocationStream>(ingest_, *this, options_, std::move(writes_for), call);
  std::lock_guard lock(mutex_);
  if (draining_) return domain::ReasonError("SHUTTING_DOWN", "this process is draining");
  if (open_.size() >= options_.streams_max) {
    return domain::QueueFull(fmt::format("{} streams are open", open_.size()), absl::Seconds(5));
  }
  stream->number = ++made_;
  open_.emplace(stream.get(), stream);
  metrics_.StreamOpened();
  return stream;
}

void LocationStreams::Remove(LocationStream& stream) {
  std::lock_guard lock(mutex_);
  if (open_.erase(&stream) > 0) metrics_.StreamClosed();
  AccountLocked(stream, 0, 0, false);
}

void LocationStreams::Account(LocationStream& stream, size_t unread, size_t parked, bool read) {
  std::lock_guard lock(mutex_);
  AccountLocked(stream, unread, parked, read);
}

void LocationStreams::AccountLocked(LocationStream& stream, size_t unread, size_t parked, bool read) {
  auto [entry, inserted] = holders_.try_emplace(&stream);
  Held& held = entry->second;
  if (held.unread == 0 && unread > 0) held.place = unread_.insert(unread_.end(), &stream);
  if (held.unread > 0 && unread == 0) unread_.erase(held.place);
  if (held.unread > 0 && unread > 0 && read) unread_.splice(unread_.end(), unread_, held.place);
  held_ += unread + parked - held.unread - held.parked;
  held.unread = unread;
  held.parked = parked;
  if (unread + parked == 0) holders_.erase(entry);
}

void LocationStreams::Shed(LocationStream& who) {
  while (true) {
    std::shared_ptr<LocationStream> stream;
    {
      std::lock_guard lock(mutex_);
      if (held_ <= options_.held_max) return;
      auto open = open_.find(unread_.empty() ? &who : unread_.front());
      if (open != open_.end()) stream = open->second.lock();
    }
    if (stream == nullptr) return;  // ended meanwhile
    metrics_.StreamShed();
    stream->OnShed();
  }
}

size_t LocationStreams::held() const {
  std::lock_guard lock(mutex_);
  return held_;
}

void LocationStreams::Drain() {
  std::vector<std::shared_ptr<LocationStream>> streams;
  {
    std::lock_guard lock(mutex_);
    draining_ = true;
    for (auto& [address, stream] : open_) {
      if (auto open = stream.lock()) streams.push_back(std::move(open));
    }
  }
  std::sort(streams.begin(), streams.end(), [](const auto& a, const auto& b) { return a->number < b->number; });
  for (auto& stream : streams) stream->OnDrain();
}

}  // namespace waybill::ingest
