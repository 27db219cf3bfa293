#include "saga/progress.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "fmt/format.h"
#include "runtime/text.h"
#include "saga/retry_policy.h"
#include "saga/transition.h"

namespace waybill::saga {
namespace {

std::string Explain(const Outcome& outcome) {
  if (outcome.detail.empty()) return outcome.reason;
  return fmt::format("{}: {}", outcome.reason, outcome.detail);
}

// Of a signal: "rejected: CARD_DECLINED: ada: ticket 812".
std::string Said(const Outcome& outcome) {
  std::string text(Name(outcome.kind));
  for (const std::string* part : {&outcome.reason, &outcome.detail}) {
    if (!part->empty()) text += fmt::format(": {}", *part);
  }
  return text;
}

std::string ExplainWait(const Outcome& later) {
  return fmt::format("for {} until {}{}{}", later.token,
                     absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", later.until, absl::UTCTimeZone()),
                     later.detail.empty() ? "" : ": ", later.detail);
}

Outcome NotSignalled(bool give_up = false) {
  return Outcome::Unknown("NOT_SIGNALLED", "nobody has said what became of it", give_up);
}

Direction DirectionOf(State state) {
  return state == State::kRunning ? Direction::kDo : state == State::kClosing ? Direction::kClose : Direction::kUndo;
}

}  // namespace

Progress::Progress(const Definition& definition, std::unique_ptr<Record> record, const Clock& clock, Observer& observer)
    : definition_(definition),
      clock_(clock),
      observer_(observer),
      record_(std::move(record)),
      tried_(definition.steps.size()),
      persisted_seq_(record_->seq) {
  ReadBranches();
}

// --- What to do next.

Command Progress::Resume() const {
  switch (record_->state) {
    case State::kRunning:
      return Command::kDoStep;
    case State::kClosing:
      return Command::kCloseStep;
    default:
      return Command::kUndoStep;
  }
}

Direction Progress::direction() const { return DirectionOf(record_->state); }

const AnyAction& Progress::ActionOf(int at) const {
  const Step& of = step(at);
  switch (direction()) {
    case Direction::kDo:
      return of.does;
    case Direction::kUndo:
      return of.undone_by;
    case Direction::kClose:
      break;
  }
  return of.closed_by;
}

Progress::Steps Progress::Next() const {
  if (record_->branches.empty() || record_->state != State::kRunning) return {record_->step};
  Steps calls = OpenSteps(/*journaled=*/false);
  // Entries in our own books come last, one after the other: another saga may hold what they claim.
  if (calls.empty()) calls.push_back(OpenSteps(/*journaled=*/true).at(0));
  return calls;
}

Progress::Steps Progress::OpenSteps(bool journaled) const {
  Steps open;
  for (int at = group().first; at < group().end; ++at) {
    if (BranchOf(at).state == Branch::State::kOpen && step(at).does.journaled == journaled) open.push_back(at);
  }
  return open;
}

bool Progress::BeginCalls(absl::Span<const int> steps) {
  back_off_ = false;
  if (direction() != Direction::kDo) return false;
  const SteadyTime now = clock_.Steady();
  for (int at : steps) {
    if (!TriedOf(at).since) TriedOf(at).since = now;
  }
  const bool earlier = before_calls_ && before_calls_->claims;
  SetCheckpoint(steps);
  touched_.insert(touched_.end(), steps.begin(), steps.end());
  return !earlier;
}

bool Progress::must_flush_before(absl::Span<const int> steps) const {
  if (!must_flush_) return false;
  const bool call_claims = before_calls_ && before_calls_->claims && !step(before_calls_->called).does.journaled;
  return !ActionOf(steps.front()).journaled || call_claims;
}

bool Progress::Claims(int at) const { return step(at).does.journaled || step(at).does.claim_lost; }

Attempt Progress::AttemptAt(int at) const {
  Attempt attempt;
  attempt.saga_id = record_->id;
  attempt.step = step(at).name;
  attempt.number = direction() == Direction::kDo ? BranchOf(at).attempt : record_->attempt;
  attempt.conflicts = Claims(at) ? conflicts_ : 0;
  attempt.in_doubt = direction() == Direction::kDo && tried_[static_cast<size_t>(at)].in_doubt;
  attempt.deadline = clock_.Steady() + step(at).retry.attempt_timeout;
  attempt.traceparent = record_->traceparent;
  attempt.tracestate = record_->tracestate;
  return attempt;
}

absl::Duration Progress::Pause(Random& random) const {
  absl::Duration longest;
  for (int at : Next()) {
    const RetryPolicy& retry = step(at).retry;
    if (direction() != Direction::kDo) {
      return Backoff(retry.backoff_initial, retry.undo_backoff_max, record_->attempt, random);
    }
    const int attempt = BranchOf(at).attempt;
    absl::Duration pause = Backoff(retry.backoff_initial, retry.backoff_max, attempt, random);
    const absl::Duration left = TimeLeft(at);
    // The last attempt is when the time is over.
    if (attempt >= retry.attempts_max && left > absl::ZeroDuration()) pause = std::min(pause, left);
    longest = std::max(longest, pause);
  }
  return longest;
}

// Of several entries that share a commit, before the first; of calls, before those that the next commit is about.
void Progress::SetCheckpoint(absl::Span<const int> called) {
  if (before_calls_ && before_calls_->claims) return;
  const auto* claimer = std::find_if(called.begin(), called.end(), [this](int at) { return Claims(at); });
  const bool claims = claimer != called.end();
  before_calls_ = Checkpoint{record_->state,
                             record_->step,
                             record_->attempt,
                             record_->seq,
                             record_->branches,
                             alone_,
                             log_.size(),
                             record_->effects(),
                             tried_,
                             claims && called.size() > 1 ? record_->Clone() : nullptr,
                             claims ? *claimer : called.front(),
                             claims};
}

// --- What has happened.

Command Progress::Adopted() {
  if (record_->state == State::kRunning) {
    for (int at = group().first; at < group().end; ++at) {
      TriedOf(at).in_doubt =
          BranchOf(at).state == Branch::State::kOpen || BranchOf(at).state == Branch::State::kWaiting;
    }
  }
  const std::vector<Waiting> waiting = WaitingSteps();
  if (!waiting.empty() && record_->signal) {
    const std::string& name = record_->signal->name;
    for (const Waiting& one : waiting) {
      if (one.name == name) return AfterSignal(one.step, *std::exchange(record_->signal, std::nullopt));
    }
  }
  if (!waiting.empty() && record_->woken) return TimeIsOver(waiting);
  // While another step is to be called, those that wait go on waiting, and what is said of them is kept.
  const bool others_to_call = record_->waits_for.empty() && !OpenSteps(/*journaled=*/false).empty();
  if (!others_to_call) OpenWaiting();
  AddLog(LogOutcome::kRecovered, fmt::format("epoch {}", record_->epoch));
  return Move(Event::kRecovered);
}

Command Progress::Answered(absl::Span<Answer> answers) {
  for (Answer& answer : answers) {
    CleanOutcome(answer.outcome);
    if (answer.outcome.kind == Outcome::Kind::kLater && ActionOf(answer.step).journaled) {
      answer.outcome = Outcome::Unknown("BAD_TOKEN", "what has no effect outside has nothing to wait for");
    }
    if (answer.outcome.kind == Outcome::Kind::kAgain && direction() != Direction::kDo) {
      answer.outcome = Outcome::Unknown("BAD_OUTCOME", "what undoes or closes has one call to repeat, and no other");
    }
  }
  if (direction() != Direction::kDo) return AfterLasting(std::move(answers.front().outcome));
  for (Answer& answer : answers) Take(answer.step, std::move(answer.outcome));
  return Conclude();
}

Command Progress::NothingToCall() { return direction() == Direction::kUndo ? StepUndone() : StepClosed(); }

Command Progress::Signalled(KeptSignal signal) {
  for (const Waiting& one : WaitingSteps()) {
    if (one.name == signal.name) return AfterSignal(one.step, std::move(signal));
  }
  std::abort();  // the journal answers what was asked for: a bug
}

Command Progress::AskedAgain(std::string detail) {
  // It may be waiting already, without a lease: this write takes it up again, if nobody else has.
  must_flush_ = true;
  OpenWaiting();
  AddLog(LogOutcome::kRecovered, std::move(detail));
  return Move(Event::kRecovered);
}

absl::Status Progress::Apply(const Directive& directive) {
  Record& at = *record_;
  const State state = at.state;
  auto refuse = [&](std::string_view why) {
    return domain::ReasonError(kStateForbids, fmt::format("the saga is {}: {}", Name(state), why),
                               {.metadata = {{"state", std::string(Name(state))}}});
  };
  switch (directive.kind) {
    case Directive::Kind::kCancel:
      if (state == State::kCompensating || state == State::kCompensated) return absl::OkStatus();
      if (!FindTransition(state, Event::kCancelRequested)) return refuse("it can no longer be turned back");
      if (state == State::kSucceeded) {
        at.branches.clear();
        at.step = static_cast<int>(definition_.steps.size()) - 1;
      }
      at.failure = {std::string(kCancelledReason), directive.detail};
      AddLog(LogOutcome::kCancelled, directive);
      TurnBack(Event::kCancelRequested);
      break;
    case Directive::Kind::kClose:
      if (state == State::kClosing || state == State::kClosed) return absl::OkStatus();
      if (!FindTransition(state, Event::kCloseRequested)) return refuse("only a succeeded one can be closed");
      at.branches.clear();
      at.step = 0;
      at.attempt = 1;
      AddLog(LogOutcome::kClosed, directive);
      Move(Event::kCloseRequested);
      break;
    case Directive::Kind::kRetry:
      if (!IsUnfinished(state)) return refuse("there is nothing to retry");
      return absl::OkStatus();
    case Directive::Kind::kResolve:
      if (!FindTransition(state, Event::kResolveRequested) || !at.needs_attention) {
        return refuse("only one that is compensating or closing, and needs attention, can be resolved");
      }
      AddLog(LogOutcome::kResolved, directive);
      at.branches.clear();
      at.needs_attention = false;
      Move(Event::kResolveRequested);
      break;
  }
  must_flush_ = true;
  return absl::OkStatus();
}

// --- The group that is being done.

Branch& Progress::BranchOf(int at) {
  return record_->branches.empty() ? alone_ : record_->branches[static_cast<size_t>(at - group().first)];
}

const Branch& Progress::BranchOf(int at) const { return const_cast<Progress*>(this)->BranchOf(at); }

void Progress::Enter(int first) {
  record_->step = first;
  record_->attempt = 1;
  record_->branches.clear();
  alone_ = {};
  if (group().size() == 1) return;
  for (int at = group().first; at < group().end; ++at) record_->branches.push_back({step(at).name});
}

void Progress::ReadBranches() {
  if (record_->state != State::kRunning) return;
  if (group().size() > 1) {
    if (record_->branches.empty()) Enter(group().first);
    return;
  }
  record_->branches.clear();
  alone_ = {};
  alone_.attempt = record_->attempt;
  const std::optional<Wait> wait = ParseWaitName(record_->waits_for);
  // An older version may have gone on with it and left behind what it waited for.
  if (!wait || wait->step != step(record_->step).name || wait->direction != Direction::kDo) return;
  alone_.state = Branch::State::kWaiting;
  alone_.token = std::string(wait->token);
  alone_.until = record_->wakes_at;
}

std::vector<Progress::Waiting> Progress::WaitingSteps() const {
  std::vector<Waiting> waiting;
  if (record_->state == State::kRunning) {
    for (int at = group().first; at < group().end; ++at) {
      const Branch& branch = BranchOf(at);
      if (branch.state != Branch::State::kWaiting) continue;
      waiting.push_back({at, WaitName(step(at).name, Direction::kDo, branch.token)});
    }
    return waiting;
  }
  const std::optional<Wait> wait = ParseWaitName(record_->waits_for);
  if (wait && wait->step == step(record_->step).name && wait->direction == direction()) {
    waiting.push_back({record_->step, record_->waits_for});
  }
  return waiting;
}

void Progress::OpenWaiting() {
  if (record_->state != State::kRunning) return;
  for (int at = group().first; at < group().end; ++at) {
    if (BranchOf(at).state == Branch::State::kWaiting) BranchOf(at).state = Branch::State::kOpen;
  }
}

void Progress::Take(int at, Outcome outcome) {
  const Step& of = step(at);
  Branch& branch = BranchOf(at);
  Tried& tried = TriedOf(at);
  const bool flushes = std::exchange(must_flush_, true);
  auto turn_back = [&](Event event) {
    if (turned_by_) return;
    turned_by_ = event;
    record_->failure = {std::move(outcome.reason), std::move(outcome.detail)};
  };
  switch (outcome.kind) {
    case Outcome::Kind::kSucceeded:
      AddLog(LogOutcome::kSucceeded, at, std::move(outcome.detail));
      tried.in_doubt = false;
      tried.unanswered = 0;
      record_->needs_attention = false;
      branch.state = Branch::State::kDone;
      return;
    case Outcome::Kind::kRejected:
      AddLog(LogOutcome::kRejected, at, Explain(outcome));
      // What this call was refused says nothing about a call before it that may yet go through: undoing the step
      // closes its key.
      branch.state = tried.in_doubt && !of.does.journaled ? Branch::State::kOpen : Branch::State::kNothing;
      turn_back(Event::kStepRejected);
      return;
    case Outcome::Kind::kUnknown:
      branch.state = Branch::State::kOpen;
      if (!outcome.give_up && (branch.attempt < of.retry.attempts_max || TimeLeft(at) > absl::ZeroDuration())) {
        ++tried.unanswered;
        must_flush_ = flushes;
        // What acts on a signal is written before the step is tried again, so that what is said meanwhile is kept; and
        // what was loaded anew after a refusal, so that its attempts add up.
        TryAgain(at, outcome, /*seldom_logged=*/acts_on_ == 0 && !refused_);
        return;
      }
      AddLog(LogOutcome::kUnknown, at, Explain(outcome));
      if (!outcome.not_made) tried.in_doubt = true;
      turn_back(Event::kBudgetSpent);
      return;
    case Outcome::Kind::kLater:
      TakeLater(at, std::move(outcome));
      return;
    case Outcome::Kind::kAgain:
      AddLog(LogOutcome::kAgain, at, std::move(outcome.detail));
      tried = {};
      tried.since = clock_.Steady();
      branch.attempt = 1;
      branch.state = Branch::State::kOpen;
      again_ = true;
      return;
  }
}

void Progress::TakeLater(int at, Outcome outcome) {
  Branch& branch = BranchOf(at);
  // Waits are counted, not the attempts before them that nobody answered: a participant that is back after an outage
  // has not been waited for yet.
  branch.attempt = std::max(1, branch.attempt - std::exchange(TriedOf(at).unanswered, 0));
  if (branch.attempt > step(at).retry.attempts_max) return Take(at, NotSignalled(/*give_up=*/true));
  TriedOf(at).in_doubt = true;  // it may yet have an effect
  AddLog(LogOutcome::kWaiting, at, ExplainWait(outcome));
  branch.state = Branch::State::kWaiting;
  branch.token = std::move(outcome.token);
  branch.until = outcome.until;
}

void Progress::TryAgain(int at, const Outcome& unknown, bool seldom_logged) {
  // A step may have a day, and its log must not grow without end: from the 17th on, attempts 32, 64, ... are logged.
  const int attempt = BranchOf(at).attempt;
  if (!seldom_logged || attempt <= 16 || (attempt & (attempt - 1)) == 0) {
    must_flush_ = true;
    AddLog(LogOutcome::kUnknown, at, Explain(unknown));
  }
  if (!unknown.not_made) TriedOf(at).in_doubt = true;
  ++BranchOf(at).attempt;
  BranchOf(at).state = Branch::State::kOpen;
  back_off_ = true;
  observer_.OnRetry(step(at).name, Direction::kDo);
}

Command Progress::Conclude() {
  const bool again = std::exchange(again_, false);
  if (turned_by_) return TurnBack(*std::exchange(turned_by_, std::nullopt));
  if (back_off_) return Move(Event::kStepUnknown);
  bool call = false, enter = false;
  std::vector<std::string> names;
  absl::Time until = absl::InfiniteFuture();
  for (int at = group().first; at < group().end; ++at) {
    const Branch& branch = BranchOf(at);
    if (branch.state == Branch::State::kOpen) (step(at).does.journaled ? enter : call) = true;
    if (branch.state != Branch::State::kWaiting) continue;
    names.push_back(WaitName(step(at).name, Direction::kDo, branch.token));
    until = std::min(until, branch.until);
  }
  if (call) return Move(again ? Event::kStepAgain : Event::kRecovered);  // the latter after a signal
  if (!names.empty()) {
    const Command command = Move(Event::kStepLater);
    record_->waits_for = JoinWaitNames(names);
    record_->wakes_at = until;
    return command;
  }
  if (enter) return Move(Event::kStepSucceeded);
  const int end = group().end;
  if (end == static_cast<int>(definition_.steps.size())) {
    record_->branches.clear();
    record_->step = end - 1;
    return Move(Event::kLastStepSucceeded);
  }
  Enter(end);
  return Move(Event::kStepSucceeded);
}

Command Progress::TurnBack(Event event) {
  int last = record_->step;
  if (record_->state == State::kRunning) {
    for (int at = group().first; !record_->branches.empty() && at < group().end; ++at) {
      if (!MayBeThere(at)) BranchOf(at).state = Branch::State::kNothing;
    }
    last = record_->branches.empty() && alone_.state == Branch::State::kNothing ? record_->step - 1 : group().end - 1;
  }
  if (!StepToUndo(last) && event == Event::kStepRejected) event = Event::kFirstStepRejected;
  return Move(event);
}

bool Progress::MayBeThere(int at) const {
  const Branch& branch = BranchOf(at);
  if (branch.state != Branch::State::kOpen) return branch.state != Branch::State::kNothing;
  return !step(at).does.journaled || branch.attempt > 1;
}

bool Progress::StepToUndo(int from) {
  std::vector<Branch>& branches = record_->branches;
  const int first = group().first;
  while (from >= first && !branches.empty() &&
         branches[static_cast<size_t>(from - first)].state == Branch::State::kNothing) {
    --from;
  }
  if (from < first) branches.clear();
  record_->step = std::max(from, 0);
  record_->attempt = 1;
  return from >= 0;
}

// --- Waiting.

Command Progress::AfterSignal(int at, KeptSignal signal) {
  const AnyAction& action = ActionOf(at);
  const bool doing = direction() == Direction::kDo;
  acts_on_ = signal.id;
  back_off_ = false;
  touched_.push_back(at);
  std::optional<Outcome> taken;
  if (!action.signalled || signal.outcome.kind == Outcome::Kind::kUnknown) {
    taken = std::move(signal.outcome);
  } else {
    if (doing) SetCheckpoint({at});
    std::string said = Said(signal.outcome);
    taken = action.signalled(std::move(signal.outcome), *record_);
    if (!taken) {
      must_flush_ = true;
      AddLog(LogOutcome::kSignalled, at, std::move(said));
      if (!doing) return Move(Event::kRecovered);
      BranchOf(at).state = Branch::State::kOpen;
      return Conclude();
    }
    CleanOutcome(*taken);
  }
  if (!doing) return AfterLasting(*std::move(taken));
  TakeWaited(at, *std::move(taken));
  return Conclude();
}

// How long it waits is the participant's word, so only the number of its attempts counts; and the last word is its own:
// it is asked once more after the last wait.
void Progress::TakeWaited(int at, Outcome outcome) {
  if (outcome.kind == Outcome::Kind::kUnknown) return TryAgain(at, outcome, /*seldom_logged=*/false);
  Take(at, std::move(outcome));
}

Command Progress::TimeIsOver(const std::vector<Waiting>& waiting) {
  if (direction() != Direction::kDo) return AfterLasting(NotSignalled());
  absl::Time over = absl::InfiniteFuture();
  for (const Waiting& one : waiting) over = std::min(over, BranchOf(one.step).until);
  over = std::max(over, record_->wakes_at);
  for (const Waiting& one : waiting) {
    if (BranchOf(one.step).until > over) continue;
    touched_.push_back(one.step);
    TakeWaited(one.step, NotSignalled());
  }
  return Conclude();
}

// --- Undoing and closing.

Command Progress::AfterLasting(Outcome outcome) {
  Header& at = *record_;
  const bool undo = direction() == Direction::kUndo;
  const Step& of = step(at.step);
  if (outcome.kind == Outcome::Kind::kLater) {
    must_flush_ = true;
    AddLog(LogOutcome::kWaiting, at.step, ExplainWait(outcome));
    const Command command = Move(Event::kStepLater);
    at.waits_for = WaitName(of.name, direction(), outcome.token);
    at.wakes_at = outcome.until;
    return command;
  }
  if (outcome.kind == Outcome::Kind::kSucceeded) {
    must_flush_ = true;
    AddLog(undo ? LogOutcome::kUndone : LogOutcome::kClosed, at.step, std::move(outcome.detail));
    return undo ? StepUndone() : StepClosed();
  }
  // Neither ever gives up, so the log must not grow without end: failures are logged until somebody has been called,
  // and from then on at attempts 16, 32, 64, ...
  const bool power_of_two = (at.attempt & (at.attempt - 1)) == 0;
  // What acts on a signal is logged too: it has to be written before the step is tried again, so that what is said
  // meanwhile is kept.
  if (!at.needs_attention || power_of_two || acts_on_ != 0) {
    must_flush_ = true;
    AddLog(undo ? LogOutcome::kUndoFailed : LogOutcome::kUnknown, at.step, Explain(outcome));
  }
  if (!at.needs_attention && at.attempt >= of.retry.attention_after) {
    at.needs_attention = true;
    AddLog(LogOutcome::kNeedsAttention, at.step,
           fmt::format("{} attempts to {} failed", at.attempt, undo ? "undo" : "close"));
    observer_.OnNeedsAttention(at);
  }
  ++at.attempt;
  observer_.OnRetry(of.name, direction());
  return Move(undo ? Event::kUndoFailed : Event::kCloseFailed);
}

Command Progress::StepUndone() {
  must_flush_ = true;
  record_->needs_attention = false;
  // Every journal write carries an entry, also when there was nothing to undo.
  if (log_.empty()) AddLog(LogOutcome::kUndone, record_->step, "nothing to undo");
  return Move(StepToUndo(record_->step - 1) ? Event::kStepUndone : Event::kLastStepUndone);
}

Command Progress::StepClosed() {
  must_flush_ = true;
  record_->needs_attention = false;
  if (log_.empty()) AddLog(LogOutcome::kClosed, record_->step, "nobody to tell");
  if (record_->step + 1 == static_cast<int>(definition_.steps.size())) return Move(Event::kLastStepClosed);
  ++record_->step;
  record_->attempt = 1;
  return Move(Event::kStepClosed);
}

absl::Duration Progress::TimeLeft(int at) const {
  const SteadyTime now = clock_.Steady();
  return tried_[static_cast<size_t>(at)].since.value_or(now) + step(at).retry.retry_for - now;
}

// --- What is to be written.

Write Progress::ToWrite(std::optional<KeptSignal>* signal) {
  record_->updated_at = log_.back().at;
  return {record_.get(), log_, persisted_seq_, signal, acts_on_};
}

void Progress::Written() {
  persisted_seq_ = record_->seq;
  log_.clear();
  must_flush_ = false;
  conflicts_ = 0;
  refused_ = false;
  acts_on_ = 0;
  before_calls_.reset();
  touched_.clear();
  record_->set_effects({});
}

Command Progress::ClaimLost(int conflicts_max) {
  if (!before_calls_) std::abort();  // a conflict without a claim: a bug in the journal
  Checkpoint before = *std::exchange(before_calls_, std::nullopt);
  // What the others of the round brought is not written either, and will be brought again.
  if (before.record) record_ = std::move(before.record);
  for (size_t at = 0; at < tried_.size(); ++at) tried_[at].unanswered = before.tried[at].unanswered;
  record_->state = before.state;
  record_->step = before.step;
  record_->attempt = before.attempt;
  record_->seq = before.seq;
  record_->branches = std::move(before.branches);
  alone_ = std::move(before.alone);
  turned_by_.reset();
  record_->failure = {};
  record_->waits_for.clear();
  record_->set_effects(before.effects);
  for (int at = record_->step; at < static_cast<int>(definition_.steps.size()); ++at) {
    const bool done = at < group().end && BranchOf(at).state == Branch::State::kDone;
    if (const auto& claim_lost = step(at).does.claim_lost; claim_lost && !done) claim_lost(*record_);
  }
  if (BranchOf(before.called).state == Branch::State::kWaiting) {
    BranchOf(before.called).state = Branch::State::kOpen;  // it was signalled; now its participant is asked
  }
  for (int at = group().first; at < group().end; ++at) {
    if (BranchOf(at).state == Branch::State::kOpen) TriedOf(at).in_doubt = true;  // the calls themselves went through
  }
  log_.resize(before.log_size);
  must_flush_ = !log_.empty();
  if (++conflicts_ <= conflicts_max) return Command::kDoStep;
  conflicts_ = 0;
  Take(before.called, Outcome::Unknown("CLAIM_LOST", "every claim was lost to another saga"));
  return Conclude();
}

Command Progress::Refused(std::unique_ptr<Record> durable, std::string why) {
  record_ = std::move(durable);
  ReadBranches();
  log_.clear();
  turned_by_.reset();
  before_calls_.reset();
  conflicts_ = 0;
  refused_ = true;
  const Definition::Group all = group();
  if (!record_->needs_attention) AddLog(LogOutcome::kNeedsAttention, record_->step, why);
  record_->needs_attention = true;
  Outcome outcome = Outcome::Unknown(std::string(kStoreRefused), std::move(why));
  Command command;
  if (direction() == Direction::kDo) {
    Steps told;
    for (int at = all.first; at < all.end; ++at) {
      const bool touched = std::find(touched_.begin(), touched_.end(), at) != touched_.end();
      if (touched && BranchOf(at).state != Branch::State::kDone) told.push_back(at);
    }
    if (told.empty()) {  // it tells of a directive alone
      if (OpenSteps(/*journaled=*/false).empty()) OpenWaiting();
      told = Next();
    }
    for (int at : told) {
      TriedOf(at).in_doubt = true;
      Take(at, outcome);
    }
    command = Conclude();
  } else {
    command = AfterLasting(std::move(outcome));
  }
  must_flush_ = !log_.empty();
  return command;
}

bool Progress::HasDirective() const {
  return std::any_of(log_.begin(), log_.end(), [](const LogEntry& entry) {
    return entry.outcome == LogOutcome::kCancelled || entry.outcome == LogOutcome::kClosed ||
           entry.outcome == LogOutcome::kResolved;
  });
}

Command Progress::Move(Event event) {
  std::optional<Transition> row = FindTransition(record_->state, event);
  if (!row) std::abort();  // the runner asked for what the table does not allow: a bug, and money is at stake
  record_->state = row->to;
  record_->waits_for.clear();
  record_->signal.reset();
  for (LogEntry& entry : log_) entry.state = row->to;
  if (row->to == State::kRunning) {  // what the row shows of a group is its first step that is not done
    int at = group().first;
    while (at + 1 < group().end && BranchOf(at).state == Branch::State::kDone) ++at;
    record_->attempt = BranchOf(at).attempt;
    record_->step = at;
  }
  return row->command;
}

void Progress::AddLog(LogOutcome outcome, std::string detail) { AddLog(outcome, "", 0, std::move(detail)); }

void Progress::AddLog(LogOutcome outcome, const Directive& directive) {
  AddLog(outcome, directive.detail);
  log_.back().deed = directive.deed;
}

void Progress::AddLog(LogOutcome outcome, int at, std::string detail) {
  const int attempt = direction() == Direction::kDo ? BranchOf(at).attempt : record_->attempt;
  AddLog(outcome, step(at).name, attempt, std::move(detail));
}

void Progress::AddLog(LogOutcome outcome, std::string_view step, int attempt, std::string detail) {
  LogEntry entry;
  entry.seq = ++record_->seq;
  entry.step = std::string(step);
  entry.attempt = attempt;
  entry.outcome = outcome;
  entry.state = record_->state;
  entry.detail = std::move(detail);
  entry.at = clock_.Now();
  log_.push_back(std::move(entry));
}

}  // namespace waybill::saga
