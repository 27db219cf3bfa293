#include "storage/testing/memory_dead_letters.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "fmt/format.h"

namespace waybill::storage::testing {
namespace {

std::string IdOf(const DeadLetterKey& key) {
  return fmt::format("{}/{}{}{}", Name(key.kind), key.first, key.second.empty() ? "" : "/", key.second);
}

bool Holds(const DeadLetterFilter& filter, const DeadLetter& letter) {
  const auto fits = [](const std::string& wanted, const std::string& is) { return wanted.empty() || wanted == is; };
  return (!filter.key || IdOf(*filter.key) == letter.id) && (!filter.kind || *filter.kind == letter.kind) &&
         fits(filter.cause, letter.cause) && fits(filter.gateway, letter.gateway) &&
         fits(filter.client, letter.client) && (!filter.endpoint_id || filter.endpoint_id == letter.endpoint_id) &&
         letter.since <= filter.since_max;
}

}  // namespace

std::vector<DeadLetter> MemoryDeadLetters::Found(const DeadLetterFilter& filter) const {
  std::vector<DeadLetter> found;
  for (const DeadLetter& letter : letters_) {
    if (Holds(filter, letter)) found.push_back(letter);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return std::tie(a.since, a.id) < std::tie(b.since, b.id); });
  return found;
}

absl::StatusOr<std::vector<DeadLetter>> MemoryDeadLetters::List(
    const DeadLetterFilter& filter, const std::optional<std::pair<absl::Time, std::string>>& after, int limit) {
  std::vector<DeadLetter> page;
  for (DeadLetter& letter : Found(filter)) {
    if (after && std::tie(letter.since, letter.id) <= std::tie(after->first, after->second)) continue;
    if (static_cast<int>(page.size()) == limit) break;
    page.push_back(std::move(letter));
  }
  return page;
}

absl::StatusOr<std::vector<DeadLetterCount>> MemoryDeadLetters::Count(const DeadLetterFilter& filter, int64_t most) {
  std::map<DeadLetterKind, int64_t> counted;
  std::map<std::pair<DeadLetterKind, std::string>, DeadLetterCount> counts;
  for (const DeadLetter& letter : Found(filter)) {
    if (counted[letter.kind]++ >= most) continue;
    DeadLetterCount& count =
        counts.try_emplace({letter.kind, letter.cause}, DeadLetterCount{letter.kind, letter.cause, 0, 0, letter.since})
            .first->second;
    ++count.letters;
    if (!letter.blocked.empty()) ++count.blocked;
  }
  std::vector<DeadLetterCount> all;
  for (auto& [key, count] : counts) all.push_back(std::move(count));
  return all;
}

absl::StatusOr<int> MemoryDeadLetters::Redrive(const DeadLetterFilter& filter, int limit, absl::Duration apart,
                                               const domain::Deed& deed) {
  apart_.push_back(apart);
  int redriven = 0;
  for (const DeadLetterKind kind : kDeadLetterKinds) {  // as the sources are looked through
    for (const DeadLetter& letter : Found(filter)) {
      if (letter.kind != kind || !letter.blocked.empty() || redriven == limit) continue;
      Remove(letter, deed);
      ++redriven;
    }
  }
  return redriven;
}

absl::StatusOr<int> MemoryDeadLetters::Discard(const DeadLetterFilter& filter, int limit, const std::string&,
                                               const domain::Deed& deed) {
  int discarded = 0;
  for (const DeadLetterKind kind : kDeadLetterKinds) {
    for (const DeadLetter& letter : Found(filter)) {
      if (letter.kind != kind || kind == DeadLetterKind::kSaga || discarded == limit) continue;
      Remove(letter, deed);
      ++discarded;
    }
  }
  return discarded;
}

void MemoryDeadLetters::Remove(const DeadLetter& letter, const domain::Deed& deed) {
  std::erase_if(letters_, [&](const DeadLetter& one) { return one.id == letter.id; });
  deeds_.push_back(deed);
  deeds_.back().subject = letter.id;
}

}  // namespace waybill::storage::testing
