#include "payments/health.h"

#include <algorithm>
#include <vector>

namespace waybill::payments {

void Health::Note(SteadyTime now, bool answered) {
  if (in_a_row_ == 0 || (in_a_row_ > 0) != answered) row_since_ = now;
  in_a_row_ = answered ? std::max(in_a_row_, 0) + 1 : std::min(in_a_row_, 0) - 1;
  window_.push_back({now, answered});
  if (window_.size() > options_.window) window_.pop_front();
}

bool Health::FailsTooOften(SteadyTime now) const {
  if (-in_a_row_ >= options_.failures_in_a_row && now - row_since_ >= options_.failing_for) return true;
  const auto failed = static_cast<size_t>(
      std::count_if(window_.begin(), window_.end(), [](const Call& call) { return !call.answered; }));
  return window_.size() == options_.window && 2 * failed >= window_.size() &&
         now - window_.front().at >= options_.failing_for;
}

void Health::Answered(SteadyTime now, absl::Duration latency) {
  ++answers_;
  latencies_.push_back({now, latency});
  if (latencies_.size() > options_.latencies) latencies_.pop_front();
  Note(now, true);
  if (!out()) return;
  explore_at_ = now;
  if (in_a_row_ < options_.answers_in_a_row) return;
  out_since_.reset();
  window_.clear();
  latencies_.clear();  // how fast it was before says nothing now
  in_a_row_ = 0;
}

void Health::Failed(SteadyTime now) {
  ++failures_;
  Note(now, false);
  if (out() || !FailsTooOften(now)) return;
  out_since_ = now;
  explore_at_ = now + options_.explore_after;
}

absl::Duration Health::MedianLatency(SteadyTime now) const {
  std::vector<absl::Duration> recent;
  for (const Latency& one : latencies_) {
    if (now - one.at <= options_.latencies_for) recent.push_back(one.latency);
  }
  if (recent.empty()) return absl::ZeroDuration();
  const auto middle = recent.begin() + static_cast<std::ptrdiff_t>(recent.size() / 2);
  std::nth_element(recent.begin(), middle, recent.end());
  return *middle;
}

}  // namespace waybill::payments
