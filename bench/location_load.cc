#include "bench/location_load.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <string_view>
#include <thread>

#include "bench/grpc_names.h"
#include "fmt/format.h"
#include "waybill/location/v1/location.grpc.pb.h"

namespace waybill::bench {
namespace {

namespace v1 = ::waybill::location::v1;

// Messages are encoded by LocationMessage, not by protobuf.
using Call = grpc::ClientAsyncReaderWriter<grpc::ByteBuffer, v1::LocationAck>;
using Stub = grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::LocationAck>;

constexpr char kMethod[] = "/waybill.location.v1.LocationService/StreamLocations";
constexpr absl::Duration kControlInterval = absl::Milliseconds(50);

}  // namespace

struct LocationLoad::Window {
  absl::Duration opened;  // when Run was called
  absl::Duration start;
  absl::Duration end;
  bool Holds(absl::Duration instant) const { return instant >= start && instant < end; }
};

// One stream. Its operations complete on its worker's thread; the pacing thread and the one that called Run reach in.
class LocationLoad::Stream {
 public:
  enum class Step { kOpened, kWritten, kRead, kClosed, kFinished };
  struct Tag {
    Stream* stream;
    Step step;
  };

  Stream(LocationLoad& load, const Window& window, Stub& stub, grpc::CompletionQueue& queue, int64_t first_driver)
      : load_(load),
        options_(load.options_),
        window_(window),
        message_(options_.run, first_driver, options_.drivers, options_.points, absl::ToUnixMicros(options_.epoch)),
        call_((options_.pass.Show(context_), stub.PrepareCall(&context_, kMethod, &queue))) {}

  void Open() { call_->StartCall(&opened_tag_); }

  // Closed loop: fills the window for the first time.
  void Begin(absl::Duration now) {
    std::lock_guard lock(mutex_);
    begun_ = true;
    SendNext(now);
    Settle();
  }

  // Open loop: one more message is due, or was.
  void Due(absl::Duration due) {
    std::lock_guard lock(mutex_);
    due_.push_back(due);
    SendNext(load_.timer_.Now());
    Settle();
  }

  // Ends the stream, once what was sent has been acked.
  void Close() {
    std::lock_guard lock(mutex_);
    if (finishing_ || writing_) return;
    call_->WritesDone(&closed_tag_);
    ++pending_;
  }

  void Cancel() { context_.TryCancel(); }

  // On the worker's thread. `latency`: the worker's.
  void Complete(Step step, bool ok, absl::Duration now, Histogram& latency) {
    std::lock_guard lock(mutex_);
    switch (step) {
      case Step::kOpened:
        opened_ = true;
        load_.Count(-1, 0, 0);
        if (ok) {
          Read();
          SendNext(now);
        } else {
          Finish();
        }
        break;
      case Step::kWritten:
        writing_ = false;
        --pending_;
        if (ok) SendNext(now);
        break;
      case Step::kRead:
        --pending_;
        if (!ok) {
          Finish();
          break;
        }
        Acked(now, latency);
        Read();
        SendNext(now);
        break;
      case Step::kClosed:
        --pending_;
        break;
      case Step::kFinished:
        finished_ = true;
        break;
    }
    Settle();
    if (finished_ && pending_ == 0 && !ended_) {
      ended_ = true;
      if (Outcome() != "OK") load_.broken_.fetch_add(1, std::memory_order_relaxed);
      load_.Count(0, 0, -1);
    }
  }

  // After its end.
  void AddTo(LocationLoadResult& result) const {
    ++result.streams[Outcome()];
    result.broken += Outcome() != "OK";
    result.messages += messages_;
    result.points += messages_ * options_.points;
    result.unacked += Unacked();
    result.rejected += rejected_;
    result.acks += acks_;
    result.drivers.insert(result.drivers.end(), message_.tallies().begin(), message_.tallies().end());
  }

 private:
  bool OpenLoop() const { return options_.rate > 0; }
  int64_t Unacked() const { return static_cast<int64_t>(sent_.size() + due_.size()); }

  // How many messages may go out at once, from here on.
  int64_t Sendable() const {
    if (OpenLoop()) return static_cast<int64_t>(due_.size());
    // What was written for the next one to take along has to be followed by one, even when the run is being stopped.
    if (!begun_ || (load_.stopped_.load(std::memory_order_relaxed) && !held_back_)) return 0;
    return std::min(options_.messages_max - (next_ - LocationMessage::kFirstSequence),
                    options_.window - static_cast<int64_t>(sent_.size()));
  }

  void SendNext(absl::Duration now) {
    // gRPC aborts the process over a write to a stream that has failed to open, before it tells that it has.
    if (!opened_ || writing_ || finishing_) return;
    const int64_t sendable = Sendable();
    if (sendable <= 0) return;
    absl::Duration since = now;
    if (OpenLoop()) {
      since = due_.front();
      due_.pop_front();
    }
    const int64_t time_of_day = absl::ToUnixMicros(options_.epoch + (now - window_.opened));
    const std::string_view bytes = message_.Next(next_++, time_of_day);
    sent_.push_back(since);
    const grpc::Slice slice(bytes.data(), bytes.size());
    // Messages that follow one another share packets and system calls.
    held_back_ = sendable > 1;
    grpc::WriteOptions how;
    if (held_back_) how.set_buffer_hint();
    writing_ = true;
    ++pending_;
    call_->Write(grpc::ByteBuffer(&slice, 1), how, &written_tag_);
  }

  void Read() {
    call_->Read(&ack_, &read_tag_);
    ++pending_;
  }

  void Finish() {
    finishing_ = true;
    call_->Finish(&status_, &finished_tag_);
  }

  void Acked(absl::Duration now, Histogram& latency) {
    ++acks_;
    rejected_ += ack_.rejected_size();
    const int64_t first = next_ - static_cast<int64_t>(sent_.size());
    const bool nothing_yet = ack_.durable_sequence() == 0 && first == LocationMessage::kFirstSequence;
    if (!nothing_yet && (ack_.durable_sequence() < first - 1 || ack_.durable_sequence() >= next_)) {
      senseless_ = true;
      context_.TryCancel();
      return;
    }
    int64_t acked = 0;
    for (int64_t sequence = first; sequence <= ack_.durable_sequence(); ++sequence, ++acked) {
      const absl::Duration since = sent_.front();
      sent_.pop_front();
      if (window_.Holds(OpenLoop() ? since : now)) latency.Record(now - since);
    }
    messages_ += acked;
    load_.points_.fetch_add(acked * options_.points, std::memory_order_relaxed);
  }

  // Tells the load when the stream becomes busy, or is so no longer.
  void Settle() {
    const bool busy = !finishing_ && (writing_ || Unacked() > 0 || (!OpenLoop() && Sendable() > 0));
    if (busy != busy_) load_.Count(0, busy ? 1 : -1, 0);
    busy_ = busy;
  }

  std::string Outcome() const {
    if (senseless_) return "an ack of what was not sent, or was acked before";
    if (!status_.ok()) {
      return fmt::format("{} {}", CodeName(status_.error_code()), status_.error_message());
    }
    return Unacked() > 0 ? "OK, but without the last acks" : "OK";
  }

  LocationLoad& load_;
  const LocationLoadOptions& options_;
  const Window& window_;
  Tag opened_tag_{this, Step::kOpened}, written_tag_{this, Step::kWritten}, read_tag_{this, Step::kRead},
      closed_tag_{this, Step::kClosed}, finished_tag_{this, Step::kFinished};

  std::mutex mutex_;  // guards all that follows
  LocationMessage message_;
  grpc::ClientContext context_;
  std::unique_ptr<Call> call_;
  v1::LocationAck ack_;
  grpc::Status status_;
  bool opened_ = false;
  bool begun_ = false;
  bool writing_ = false;
  bool held_back_ = false;  // the last message waits for the next in gRPC's buffer
  bool finishing_ = false;  // nothing more can be sent or read
  bool finished_ = false;
  bool ended_ = false;  // no operation is left
  bool busy_ = false;
  bool senseless_ = false;
  int pending_ = 0;  // reads, writes and closes under way
  int64_t next_ = LocationMessage::kFirstSequence;
  std::deque<absl::Duration> sent_;  // when each unacked message was, or was due
  std::deque<absl::Duration> due_;   // open loop: not yet sent
  int64_t messages_ = 0;
  int64_t rejected_ = 0;
  int64_t acks_ = 0;
};

// A completion queue, the thread that serves it, and its share of the connections and streams.
class LocationLoad::Worker {
 public:
  explicit Worker(LocationLoad& load) : load_(load) {
    thread_ = std::thread([this] { Complete(); });
  }

  void Connect() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // or all channels would share one connection
    channels_.push_back(grpc::CreateCustomChannel(load_.options_.target, load_.options_.pass.credentials, arguments));
    stubs_.push_back(std::make_unique<Stub>(channels_.back()));
    // A server that cannot be reached shows in how the streams end.
    channels_.back()->WaitForConnected(std::chrono::system_clock::now() +
                                       absl::ToChronoMilliseconds(load_.options_.connect_timeout));
  }

  Stream& Add(const Window& window, int64_t first_driver) {
    Stub& stub = *stubs_[streams_.size() % stubs_.size()];
    streams_.push_back(std::make_unique<Stream>(load_, window, stub, queue_, first_driver));
    return *streams_.back();
  }

  // After the end of every stream.
  void FinishInto(LocationLoadResult& result) {
    queue_.Shutdown();
    thread_.join();
    for (const auto& stream : streams_) stream->AddTo(result);
    result.latency.Merge(latency_);
  }

 private:
  void Complete() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
      const auto [stream, step] = *static_cast<const Stream::Tag*>(tag);
      stream->Complete(step, ok, load_.timer_.Now(), latency_);
    }
  }

  LocationLoad& load_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<Stub>> stubs_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Stream>> streams_;
  Histogram latency_;  // thread_'s until it is joined
  std::thread thread_;
};

void LocationLoad::Count(int unopened, int busy, int open) {
  std::lock_guard lock(mutex_);
  standing_.unopened += unopened;
  standing_.busy += busy;
  standing_.open += open;
  changed_.notify_one();
}

bool LocationLoad::Await(const std::function<bool(const Standing&)>& reached, absl::Duration timeout) {
  const auto is_reached = [&] { return reached(standing_); };
  std::unique_lock lock(mutex_);
  if (timeout != absl::InfiniteDuration()) {
    return changed_.wait_for(lock, absl::ToChronoMilliseconds(timeout), is_reached);
  }
  changed_.wait(lock, is_reached);
  return true;
}

void LocationLoadResult::Merge(const LocationLoadResult& round) {
  for (const auto& [ended, count] : round.streams) streams[ended] += count;
  broken += round.broken;
  messages += round.messages;
  points += round.points;
  unacked += round.unacked;
  rejected += round.rejected;
  acks += round.acks;
  latency.Merge(round.latency);
  window += round.window;
}

LocationLoadResult LocationLoad::Run(const Hooks& hooks) {
  const int connections = std::clamp(options_.connections, 1, options_.streams);
  const int threads = std::clamp(options_.threads, 1, connections);
  Window window;
  window.opened = timer_.Now();
  window.start = window.end = absl::InfiniteDuration();
  std::vector<std::unique_ptr<Worker>> workers;
  for (int i = 0; i < threads; ++i) workers.push_back(std::make_unique<Worker>(*this));
  for (int i = 0; i < connections; ++i) workers[static_cast<size_t>(i % threads)]->Connect();
  std::vector<Stream*> streams;
  for (int i = 0; i < options_.streams; ++i) {
    streams.push_back(&workers[static_cast<size_t>(i % threads)]->Add(window, int64_t{i} * options_.drivers));
  }
  Count(options_.streams, 0, options_.streams);
  for (Stream* stream : streams) stream->Open();
  // Streams that do not open in time may still do, or show as broken.
  Await([](const Standing& standing) { return standing.unopened == 0; }, options_.connect_timeout);

  // The clock starts once the streams stand.
  const absl::Duration start = timer_.Now();
  window.start = start + options_.warm_up;
  window.end = window.start + options_.duration;
  std::atomic<bool> paced{false};
  std::thread pacing;
  if (options_.rate > 0) {
    pacing = std::thread([&] {
      Pacer pacer(timer_, start, options_.rate);
      for (int64_t i = 0; i / options_.streams < options_.messages_max && !stopped_; ++i) {
        const absl::Duration due = pacer.Next();
        if (due >= window.end || stopped_) break;
        streams[static_cast<size_t>(i % options_.streams)]->Due(due);
      }
      paced = true;
    });
  } else {
    for (Stream* stream : streams) stream->Begin(timer_.Now());
  }

  const auto nothing_left = [&] {
    std::lock_guard lock(mutex_);
    return standing_.open == 0 || (pacing.joinable() ? paced.load() : standing_.busy == 0);
  };
  absl::Duration next_progress = start + absl::Seconds(1);
  bool in_window = false;
  for (absl::Duration now = start; now < window.end && !stopped_ && !nothing_left(); now = timer_.Now()) {
    if (!in_window && now >= window.start) {
      in_window = true;
      hooks.window_starts();
    }
    if (now >= next_progress) {
      hooks.progress(now - start, points_, broken_);
      next_progress += absl::Seconds(1);
    }
    timer_.SleepUntil(std::min({now + kControlInterval, window.end, in_window ? window.end : window.start}));
  }
  if (in_window) hooks.window_ends();
  LocationLoadResult result;
  result.points_a_message = options_.points;
  result.window = std::max(absl::ZeroDuration(), std::min(timer_.Now(), window.end) - window.start);

  if (pacing.joinable()) pacing.join();
  stopped_ = true;
  if (Await([](const Standing& standing) { return standing.busy == 0; }, options_.drain_timeout)) {
    hooks.drained();
    for (Stream* stream : streams) stream->Close();
  } else {
    for (Stream* stream : streams) stream->Cancel();
  }
  const auto all_ended = [](const Standing& standing) { return standing.open == 0; };
  if (!Await(all_ended, options_.drain_timeout)) {
    for (Stream* stream : streams) stream->Cancel();
    Await(all_ended, absl::InfiniteDuration());
  }
  for (auto& worker : workers) worker->FinishInto(result);
  return result;
}

}  // namespace waybill::bench
