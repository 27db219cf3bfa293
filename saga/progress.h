// How far one saga has come, and what the answers to its calls make of it: each becomes an Event, whose row in the
// transition table gives the next state and Command. Calls nobody, writes nothing, waits for nothing; the runner does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "domain/deed.h"
#include "domain/reasons.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "saga/definition.h"
#include "saga/journal.h"
#include "saga/observer.h"
#include "saga/outcome.h"
#include "saga/record.h"
#include "saga/state.h"

namespace waybill::saga {

// What a person or a client asks of one saga.
struct Directive {
  enum class Kind {
    kCancel,   // turn it back; harmless when it is turned back already
    kClose,    // end a succeeded one for good; harmless when it is closed already, or being closed
    kRetry,    // try what it is backing off from at once
    kResolve,  // end one that needs attention
  };
  Kind kind = Kind::kCancel;
  std::string detail;              // goes to the log
  domain::DeedPtr deed = nullptr;  // goes to the audit with what it does; nothing of it when it does nothing
};

// The reason of a directive that is refused: the saga's state, which metadata `state` names, does not allow it.
inline constexpr std::string_view kStateForbids = domain::FindReason("SAGA_STATE_FORBIDS").name;

class Progress {
 public:
  // All outlive it. The record is of the definition's kind and version.
  Progress(const Definition& definition, std::unique_ptr<Record> record, const Clock& clock, Observer& observer);

  const Record& record() const { return *record_; }
  Record& record() { return *record_; }

  // --- What to do next.

  // By what the record says, when it is unfinished.
  Command Resume() const;
  Direction direction() const;
  // The steps to be called at once, by indices, in the present direction: those of a group that are still to be done,
  // or the one that it stands at. Not empty.
  using Steps = absl::InlinedVector<int, 4>;
  Steps Next() const;
  const Step& step(int at) const { return definition_.steps[static_cast<size_t>(at)]; }
  const AnyAction& ActionOf(int at) const;

  // The call of each of `steps`, which begins now. True: from here on a lost claim leads back to before these calls.
  bool BeginCalls(absl::Span<const int> steps);
  Attempt AttemptAt(int at) const;
  // How long to back off before the next calls.
  absl::Duration Pause(Random& random) const;

  // --- What has happened, and the command that follows.

  // It was claimed, or its owner before has gone.
  Command Adopted();
  struct Answer {
    int step;
    Outcome outcome;
  };
  // All calls that BeginCalls began are answered.
  Command Answered(absl::Span<Answer> answers);
  // The step that it stands at has no action in this direction.
  Command NothingToCall();
  // What it waits for has been said already.
  Command Signalled(KeptSignal signal);
  // It is to be tried again, although it waits.
  Command AskedAgain(std::string detail);
  // FAILED_PRECONDITION kStateForbids.
  absl::Status Apply(const Directive& directive);

  // --- What is to be written.

  bool must_flush() const { return must_flush_; }
  // Whether what there is has to be durable before the next calls. Entries in our own books may share its commit, but
  // for a call's claim: were one lost, nobody would know which.
  bool must_flush_before(absl::Span<const int> steps) const;
  int64_t persisted_seq() const { return persisted_seq_; }
  bool has_calls() const { return before_calls_.has_value(); }  // since the last write
  // `signal` is for the command kWait: it gets what has been said already. Otherwise null.
  Write ToWrite(std::optional<KeptSignal>* signal);
  void Written();
  // A claim that was made since the last write is lost, and nothing was written: back to before the calls. After
  // `conflicts_max` in a row the step counts as unknown.
  Command ClaimLost(int conflicts_max);
  // The store would refuse this write for ever; `durable` is what it has. What the last calls brought is dropped, and
  // their attempts count as unknown: so budgets are spent and the saga turns back, by writes that hold no foreign text.
  // A person is called.
  Command Refused(std::unique_ptr<Record> durable, std::string why);
  bool refused() const { return refused_; }  // the last write
  // Whether a directive took effect since the last write.
  bool HasDirective() const;

 private:
  // What is known here, and only here, of the attempts at doing a step.
  struct Tried {
    // When it was first tried. Not forgotten with a success: that may turn out not to be kept.
    std::optional<SteadyTime> since;
    int unanswered = 0;  // attempts that nobody answered
    // A call may have had an effect, or may still have one, of which nobody has heard: one was answered unknown, or the
    // saga was claimed, and its owner before may have had a call in flight. It needs no place in the journal: whoever
    // goes on with what another life began claims it first.
    bool in_doubt = false;
  };
  // Where a lost claim leads back to: before the first of the entries that share a commit, or before the last calls.
  struct Checkpoint {
    State state;
    int step;
    int attempt;
    int64_t seq;
    std::vector<Branch> branches;
    Branch alone;
    size_t log_size;
    EffectBits effects;
    absl::InlinedVector<Tried, 4> tried;
    std::unique_ptr<Record> record;  // of several calls, at least one of which claims; what each put into it
    int called;                      // of the steps called, the first that claims
    bool claims;                     // whether any does
  };
  struct Waiting {
    int step;
    std::string name;
  };

  // Whether the step may claim what another saga may hold.
  bool Claims(int at) const;
  // Whether there may be something of the step to undo: of a call also when it was never sent, since undoing closes its
  // key; of an entry in our own books only once it has been tried before.
  bool MayBeThere(int at) const;

  // --- The group that is being done.

  Definition::Group group() const { return definition_.GroupOf(record_->step); }
  Branch& BranchOf(int at);
  const Branch& BranchOf(int at) const;
  Tried& TriedOf(int at) { return tried_[static_cast<size_t>(at)]; }
  Steps OpenSteps(bool journaled) const;
  void Enter(int first);
  void ReadBranches();
  std::vector<Waiting> WaitingSteps() const;
  void OpenWaiting();

  void SetCheckpoint(absl::Span<const int> called);

  // What an answer makes of one step of the group; Conclude makes of all of them what happens next.
  void Take(int at, Outcome outcome);
  void TakeLater(int at, Outcome outcome);
  void TryAgain(int at, const Outcome& unknown, bool seldom_logged);
  Command Conclude();
  Command TurnBack(Event event);
  // Puts the saga on the last step up to `from` that may have to be undone; false: there is none.
  bool StepToUndo(int from);

  Command AfterSignal(int at, KeptSignal signal);
  void TakeWaited(int at, Outcome outcome);
  Command TimeIsOver(const std::vector<Waiting>& waiting);
  // After undoing or closing a step, or waiting for that.
  Command AfterLasting(Outcome outcome);
  Command StepUndone();
  Command StepClosed();
  absl::Duration TimeLeft(int at) const;

  Command Move(Event event);
  void AddLog(LogOutcome outcome, std::string detail);  // of the saga
  void AddLog(LogOutcome outcome, const Directive& directive);
  void AddLog(LogOutcome outcome, int at, std::string detail);
  void AddLog(LogOutcome outcome, std::string_view step, int attempt, std::string detail);

  const Definition& definition_;
  const Clock& clock_;
  Observer& observer_;

  std::unique_ptr<Record> record_;
  Branch alone_;                    // of a group of one, in place of the record's branches
  std::optional<Event> turned_by_;  // what makes it turn back, until it does
  bool back_off_ = false;           // before the next calls
  bool again_ = false;              // a step begins anew
  absl::InlinedVector<Tried, 4> tried_;
  Steps touched_;  // what the next write tells of: called, signalled or out of time since the last one

  std::vector<LogEntry> log_;  // not yet in the journal
  int64_t persisted_seq_ = 0;
  int64_t acts_on_ = 0;  // the signal that the next write acts on
  bool must_flush_ = false;
  int conflicts_ = 0;
  bool refused_ = false;
  std::optional<Checkpoint> before_calls_;
};

}  // namespace waybill::saga
