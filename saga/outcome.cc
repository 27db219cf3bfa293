#include "saga/outcome.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "runtime/text.h"

namespace waybill::saga {

void CleanOutcome(Outcome& outcome) {
  outcome.reason = CleanText(std::move(outcome.reason), kReasonBytesMax);
  outcome.detail = CleanText(std::move(outcome.detail), kDetailBytesMax);
  if (outcome.kind != Outcome::Kind::kLater) return;
  const bool finite = outcome.until != absl::InfinitePast() && outcome.until != absl::InfiniteFuture();
  if (!IsToken(outcome.token) || !finite) {
    outcome = Outcome::Unknown("BAD_TOKEN", "the participant's token or latest time is none");
  }
}

std::string_view Name(Outcome::Kind kind) {
  constexpr std::string_view kNames[] = {"succeeded", "rejected", "unknown", "later", "again"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view Name(SignalResult result) {
  constexpr std::string_view kNames[] = {"woken", "kept", "repeated", "late", "unawaited"};
  return kNames[static_cast<size_t>(result)];
}

std::string_view Name(Direction direction) {
  constexpr std::string_view kNames[] = {"do", "undo", "close"};
  return kNames[static_cast<size_t>(direction)];
}

std::string WaitName(std::string_view step, Direction direction, std::string_view token) {
  std::string name(step);
  name += '/';
  name += Name(direction);
  name += '/';
  name += token;
  return name;
}

std::optional<Wait> ParseWaitName(std::string_view name) {
  const size_t step_end = name.find('/');
  if (step_end == std::string_view::npos) return std::nullopt;
  const std::string_view rest = name.substr(step_end + 1);
  for (Direction direction : {Direction::kDo, Direction::kUndo, Direction::kClose}) {
    const std::string_view action = Name(direction);
    if (rest.size() > action.size() + 1 && rest.substr(0, action.size()) == action && rest[action.size()] == '/') {
      return Wait{name.substr(0, step_end), direction, rest.substr(action.size() + 1)};
    }
  }
  return std::nullopt;
}

std::string JoinWaitNames(std::span<const std::string> names) { return absl::StrJoin(names, " "); }

std::vector<std::string_view> SplitWaitNames(std::string_view names) {
  std::vector<std::string_view> split;
  while (!names.empty()) {
    const size_t end = std::min(names.find(' '), names.size());
    if (end > 0) split.push_back(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return split;
}

bool IsAmong(std::string_view name, std::string_view names) {
  const std::vector<std::string_view> all = SplitWaitNames(names);
  return std::find(all.begin(), all.end(), name) != all.end();
}

bool IsToken(std::string_view text) {
  return !text.empty() && text.size() <= 128 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace waybill::saga
