// Group commit. Items wait in a bounded queue; a few writers, each a loop with its own connection, take whatever
// arrived while their previous write ran, and write it at once. An item that comes while nothing is written never
// waits; one that comes during a write waits for its end, for company, or for join_after.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/clock.h"
#include "runtime/executor.h"

namespace waybill {

// What became of one attempt to write a batch as a whole.
enum class BatchResult {
  kWritten,   // durable; the writer has put each item's own answer into it
  kBadData,   // nothing was written, and some item is to blame (SQLSTATE class 22 or 23): split
  kTryAgain,  // unknown or transient (connection lost, deadlock): apply the same batch again
};

// Writes whole batches; called by its own loop alone, but for Complete.
template <typename Item>
class BatchWriter {
 public:
  virtual ~BatchWriter() = default;
  // Applying a batch twice must be harmless: kTryAgain is answered with the same items, in the same order, possibly
  // after a commit whose answer was lost.
  virtual BatchResult Write(std::span<Item> batch) = 0;
  // The item's answer is ready (`status` OK: written, the answer is in the item), or it will never be written (not OK).
  // Called exactly once per item, outside every lock; with complete_beside perhaps while the next batch is written, or
  // completed.
  virtual void Complete(Item& item, const absl::Status& status) = 0;
  // A lone item that is itself the culprit of kBadData: why.
  virtual absl::Status BadDataError() = 0;
};

// Limits count weight: an item weighs what its `size_t weight() const` says, at least 1, or 1 when it has none.
struct BatcherOptions {
  size_t queue_max = 10'000;  // waiting, not counting what is being written or completed; one item more may exceed it
  size_t batch_max = 256;     // of a write, unless a single item weighs more
  // While one writer writes, another joins for so much waiting: a small batch is cheaper as a part of the next.
  size_t join_min = 1;
  // ...or when items have waited this long, since the write under way may be stuck.
  absl::Duration join_after = absl::Milliseconds(5);
  // While more waits, what was written is completed on another loop, so that the connection goes on writing. Batches
  // get smaller by that: where cores are scarce, it costs more than it brings.
  bool complete_beside = false;
  // Pauses before a failed write is repeated, each twice the one before.
  absl::Duration retry_initial = absl::Milliseconds(20);
  absl::Duration retry_max = absl::Seconds(1);
};

template <typename Item>
class Batcher {
 public:
  // `writers` outlive the batcher; a loop is started for each.
  Batcher(std::vector<BatchWriter<Item>*> writers, BatcherOptions options, const Loops& loops) : options_(options) {
    for (BatchWriter<Item>* writer : writers) seats_.push_back(std::make_unique<Seat>(*writer));
    for (const std::unique_ptr<Seat>& seat : seats_) {
      if (options.complete_beside) {
        seat->completer = loops.Start([this, at = seat.get()](const Clock&) { return CompleteTurn(*at); });
      }
      seat->loop = loops.Start([this, at = seat.get()](const Clock& clock) { return TakeTurn(*at, clock); });
    }
  }

  ~Batcher() { Stop(); }

  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Takes the item, or leaves it untouched and returns false: the queue is full or stopping.
  [[nodiscard]] bool Offer(Item& item) { return Push(item, options_.queue_max); }
  // The same without the limit, for items whose number is bounded elsewhere.
  [[nodiscard]] bool OfferAlways(Item& item) { return Push(item, SIZE_MAX); }

  // Writes what is queued, unless the store keeps failing: then the rest completes with UNAVAILABLE. Joins the loops,
  // so it is not for Complete to call.
  void Stop() {
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    for (const std::unique_ptr<Seat>& seat : seats_) seat->loop->Wake();
    for (const std::unique_ptr<Seat>& seat : seats_) seat->loop->Join();
    {
      std::lock_guard lock(mutex_);
      stopped_ = true;
    }
    for (const std::unique_ptr<Seat>& seat : seats_) {
      if (seat->completer) seat->completer->Join();
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
  // A writer, and what it is at.
  struct Seat {
    explicit Seat(BatchWriter<Item>& of) : writer(of) {}

    BatchWriter<Item>& writer;
    std::vector<Item> batch;                  // being written; empty: looks for work
    std::vector<std::span<Item>> parts;       // of the batch, still to be written; the last one first
    bool retrying = false;                    // the part that is next: its last write failed, and
    SteadyTime again_at;                      // is repeated then
    absl::Duration pause;                     // ...and after so long if it fails again
    std::optional<SteadyTime> lingers_until;  // for company; unless the queue was emptied since
    uint64_t lingers_since = 0;
    bool idle = false;          // among idle_
    std::vector<Item> written;  // the completer's, until it is empty
    std::unique_ptr<Loop> completer, loop;
  };

  bool Push(Item& item, size_t limit) {
    Seat* wake = nullptr;
    {
      std::lock_guard lock(mutex_);
      if (stopping_ || waiting_ >= limit) return false;
      const size_t before = waiting_;
      waiting_ += Weight(item);
      queue_.push_back(std::move(item));
      const bool news = before == 0 || (before < options_.join_min && waiting_ >= options_.join_min);
      if (news && !idle_.empty()) wake = idle_.back();
    }
    if (wake != nullptr) wake->loop->Wake();
    return true;
  }

  static size_t Weight(const Item& item) {
    if constexpr (requires { item.weight(); }) {
      return std::max<size_t>(item.weight(), 1);
    } else {
      return 1;
    }
  }

  // Takes a batch and writes it, or goes on with one whose write failed.
  std::optional<SteadyTime> TakeTurn(Seat& seat, const Clock& clock) {
    if (seat.batch.empty()) {
      Seat* wake = nullptr;
      {
        std::lock_guard lock(mutex_);
        if (std::optional<SteadyTime> wait; !ShallTake(seat, clock, wait)) return wait;
        Take(seat);
        if (!queue_.empty() && !idle_.empty()) wake = idle_.back();  // what is left may be worth joining for
      }
      if (wake != nullptr) wake->loop->Wake();
    } else if (!stopping() && clock.Steady() < seat.again_at) {
      return seat.again_at;
    } else if (stopping()) {
      GiveUp(seat);
    }
    while (!seat.parts.empty()) {
      if (!WritePart(seat, clock)) return seat.again_at;
    }
    seat.batch.clear();
    std::lock_guard lock(mutex_);
    --busy_;
    return Loop::kAtOnce;
  }

  // While nothing is written, a lone item does not wait for company.
  bool WorthTaking() const { return waiting_ >= (busy_ == 0 ? 1 : options_.join_min); }

  // Under mutex_. False: not now, and `wait` is what the turn answers.
  bool ShallTake(Seat& seat, const Clock& clock, std::optional<SteadyTime>& wait) {
    if (stopping_ || (!queue_.empty() && WorthTaking())) return !queue_.empty();
    wait = Loop::kWhenWoken;
    if (!queue_.empty()) {
      if (!seat.lingers_until || seat.lingers_since != emptied_) {
        seat.lingers_until = clock.Steady() + options_.join_after;
        seat.lingers_since = emptied_;
      } else if (clock.Steady() >= *seat.lingers_until) {
        return true;
      }
      wait = seat.lingers_until;
    }
    if (!std::exchange(seat.idle, true)) idle_.push_back(&seat);
    return false;
  }

  // Under mutex_: a batch from the front. What stays is not touched, however long the backlog is.
  void Take(Seat& seat) {
    if (std::exchange(seat.idle, false)) std::erase(idle_, &seat);
    seat.lingers_until.reset();
    ++busy_;
    for (size_t taken = 0; !queue_.empty(); queue_.pop_front()) {
      const size_t weight = Weight(queue_.front());
      if (taken > 0 && taken + weight > options_.batch_max) break;
      taken += weight;
      waiting_ -= weight;
      seat.batch.push_back(std::move(queue_.front()));
    }
    if (queue_.empty()) ++emptied_;
    seat.parts.push_back(seat.batch);
  }

  // False: the outcome is unknown, and the part is to be written again at `again_at`.
  bool WritePart(Seat& seat, const Clock& clock) {
    const std::span<Item> part = seat.parts.back();
    const BatchResult result = seat.writer.Write(part);
    if (result == BatchResult::kTryAgain) {
      if (!std::exchange(seat.retrying, true)) {
        retrying_.fetch_add(1, std::memory_order_relaxed);
        seat.pause = options_.retry_initial;
      }
      if (stopping()) {
        GiveUp(seat);
        return true;
      }
      seat.again_at = clock.Steady() + seat.pause;
      seat.pause = std::min(seat.pause * 2, options_.retry_max);
      return false;
    }
    Answered(seat);
    if (result == BatchResult::kWritten) {
      if (part.size() == seat.batch.size() && HandOver(seat)) return true;
      for (Item& item : part) seat.writer.Complete(item, absl::OkStatus());
    } else if (part.size() == 1) {
      seat.writer.Complete(part[0], seat.writer.BadDataError());
    } else {
      seat.parts.push_back(part.subspan(part.size() / 2));
      seat.parts.push_back(part.first(part.size() / 2));
    }
    return true;
  }

  // False: what was written is completed here, since nothing waits to be written, or the other loop is behind.
  bool HandOver(Seat& seat) {
    if (!seat.completer) return false;
    {
      std::lock_guard lock(mutex_);
      if (queue_.empty() || !seat.written.empty()) return false;
      seat.written.swap(seat.batch);
    }
    seat.completer->Wake();
    return true;
  }

  std::optional<SteadyTime> CompleteTurn(Seat& seat) {
    {
      std::lock_guard lock(mutex_);
      if (seat.written.empty()) return stopped_ ? std::nullopt : std::optional(Loop::kWhenWoken);
    }
    for (Item& item : seat.written) seat.writer.Complete(item, absl::OkStatus());
    std::vector<Item> completed;
    std::lock_guard lock(mutex_);
    completed.swap(seat.written);
    return Loop::kAtOnce;
  }

  void GiveUp(Seat& seat) {
    const std::span<Item> part = seat.parts.back();
    Answered(seat);
    for (Item& item : part)
      seat.writer.Complete(item, absl::UnavailableError("shutting down while the store is unreachable"));
  }

  void Answered(Seat& seat) {
    seat.parts.pop_back();
    if (std::exchange(seat.retrying, false)) retrying_.fetch_sub(1, std::memory_order_relaxed);
  }

  bool stopping() const {
    std::lock_guard lock(mutex_);
    return stopping_;
  }

  const BatcherOptions options_;
  mutable std::mutex mutex_;
  std::deque<Item> queue_;
  size_t waiting_ = 0;       // weight of queue_
  uint64_t emptied_ = 0;     // how often the queue was
  std::vector<Seat*> idle_;  // those that wait for work
  size_t busy_ = 0;          // those that write
  bool stopping_ = false;
  bool stopped_ = false;  // all is written or given up
  std::atomic<int> retrying_{0};
  std::vector<std::unique_ptr<Seat>> seats_;
};

}  // namespace waybill
