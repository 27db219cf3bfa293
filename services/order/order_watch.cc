#include "services/order/order_watch.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "storage/reasons.h"

namespace waybill::order {

// A watch looks, sends, and rests until a timer or a transition wakes it; one of these at a time, and whoever does it
// owns the first group.
class OrderWatches::Watch {
 public:
  Watch(const Uuid& order_id, int64_t from_seq, std::unique_ptr<WatchSink> to, absl::Duration pause)
      : id(order_id), next(from_seq), sink(std::move(to)), poll(pause) {}

  const Uuid id;
  int64_t next;
  std::unique_ptr<WatchSink> sink;
  bool terminal = false;  // nothing comes after what was sent
  absl::Duration poll;

  std::mutex mutex;  // guards what follows
  bool woken = false;
  bool gone = false;
  std::optional<absl::Status> ending;       // asked to end
  std::optional<Scheduler::TimerId> timer;  // resting
};

std::shared_ptr<OrderWatches::Watch> OrderWatches::Add(const Uuid& order_id, int64_t from_seq,
                                                       std::unique_ptr<WatchSink> sink) {
  auto watch = std::make_shared<Watch>(order_id, from_seq, std::move(sink), options_.poll_initial);
  bool stopped;
  {
    std::lock_guard lock(mutex_);
    stopped = stopped_;
    if (!stopped) {
      watches_[order_id].push_back(watch);
      ++count_;
    }
  }
  if (stopped) {
    watch->sink->End(storage::ReasonError("SHUTTING_DOWN", "this process is draining"));
  } else {
    Look(watch);
  }
  return watch;
}

void OrderWatches::Look(const WatchPtr& watch) {
  WorkerPool::Task look = [this, watch] { LookOnWorker(watch); };
  if (!workers_.Submit(look)) Rest(watch);
}

void OrderWatches::LookOnWorker(const WatchPtr& watch) {
  Watch& w = *watch;
  {
    std::lock_guard lock(w.mutex);
    w.woken = false;
    if (w.gone) return Forget(watch);
  }
  absl::StatusOr<std::vector<saga::LogEntry>> log = store_.Log(w.id, std::max<int64_t>(w.next, 1));
  const bool first = w.poll == options_.poll_initial;  // the order may be unknown, or terminal already
  if (log.ok() && log->empty() && !first && w.next > 0) return Rest(watch);
  // After the log, so that it knows why the last entry stands there.
  absl::StatusOr<storage::OrderRecord> record = store_.Get(w.id);
  absl::Status status = log.ok() ? record.status() : log.status();
  if (!status.ok()) {
    return absl::IsUnavailable(status) ? Rest(watch) : End(watch, status);
  }
  std::vector<Transition> batch = TransitionsOf(*record, *std::move(log), w.next);
  if (!batch.empty()) w.next = batch.back().entry.seq + 1;
  w.terminal = saga::IsTerminal(record->state) && record->seq < w.next;
  // Asked from a sequence beyond the end of a terminal order: there is nothing to wait for.
  if (batch.empty() && saga::IsTerminal(record->state)) return End(watch, absl::OkStatus());
  if (batch.empty()) return Rest(watch);
  w.poll = options_.poll_initial;
  w.sink->Send(std::move(batch), [this, watch](bool ok) { Sent(watch, ok); });
}

void OrderWatches::Sent(const WatchPtr& watch, bool ok) {
  if (!ok) {
    Forget(watch);
  } else if (watch->terminal) {
    End(watch, absl::OkStatus());
  } else {
    Rest(watch);
  }
}

void OrderWatches::Rest(const WatchPtr& watch) {
  Watch& w = *watch;
  std::optional<absl::Status> ending;
  {
    std::lock_guard lock(w.mutex);
    if (!w.gone && !w.ending && !w.woken) {
      absl::Duration pause = w.poll;
      w.poll = std::min(w.poll * 2, options_.poll_max);
      w.timer = scheduler_.At(clock_.Steady() + pause, [this, watch] {
        {
          std::lock_guard timer_lock(watch->mutex);
          watch->timer.reset();
        }
        Look(watch);
      });
      return;
    }
    ending = w.ending;
    if (w.gone) ending = absl::CancelledError("the client went away");
  }
  if (ending) {
    End(watch, *ending);
  } else {
    Look(watch);
  }
}

// Ends the rest early; when the watch is busy, it goes on at once afterwards.
void OrderWatches::Wake(const WatchPtr& watch) {
  {
    std::lock_guard lock(watch->mutex);
    watch->woken = true;
    if (!watch->timer || !scheduler_.Cancel(*watch->timer)) return;
    watch->timer.reset();
  }
  Rest(watch);
}

void OrderWatches::OnTransition(const Uuid& order_id) {
  if (count_.load(std::memory_order_relaxed) == 0) return;
  std::vector<WatchPtr> watches;
  {
    std::lock_guard lock(mutex_);
    auto it = watches_.find(order_id);
    if (it == watches_.end()) return;
    watches = it->second;
  }
  for (const WatchPtr& watch : watches) Wake(watch);
}

void OrderWatches::Remove(const WatchPtr& watch) {
  {
    std::lock_guard lock(watch->mutex);
    watch->gone = true;
  }
  Wake(watch);
}

void OrderWatches::Stop() {
  std::vector<WatchPtr> all;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    for (auto& [id, watches] : watches_) all.insert(all.end(), watches.begin(), watches.end());
  }
  for (const WatchPtr& watch : all) {
    {
      std::lock_guard lock(watch->mutex);
      watch->ending = storage::ReasonError("SHUTTING_DOWN", "this process is draining; watch at another replica");
    }
    Wake(watch);
  }
}

void OrderWatches::End(const WatchPtr& watch, const absl::Status& status) {
  watch->sink->End(status);
  Forget(watch);
}

void OrderWatches::Forget(const WatchPtr& watch) {
  watch->sink.reset();
  std::lock_guard lock(mutex_);
  auto it = watches_.find(watch->id);
  if (it == watches_.end()) return;
  if (std::erase(it->second, watch) > 0) --count_;
  if (it->second.empty()) watches_.erase(it);
}

}  // namespace waybill::order
