#include "runtime/scheduler.h"

#include <algorithm>

namespace waybill {

ThreadScheduler::ThreadScheduler(const Clock& clock) : clock_(clock), thread_([this] { Run(); }) {}

void ThreadScheduler::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

Scheduler::TimerId ThreadScheduler::At(SteadyTime when, Callback callback) {
  TimerId id;
  bool earliest;
  {
    std::lock_guard lock(mutex_);
    id = {when, next_++};
    auto it = pending_.emplace(id, std::move(callback)).first;
    earliest = it == pending_.begin();
  }
  if (earliest) changed_.notify_one();
  return id;
}

bool ThreadScheduler::Cancel(const TimerId& id) {
  Callback dropped;  // destroyed outside the lock: it may own the last reference to something that calls us
  std::lock_guard lock(mutex_);
  auto it = pending_.find(id);
  if (it == pending_.end()) return false;
  dropped = std::move(it->second);
  pending_.erase(it);
  return true;
}

void ThreadScheduler::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (pending_.empty()) {
      changed_.wait(lock);
      continue;
    }
    auto it = pending_.begin();
    absl::Duration wait = it->first.first - clock_.Steady();
    if (wait > absl::ZeroDuration()) {
      changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(wait, absl::Hours(1))));
      continue;
    }
    Callback callback = std::move(it->second);
    pending_.erase(it);
    lock.unlock();
    callback();
    callback = nullptr;
    lock.lock();
  }
}

}  // namespace waybill
