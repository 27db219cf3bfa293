// A store of limits that answers when the test lets it, and then as FakeLimitStore does.
#pragma once

#include <condition_variable>
#include <mutex>
#include <vector>

#include "storage/testing/fake_limit_store.h"

namespace waybill::limits {

class GatedStore final : public storage::LimitStore {
 public:
  explicit GatedStore(const Clock& clock) : store_(clock) {}

  void Close() { Set(false); }
  void Open() { Set(true); }
  // Until it is asked something that it does not answer.
  void AwaitQuestion() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return asking_ > 0; });
  }

  absl::StatusOr<std::vector<storage::CellGrant>> Take(const std::vector<storage::CellRequest>& requests) override {
    {
      std::unique_lock lock(mutex_);
      ++asking_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
      --asking_;
    }
    return store_.Take(requests);
  }

 private:
  void Set(bool open) {
    std::lock_guard lock(mutex_);
    open_ = open;
    changed_.notify_all();
  }

  storage::testing::FakeLimitStore store_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int asking_ = 0;
};

}  // namespace waybill::limits
