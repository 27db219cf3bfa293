// A few threads and a bounded queue, for work that blocks (reads from a store) and must not run on an I/O thread.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/executor.h"

namespace waybill {

class WorkerPool final : public Executor {
 public:
  WorkerPool(size_t threads, size_t queue_max);
  ~WorkerPool() override { Stop(); }

  // Runs what is queued, then joins; takes no more tasks. Not from a task.
  void Stop();

  [[nodiscard]] bool Submit(Task& task) override;
  size_t queue_depth() const override;

 private:
  void Run();

  const size_t queue_max_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Task> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace waybill
