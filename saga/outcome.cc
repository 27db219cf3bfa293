#include "saga/outcome.h"

#include <algorithm>
#include <cstddef>

namespace waybill::saga {

std::string_view Name(Outcome::Kind kind) {
  constexpr std::string_view kNames[] = {"succeeded", "rejected", "unknown", "later"};
  return kNames[static_cast<size_t>(kind)];
}

std::string_view Name(SignalResult result) {
  constexpr std::string_view kNames[] = {"woken", "kept", "repeated", "late"};
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

bool IsToken(std::string_view text) {
  return !text.empty() && text.size() <= 128 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace waybill::saga
