// Dead letters in memory, as whoever fills it says that they stand.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/dead_letters.h"

namespace waybill::storage::testing {

// Not thread-safe. What is redriven or discarded is no longer there.
class MemoryDeadLetters final : public DeadLetterStore {
 public:
  void Add(DeadLetter letter) { letters_.push_back(std::move(letter)); }
  // As the audit has them: each letter's id is the subject.
  const std::vector<domain::Deed>& deeds() const { return deeds_; }
  // Pauses that redriving was asked for.
  const std::vector<absl::Duration>& apart() const { return apart_; }

  absl::StatusOr<std::vector<DeadLetter>> List(const DeadLetterFilter& filter,
                                               const std::optional<std::pair<absl::Time, std::string>>& after,
                                               int limit) override;
  absl::StatusOr<std::vector<DeadLetterCount>> Count(const DeadLetterFilter& filter, int64_t most) override;
  absl::StatusOr<int> Redrive(const DeadLetterFilter& filter, int limit, absl::Duration apart,
                              const domain::Deed& deed) override;
  absl::StatusOr<int> Discard(const DeadLetterFilter& filter, int limit, const std::string& reason,
                              const domain::Deed& deed) override;

 private:
  // The longest dead first.
  std::vector<DeadLetter> Found(const DeadLetterFilter& filter) const;
  void Remove(const DeadLetter& letter, const domain::Deed& deed);

  std::vector<DeadLetter> letters_;
  std::vector<domain::Deed> deeds_;
  std::vector<absl::Duration> apart_;
};

}  // namespace waybill::storage::testing
