// Group commit. Items wait in a bounded queue; a few writer threads, each owning its own connection, take whatever
// arrived while their previous write ran, and write it at once. An item that comes while nothing is
// written never waits; one that comes during a write waits for its end, for company, or for join_after.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace waybill {

// What became of one attempt to write a batch as a whole.
enum class BatchResult {
  kWritten,   // durable; the writer has put each item's own answer into it
  kBadData,   // nothing was written, and some item is to blame (SQLSTATE class 22 or 23): split
  kTryAgain,  // unknown or transient (connection lost, deadlock): apply the same batch again
};

// Writes whole batches; one instance per writer thread, called by that thread alone.
template <typename Item>
class BatchWriter {
 public:
  virtual ~BatchWriter() = default;
  // Applying a batch twice must be harmless: kTryAgain is answered with the same items, in the same order, possibly
  // after a commit whose answer was lost.
  virtual BatchResult Write(std::span<Item> batch) = 0;
  // The item's answer is ready (`status` OK: written, the answer is in the item), or it will never be written (not OK).
  // Called exactly once per item, outside every lock.
  virtual void Complete(Item& item, const absl::Status& status) = 0;
  // A lone item that is itself the culprit of kBadData: why.
  virtual absl::Status BadDataError() = 0;
};

// Limits count weight: an item weighs what its `size_t weight() const` says, at least 1, or 1 when it has none.
struct BatcherOptions {
  size_t queue_max = 10'000;  // waiting, not counting what is being written; one item more may exceed it
  size_t batch_max = 256;     // of a write, unless a single item weighs more
  // While one writer writes, another joins for so much waiting: a small batch is cheaper as a part of the next.
  size_t join_min = 1;
  // ...or when items have waited this long, since the write under way may be stuck.
  absl::Duration join_after = absl::Milliseconds(5);
  absl::Duration retry_initial = absl::Milliseconds(20);
  absl::Duration retry_max = absl::Seconds(1);
  // Called by a writer thread before it repeats a failed write, with how long to pause. Null: waits that long, or until
  // Stop.
  std::function<void(absl::Duration)> pause = nullptr;
};

template <typename Item>
class Batcher {
 public:
  // `writers` must outlive the batcher; one thread is started for each.
  Batcher(std::vector<BatchWriter<Item>*> writers, BatcherOptions options) : options_(std::move(options)) {
    for (BatchWriter<Item>* writer : writers) {
      threads_.emplace_back([this, writer] { Run(*writer); });
    }
  }

  ~Batcher() { Stop(); }

  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Takes the item, or leaves it untouched and returns false: the queue is full or stopping.
  [[nodiscard]] bool Offer(Item& item) { return Push(item, options_.queue_max); }
  // The same without the limit, for items whose number is bounded elsewhere.
  [[nodiscard]] bool OfferAlways(Item& item) { return Push(item, SIZE_MAX); }

  // Writes what is queued, unless the store keeps failing: then the rest completes with UNAVAILABLE. Joins the threads,
  // so it is not for Complete to call.
  void Stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_all();
    stopped_.notify_all();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

  // The weight of what waits.
  size_t queue_depth() const {
    std::lock_guard lock(mutex_);
    return waiting_;
  }
  // Writers that are in the middle of repeating a failed write. > 0: the store is not answering.
  int retrying() const { return retrying_.load(std::memory_order_relaxed); }

 private:
  bool Push(Item& item, size_t limit) {
    bool wake;
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || waiting_ >= limit) return false;
      const size_t before = waiting_;
      waiting_ += Weight(item);
      queue_.push_back(std::move(item));
      wake = idle_ > 0 && (before == 0 || (before < options_.join_min && waiting_ >= options_.join_min));
    }
    if (wake) work_.notify_one();
    return true;
  }

  static size_t Weight(const Item& item) {
    if constexpr (requires { item.weight(); }) {
      return std::max<size_t>(item.weight(), 1);
    } else {
      return 1;
    }
  }

  void Run(BatchWriter<Item>& writer) {
    std::vector<Item> batch;
    while (Take(batch)) {
      WriteAll(writer, batch);
      batch.clear();
      std::lock_guard lock(mutex_);
      --busy_;
    }
  }

  // While nothing is written, a lone item does not wait for company.
  bool WorthTaking() const { return waiting_ >= (busy_ == 0 ? 1 : options_.join_min); }

  // Waits for work, then takes a batch from the front. What stays is not touched, however long the backlog is.
  bool Take(std::vector<Item>& batch) {
    std::unique_lock lock(mutex_);
    ++idle_;
    while (true) {
      work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_ || WorthTaking()) break;
      const bool changed = work_.wait_for(lock, absl::ToChronoNanoseconds(options_.join_after),
                                          [this] { return stopping_ || queue_.empty() || WorthTaking(); });
      if (!changed || !queue_.empty()) break;
    }
    --idle_;
    if (queue_.empty()) return false;
    ++busy_;
    for (size_t taken = 0; !queue_.empty(); queue_.pop_front()) {
      const size_t weight = Weight(queue_.front());
      if (taken > 0 && taken + weight > options_.batch_max) break;
      taken += weight;
      waiting_ -= weight;
      batch.push_back(std::move(queue_.front()));
    }
    if (idle_ > 0) work_.notify_all();  // who lingered for these looks again
    return true;
  }

  void WriteAll(BatchWriter<Item>& writer, std::span<Item> batch) {
    switch (WriteOnce(writer, batch)) {
      case BatchResult::kWritten:
        for (Item& item : batch) writer.Complete(item, absl::OkStatus());
        return;
      case BatchResult::kBadData:
        if (batch.size() == 1) {
          writer.Complete(batch[0], writer.BadDataError());
          return;
        }
        WriteAll(writer, batch.first(batch.size() / 2));
        WriteAll(writer, batch.subspan(batch.size() / 2));
        return;
      case BatchResult::kTryAgain:  // only when stopping
        for (Item& item : batch)
          writer.Complete(item, absl::UnavailableError("shutting down while the store is unreachable"));
        return;
    }
  }

  // Repeats while the outcome is unknown. Returns kTryAgain only when the batcher stops meanwhile.
  BatchResult WriteOnce(BatchWriter<Item>& writer, std::span<Item> batch) {
    BatchResult result = writer.Write(batch);
    if (result != BatchResult::kTryAgain) return result;
    retrying_.fetch_add(1, std::memory_order_relaxed);
    absl::Duration delay = options_.retry_initial;
    while (result == BatchResult::kTryAgain && !Pause(delay)) {
      result = writer.Write(batch);
      delay = std::min(delay * 2, options_.retry_max);
    }
    retrying_.fetch_sub(1, std::memory_order_relaxed);
    return result;
  }

  // True when stopping.
  bool Pause(absl::Duration delay) {
    if (options_.pause) options_.pause(delay);
    std::unique_lock lock(mutex_);
    if (!options_.pause) stopped_.wait_for(lock, absl::ToChronoNanoseconds(delay), [this] { return stopping_; });
    return stopping_;
  }

  const BatcherOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable stopped_;
  std::deque<Item> queue_;
  size_t waiting_ = 0;  // weight of queue_
  size_t idle_ = 0;     // writers that wait for work
  size_t busy_ = 0;     // writers that write
  bool stopping_ = false;
  std::atomic<int> retrying_{0};
  std::vector<std::thread> threads_;
};

}  // namespace waybill
