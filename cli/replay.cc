#include "cli/replay.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "cli/interrupts.h"
#include "cli/position.h"
#include "cli/remote.h"
#include "fmt/format.h"

namespace waybill::cli {
namespace {

namespace location_v1 = waybill::location::v1;

constexpr size_t kFirstRejected = 3;
// How long an interrupted replay waits for the acks of what it has sent.
constexpr absl::Duration kLastAcks = absl::Seconds(5);
// How often waits look up, for a signal and for what has come due.
constexpr absl::Duration kTick = absl::Milliseconds(50);

std::string ReasonName(location_v1::RejectReason reason) {
  return location_v1::RejectReason_IsValid(reason) ? location_v1::RejectReason_Name(reason)
                                                   : fmt::format("REASON_{}", static_cast<int>(reason));
}

absl::Status Interrupted() { return absl::CancelledError("interrupted before everything that was sent was acked"); }

// "12,345"
std::string Grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3; text.insert(at, ",")) at -= 3;
  return text;
}

}  // namespace

Replay::Replay(const Context& context, tracks::TrackReader& reader, ReplayOptions options)
    : context_(context), reader_(reader), options_(std::move(options)), number_(options_.done) {}

absl::Status Replay::Run() {
  absl::StatusOr<Retrier> retrier = context_.MakeRetrier(absl::InfiniteDuration(), Interrupts::SleepUnlessSeen);
  if (!retrier.ok()) return retrier.status();
  Interrupts interrupts;
  started_ = progress_shown_ = context_.clock.Steady();
  const SteadyTime deadline = context_.bounded() ? started_ + retrier->timeout() : SteadyTime::InfiniteFuture();
  absl::Status status, broken;
  {
    // A file without a point, or that is no track file, is none of the service's business.
    Lock lock(mutex_);
    Fill();
    if (exhausted_ && window_.empty()) return read_error_;
  }
  bool through = false;
  while (!through) {
    // A stream that got something acked is no failed try: the next one starts with a fresh budget.
    status = retrier->Run([&](SteadyTime) {
      broken = Interrupts::Seen() ? Interrupted() : Stream(deadline);  // during the pause
      through = Interrupts::Seen() || !IsRetryable(broken);
      if (through) return absl::OkStatus();
      ++report_.reconnects;
      return moved_ ? absl::OkStatus() : broken;
    });
    if (through) status = broken;
    through = through || !status.ok();
  }
  ClearProgress();
  report_.interrupted = Interrupts::Seen();
  report_.took = context_.clock.Steady() - started_;
  if (!state_error_.ok()) {
    context_.Note(fmt::format("{}: an interrupted replay would begin anew", std::string(state_error_.message())));
  }
  if (!status.ok()) return Interrupts::Seen() && window_.empty() ? absl::OkStatus() : status;
  return read_error_;
}

absl::Status Replay::Stream(SteadyTime deadline) {
  auto stub = location_v1::LocationService::NewStub(
      rpc::MakeChannel(context_.ingest, rpc::Pings::kOften, context_.credentials()));
  grpc::ClientContext call;
  Prepare(call, context_, deadline);
  auto stream = stub->StreamLocations(&call);
  {
    Lock lock(mutex_);
    stream_ended_ = moved_ = false;
    sent_ = next_sequence_ - static_cast<int64_t>(window_.size()) - 1;
  }
  std::thread acks([&] {
    location_v1::LocationAck ack;
    while (stream->Read(&ack)) OnAck(ack);
    Lock lock(mutex_);
    stream_ended_ = true;
    changed_.notify_all();
  });
  // On a thread of its own: a service that does not read holds it up, and Ctrl-C is to be seen all the same.
  std::thread sends([&] {
    Lock lock(mutex_);
    Send(lock, *stream);
    const bool whole = !stream_ended_;
    lock.unlock();
    if (whole) stream->WritesDone();
  });
  Lock lock(mutex_);
  SteadyTime give_up = SteadyTime::InfiniteFuture();
  while (!stream_ended_) {
    if (Interrupts::Seen() && give_up == SteadyTime::InfiniteFuture()) give_up = context_.clock.Steady() + kLastAcks;
    if (context_.clock.Steady() >= give_up) call.TryCancel();
    changed_.wait_for(lock, absl::ToChronoMilliseconds(kTick));
    ShowProgress();
  }
  lock.unlock();
  sends.join();
  acks.join();
  absl::Status status = rpc::FromGrpcStatus(stream->Finish());
  ClearProgress();
  if (Interrupts::Seen()) return Interrupted();
  if (status.ok() && (!window_.empty() || !exhausted_)) {
    return absl::UnavailableError("the service ended the stream before everything was acked");
  }
  return status;
}

void Replay::Send(Lock& lock,
                  grpc::ClientReaderWriterInterface<location_v1::LocationBatch, location_v1::LocationAck>& stream) {
  while (!stream_ended_ && !Interrupts::Seen()) {
    const Batch* batch = NextToSend();
    ShowProgress();
    if (batch == nullptr) {
      if (exhausted_ && !next_point_ && !Unsent()) return;
      changed_.wait_for(lock, absl::ToChronoMilliseconds(kTick));
      continue;
    }
    sent_ = batch->message.sequence();
    if (sent_ <= ever_sent_) report_.resent += batch->message.points_size();
    ever_sent_ = std::max(ever_sent_, sent_);
    // Copied: while it is written, its ack may take it out of the window.
    location_v1::LocationBatch message = batch->message;
    lock.unlock();
    bool written = stream.Write(message);
    lock.lock();
    if (!written) break;
  }
}

bool Replay::Unsent() const { return !window_.empty() && window_.back().message.sequence() > sent_; }

const Replay::Batch* Replay::NextToSend() {
  if (!Unsent() && window_.size() < options_.window) Fill();
  if (!Unsent()) return nullptr;
  return &window_[static_cast<size_t>(sent_ + 1 - window_.front().message.sequence())];
}

void Replay::Fill() {
  Batch batch;
  while (batch.message.points_size() < options_.batch) {
    if (!next_point_) {
      if (exhausted_) break;
      absl::StatusOr<std::optional<domain::DriverPosition>> point = reader_.Next();
      if (!point.ok()) read_error_ = point.status();
      exhausted_ = !point.ok() || !*point;
      if (exhausted_) break;
      next_point_ = **std::move(point);
      ++report_.read;
      ++number_;
      due_ = std::max(due_, DueAt(*next_point_));
    }
    if (due_ > context_.clock.Steady()) break;
    if (batch.recorded_at.empty()) batch.first_number = number_;
    absl::Time recorded_at = next_point_->recorded_at;
    *batch.message.add_points() =
        FromPosition(*next_point_, options_.shift ? options_.shift->Apply(recorded_at) : recorded_at);
    batch.recorded_at.push_back(recorded_at);
    next_point_.reset();
  }
  if (batch.recorded_at.empty()) return;
  batch.message.set_sequence(next_sequence_++);
  window_.push_back(std::move(batch));
}

SteadyTime Replay::DueAt(const domain::DriverPosition& position) {
  if (options_.pace == 0) return SteadyTime::InfinitePast();
  // What claims to be from the future is a bad point, and not worth waiting for.
  if (position.recorded_at > context_.clock.Now()) return SteadyTime::InfinitePast();
  const absl::Duration jump = pace_from_ ? absl::AbsDuration(position.recorded_at - pace_last_) : absl::ZeroDuration();
  if (jump > kClockJump) {
    ++report_.jumps;
    report_.longest_jump = std::max(report_.longest_jump, jump);
  }
  if (!pace_from_ || jump > kClockJump) {
    pace_from_ = position.recorded_at;
    pace_to_ = context_.clock.Steady();
  }
  pace_last_ = position.recorded_at;
  return pace_to_ + (position.recorded_at - *pace_from_) / options_.pace;
}

void Replay::OnAck(const location_v1::LocationAck& ack) {
  Lock lock(mutex_);
  for (const location_v1::RejectedPoint& point : ack.rejected()) {
    if (window_.empty()) break;
    int64_t at = point.sequence() - window_.front().message.sequence();
    if (at < 0 || at >= static_cast<int64_t>(window_.size())) continue;
    Batch& batch = window_[static_cast<size_t>(at)];
    if (point.index() < 0 || point.index() >= batch.message.points_size()) continue;
    batch.rejected.emplace(point.index(), point);
  }
  int64_t durable = std::min(ack.durable_sequence(), sent_);
  ReplayState state;
  while (!window_.empty() && window_.front().message.sequence() <= durable) {
    const Batch& batch = window_.front();
    Settle(batch);
    state.points = batch.first_number + batch.message.points_size() - 1;
    state.driver_id = batch.message.points(batch.message.points_size() - 1).driver_id();
    state.recorded_at = batch.recorded_at.back();
    window_.pop_front();
    moved_ = true;
  }
  if (state.points > 0 && !options_.state_path.empty()) {
    state.shift = options_.shift;
    absl::Status saved = SaveReplayState(options_.state_path, state);
    if (!saved.ok()) state_error_ = saved;
  }
  ShowProgress();
  changed_.notify_all();
}

void Replay::Settle(const Batch& batch) {
  report_.durable += batch.message.points_size() - static_cast<int64_t>(batch.rejected.size());
  for (const auto& [index, rejected] : batch.rejected) {
    std::string reason = ReasonName(rejected.reason());
    ++report_.rejected[reason];
    std::vector<ReplayRejection>& first = report_.first_rejected[reason];
    if (first.size() >= kFirstRejected) continue;
    first.push_back({batch.first_number + index, batch.message.points(index).driver_id(),
                     batch.recorded_at[static_cast<size_t>(index)], rejected.field(), rejected.detail()});
  }
}

void Replay::ShowProgress() {
  bool terminal = context_.err.width > 0;
  const SteadyTime now = context_.clock.Steady();
  if (context_.json || now - progress_shown_ < (terminal ? absl::Milliseconds(100) : absl::Seconds(5))) return;
  progress_shown_ = now;
  int64_t rejected = 0;
  for (const auto& [reason, count] : report_.rejected) rejected += count;
  int64_t acked = report_.durable + rejected;
  double rate = static_cast<double>(acked) / std::max(0.001, absl::ToDoubleSeconds(now - started_));
  std::string line;
  if (std::optional<double> share = reader_.share()) {
    constexpr int kBar = 20;
    int full = std::clamp(static_cast<int>(std::lround(*share * kBar)), 0, kBar);
    if (terminal)
      line = fmt::format("[{}{}] ", std::string(static_cast<size_t>(full), '#'),
                         std::string(static_cast<size_t>(kBar - full), '.'));
    line += fmt::format("{:.0f} %  ", *share * 100);
  }
  int64_t sent = acked;
  for (const Batch& batch : window_) sent += batch.message.sequence() <= sent_ ? batch.message.points_size() : 0;
  line += fmt::format("{} sent  {} acked  {} rejected  {}/s", Grouped(sent), Grouped(acked), Grouped(rejected),
                      Grouped(std::llround(rate)));
  if (!terminal) {
    context_.Note(line);
    return;
  }
  std::fflush(stdout);
  fmt::print(stderr, "\r\x1b[K{}", FitPrefix(line, context_.err.width - 1));
  std::fflush(stderr);
  progress_on_screen_ = true;
}

void Replay::ClearProgress() {
  if (!std::exchange(progress_on_screen_, false)) return;
  fmt::print(stderr, "\r\x1b[K");
  std::fflush(stderr);
}

}  // namespace waybill::cli
