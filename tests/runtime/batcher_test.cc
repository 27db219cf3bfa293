#include "runtime/batcher.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <latch>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rapidcheck/gtest.h"
#include "runtime/executor.h"
#include "runtime/random.h"
#include "runtime/testing/manual_time.h"
#include "runtime/testing/scheduled_executor.h"

namespace waybill {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Item {
  int id = 0;
  std::unique_ptr<int> body = nullptr;  // move-only, as real items are
};

Item MakeItem(int id) { return Item{id, std::make_unique<int>(id)}; }

using Ids = std::vector<int>;

Ids IdsOf(std::span<Item> batch) {
  Ids ids;
  for (const Item& item : batch) ids.push_back(item.id);
  return ids;
}

// Answers each Write by a function, and keeps what was written and completed.
class FakeWriter final : public BatchWriter<Item> {
 public:
  using Answer = std::function<BatchResult(const Ids&)>;
  explicit FakeWriter(Answer answer = [](const Ids&) { return BatchResult::kWritten; }) : answer_(std::move(answer)) {}

  BatchResult Write(std::span<Item> batch) override {
    Ids ids = IdsOf(batch);
    for (const Item& item : batch) {
      EXPECT_EQ(item.body == nullptr ? -1 : *item.body, item.id);
    }
    {
      std::lock_guard lock(mutex_);
      writes_.push_back(ids);
    }
    return answer_(ids);
  }

  void Complete(Item& item, const absl::Status& status) override {
    if (on_complete) on_complete(item, status);
    std::lock_guard lock(mutex_);
    completed_.emplace_back(item.id, status);
    changed_.notify_all();
  }

  absl::Status BadDataError() override { return absl::InvalidArgumentError("bad data"); }

  // Blocks until `count` items have completed, then gives them in their order.
  std::vector<std::pair<int, absl::Status>> WaitCompleted(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return completed_.size() >= count; });
    return completed_;
  }
  std::vector<std::pair<int, absl::Status>> completed() { return WaitCompleted(0); }
  std::vector<Ids> writes() {
    std::lock_guard lock(mutex_);
    return writes_;
  }

  std::function<void(Item&, const absl::Status&)> on_complete;  // set before the first Offer

 private:
  const Answer answer_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Ids> writes_;
  std::vector<std::pair<int, absl::Status>> completed_;
};

// Holds the first write until it is opened, so that a test can queue what it likes behind it.
struct Gate {
  BatchResult Pass(BatchResult result = BatchResult::kWritten) {
    if (!entered.try_wait()) {
      entered.count_down();
      open.wait();
    }
    return result;
  }
  std::latch entered{1};
  std::latch open{1};
};

bool Offer(Batcher<Item>& batcher, int id) {
  Item item = MakeItem(id);
  return batcher.Offer(item);
}

// Fills the queue behind item 0, which waits at the gate, then lets go.
void OfferBehindGate(Batcher<Item>& batcher, Gate& gate, int first, int last) {
  ASSERT_TRUE(Offer(batcher, 0));
  gate.entered.wait();
  for (int id = first; id <= last; ++id) ASSERT_TRUE(Offer(batcher, id));
  gate.open.count_down();
}

TEST(Batcher, LoneItemIsWrittenAtOnce) {
  FakeWriter writer;
  Batcher<Item> batcher({&writer}, {}, ThreadLoops());
  for (int id = 1; id <= 3; ++id) {  // each is alone: nothing else comes that could complete a batch
    ASSERT_TRUE(Offer(batcher, id));
    writer.WaitCompleted(static_cast<size_t>(id));
  }
  EXPECT_THAT(writer.writes(), ElementsAre(Ids{1}, Ids{2}, Ids{3}));
}

TEST(Batcher, WhatArrivesDuringAWriteIsTheNextBatchInOrder) {
  Gate gate;
  FakeWriter writer([&](const Ids&) { return gate.Pass(); });
  Batcher<Item> batcher({&writer}, {}, ThreadLoops());
  OfferBehindGate(batcher, gate, 1, 5);
  writer.WaitCompleted(6);
  EXPECT_THAT(writer.writes(), ElementsAre(Ids{0}, (Ids{1, 2, 3, 4, 5})));
}

// An item that counts as many.
struct HeavyItem {
  int id = 0;
  size_t heavy = 1;
  size_t weight() const { return heavy; }
};

class HeavyWriter final : public BatchWriter<HeavyItem> {
 public:
  BatchResult Write(std::span<HeavyItem> batch) override {
    if (!entered.try_wait()) {
      entered.count_down();
      open.wait();
    }
    Ids ids;
    for (const HeavyItem& item : batch) ids.push_back(item.id);
    writes.push_back(ids);
    return BatchResult::kWritten;
  }
  void Complete(HeavyItem&, const absl::Status&) override {}
  absl::Status BadDataError() override { return absl::InternalError(""); }

  std::latch entered{1};
  std::latch open{1};
  std::vector<Ids> writes;
};

TEST(Batcher, LimitsCountWhatItemsWeigh) {
  HeavyWriter writer;
  BatcherOptions options;
  options.queue_max = 10;
  options.batch_max = 6;
  Batcher<HeavyItem> batcher({&writer}, options, ThreadLoops());
  auto offer = [&](int id, size_t weight) {
    HeavyItem item{id, weight};
    return batcher.Offer(item);
  };
  ASSERT_TRUE(offer(0, 1));
  writer.entered.wait();
  EXPECT_TRUE(offer(1, 3));
  EXPECT_TRUE(offer(2, 3));
  EXPECT_TRUE(offer(3, 1));
  EXPECT_TRUE(offer(4, 100));  // there was room for something
  EXPECT_EQ(batcher.queue_depth(), 107u);
  EXPECT_FALSE(offer(5, 1));
  writer.open.count_down();
  batcher.Stop();
  EXPECT_EQ(batcher.queue_depth(), 0u);
  EXPECT_THAT(writer.writes, ElementsAre(Ids{0}, (Ids{1, 2}), Ids{3}, Ids{4}));
}

TEST(Batcher, LongQueueIsCutAtBatchMaxAndKeepsItsOrder) {
  Gate gate;
  FakeWriter writer([&](const Ids&) { return gate.Pass(); });
  BatcherOptions options;
  options.batch_max = 3;
  Batcher<Item> batcher({&writer}, options, ThreadLoops());
  OfferBehindGate(batcher, gate, 1, 7);
  writer.WaitCompleted(8);
  EXPECT_THAT(writer.writes(), ElementsAre(Ids{0}, (Ids{1, 2, 3}), (Ids{4, 5, 6}), Ids{7}));
}

TEST(Batcher, FullQueueRefusesAndLeavesTheItemUntouched) {
  Gate gate;
  FakeWriter writer([&](const Ids&) { return gate.Pass(); });
  BatcherOptions options;
  options.queue_max = 2;
  Batcher<Item> batcher({&writer}, options, ThreadLoops());
  ASSERT_TRUE(Offer(batcher, 0));
  gate.entered.wait();
  EXPECT_TRUE(Offer(batcher, 1));
  EXPECT_TRUE(Offer(batcher, 2));
  EXPECT_EQ(batcher.queue_depth(), 2);
  Item refused = MakeItem(3);
  EXPECT_FALSE(batcher.Offer(refused));
  ASSERT_NE(refused.body, nullptr);
  EXPECT_EQ(*refused.body, 3);
  gate.open.count_down();
  writer.WaitCompleted(3);
  EXPECT_TRUE(batcher.Offer(refused)) << "there is room again";
  writer.WaitCompleted(4);
}

TEST(Batcher, WritersWorkAtTheSameTime) {
  std::latch both(2);
  auto meet = [&](const Ids&) {
    both.arrive_and_wait();  // returns only when the other writer is writing too
    return BatchResult::kWritten;
  };
  FakeWriter first(meet), second(meet);
  BatcherOptions options;
  options.batch_max = 1;
  Batcher<Item> batcher({&first, &second}, options, ThreadLoops());
  ASSERT_TRUE(Offer(batcher, 1));
  ASSERT_TRUE(Offer(batcher, 2));
  first.WaitCompleted(1);
  second.WaitCompleted(1);
}

// The first writer is at the gate; what is offered now is for the second.
void OccupyFirst(Batcher<Item>& batcher, Gate& gate) {
  ASSERT_TRUE(Offer(batcher, 0));
  gate.entered.wait();
}

TEST(Batcher, AnotherWriterJoinsForABatchThatIsWorthIt) {
  Gate gate;
  FakeWriter writers[2] = {FakeWriter([&](const Ids&) { return gate.Pass(); }),
                           FakeWriter([&](const Ids&) { return gate.Pass(); })};
  BatcherOptions options;
  options.join_min = 3;
  options.join_after = absl::Hours(1);
  Batcher<Item> batcher({&writers[0], &writers[1]}, options, ThreadLoops());
  OccupyFirst(batcher, gate);
  FakeWriter& second = writers[writers[0].writes().empty() ? 0 : 1];
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(Offer(batcher, id));
  second.WaitCompleted(3);
  EXPECT_THAT(second.writes(), ElementsAre(Ids{1, 2, 3}));
  gate.open.count_down();
}

TEST(Batcher, AnotherWriterJoinsWhenTheFirstIsStuck) {
  Gate gate;
  FakeWriter writers[2] = {FakeWriter([&](const Ids&) { return gate.Pass(); }),
                           FakeWriter([&](const Ids&) { return gate.Pass(); })};
  BatcherOptions options;
  options.join_min = 1'000;
  options.join_after = absl::Milliseconds(1);
  Batcher<Item> batcher({&writers[0], &writers[1]}, options, ThreadLoops());
  OccupyFirst(batcher, gate);
  FakeWriter& second = writers[writers[0].writes().empty() ? 0 : 1];
  for (int id = 1; id <= 3; ++id) {  // again and again: each time it lingers anew
    ASSERT_TRUE(Offer(batcher, id));
    second.WaitCompleted(static_cast<size_t>(id));
  }
  EXPECT_THAT(second.writes(), ElementsAre(Ids{1}, Ids{2}, Ids{3}));
  gate.open.count_down();
}

TEST(Batcher, CompleteRunsOutsideEveryLock) {
  FakeWriter writer;
  Batcher<Item> batcher({&writer}, {}, ThreadLoops());
  writer.on_complete = [&](Item& item, const absl::Status&) {
    EXPECT_EQ(batcher.queue_depth(), 0);
    EXPECT_TRUE(item.id == 3 || Offer(batcher, item.id + 1));  // would deadlock under the lock
  };
  ASSERT_TRUE(Offer(batcher, 1));
  EXPECT_EQ(writer.WaitCompleted(3).size(), 3);
}

// Item 0 is in the middle of its completion, and items 1 and 2 have been written since.
void CompleteSlowly(FakeWriter& writer, Batcher<Item>& batcher, Gate& gate, std::latch& told) {
  writer.on_complete = [&](Item& item, const absl::Status&) {
    if (item.id == 0) told.wait();
  };
  OfferBehindGate(batcher, gate, 1, 2);
  writer.WaitCompleted(2);
}

TEST(Batcher, MayCompleteWhatIsWrittenBesideTheNextWrite) {
  Gate gate;
  std::latch told(1);
  FakeWriter writer([&](const Ids&) { return gate.Pass(); });
  Batcher<Item> batcher({&writer}, {.complete_beside = true}, ThreadLoops());
  CompleteSlowly(writer, batcher, gate, told);
  EXPECT_THAT(writer.writes(), ElementsAre(Ids{0}, (Ids{1, 2})));
  told.count_down();
  EXPECT_EQ(writer.WaitCompleted(3).back().first, 0);
}

TEST(Batcher, StopWaitsForCompletionsUnderWay) {
  Gate gate;
  std::latch told(1);
  FakeWriter writer([&](const Ids&) { return gate.Pass(); });
  Batcher<Item> batcher({&writer}, {.complete_beside = true}, ThreadLoops());
  CompleteSlowly(writer, batcher, gate, told);
  std::thread teller([&] { told.count_down(); });  // before Stop returns, or it never does
  batcher.Stop();
  EXPECT_EQ(writer.completed().size(), 3);
  teller.join();
}

BatchResult BadWhenAny(const Ids& ids, const std::set<int>& culprits) {
  bool bad = std::any_of(ids.begin(), ids.end(), [&](int id) { return culprits.count(id) != 0; });
  return bad ? BatchResult::kBadData : BatchResult::kWritten;
}

TEST(Batcher, BadDataIsHalvedUntilTheCulpritStandsAlone) {
  Gate gate;
  FakeWriter writer([&](const Ids& ids) { return gate.Pass(BadWhenAny(ids, {3})); });
  Batcher<Item> batcher({&writer}, {}, ThreadLoops());
  OfferBehindGate(batcher, gate, 1, 4);
  auto completed = writer.WaitCompleted(5);
  EXPECT_THAT(writer.writes(), ElementsAre(Ids{0}, (Ids{1, 2, 3, 4}), (Ids{1, 2}), (Ids{3, 4}), Ids{3}, Ids{4}));
  EXPECT_THAT(
      completed,
      ElementsAre(std::pair(0, absl::OkStatus()), std::pair(1, absl::OkStatus()), std::pair(2, absl::OkStatus()),
                  std::pair(3, absl::InvalidArgumentError("bad data")), std::pair(4, absl::OkStatus())));
}

// A batcher without threads, in time that passes when told to.
struct InManualTime {
  testing::ManualTime time;
  testing::ScheduledLoops loops{time, time, [] { return absl::ZeroDuration(); }};
};

TEST(Batcher, UnknownOutcomeRepeatsTheSameBatchInTheSameOrderWithBackoff) {
  InManualTime in;
  int failures = 6;
  std::vector<absl::Duration> written_at;
  FakeWriter writer([&, start = in.time.Steady()](const Ids&) {
    written_at.push_back(in.time.Steady() - start);
    return failures-- > 0 ? BatchResult::kTryAgain : BatchResult::kWritten;
  });
  BatcherOptions options;
  options.retry_initial = absl::Milliseconds(20);
  options.retry_max = absl::Milliseconds(100);
  Batcher<Item> batcher({&writer}, options, in.loops);
  in.time.Advance(absl::ZeroDuration());
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(Offer(batcher, id));
  in.time.Advance(absl::ZeroDuration());
  EXPECT_EQ(batcher.retrying(), 1);
  in.time.Advance(absl::Seconds(1));
  for (const auto& [id, status] : writer.WaitCompleted(3)) EXPECT_TRUE(status.ok()) << id;
  EXPECT_EQ(writer.writes(), std::vector<Ids>(7, Ids{1, 2, 3}));
  EXPECT_THAT(written_at,
              ElementsAre(absl::ZeroDuration(), absl::Milliseconds(20), absl::Milliseconds(60), absl::Milliseconds(140),
                          absl::Milliseconds(240), absl::Milliseconds(340), absl::Milliseconds(440)));
  EXPECT_EQ(batcher.retrying(), 0);
}

TEST(Batcher, ItemsThatArriveDuringRetriesDoNotJoinTheRepeatedBatch) {
  InManualTime in;
  Batcher<Item>* queue = nullptr;
  int tries = 0;
  FakeWriter writer([&](const Ids&) {
    if (++tries > 3) return BatchResult::kWritten;
    EXPECT_EQ(queue->retrying(), tries == 1 ? 0 : 1);
    EXPECT_TRUE(Offer(*queue, tries * 10));
    return BatchResult::kTryAgain;
  });
  Batcher<Item> batcher({&writer}, {}, in.loops);
  queue = &batcher;
  ASSERT_TRUE(Offer(batcher, 1));
  in.time.Advance(absl::Seconds(1));
  EXPECT_THAT(writer.writes(), ElementsAre(Ids{1}, Ids{1}, Ids{1}, Ids{1}, (Ids{10, 20, 30})));
}

TEST(Batcher, WhoWaitsForCompanyWaitsAnewWhenTheQueueWasEmptiedMeanwhile) {
  InManualTime in;
  std::vector<std::pair<Ids, absl::Duration>> writes;
  bool answers = false;
  auto write = [&, start = in.time.Steady()](const Ids& ids) {
    writes.emplace_back(ids, in.time.Steady() - start);
    return answers ? BatchResult::kWritten : BatchResult::kTryAgain;
  };
  FakeWriter first(write), second(write);
  BatcherOptions options;
  options.join_min = 100;
  options.join_after = absl::Milliseconds(10);
  options.retry_initial = options.retry_max = absl::Milliseconds(8);
  Batcher<Item> batcher({&first, &second}, options, in.loops);
  in.time.Advance(absl::ZeroDuration());
  ASSERT_TRUE(Offer(batcher, 0));
  in.time.Advance(absl::Milliseconds(1));
  ASSERT_TRUE(Offer(batcher, 1));  // somebody begins to wait, at 1
  in.time.Advance(absl::Milliseconds(1));
  answers = true;
  in.time.Advance(absl::Milliseconds(7));  // the first is answered at 8 and takes it along
  answers = false;
  ASSERT_TRUE(Offer(batcher, 2));  // at 9: written at once, and then again and again
  in.time.Advance(absl::ZeroDuration());
  ASSERT_TRUE(Offer(batcher, 3));  // waits until 19, not 11
  in.time.Advance(absl::Milliseconds(15));
  auto wrote = [&](const Ids& ids) {
    return std::find_if(writes.begin(), writes.end(), [&](const auto& one) { return one.first == ids; });
  };
  EXPECT_EQ(wrote({1})->second, absl::Milliseconds(8));
  EXPECT_EQ(wrote({2})->second, absl::Milliseconds(9));
  EXPECT_EQ(wrote({3})->second, absl::Milliseconds(19));
  answers = true;
}

TEST(Batcher, HalvesAreRepeatedAsHalves) {
  Gate gate;
  bool failed = false;
  FakeWriter writer([&](const Ids& ids) {
    if (ids == Ids{3, 4} && !failed) {
      failed = true;
      return BatchResult::kTryAgain;
    }
    return gate.Pass(BadWhenAny(ids, {4}));
  });
  BatcherOptions options;
  options.retry_initial = options.retry_max = absl::ZeroDuration();
  Batcher<Item> batcher({&writer}, options, ThreadLoops());
  OfferBehindGate(batcher, gate, 1, 4);
  EXPECT_EQ(writer.WaitCompleted(5).size(), 5);
  EXPECT_THAT(writer.writes(),
              ElementsAre(Ids{0}, (Ids{1, 2, 3, 4}), (Ids{1, 2}), (Ids{3, 4}), (Ids{3, 4}), Ids{3}, Ids{4}));
}

TEST(Batcher, StopWritesWhatIsQueued) {
  Gate gate;
  FakeWriter writer([&](const Ids&) { return gate.Pass(); });
  Batcher<Item> batcher({&writer}, {}, ThreadLoops());
  OfferBehindGate(batcher, gate, 1, 9);
  batcher.Stop();
  auto completed = writer.completed();
  EXPECT_EQ(completed.size(), 10);
  for (const auto& [id, status] : completed) EXPECT_TRUE(status.ok()) << id;
  Item late = MakeItem(10);
  EXPECT_FALSE(batcher.Offer(late));
  EXPECT_NE(late.body, nullptr);
  batcher.Stop();  // again is harmless
}

TEST(Batcher, StopWhileTheStoreIsDownCompletesEverythingWithUnavailable) {
  std::latch failing{1};
  FakeWriter writer([&](const Ids&) {
    if (!failing.try_wait()) failing.count_down();
    return BatchResult::kTryAgain;
  });
  BatcherOptions options;
  options.batch_max = 2;
  options.retry_initial = options.retry_max = absl::Hours(1);  // Stop must not wait for it
  Batcher<Item> batcher({&writer}, options, ThreadLoops());
  ASSERT_TRUE(Offer(batcher, 0));
  failing.wait();
  for (int id = 1; id <= 5; ++id) ASSERT_TRUE(Offer(batcher, id));
  batcher.Stop();
  auto completed = writer.completed();
  ASSERT_EQ(completed.size(), 6);
  for (int id = 0; id <= 5; ++id) {
    EXPECT_EQ(completed[static_cast<size_t>(id)].first, id);
    EXPECT_EQ(completed[static_cast<size_t>(id)].second.code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(batcher.retrying(), 0);
}

TEST(Batcher, StopWithNothingQueuedEndsIdleWriters) {
  FakeWriter first, second;
  Batcher<Item> batcher({&first, &second}, {}, ThreadLoops());
  batcher.Stop();
  EXPECT_THAT(first.writes(), IsEmpty());
}

// Whatever the store answers and however many writers and callers there are: each accepted item completes exactly once,
// only culprits fail, and what completed OK is in the store.
RC_GTEST_PROP(BatcherProperty, EachItemCompletesExactlyOnceAndOnlyCulpritsFail, (uint64_t seed)) {
  SeededRandom random(seed);
  const int items = 1 + static_cast<int>(random.Next() % 200);
  const size_t writers = 1 + random.Next() % 3;
  const int callers = 1 + static_cast<int>(random.Next() % 3);
  const double again = random.Uniform() * 0.5;
  std::set<int> culprits;
  for (int id = 0; id < items; ++id) {
    if (random.Uniform() < 0.05) culprits.insert(id);
  }
  std::mutex mutex;
  std::set<int> stored;
  auto answer = [&](const Ids& ids) {
    BatchResult result = BadWhenAny(ids, culprits);
    std::lock_guard lock(mutex);
    bool lost = random.Uniform() < again;
    if (result == BatchResult::kWritten && (!lost || random.Uniform() < 0.5)) stored.insert(ids.begin(), ids.end());
    return lost ? BatchResult::kTryAgain : result;  // half of the lost answers are of commits that happened
  };
  std::vector<std::unique_ptr<FakeWriter>> fakes;
  std::vector<BatchWriter<Item>*> pointers;
  for (size_t i = 0; i < writers; ++i) {
    fakes.push_back(std::make_unique<FakeWriter>(answer));
    pointers.push_back(fakes.back().get());
  }
  BatcherOptions options;
  options.batch_max = 1 + random.Next() % 40;
  options.queue_max = 1 + random.Next() % 100;
  options.retry_initial = options.retry_max = absl::ZeroDuration();
  Batcher<Item> batcher(pointers, options, ThreadLoops());
  std::vector<std::thread> threads;
  for (int caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      for (int id = caller; id < items; id += callers) {
        Item item = MakeItem(id);
        while (!batcher.Offer(item)) std::this_thread::yield();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  auto completed = [&] {
    size_t count = 0;
    for (auto& fake : fakes) count += fake->completed().size();
    return count;
  };
  while (completed() < static_cast<size_t>(items)) std::this_thread::yield();  // Stop gives up on retries
  batcher.Stop();
  std::map<int, int> times;
  for (auto& fake : fakes) {
    for (const auto& [id, status] : fake->completed()) {
      ++times[id];
      RC_ASSERT(status.ok() == (culprits.count(id) == 0));
      RC_ASSERT(status.ok() == (stored.count(id) != 0));
    }
    for (const Ids& ids : fake->writes()) RC_ASSERT(ids.size() <= options.batch_max);
  }
  RC_ASSERT(times.size() == static_cast<size_t>(items));
  for (const auto& [id, count] : times) RC_ASSERT(count == 1);
}

// Counts how often items are moved.
struct CountedItem {
  explicit CountedItem(std::atomic<int64_t>& count) : moves(&count) {}
  CountedItem(CountedItem&& other) noexcept : moves(other.moves) { ++*moves; }
  CountedItem& operator=(CountedItem&& other) noexcept {
    moves = other.moves;
    ++*moves;
    return *this;
  }
  std::atomic<int64_t>* moves;
};

class CountingWriter final : public BatchWriter<CountedItem> {
 public:
  BatchResult Write(std::span<CountedItem>) override { return gate.Pass(); }
  void Complete(CountedItem&, const absl::Status&) override {}
  absl::Status BadDataError() override { return absl::OkStatus(); }
  Gate gate;
};

TEST(Batcher, ALongBacklogIsNotMovedForEachBatch) {
  constexpr int kBacklog = 10'000;
  std::atomic<int64_t> moves = 0;
  CountingWriter writer;
  {
    BatcherOptions options;
    options.batch_max = 10;
    Batcher<CountedItem> batcher({&writer}, options, ThreadLoops());
    CountedItem first(moves);
    ASSERT_TRUE(batcher.OfferAlways(first));
    writer.gate.entered.wait();
    for (int i = 0; i < kBacklog; ++i) {
      CountedItem item(moves);
      ASSERT_TRUE(batcher.OfferAlways(item));
    }
    writer.gate.open.count_down();
  }  // writes all
  EXPECT_LE(moves, 10 * kBacklog);
}

}  // namespace
}  // namespace waybill
