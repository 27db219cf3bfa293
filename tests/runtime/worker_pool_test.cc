#include "runtime/worker_pool.h"

#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace waybill {
namespace {

TEST(WorkerPool, RunsTasksOnItsThreadsAtTheSameTime) {
  WorkerPool pool(3, 10);
  std::latch together(3), done(3);
  for (int i = 0; i < 3; ++i) {
    WorkerPool::Task task = [&, caller = std::this_thread::get_id()] {
      EXPECT_NE(std::this_thread::get_id(), caller);
      together.arrive_and_wait();
      done.count_down();
    };
    ASSERT_TRUE(pool.Submit(task));
  }
  done.wait();
}

TEST(WorkerPool, FullQueueRefusesAndLeavesTheTaskUntouched) {
  std::latch running{1}, let_go{1};
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(1, 2);
    WorkerPool::Task blocker = [&] {
      running.count_down();
      let_go.wait();
    };
    ASSERT_TRUE(pool.Submit(blocker));
    running.wait();
    for (int i = 0; i < 2; ++i) {
      WorkerPool::Task task = [&] { ++ran; };
      EXPECT_TRUE(pool.Submit(task));
    }
    EXPECT_EQ(pool.queue_depth(), 2);
    WorkerPool::Task refused = [&] { ran += 100; };
    EXPECT_FALSE(pool.Submit(refused));
    ASSERT_TRUE(static_cast<bool>(refused));
    refused();
    let_go.count_down();
  }
  EXPECT_EQ(ran, 102);
}

TEST(WorkerPool, DestructorRunsWhatIsQueued) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool(2, 1'000);
    for (int i = 0; i < 1'000; ++i) {
      WorkerPool::Task task = [&] { ++ran; };
      while (!pool.Submit(task)) std::this_thread::yield();
    }
  }
  EXPECT_EQ(ran, 1'000);
}

TEST(WorkerPool, OneThreadKeepsTheOrder) {
  std::vector<int> ran;
  {
    WorkerPool pool(1, 100);
    for (int i = 0; i < 100; ++i) {
      WorkerPool::Task task = [&ran, i] { ran.push_back(i); };
      ASSERT_TRUE(pool.Submit(task));
    }
  }
  ASSERT_EQ(ran.size(), 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ran[static_cast<size_t>(i)], i);
}

TEST(WorkerPool, TasksMaySubmitAndAreDestroyedOutsideTheLock) {
  std::latch done{1};
  WorkerPool pool(1, 10);
  struct SubmitsWhenDestroyed {
    WorkerPool& pool;
    std::latch& done;
    ~SubmitsWhenDestroyed() {
      WorkerPool::Task last = [&d = done] { d.count_down(); };
      EXPECT_TRUE(pool.Submit(last));
    }
  };
  std::unique_ptr<SubmitsWhenDestroyed> owner(new SubmitsWhenDestroyed{pool, done});
  WorkerPool::Task task = [held = std::move(owner)] {};
  ASSERT_TRUE(pool.Submit(task));
  done.wait();
}

}  // namespace
}  // namespace waybill
