// Where a saga stands, what can happen to it, and what to do then.
#pragma once

#include <cstdint>
#include <string_view>

namespace waybill::saga {

// Persisted by name. A saga's state only moves forward, in the order of this list; kClosed, kCompensated and kResolved
// are terminal. kSucceeded has ended as well, but can still be turned back until it is being closed.
enum class State : uint8_t {
  kRunning,       // steps are done, one after the other or some at the same time
  kSucceeded,     // every step is done
  kClosing,       // can no longer be turned back; steps are told so, for as long as it takes
  kClosed,        // succeeded for good
  kCompensating,  // steps are undone in reverse order, for as long as it takes
  kCompensated,   // nothing is left to undo
  kResolved,      // ended by an operator's hand
};

enum class Event : uint8_t {
  kStepSucceeded,  // and another one follows
  kLastStepSucceeded,
  kStepRejected,       // and something has to be undone: an earlier step, or an earlier attempt at this one
  kFirstStepRejected,  // and nothing has to be undone
  kStepUnknown,        // neither success nor failure, and the retry budget lasts
  kBudgetSpent,        // neither success nor failure, for too long
  kStepUndone,         // and an earlier one remains
  kLastStepUndone,
  kUndoFailed,
  kStepClosed,  // the step was told, or has not to be; and a later one remains
  kLastStepClosed,
  kCloseFailed,
  kStepLater,  // in any direction: what becomes of it, a signal says
  kStepAgain,  // it begins anew
  kRecovered,  // claimed from a process that no longer holds the lease
  kCancelRequested,
  kCloseRequested,
  kResolveRequested,
};

enum class Command : uint8_t {
  kDoStep,      // call the step the saga stands at (again)
  kUndoStep,    // undo the step the saga stands at (again)
  kCloseStep,   // tell the step the saga stands at (again) that it is for good
  kRetryLater,  // back off, then repeat what was tried
  kWait,        // let go of it until it is signalled, or its time is over
  kSettle,      // tell the waiting ones; nothing more to do
};

inline constexpr State kStates[] = {State::kRunning,      State::kSucceeded,   State::kClosing, State::kClosed,
                                    State::kCompensating, State::kCompensated, State::kResolved};
inline constexpr Event kEvents[] = {Event::kStepSucceeded,     Event::kLastStepSucceeded, Event::kStepRejected,
                                    Event::kFirstStepRejected, Event::kStepUnknown,       Event::kBudgetSpent,
                                    Event::kStepUndone,        Event::kLastStepUndone,    Event::kUndoFailed,
                                    Event::kStepClosed,        Event::kLastStepClosed,    Event::kCloseFailed,
                                    Event::kStepLater,         Event::kStepAgain,         Event::kRecovered,
                                    Event::kCancelRequested,   Event::kCloseRequested,    Event::kResolveRequested};

// snake_case names; the states' are what the journal stores.
std::string_view Name(State state);
std::string_view Name(Event event);
std::string_view Name(Command command);

// Not yet at rest: somebody has to hold its lease and drive it.
constexpr bool IsUnfinished(State state) {
  return state == State::kRunning || state == State::kClosing || state == State::kCompensating;
}
// It is known what becomes of it, though somebody may still have to be told.
constexpr bool IsDecided(State state) { return state != State::kRunning && state != State::kCompensating; }
// Nothing can change it any more.
constexpr bool IsTerminal(State state) {
  return state == State::kClosed || state == State::kCompensated || state == State::kResolved;
}

}  // namespace waybill::saga
