// Where a saga stands, what can happen to it, and what to do then.
#pragma once

#include <cstdint>
#include <string_view>

namespace waybill::saga {

// Persisted by name. A saga's state only moves forward, in the order of this list; kClosed, kCompensated and kResolved
// are terminal. kSucceeded has ended as well, but can still be turned back until it is closed.
enum class State : uint8_t {
  kRunning,       // steps are done, one after the other
  kSucceeded,     // every step is done
  kClosed,        // succeeded for good: can no longer be turned back
  kCompensating,  // steps are undone in reverse order, for as long as it takes
  kCompensated,   // nothing is left to undo
  kResolved,      // ended by an operator's hand
};

enum class Event : uint8_t {
  kStepSucceeded,  // and another one follows
  kLastStepSucceeded,
  kStepRejected,       // and an earlier step has to be undone
  kFirstStepRejected,  // so nothing has to be undone
  kStepUnknown,        // neither success nor failure, and the retry budget lasts
  kBudgetSpent,        // neither success nor failure, for too long
  kStepUndone,         // and an earlier one remains
  kLastStepUndone,
  kUndoFailed,
  kRecovered,  // claimed from a process that no longer holds the lease
  kCancelRequested,
  kCloseRequested,
  kResolveRequested,
};

enum class Command : uint8_t {
  kDoStep,      // call the step the saga stands at (again)
  kUndoStep,    // undo the step the saga stands at (again)
  kRetryLater,  // back off, then repeat what was tried
  kSettle,      // tell the waiting ones; nothing more to do
};

inline constexpr State kStates[] = {State::kRunning,      State::kSucceeded,   State::kClosed,
                                    State::kCompensating, State::kCompensated, State::kResolved};
inline constexpr Event kEvents[] = {Event::kStepSucceeded,     Event::kLastStepSucceeded, Event::kStepRejected,
                                    Event::kFirstStepRejected, Event::kStepUnknown,       Event::kBudgetSpent,
                                    Event::kStepUndone,        Event::kLastStepUndone,    Event::kUndoFailed,
                                    Event::kRecovered,         Event::kCancelRequested,   Event::kCloseRequested,
                                    Event::kResolveRequested};

// snake_case names; the states' are what the journal stores.
std::string_view Name(State state);
std::string_view Name(Event event);
std::string_view Name(Command command);

// Not yet at rest: somebody has to hold its lease and drive it.
constexpr bool IsUnfinished(State state) { return state == State::kRunning || state == State::kCompensating; }
// Nothing can change it any more.
constexpr bool IsTerminal(State state) {
  return state == State::kClosed || state == State::kCompensated || state == State::kResolved;
}

}  // namespace waybill::saga
