#include "edge/rpc/queue.h"

#include <algorithm>
#include <utility>

#include "domain/reasons.h"

namespace waybill::rpc {

bool InFlight::Enter() {
  count_.fetch_add(1);
  return !draining_;
}

void InFlight::Leave() {
  if (count_.fetch_sub(1) > 1 || !draining_) return;
  std::lock_guard lock(mutex_);
  none_.notify_all();
}

bool InFlight::AwaitNone(SteadyTime deadline) {
  // A condition variable bears no infinity.
  const absl::Duration left = std::clamp(deadline - SystemClock().Steady(), absl::ZeroDuration(), absl::Hours(24));
  std::unique_lock lock(mutex_);
  return none_.wait_for(lock, absl::ToChronoNanoseconds(left), [this] { return count_ == 0; });
}

void Expected::Begin() {
  std::lock_guard lock(mutex_);
  if (++calls_ == 1) begun_.notify_all();
}

void Expected::End() {
  std::lock_guard lock(mutex_);
  --calls_;
}

bool Expected::Any() {
  std::lock_guard lock(mutex_);
  return calls_ > 0;
}

void Expected::Await() {
  std::unique_lock lock(mutex_);
  begun_.wait(lock, [this] { return calls_ > 0; });
}

ServerQueue::ServerQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue, InFlight& in_flight,
                         const access::Gate& gate, limits::Limiter* limiter, Expected* expected)
    : queue_(std::move(queue)), in_flight_(in_flight), gate_(gate), limiter_(limiter), expected_(expected) {}

void ServerQueue::Start() {
  thread_ = std::thread([this] { Serve(); });
}

void ServerQueue::Serve() {
  // A queue that is never empty serves what has arrived all the same.
  constexpr size_t kArrivedMax = 64;
  const gpr_timespec at_once = gpr_inf_past(GPR_CLOCK_REALTIME);
  void* tag;
  bool ok;
  while (true) {
    if (arrived_.empty()) {
      if (!Next(&tag, &ok)) return;
    } else if (arrived_.size() >= kArrivedMax ||
               queue_->AsyncNext(&tag, &ok, at_once) != grpc::CompletionQueue::GOT_EVENT) {
      ServeArrived();
      continue;
    }
    static_cast<Tag*>(tag)->Proceed(ok);
  }
}

bool ServerQueue::Next(void** tag, bool* ok) {
  if (expected_ == nullptr) return queue_->Next(tag, ok);
  while (true) {
    // What is left of a call that has ended comes soon after; or, where its handler keeps it, with the next call.
    const gpr_timespec patience = gpr_time_from_millis(expected_->Any() ? 1'000 : 10, GPR_TIMESPAN);
    switch (queue_->AsyncNext(tag, ok, gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), patience))) {
      case grpc::CompletionQueue::GOT_EVENT:
        return true;
      case grpc::CompletionQueue::SHUTDOWN:
        return false;
      case grpc::CompletionQueue::TIMEOUT:
        expected_->Await();
    }
  }
}

void ServerQueue::ServeArrived() {
  for (ServerCall* call : std::exchange(arrived_, {})) call->ServeIfWanted();
}

void ServerQueue::Later(ServerCall& call) { arrived_.push_back(&call); }

void ServerQueue::Resume(ServerCall& call, limits::Verdict verdict) {
  std::lock_guard lock(resumed_mutex_);
  resumed_.emplace_back(&call, std::move(verdict));
  if (resumed_.size() == 1) resume_alarm_.Set(queue_.get(), gpr_now(GPR_CLOCK_MONOTONIC), &resume_tag_);
}

void ServerQueue::ResumeAll(bool) {
  std::vector<std::pair<ServerCall*, limits::Verdict>> resumed;
  {
    std::lock_guard lock(resumed_mutex_);
    resumed.swap(resumed_);
  }
  for (const auto& [call, verdict] : resumed) call->Resumed(verdict);
}

void ServerQueue::Stop() {
  if (thread_.joinable()) {
    empty_.get_future().wait();
    queue_->Shutdown();
    thread_.join();
  } else {  // never started
    queue_->Shutdown();
    ServeQueue(*queue_);
  }
}

void ServerQueue::Remove() {
  if (--calls_ == 0) empty_.set_value();
}

bool ServerQueue::Open(ServerCall& call) {
  call.next_ = open_;
  if (open_ != nullptr) open_->previous_ = &call;
  open_ = &call;
  return call.method_.while_draining || in_flight_.Enter();
}

void ServerQueue::Close(ServerCall& call) {
  (call.previous_ == nullptr ? open_ : call.previous_->next_) = call.next_;
  if (call.next_ != nullptr) call.next_->previous_ = call.previous_;
  if (!call.method_.while_draining) in_flight_.Leave();
}

void ServerQueue::AbortAll() { abort_alarm_.Set(queue_.get(), gpr_now(GPR_CLOCK_MONOTONIC), &abort_tag_); }

void ServerQueue::Abort(bool) {
  absl::Status status = ShuttingDownError();
  // Aborting closes nothing by itself: a call leaves the list with a later completion, on this thread.
  for (ServerCall* call = open_; call != nullptr; call = call->next_) call->Abort(status);
}

void ServerQueue::CheckCallers() {
  // The one under way has not looked yet.
  if (!checking_.exchange(true)) check_alarm_.Set(queue_.get(), gpr_now(GPR_CLOCK_MONOTONIC), &check_tag_);
}

void ServerQueue::Check(bool) {
  checking_ = false;  // first: whoever asks from here on gets another look
  for (ServerCall* call = open_; call != nullptr; call = call->next_) {
    if (call->caller_ == nullptr) continue;
    if (absl::Status still = gate_.Check(*call->caller_); !still.ok()) call->Abort(still);
  }
}

absl::Status ShuttingDownError() {
  return domain::ReasonError("SHUTTING_DOWN", "the server is shutting down", {.retry_after = absl::Seconds(1)});
}

}  // namespace waybill::rpc
