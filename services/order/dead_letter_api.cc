#include "services/order/dead_letter_api.h"

#include <algorithm>
#include <future>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "domain/reasons.h"
#include "fmt/format.h"
#include "services/order/intake.h"

namespace waybill::order {
namespace {

using storage::DeadLetterFilter;
using storage::DeadLetterKind;
using storage::DeadLetterStore;

constexpr absl::Duration kResolveWait = absl::Seconds(4);

std::string IdOf(const storage::DeadLetterKey& key) {
  return fmt::format("{}/{}{}{}", storage::Name(key.kind), key.first, key.second.empty() ? "" : "/", key.second);
}

absl::Status NoSuchLetter(const storage::DeadLetterKey& key) {
  return domain::ReasonError("DEAD_LETTER_NOT_FOUND", fmt::format("there is no dead letter {}", IdOf(key)));
}

// That all there is be redriven or discarded has to be said, and not to be left out.
void CheckNamesSomething(const DeadLetterFilter& filter, Violations& violations) {
  const bool names = filter.key || filter.kind || !filter.cause.empty() || !filter.gateway.empty() ||
                     !filter.client.empty() || filter.endpoint_id;
  if (!names) violations.Add("filter", "has to name an id, a kind, a cause, a gateway, a client or an endpoint");
}

void CheckLimit(int limit, Violations& violations) {
  if (limit < 0 || limit > DeadLetterStore::kChangedMax) {
    violations.Add("limit", fmt::format("has to be within 1 and {}", DeadLetterStore::kChangedMax));
  }
}

}  // namespace

absl::StatusOr<DeadLetterApi::Redriven> DeadLetterApi::Redrive(DeadLetterFilter filter, int per_second, int limit,
                                                               std::optional<absl::Time> as_of,
                                                               const domain::Actor& by) {
  Violations violations;
  CheckNamesSomething(filter, violations);
  CheckLimit(limit, violations);
  if (per_second < 0 || per_second > kRateMax) {
    violations.Add("per_second", fmt::format("has to be within 1 and {}", kRateMax));
  }
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  const int rate = per_second == 0 ? kRateDefault : per_second;
  Redriven answer;
  answer.as_of = as_of.value_or(clock_.Now());
  if (!filter.key) filter.since_max = std::min(filter.since_max, answer.as_of);
  const domain::Deed deed{by, "dead_letter.redrive", "dead_letter", "", {{"per_second", fmt::format("{}", rate)}}};
  absl::StatusOr<int> redriven =
      store_.Redrive(filter, limit == 0 ? DeadLetterStore::kChangedMax : limit, absl::Seconds(1) / rate, deed);
  if (!redriven.ok()) return redriven.status();
  answer.redriven = *redriven;
  if (filter.key && answer.redriven > 0) return answer;  // a case that is still so is a letter as before
  if (filter.key) {
    absl::StatusOr<std::vector<storage::DeadLetter>> found = store_.List(filter, std::nullopt, 1);
    if (!found.ok()) return found.status();
    if (found->empty()) return NoSuchLetter(*filter.key);
    if (found->front().blocked.empty()) return domain::TooBusy();  // it came back to life and died again meanwhile
    return domain::ReasonError(found->front().blocked, fmt::format("{} cannot be redriven now", IdOf(*filter.key)));
  }
  absl::StatusOr<std::vector<storage::DeadLetterCount>> counts =
      store_.Count(filter, std::numeric_limits<int64_t>::max());
  if (!counts.ok()) return counts.status();
  for (const storage::DeadLetterCount& count : *counts) {
    answer.left += count.letters - count.blocked;
    answer.blocked += count.blocked;
  }
  return answer;
}

absl::StatusOr<DeadLetterApi::Discarded> DeadLetterApi::Discard(DeadLetterFilter filter, const std::string& reason,
                                                                int limit, std::optional<absl::Time> as_of,
                                                                const domain::Actor& by) {
  Violations violations;
  CheckNamesSomething(filter, violations);
  CheckLimit(limit, violations);
  CheckText(reason, 1, kReasonMax, "reason", violations);
  CheckText(by.operator_name, 1, kOperatorMax, "operator", violations);
  if (absl::Status wrong = std::move(violations).ToStatus(); !wrong.ok()) return wrong;
  if (limit == 0) limit = DeadLetterStore::kChangedMax;
  Discarded answer;
  answer.as_of = as_of.value_or(clock_.Now());
  if (!filter.key) filter.since_max = std::min(filter.since_max, answer.as_of);
  const domain::Deed deed{by, "dead_letter.discard", "dead_letter", "", {{"reason", reason}}};
  absl::StatusOr<int> discarded = store_.Discard(filter, limit, reason, deed);
  if (!discarded.ok()) return discarded.status();
  answer.discarded = *discarded;
  const bool sagas_too = (!filter.key || filter.key->kind == DeadLetterKind::kSaga) &&
                         (!filter.kind || *filter.kind == DeadLetterKind::kSaga);
  if (sagas_too && answer.discarded < limit) {
    absl::StatusOr<int> resolved = ResolveSagas(filter, limit - answer.discarded, reason, by);
    if (!resolved.ok()) return resolved.status();
    answer.discarded += *resolved;
  }
  if (filter.key) {
    if (answer.discarded == 0) return NoSuchLetter(*filter.key);
    return answer;
  }
  absl::StatusOr<std::vector<storage::DeadLetterCount>> counts =
      store_.Count(filter, std::numeric_limits<int64_t>::max());
  if (!counts.ok()) return counts.status();
  for (const storage::DeadLetterCount& count : *counts) answer.left += count.letters;
  return answer;
}

absl::StatusOr<int> DeadLetterApi::ResolveSagas(const DeadLetterFilter& filter, int limit, const std::string& reason,
                                                const domain::Actor& by) {
  DeadLetterFilter sagas = filter;
  sagas.kind = DeadLetterKind::kSaga;
  absl::StatusOr<std::vector<storage::DeadLetter>> found = store_.List(sagas, std::nullopt, limit);
  if (!found.ok()) return found.status();
  int resolved = 0;
  for (const storage::DeadLetter& letter : *found) {
    const std::optional<storage::DeadLetterKey> key = storage::ParseDeadLetterId(letter.id);
    const std::optional<Uuid> saga_id = key ? Uuid::Parse(key->first) : std::nullopt;
    if (!saga_id) continue;
    auto done = std::make_shared<std::promise<absl::Status>>();
    std::future<absl::Status> answer = done->get_future();
    sagas_.Resolve(*saga_id, by, reason, clock_.Steady() + kResolveWait,
                   [done](absl::StatusOr<SagaApi::Answer> saga) { done->set_value(saga.status()); });
    // What is stopped under it may not answer.
    const bool answered = answer.wait_for(absl::ToChronoNanoseconds(kResolveWait)) == std::future_status::ready;
    const absl::Status status = answered ? answer.get() : domain::TooBusy();
    if (status.ok()) ++resolved;
    if (!status.ok() && filter.key) return status;
  }
  return resolved;
}

}  // namespace waybill::order
