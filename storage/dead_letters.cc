#include "storage/dead_letters.h"

namespace waybill::storage {

std::string_view Name(DeadLetterKind kind) {
  constexpr std::string_view kNames[] = {"event", "delivery", "case", "saga"};
  return kNames[static_cast<size_t>(kind)];
}

std::optional<DeadLetterKey> ParseDeadLetterId(std::string_view id) {
  const size_t slash = id.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view of = id.substr(0, slash), rest = id.substr(slash + 1);
  for (const DeadLetterKind kind : kDeadLetterKinds) {
    if (Name(kind) != of) continue;
    if (kind == DeadLetterKind::kSaga) {
      const std::optional<Uuid> saga = Uuid::Parse(rest);
      if (!saga) return std::nullopt;
      return DeadLetterKey{kind, saga->ToString(), ""};
    }
    if (kind == DeadLetterKind::kCase) {
      const bool number = !rest.empty() && rest.size() <= 18 && rest.find_first_not_of("0123456789") == rest.npos;
      if (!number) return std::nullopt;
      return DeadLetterKey{kind, std::string(rest), ""};
    }
    const size_t second = rest.find('/');
    if (second == std::string_view::npos || second == 0 || second + 1 == rest.size()) return std::nullopt;
    std::string first(rest.substr(0, second));
    if (kind == DeadLetterKind::kDelivery) {
      const std::optional<Uuid> endpoint = Uuid::Parse(first);
      if (!endpoint) return std::nullopt;
      first = endpoint->ToString();
    }
    return DeadLetterKey{kind, std::move(first), std::string(rest.substr(second + 1))};
  }
  return std::nullopt;
}

}  // namespace waybill::storage
