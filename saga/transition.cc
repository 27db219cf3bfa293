#include "saga/transition.h"

#include <string_view>

#include "fmt/format.h"
#include "saga/record.h"

namespace waybill::saga {
namespace {

using enum State;
using enum Command;

constexpr Transition kTable[] = {
    {kRunning, Event::kStepSucceeded, kRunning, kDoStep},
    {kRunning, Event::kLastStepSucceeded, kSucceeded, kSettle},
    {kRunning, Event::kStepUnknown, kRunning, kRetryLater},
    {kRunning, Event::kStepRejected, kCompensating, kUndoStep},
    {kRunning, Event::kFirstStepRejected, kCompensated, kSettle},
    {kRunning, Event::kBudgetSpent, kCompensating, kUndoStep},
    {kRunning, Event::kCancelRequested, kCompensating, kUndoStep},
    {kRunning, Event::kStepLater, kRunning, kWait},
    {kRunning, Event::kStepAgain, kRunning, kDoStep},
    {kRunning, Event::kRecovered, kRunning, kDoStep},

    {kSucceeded, Event::kCancelRequested, kCompensating, kUndoStep},
    {kSucceeded, Event::kCloseRequested, kClosing, kCloseStep},

    {kClosing, Event::kStepClosed, kClosing, kCloseStep},
    {kClosing, Event::kLastStepClosed, kClosed, kSettle},
    {kClosing, Event::kCloseFailed, kClosing, kRetryLater},
    {kClosing, Event::kStepLater, kClosing, kWait},
    {kClosing, Event::kRecovered, kClosing, kCloseStep},
    {kClosing, Event::kResolveRequested, kClosed, kSettle},

    {kCompensating, Event::kStepUndone, kCompensating, kUndoStep},
    {kCompensating, Event::kLastStepUndone, kCompensated, kSettle},
    {kCompensating, Event::kUndoFailed, kCompensating, kRetryLater},
    {kCompensating, Event::kStepLater, kCompensating, kWait},
    {kCompensating, Event::kRecovered, kCompensating, kUndoStep},
    {kCompensating, Event::kResolveRequested, kResolved, kSettle},
};

}  // namespace

std::string_view Name(State state) {
  constexpr std::string_view kNames[] = {"running",      "succeeded",   "closing", "closed",
                                         "compensating", "compensated", "resolved"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view Name(Event event) {
  constexpr std::string_view kNames[] = {
      "step_succeeded",   "last_step_succeeded", "step_rejected",    "first_step_rejected", "step_unknown",
      "budget_spent",     "step_undone",         "last_step_undone", "undo_failed",         "step_closed",
      "last_step_closed", "close_failed",        "step_later",       "step_again",          "recovered",
      "cancel_requested", "close_requested",     "resolve_requested"};
  return kNames[static_cast<size_t>(event)];
}

std::string_view Name(Command command) {
  constexpr std::string_view kNames[] = {"do_step", "undo_step", "close_step", "retry_later", "wait", "settle"};
  return kNames[static_cast<size_t>(command)];
}

std::string_view Name(Branch::State state) {
  constexpr std::string_view kNames[] = {"open", "waiting", "done", "nothing"};
  return kNames[static_cast<size_t>(state)];
}

std::string_view Name(LogOutcome outcome) {
  constexpr std::string_view kNames[] = {
      "succeeded",       "rejected", "unknown",  "undone",  "undo_failed", "cancelled", "recovered",
      "needs_attention", "closed",   "resolved", "waiting", "signalled",   "again"};
  return kNames[static_cast<size_t>(outcome)];
}

std::span<const Transition> TransitionTable() { return kTable; }

std::optional<Transition> FindTransition(State state, Event event) {
  for (const Transition& row : kTable) {
    if (row.from == state && row.event == event) return row;
  }
  return std::nullopt;
}

std::string TransitionDiagram() {
  std::string out = "stateDiagram-v2\n  [*] --> running\n";
  for (const Transition& row : kTable) {
    out += fmt::format("  {} --> {}: {} / {}\n", Name(row.from), Name(row.to), Name(row.event), Name(row.command));
  }
  for (State state : kStates) {
    if (IsTerminal(state)) out += fmt::format("  {} --> [*]\n", Name(state));
  }
  return out;
}

}  // namespace waybill::saga
