// Keeps the spans that it is given.
#pragma once

#include <atomic>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/trace.h"

namespace waybill::testing {

class SpanBox final : public SpanSink {
 public:
  void Take(SpanRecord record) override {
    std::lock_guard lock(mutex_);
    spans_.push_back(std::move(record));
  }

  void LeftOut() override { ++left_out_; }
  int left_out() const { return left_out_; }

  std::vector<SpanRecord> spans() const {
    std::lock_guard lock(mutex_);
    return spans_;
  }
  std::vector<SpanRecord> Named(std::string_view name) const {
    std::vector<SpanRecord> named;
    for (SpanRecord& span : spans()) {
      if (span.name == name) named.push_back(std::move(span));
    }
    return named;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<SpanRecord> spans_;
  std::atomic<int> left_out_{0};
};

}  // namespace waybill::testing
