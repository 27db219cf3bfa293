// Streams the transitions of orders as they happen. What this process drives is seen at once; what another replica
// drives, by looking.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "runtime/scheduler.h"
#include "runtime/worker_pool.h"
#include "services/order/order_status.h"
#include "storage/order_store.h"

namespace waybill::order {

// Where a watch sends to. Called by one thread at a time.
class WatchSink {
 public:
  virtual ~WatchSink() = default;
  // `sent` is called once, on any thread: the next batch may come, or (false) the client is gone.
  virtual void Send(std::vector<Transition> batch, absl::AnyInvocable<void(bool ok)> sent) = 0;
  virtual void End(const absl::Status& status) = 0;  // the last call, unless `sent` was false
};

struct WatchOptions {
  // Between looks while nothing happens.
  absl::Duration poll_initial = absl::Milliseconds(200);
  absl::Duration poll_max = absl::Seconds(1);
};

class OrderWatches {
 public:
  // All outlive this; no callback is in flight when it is destroyed.
  OrderWatches(storage::OrderStore& store, WorkerPool& workers, Scheduler& scheduler, const Clock& clock,
               WatchOptions options)
      : store_(store), workers_(workers), scheduler_(scheduler), clock_(clock), options_(options) {}

  class Watch;
  // Sends the transitions from `from_seq` on, and ends with OK after the one that leaves the order terminal.
  // ORDER_NOT_FOUND, UNREADABLE_ROW. While the store does not answer, the watch waits.
  std::shared_ptr<Watch> Add(const Uuid& order_id, int64_t from_seq, std::unique_ptr<WatchSink> sink);
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
  void Sent(const WatchPtr& watch, bool ok);
  void Rest(const WatchPtr& watch);
  void Wake(const WatchPtr& watch);
  void End(const WatchPtr& watch, const absl::Status& status);
  void Forget(const WatchPtr& watch);

  storage::OrderStore& store_;
  WorkerPool& workers_;
  Scheduler& scheduler_;
  const Clock& clock_;
  const WatchOptions options_;

  std::atomic<size_t> count_{0};
  std::mutex mutex_;
  bool stopped_ = false;
  absl::flat_hash_map<Uuid, std::vector<WatchPtr>> watches_;
};

}  // namespace waybill::order
