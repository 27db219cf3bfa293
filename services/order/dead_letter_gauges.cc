#include "services/order/dead_letter_gauges.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace waybill::order {

DeadLetterGauges::DeadLetterGauges(Metrics& metrics, const Clock& clock) : clock_(clock) {
  metrics.AddCallbackGauges(
      "waybill_dead_letters", "What has failed for good and nobody has redriven or discarded.", [this] {
        std::vector<Metrics::Sample> samples;
        std::lock_guard lock(mutex_);
        for (const storage::DeadLetterCount& count : counts_) {
          samples.push_back(
              {{{"kind", std::string(Name(count.kind))}, {"cause", count.cause}}, static_cast<double>(count.letters)});
        }
        return samples;
      });
  metrics.AddCallbackGauges("waybill_dead_letters_oldest_seconds",
                            "How long the longest dead letter of a kind is dead.", [this] {
                              std::vector<Metrics::Sample> samples;
                              std::lock_guard lock(mutex_);
                              for (const storage::DeadLetterKind kind : storage::kDeadLetterKinds) {
                                absl::Duration oldest;
                                for (const storage::DeadLetterCount& count : counts_) {
                                  if (count.kind == kind) oldest = std::max(oldest, clock_.Now() - count.oldest);
                                }
                                samples.push_back({{{"kind", std::string(Name(kind))}}, absl::ToDoubleSeconds(oldest)});
                              }
                              return samples;
                            });
}

void DeadLetterGauges::Show(std::vector<storage::DeadLetterCount> counts) {
  std::stable_sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
    return a.kind != b.kind ? a.kind < b.kind : a.letters > b.letters;
  });
  std::vector<storage::DeadLetterCount> shown;
  size_t causes = 0;  // of the kind
  for (storage::DeadLetterCount& count : counts) {
    causes = !shown.empty() && shown.back().kind == count.kind ? causes + 1 : 1;
    if (causes <= kCausesMax) {
      shown.push_back(std::move(count));
    } else if (causes == kCausesMax + 1) {
      shown.push_back(std::move(count));
      shown.back().cause = "OTHER";
    } else {
      shown.back().letters += count.letters;
      shown.back().oldest = std::min(shown.back().oldest, count.oldest);
    }
  }
  // A kind without any is 0 and not absent: what comes after that has grown.
  for (const storage::DeadLetterKind kind : storage::kDeadLetterKinds) {
    if (std::none_of(shown.begin(), shown.end(), [kind](const auto& count) { return count.kind == kind; })) {
      shown.push_back({kind, "NONE", 0, 0, absl::InfiniteFuture()});
    }
  }
  std::lock_guard lock(mutex_);
  counts_ = std::move(shown);
}

Chore DeadLetterGauges::CountChore(storage::DeadLetterStore& store) {
  return EveryChore(absl::Seconds(15), "counting dead letters", [this, &store]() -> absl::Status {
    auto counts = store.Count({}, kCountedMax);
    if (!counts.ok()) return counts.status();
    Show(*std::move(counts));
    return absl::OkStatus();
  });
}

}  // namespace waybill::order
