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
  median_.reset();
  Note(now, true);
  if (!out() || SaysFailing(now)) return;
  explore_at_ = now;
  if (in_a_row_ >= options_.answers_in_a_row) Close();
}

void Health::ForgetLatencies() {
  latencies_.clear();
  median_.reset();
}

void Health::Close() {
  out_since_.reset();
  window_.clear();
  ForgetLatencies();  // how fast it was before says nothing now
  in_a_row_ = 0;
}

void Health::Failed(SteadyTime now) {
  ++failures_;
  only_said_ = false;
  Note(now, false);
  if (!out() && FailsTooOften(now)) Open(now);
}

void Health::Open(SteadyTime now) {
  out_since_ = now;
  explore_at_ = now + options_.explore_after;
  word_counts_ = true;
  said_well_ = 0;
}

void Health::Says(SteadyTime now, const Word& word) {
  // How long it took while it said that it takes long says nothing now.
  if (word.min_response && word_ && 2 * *word.min_response < word_->min_response.value_or(absl::ZeroDuration())) {
    ForgetLatencies();
  }
  word_ = word;
  if (SaysFailing(now)) {
    in_a_row_ = std::min(in_a_row_, 0);
    said_well_ = 0;
    if (!out()) {
      Open(now);
      only_said_ = true;
    }
    word_counts_ = true;
  } else if (HasWord(now) && out() && word.asked_at > *out_since_) {
    if (word_counts_) explore_at_ = now;
    word_counts_ = false;
    if (++said_well_ >= options_.answers_in_a_row && only_said_) Close();
  }
}

absl::Duration Health::MedianLatency(SteadyTime now) const {
  if (median_ && now <= median_until_) return *median_;
  std::vector<absl::Duration> recent;
  median_until_ = SteadyTime::InfiniteFuture();
  for (const Latency& one : latencies_) {
    if (now - one.at > options_.latencies_for) continue;
    recent.push_back(one.latency);
    median_until_ = std::min(median_until_, one.at + options_.latencies_for);
  }
  median_ = absl::ZeroDuration();
  if (recent.empty()) return *median_;
  const auto middle = recent.begin() + static_cast<std::ptrdiff_t>(recent.size() / 2);
  std::nth_element(recent.begin(), middle, recent.end());
  return *(median_ = *middle);
}

}  // namespace waybill::payments
