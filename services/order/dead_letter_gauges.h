// How many dead letters there are, for the metrics.
#pragma once

#include <mutex>
#include <vector>

#include "runtime/chores.h"
#include "runtime/clock.h"
#include "runtime/metrics.h"
#include "storage/dead_letters.h"

namespace waybill::order {

class DeadLetterGauges {
 public:
  // Of a kind so many causes have a series of their own, those with the most letters; the others are "OTHER".
  static constexpr size_t kCausesMax = 20;
  // Of a kind so many are counted.
  static constexpr int64_t kCountedMax = 10'000;

  DeadLetterGauges(Metrics& metrics, const Clock& clock);  // this outlives their use

  // `store` outlives it.
  Chore CountChore(storage::DeadLetterStore& store);
  void Show(std::vector<storage::DeadLetterCount> counts);

 private:
  const Clock& clock_;
  std::mutex mutex_;
  std::vector<storage::DeadLetterCount> counts_;
};

}  // namespace waybill::order
