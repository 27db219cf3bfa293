// One completion queue of the server, with the thread that serves it and the calls that live on it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "edge/access/gate.h"
#include "edge/limits/limiter.h"
#include "edge/rpc/call.h"
#include "edge/rpc/tag.h"
#include "grpcpp/alarm.h"
#include "grpcpp/server_builder.h"
#include "runtime/clock.h"

namespace waybill::rpc {

// How many calls a drain has to wait for, over all queues.
class InFlight {
 public:
  // False when draining: the new call is to be refused (it is counted all the same).
  bool Enter();
  void Leave();
  // Refuses new calls from now on.
  void Drain() { draining_ = true; }
  // True when none is left, false at the deadline.
  bool AwaitNone(SteadyTime deadline);

 private:
  std::atomic<int64_t> count_{0};
  std::atomic<bool> draining_{false};
  std::mutex mutex_;
  std::condition_variable none_;
};

// Calls from within the process that are under way, as those who make them say. While there are none, the thread of
// their queue waits here and not in gRPC: there, whoever waits takes turns at polling the sockets of all queues of the
// process, and hands what it reads to the thread whose it is. For a queue that is nearly always idle that would be a
// burden to all others.
class Expected {
 public:
  void Begin();
  void End();
  bool Any();
  void Await();  // until there is one

 private:
  std::mutex mutex_;
  std::condition_variable begun_;
  int64_t calls_ = 0;
};

class ServerQueue {
 public:
  // All outlive this. `limiter` null: calls are not limited. `expected`: calls come from within the process, and when;
  // null: from elsewhere.
  ServerQueue(std::unique_ptr<grpc::ServerCompletionQueue> queue, InFlight& in_flight, const access::Gate& gate,
              limits::Limiter* limiter, Expected* expected);

  void Start();
  // After the server has shut down: waits for the last call to end (Server::Shutdown does not), and joins.
  void Stop();
  grpc::ServerCompletionQueue* queue() { return queue_.get(); }
  const access::Gate& gate() const { return gate_; }
  limits::Limiter* limiter() const { return limiter_; }
  bool within() const { return expected_ != nullptr; }

  // By calls, on the queue's thread (or before it starts). Between Add and Remove a call, posted or under way, may use
  // the queue; the server's shutdown ends the posted ones.
  void Add() { ++calls_; }
  void Remove();
  bool Open(ServerCall& call);  // false: the server drains, refuse it
  // Serves the call once all that is ready now was taken from the queue, among it that this call was cancelled.
  void Later(ServerCall& call);
  void Close(ServerCall& call);
  // The call that waits for this verdict goes on, on the queue's thread. From any thread.
  void Resume(ServerCall& call, limits::Verdict verdict);

  // Ends every call that is still open, as if its client had gone. From any thread, once.
  void AbortAll();
  // Ends every open call that the gate would no longer let in. From any thread, before AbortAll.
  void CheckCallers();

 private:
  void Serve();
  bool Next(void** tag, bool* ok);  // as CompletionQueue::Next
  void ServeArrived();
  void Abort(bool ok);
  void Check(bool ok);
  void ResumeAll(bool ok);

  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  InFlight& in_flight_;
  const access::Gate& gate_;
  limits::Limiter* const limiter_;
  Expected* const expected_;
  int64_t calls_ = 0;  // these three on the queue's thread only
  ServerCall* open_ = nullptr;
  std::vector<ServerCall*> arrived_;  // to be served
  grpc::Alarm abort_alarm_;
  MemberTag<ServerQueue> abort_tag_{this, &ServerQueue::Abort};
  std::atomic<bool> checking_{false};  // an alarm is under way
  grpc::Alarm check_alarm_;
  MemberTag<ServerQueue> check_tag_{this, &ServerQueue::Check};
  std::mutex resumed_mutex_;
  std::vector<std::pair<ServerCall*, limits::Verdict>>
      resumed_;  // under resumed_mutex_; not empty: an alarm is under way
  grpc::Alarm resume_alarm_;
  MemberTag<ServerQueue> resume_tag_{this, &ServerQueue::ResumeAll};
  std::promise<void> empty_;  // no call is left, nor will one come
  std::thread thread_;
};

// UNAVAILABLE, reason SHUTTING_DOWN: another replica, or this one when it is back, takes the retry.
absl::Status ShuttingDownError();

}  // namespace waybill::rpc
