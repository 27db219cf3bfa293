// Streams the transitions of orders as they happen. What this process drives is seen at once; what another replica
// drives, by asking how far all orders that are watched have come.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"
#include "runtime/ids.h"
#include "runtime/scheduler.h"
#include "services/order/order_status.h"
#include "storage/order_store.h"

namespace waybill::order {

// Where a watch sends to. Called by one thread at a time.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // `sent` is called once, on any thread: the next batch may come, or (false) the client is gone. An empty batch is a
  // heartbeat.
  virtual void Send(std::vector<Transition> batch, absl::AnyInvocable<void(bool ok)> sent) = 0;
  virtual void End(const absl::Status& status) = 0;  // the last call, unless `sent` was false
};

struct WatchOptions {
  size_t watches_max = 20'000;  // open at the same time; more are ended with QUEUE_FULL
  // Between questions after an order while nothing happens to it: twice the one before each time.
  absl::Duration poll_initial = absl::Milliseconds(200);
  absl::Duration poll_max = absl::Seconds(2);
  absl::Duration heartbeat = absl::Seconds(20);  // of silence
};

class OrderWatches {
 public:
  // All outlive this; no callback is in flight when it is destroyed.
  OrderWatches(storage::OrderStore& store, Executor& workers, Scheduler& scheduler, const Clock& clock,
               WatchOptions options)
      : store_(store), workers_(workers), scheduler_(scheduler), clock_(clock), options_(options) {}

  class Watch;
  // Sends the transitions from `from_seq` on, and ends with OK after the one that leaves the order terminal. `refunds`:
  // also each partial refund, as it stands at first and whenever that changes; then it ends when none is open, either.
  // ORDER_NOT_FOUND (also of somebody else's than `owner`), UNREADABLE_ROW, QUEUE_FULL. While the store does not
  // answer, the watch waits.
  std::shared_ptr<Watch> Add(const Uuid& order_id, storage::Owner owner, int64_t from_seq,
                             std::unique_ptr<WatchSink> sink, bool refunds = false);
  // The client went away; the sink is let go of as soon as it is not in use.
  void Remove(const std::shared_ptr<Watch>& watch);

  // The order has a new transition in the journal.
  void OnTransition(const Uuid& order_id);
  // Ends every watch, and those to come, with SHUTTING_DOWN: the client goes on at another replica.
  void Stop();

  size_t size() const { return count_; }

 private:
  using WatchPtr = std::shared_ptr<Watch>;
  void Look(const WatchPtr& watch);
  void LookOnWorker(const WatchPtr& watch);
  void Send(const WatchPtr& watch, std::vector<Transition> batch);
  void Sent(const WatchPtr& watch, bool ok);
  void Rest(const WatchPtr& watch);
  void GoOn(const WatchPtr& watch);
  void End(const WatchPtr& watch, const absl::Status& status);
  void Forget(const WatchPtr& watch);

  void ScheduleTick();  // under mutex_
  void Tick();
  void SweepOnWorker();
  void AskAfter(const std::vector<WatchPtr>& watches);

  storage::OrderStore& store_;
  Executor& workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  const WatchOptions options_;

  std::atomic<size_t> count_{0};
  std::mutex mutex_;  // over what follows, and over the state of every watch
  bool stopped_ = false;
  bool sweeping_ = false;  // a worker is at it; the next tick comes after it
  std::optional<Scheduler::TimerId> tick_;
  std::map<Uuid, std::vector<WatchPtr>> watches_;
};

}  // namespace waybill::order
