#include "storage/payment_summary.h"

#include <algorithm>

namespace waybill::storage {
namespace {

int64_t Down(int64_t at, int64_t length) {
  const int64_t over = at % length;
  return at - (over < 0 ? over + length : over);
}
int64_t Up(int64_t at, int64_t length) { return -Down(-at, length); }

}  // namespace

SummaryCover Cover(absl::Time from, absl::Time to) {
  SummaryCover cover;
  const int64_t begin = absl::ToUnixMicros(from), end = absl::ToUnixMicros(to);
  if (begin >= end) return cover;
  constexpr int64_t kSecond = 1'000'000;
  const auto span = [](size_t level) { return kSpanSeconds[level] * kSecond; };
  int64_t first = Up(begin, kSecond), last = Down(end, kSecond);
  if (first > begin) cover.edges.push_back(absl::FromUnixMicros(first - kSecond));
  if (last < end && last >= first) cover.edges.push_back(absl::FromUnixMicros(last));
  const auto add = [&](size_t level, int64_t run_from, int64_t run_to) {
    if (run_from >= run_to) return;
    cover.runs.push_back({static_cast<int>(level), absl::FromUnixMicros(run_from), absl::FromUnixMicros(run_to)});
  };
  // From both ends, as much as is needed to get to where a longer span begins.
  for (size_t level = 0; first < last; ++level) {
    if (level + 1 == kSpanSeconds.size()) {
      add(level, first, last);
      break;
    }
    const int64_t inner_first = std::min(Up(first, span(level + 1)), last);
    const int64_t inner_last = std::max(Down(last, span(level + 1)), inner_first);
    add(level, first, inner_first);
    add(level, inner_last, last);
    first = inner_first;
    last = inner_last;
  }
  return cover;
}

}  // namespace waybill::storage
