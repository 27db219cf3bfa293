#include "runtime/executor.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/time/time.h"

namespace waybill {
namespace {

class ThreadLoop final : public Loop {
 public:
  explicit ThreadLoop(Turn turn) : turn_(std::move(turn)), thread_([this] { Run(); }) {}
  ~ThreadLoop() override = default;

  void Wake() override {
    {
      std::lock_guard lock(mutex_);
      woken_ = true;
    }
    changed_.notify_one();
  }

  void Join() override {
    if (!thread_.joinable()) return;
    Wake();
    thread_.join();
  }

 private:
  void Run() {
    const SystemClock clock;
    while (const std::optional<SteadyTime> due = turn_(clock)) {
      std::unique_lock lock(mutex_);
      while (!woken_) {
        if (*due == kWhenWoken) {
          changed_.wait(lock);
          continue;
        }
        const absl::Duration left = *due - clock.Steady();
        if (left <= absl::ZeroDuration()) break;
        changed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(left, absl::Hours(1))));
      }
      woken_ = false;
    }
  }

  Turn turn_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Loop> ThreadLoops::Start(Loop::Turn turn) const {
  return std::make_unique<ThreadLoop>(std::move(turn));
}

}  // namespace waybill
