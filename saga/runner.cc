#include "saga/runner.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "domain/reasons.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/status.h"
#include "runtime/text.h"
#include "saga/retry_policy.h"
#include "saga/transition.h"

namespace waybill::saga {
namespace {

absl::Status TakenOver() { return domain::ReasonError("SAGA_TAKEN_OVER", "another process took the saga over"); }

absl::Status ShuttingDown() {
  return domain::ReasonError("SHUTTING_DOWN", "this process is draining; the saga goes on elsewhere");
}

absl::Status NoRoom() { return domain::QueueFull("too many unfinished sagas", absl::Seconds(1)); }

void CleanOutcome(Outcome& outcome) {
  outcome.reason = CleanText(std::move(outcome.reason), kReasonBytesMax);
  outcome.detail = CleanText(std::move(outcome.detail), kDetailBytesMax);
  if (outcome.kind != Outcome::Kind::kLater) return;
  const bool finite = outcome.until != absl::InfinitePast() && outcome.until != absl::InfiniteFuture();
  if (!IsToken(outcome.token) || !finite) {
    outcome = Outcome::Unknown("BAD_TOKEN", "the participant's token or latest time is none");
  }
}

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

}  // namespace

Runner::Runner(const Kinds& kinds, Journal& journal, const Clock& clock, Scheduler& scheduler, Random& random,
               Observer& observer, RunnerOptions options)
    : kinds_(kinds),
      journal_(journal),
      clock_(clock),
      scheduler_(scheduler),
      random_(random),
      observer_(observer),
      options_(options) {}

const Definition* Runner::DefinitionOf(const Record& record) const {
  const Definition* definition = kinds_.Find(record.kind, record.version);
  if (definition == nullptr) std::abort();  // a journal hands out none, and nobody may start one: a bug
  return definition;
}

void Runner::Start(std::unique_ptr<Record> fresh, Begun begun, Settled settled) {
  if (room() == 0) {
    begun(NoRoom());
    return;
  }
  const Definition* definition = kinds_.Newest(fresh->kind);
  if (definition == nullptr) std::abort();  // a bug of the caller's
  fresh->version = definition->version;
  auto execution = std::make_shared<Execution>(definition, std::move(fresh));
  Execution& e = *execution;
  e.began = e.asked_at = clock_.Steady();
  e.settled.push_back(std::move(settled));
  Insert(execution);
  journal_.Begin(*e.record, [this, execution = std::move(execution),
                             begun = std::move(begun)](absl::StatusOr<std::unique_ptr<Record>> existing) mutable {
    if (!existing.ok() || *existing != nullptr) {
      {
        std::lock_guard lock(execution->mutex);
        execution->settled.clear();  // told by `begun`
      }
      LetGo(execution, existing.ok() ? TakenOver() : existing.status());
      begun(std::move(existing));
      return;
    }
    {
      std::lock_guard lock(mutex_);
      execution->begun = true;
      execution->renew_at = execution->asked_at + options_.lease / 3;
    }
    begun(std::move(existing));
    observer_.OnTransition(*execution->record);
    Drive(std::move(execution), Command::kDoStep);
  });
}

bool Runner::WhenSettled(const Uuid& id, Settled& settled) {
  ExecutionPtr execution = Find(id);
  if (!execution) return false;
  std::lock_guard lock(execution->mutex);
  if (execution->ended) return false;
  execution->settled.push_back(std::move(settled));
  return true;
}

void Runner::Direct(const Uuid& id, Directive directive, Prepare prepare, Settled settled) {
  directive.detail = CleanText(std::move(directive.detail), kDetailBytesMax);
  Pending pending{std::move(directive), std::move(prepare), std::move(settled)};
  if (ExecutionPtr execution = Find(id); execution && Post(execution, pending)) return;
  if (stopped_) return pending.settled(ShuttingDown());
  // A person's retry and resolve make room sooner or later.
  const Directive::Kind kind = pending.directive.kind;
  if (room() == 0 && (kind == Directive::Kind::kCancel || kind == Directive::Kind::kClose)) {
    return pending.settled(NoRoom());
  }
  absl::StatusOr<std::unique_ptr<Record>> claimed = journal_.Claim(id, ClaimMode::kTakeOver);
  if (!claimed.ok()) {
    pending.settled(claimed.status());
    return;
  }
  const Definition* definition = DefinitionOf(**claimed);
  auto execution = std::make_shared<Execution>(definition, *std::move(claimed));
  execution->persisted_seq = execution->record->seq;
  execution->pending.push_back(std::move(pending));
  if (IsTerminal(execution->record->state)) {
    Pending asked = std::move(execution->pending.front());
    execution->pending.clear();
    Answer(*execution, asked, Apply(*execution, asked));
    return;
  }
  Adopt(std::move(execution));
}

absl::StatusOr<SignalResult> Runner::AddSignal(const Uuid& id, Signal signal) {
  const Outcome::Kind kind = signal.outcome.kind;
  if (!IsToken(signal.token)) return domain::BadField("token", "has to be 1-128 visible ASCII characters");
  if (!IsToken(signal.step)) return domain::BadField("step", "has to be 1-128 visible ASCII characters");
  if (kind == Outcome::Kind::kLater) return domain::BadField("outcome", "has to be succeeded, rejected or unknown");
  CleanOutcome(signal.outcome);
  if (kind != Outcome::Kind::kSucceeded && signal.outcome.reason.empty()) {
    return domain::BadField("reason", "has to say why it has not succeeded");
  }
  signal.outcome.give_up = false;  // how often it is tried is the definition's word
  absl::StatusOr<SignalResult> result = journal_.AddSignal(id, signal);
  if (!result.ok() || *result != SignalResult::kWoken) return result;
  WAYBILL_FAILPOINT("signal.after_commit");
  // Whatever comes in between from here on, somebody's recovery finds it.
  if (stopped_ || room() == 0) return result;
  absl::StatusOr<std::unique_ptr<Record>> claimed = journal_.Claim(id, ClaimMode::kWoken);
  if (!claimed.ok() || !IsUnfinished((*claimed)->state)) return result;
  const Definition* definition = DefinitionOf(**claimed);
  auto execution = std::make_shared<Execution>(definition, *std::move(claimed));
  execution->persisted_seq = execution->record->seq;
  Adopt(std::move(execution));
  return result;
}

absl::StatusOr<size_t> Runner::RecoverExpired(bool own, size_t in_flight_max) {
  const size_t in_flight = recovered_in_flight();
  if (in_flight >= in_flight_max) return size_t{0};
  auto claimed = journal_.ClaimExpired(own, std::min(kClaimMax, in_flight_max - in_flight));
  if (!claimed.ok()) return claimed.status();
  WAYBILL_FAILPOINT("recover.after_claim");
  for (std::unique_ptr<Record>& record : *claimed) {
    const Definition* definition = DefinitionOf(*record);
    auto execution = std::make_shared<Execution>(definition, std::move(record));
    execution->persisted_seq = execution->record->seq;
    execution->recovered = true;
    if (!execution->record->woken) observer_.OnRecovered(*execution->record);
    Adopt(std::move(execution));
  }
  return claimed->size();
}

absl::Status Runner::RenewLeases() {
  constexpr size_t kPiece = 1'000;  // of a write: what is slow is then slow for a part
  std::vector<ExecutionPtr> due;
  {
    const SteadyTime now = clock_.Steady();
    std::lock_guard lock(mutex_);
    for (auto& [id, execution] : live_) {
      if (execution->begun && execution->renew_at <= now) due.push_back(execution);
    }
  }
  if (due.empty()) return absl::OkStatus();
  WAYBILL_FAILPOINT("lease.before_renew");
  // One kind a piece: what is the matter with the tables of one shall not end the leases of another.
  std::sort(due.begin(), due.end(), [](const auto& a, const auto& b) { return a->held.kind < b->held.kind; });
  absl::Status status;
  for (size_t from = 0, to = 0; from < due.size(); from = to) {
    while (to < due.size() && to - from < kPiece && due[to]->held.kind == due[from]->held.kind) ++to;
    status.Update(Renew(absl::MakeConstSpan(due).subspan(from, to - from)));
  }
  return status;
}

void Runner::Stop(SteadyTime deadline) {
  std::vector<ExecutionPtr> parked;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto& [id, execution] : live_) parked.push_back(execution);
  }
  for (const ExecutionPtr& execution : parked) {
    if (Unpark(execution)) LetGo(execution, ShuttingDown());
  }
  std::unique_lock lock(mutex_);
  absl::Duration wait = std::max(deadline - clock_.Steady(), absl::ZeroDuration());
  all_ended_.wait_for(lock, absl::ToChronoNanoseconds(wait), [this] { return live_.empty(); });
  stopped_ = true;
}

size_t Runner::live() const {
  std::lock_guard lock(mutex_);
  return live_.size();
}

size_t Runner::recovered_in_flight() const {
  std::lock_guard lock(mutex_);
  return recovered_in_flight_;
}

size_t Runner::room() const {
  std::lock_guard lock(mutex_);
  return options_.live_max - std::min(options_.live_max, live_.size());
}

// --- The sagas that this process drives.

void Runner::Insert(const ExecutionPtr& execution) {
  std::lock_guard lock(mutex_);
  execution->renew_at = clock_.Steady() + options_.lease / 3;
  if (execution->recovered) ++recovered_in_flight_;
  // Two may have claimed it here, one after the other; the later claim is the one that counts.
  ExecutionPtr& driven = live_[execution->held.id];
  if (!driven || driven->held.epoch < execution->held.epoch) driven = execution;
}

Runner::ExecutionPtr Runner::Find(const Uuid& id) const {
  std::lock_guard lock(mutex_);
  auto it = live_.find(id);
  return it == live_.end() ? nullptr : it->second;
}

void Runner::Remove(const ExecutionPtr& execution) {
  std::lock_guard lock(mutex_);
  if (execution->recovered) --recovered_in_flight_;
  auto it = live_.find(execution->held.id);
  if (it != live_.end() && it->second == execution) live_.erase(it);
  if (live_.empty()) all_ended_.notify_all();
}

void Runner::Adopt(ExecutionPtr execution) {
  Insert(execution);
  Execution& e = *execution;
  {
    std::lock_guard lock(mutex_);
    e.begun = true;
  }
  if (!IsUnfinished(e.record->state)) {
    Drive(std::move(execution), Command::kSettle);
    return;
  }
  e.in_doubt = e.record->state == State::kRunning;
  // An older version may have gone on with it and left behind what it waited for.
  const std::optional<Wait> wait = ParseWaitName(e.record->waits_for);
  const bool waits = wait && wait->step == e.step().name && wait->direction == DirectionOf(e.record->state);
  if (waits && (e.record->signal || e.record->woken)) {
    Command command = e.record->signal
                          ? AfterSignal(e, *std::move(e.record->signal))
                          : AfterWait(e, Outcome::Unknown("NOT_SIGNALLED", "nobody has said what became of it"));
    Drive(std::move(execution), command);
    return;
  }
  AddLog(e, LogOutcome::kRecovered, "", fmt::format("epoch {}", e.record->epoch));
  Command command = Move(e, Event::kRecovered);
  Drive(std::move(execution), command);
}

absl::Status Runner::Renew(absl::Span<const ExecutionPtr> due) {
  std::vector<Held> held;
  held.reserve(due.size());
  for (const ExecutionPtr& execution : due) held.push_back(execution->held);
  const SteadyTime asked = clock_.Steady();
  absl::StatusOr<std::vector<Uuid>> answer = journal_.Renew(held);
  if (!answer.ok()) return answer.status();
  const absl::flat_hash_set<Uuid> lost(answer->begin(), answer->end());
  for (const ExecutionPtr& execution : due) {
    if (!lost.contains(execution->held.id)) {
      std::lock_guard lock(mutex_);
      execution->renew_at = std::max(execution->renew_at, asked + options_.lease / 3);
    } else if (Unpark(execution)) {
      LetGo(execution, TakenOver());  // the others find out at their next write
    }
  }
  return absl::OkStatus();
}

// --- Directives.

bool Runner::Post(const ExecutionPtr& execution, Pending& pending) {
  {
    std::lock_guard lock(execution->mutex);
    if (execution->ended) return false;
    execution->pending.push_back(std::move(pending));
  }
  if (Unpark(execution)) Drive(execution, Resume(*execution));
  return true;
}

bool Runner::Unpark(const ExecutionPtr& execution) {
  std::lock_guard lock(execution->mutex);
  if (!execution->timer || !scheduler_.Cancel(*execution->timer)) return false;
  execution->timer.reset();
  return true;
}

Command Runner::Resume(const Execution& e) {
  switch (e.record->state) {
    case State::kRunning:
      return Command::kDoStep;
    case State::kClosing:
      return Command::kCloseStep;
    default:
      return Command::kUndoStep;
  }
}

Direction Runner::DirectionOf(State state) {
  return state == State::kRunning ? Direction::kDo : state == State::kClosing ? Direction::kClose : Direction::kUndo;
}

const AnyAction& Runner::ActionOf(const Step& step, Direction direction) {
  return direction == Direction::kDo ? step.does : direction == Direction::kUndo ? step.undone_by : step.closed_by;
}

Command Runner::TakePending(Execution& e, Command command) {
  while (true) {
    std::optional<Pending> asked;
    {
      std::lock_guard lock(e.mutex);
      if (e.pending.empty()) return command;
      asked.emplace(std::move(e.pending.front()));
      e.pending.erase(e.pending.begin());
    }
    State before = e.record->state;
    absl::Status applied = Apply(e, *asked);
    if (applied.ok() && command == Command::kWait && asked->directive.kind == Directive::Kind::kRetry) {
      // It may be waiting already, without a lease: this write takes it up again, if nobody else has.
      e.must_flush = true;
      AddLog(e, LogOutcome::kRecovered, "", "asked to retry");
      command = Move(e, Event::kRecovered);
    }
    if (e.record->state != before) command = IsUnfinished(e.record->state) ? Resume(e) : Command::kSettle;
    Answer(e, *asked, applied);
    if (applied.ok() && e.before_claim) {
      asked->settled = [](auto) {};  // whoever asked has the answer, or waits for the end
      e.after_claim.push_back(*std::move(asked));
    }
  }
}

void Runner::Answer(Execution& e, Pending& asked, const absl::Status& applied) {
  const bool closing = e.record->state == State::kClosing && asked.directive.kind != Directive::Kind::kRetry;
  if (!applied.ok()) {
    asked.settled(applied);
  } else if ((IsTerminal(e.record->state) || closing) && !e.must_flush) {
    asked.settled(e.record.get());
  } else {
    std::lock_guard lock(e.mutex);
    e.settled.push_back(std::move(asked.settled));
  }
}

absl::Status Runner::Apply(Execution& e, Pending& asked) {
  const State state = e.record->state;
  auto refuse = [&](std::string_view why) {
    return domain::ReasonError(kStateForbids, fmt::format("the saga is {}: {}", Name(state), why),
                               {.metadata = {{"state", std::string(Name(state))}}});
  };
  switch (asked.directive.kind) {
    case Directive::Kind::kCancel:
      if (state == State::kCompensating || state == State::kCompensated) return absl::OkStatus();
      if (!FindTransition(state, Event::kCancelRequested)) return refuse("it can no longer be turned back");
      if (state == State::kSucceeded) e.record->step = static_cast<int>(e.definition->steps.size()) - 1;
      e.record->attempt = 1;
      e.record->failure = {std::string(kCancelledReason), asked.directive.detail};
      AddLog(e, LogOutcome::kCancelled, "", asked.directive.detail);
      Move(e, Event::kCancelRequested);
      break;
    case Directive::Kind::kClose:
      if (state == State::kClosing || state == State::kClosed) return absl::OkStatus();
      if (!FindTransition(state, Event::kCloseRequested)) return refuse("only a succeeded one can be closed");
      e.record->step = 0;
      e.record->attempt = 1;
      AddLog(e, LogOutcome::kClosed, "", asked.directive.detail);
      Move(e, Event::kCloseRequested);
      break;
    case Directive::Kind::kRetry:
      if (!IsUnfinished(state)) return refuse("there is nothing to retry");
      return absl::OkStatus();
    case Directive::Kind::kResolve:
      if (!FindTransition(state, Event::kResolveRequested) || !e.record->needs_attention) {
        return refuse("only one that is compensating or closing, and needs attention, can be resolved");
      }
      AddLog(e, LogOutcome::kResolved, "", asked.directive.detail);
      e.record->needs_attention = false;
      Move(e, Event::kResolveRequested);
      break;
  }
  e.must_flush = true;
  if (asked.prepare) asked.prepare(*e.record);
  return absl::OkStatus();
}

// --- Driving.

void Runner::Drive(ExecutionPtr execution, Command command) {
  Execution& e = *execution;
  command = TakePending(e, command);
  switch (command) {
    case Command::kDoStep:
    case Command::kUndoStep:
    case Command::kCloseStep: {
      const Step& step = e.step();
      const Direction direction = DirectionOf(e.record->state);
      const AnyAction& action = ActionOf(step, direction);
      if (direction != Direction::kDo && !action.call) {
        Drive(std::move(execution), direction == Direction::kUndo ? StepUndone(e) : StepClosed(e));
      } else if (e.must_flush && !action.journaled && !WAYBILL_FAULT("act_before_persist")) {
        Flush(std::move(execution), command);
      } else {
        Call(std::move(execution), step, action, direction);
      }
      return;
    }
    case Command::kRetryLater:
      if (e.must_flush) {
        Flush(std::move(execution), command);
      } else {
        BackOff(std::move(execution));
      }
      return;
    case Command::kWait:
    case Command::kSettle:
      if (e.must_flush) {
        Flush(std::move(execution), command);
      } else {
        Settle(std::move(execution), command);
      }
      return;
  }
}

// The first of several journaled calls that share a commit; of the others, the one that the next commit is about.
void Runner::SetCheckpoint(Execution& e, const AnyAction& action) {
  if (e.before_claim && e.before_claim->journaled) return;
  e.before_claim = {e.record->state, e.record->step,      e.record->attempt, e.record->seq,
                    e.log.size(),    e.record->effects(), action.journaled};
  e.after_claim.clear();
}

void Runner::Call(ExecutionPtr execution, const Step& step, const AnyAction& action, Direction direction) {
  Execution& e = *execution;
  const bool doing = direction == Direction::kDo;
  if (stopped_) return LetGo(execution, ShuttingDown());
  if (doing) SetCheckpoint(e, action);
  Attempt attempt;
  attempt.saga_id = e.record->id;
  attempt.step = step.name;
  attempt.number = e.record->attempt;
  attempt.conflicts = e.conflicts;
  const SteadyTime started = clock_.Steady();
  if (doing) {
    e.tried_since.resize(e.definition->steps.size());
    std::optional<SteadyTime>& since = e.tried_since[static_cast<size_t>(e.record->step)];
    if (!since) since = started;
  }
  attempt.deadline = started + step.retry.attempt_timeout;
  attempt.traceparent = e.record->traceparent;
  action.call(attempt, *e.record,
              [this, execution = std::move(execution), &step, direction, started](Outcome outcome) mutable {
                observer_.OnAttempt(step.name, direction, outcome.kind, clock_.Steady() - started);
                // A participant's words, which nobody has looked at.
                CleanOutcome(outcome);
                if (outcome.kind == Outcome::Kind::kLater && ActionOf(step, direction).journaled) {
                  outcome = Outcome::Unknown("BAD_TOKEN", "what has no effect outside has nothing to wait for");
                }
                Command command = After(*execution, step, direction, std::move(outcome));
                Drive(std::move(execution), command);
              });
}

Command Runner::After(Execution& e, const Step& step, Direction direction, Outcome outcome) {
  if (outcome.kind == Outcome::Kind::kLater) return AfterLater(e, step, std::move(outcome));
  if (direction == Direction::kDo) return AfterDo(e, step, std::move(outcome));
  return AfterLasting(e, step, direction, std::move(outcome));
}

Command Runner::AfterLater(Execution& e, const Step& step, Outcome outcome) {
  if (e.record->state == State::kRunning) {
    // Waits are counted, not the attempts before them that nobody answered: a participant that is back after an outage
    // has not been waited for yet.
    e.record->attempt = std::max(1, e.record->attempt - std::exchange(e.unanswered, 0));
    if (e.record->attempt > step.retry.attempts_max) {
      return AfterDo(e, step, Outcome::Unknown("NOT_SIGNALLED", "nobody has said what became of it", /*give_up=*/true));
    }
  }
  e.must_flush = true;
  e.in_doubt = e.record->state == State::kRunning;  // it may yet have an effect
  AddLog(e, LogOutcome::kWaiting, step.name,
         fmt::format("for {} until {}{}{}", outcome.token,
                     absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", outcome.until, absl::UTCTimeZone()),
                     outcome.detail.empty() ? "" : ": ", outcome.detail));
  Command command = Move(e, Event::kStepLater);
  e.record->waits_for = WaitName(step.name, DirectionOf(e.record->state), outcome.token);
  e.record->wakes_at = outcome.until;
  return command;
}

Command Runner::AfterSignal(Execution& e, KeptSignal signal) {
  const Step& step = e.step();
  const AnyAction& action = ActionOf(step, DirectionOf(e.record->state));
  e.acts_on = signal.id;
  if (!action.signalled || signal.outcome.kind == Outcome::Kind::kUnknown) {
    return AfterWait(e, std::move(signal.outcome));
  }
  if (e.record->state == State::kRunning) SetCheckpoint(e, action);
  std::string said = Said(signal.outcome);
  std::optional<Outcome> taken = action.signalled(std::move(signal.outcome), *e.record);
  if (taken) {
    CleanOutcome(*taken);
    return AfterWait(e, *std::move(taken));
  }
  e.must_flush = true;
  AddLog(e, LogOutcome::kSignalled, step.name, std::move(said));
  return Move(e, Event::kRecovered);
}

Command Runner::AfterWait(Execution& e, Outcome outcome) {
  const Step& step = e.step();
  // How long it waits is the participant's word, so only the number of its attempts counts; and the last word is its
  // own: it is asked once more after the last wait.
  if (outcome.kind == Outcome::Kind::kUnknown && e.record->state == State::kRunning) {
    return TryAgain(e, step, outcome);
  }
  return After(e, step, DirectionOf(e.record->state), std::move(outcome));
}

Command Runner::AfterDo(Execution& e, const Step& step, Outcome outcome) {
  if (outcome.kind == Outcome::Kind::kUnknown && WAYBILL_FAULT("fail_over_on_timeout")) {
    outcome.kind = Outcome::Kind::kRejected;
  }
  Header& at = *e.record;
  e.must_flush = true;
  switch (outcome.kind) {
    case Outcome::Kind::kSucceeded: {
      AddLog(e, LogOutcome::kSucceeded, step.name, std::move(outcome.detail));
      e.in_doubt = false;
      e.unanswered = 0;
      at.needs_attention = false;
      if (at.step + 1 == static_cast<int>(e.definition->steps.size())) return Move(e, Event::kLastStepSucceeded);
      ++at.step;
      at.attempt = 1;
      return Move(e, Event::kStepSucceeded);
    }
    case Outcome::Kind::kRejected:
      AddLog(e, LogOutcome::kRejected, step.name, Explain(outcome));
      at.failure = {std::move(outcome.reason), std::move(outcome.detail)};
      at.attempt = 1;
      // What this call was refused says nothing about a call before it that may yet go through: undoing the step
      // closes its key.
      if (e.in_doubt && !step.does.journaled && !WAYBILL_FAULT("believe_a_late_refusal")) {
        return Move(e, Event::kStepRejected);
      }
      if (at.step == 0) return Move(e, Event::kFirstStepRejected);
      --at.step;
      return Move(e, Event::kStepRejected);
    case Outcome::Kind::kUnknown:
      if (!outcome.give_up && (at.attempt < step.retry.attempts_max || TimeLeft(e, step) > absl::ZeroDuration())) {
        ++e.unanswered;
        return TryAgain(e, step, outcome);
      }
      AddLog(e, LogOutcome::kUnknown, step.name, Explain(outcome));
      e.in_doubt = true;
      at.failure = {std::move(outcome.reason), std::move(outcome.detail)};
      at.attempt = 1;
      return Move(e, Event::kBudgetSpent);
    case Outcome::Kind::kLater:  // see AfterLater
      break;
  }
  return Command::kSettle;
}

Command Runner::TryAgain(Execution& e, const Step& step, const Outcome& unknown) {
  e.must_flush = true;
  AddLog(e, LogOutcome::kUnknown, step.name, Explain(unknown));
  e.in_doubt = true;
  ++e.record->attempt;
  observer_.OnRetry(step.name, Direction::kDo);
  return Move(e, Event::kStepUnknown);
}

absl::Duration Runner::TimeLeft(const Execution& e, const Step& step) const {
  const SteadyTime now = clock_.Steady();
  const size_t at = static_cast<size_t>(e.record->step);
  const SteadyTime since = at < e.tried_since.size() ? e.tried_since[at].value_or(now) : now;
  return since + step.retry.retry_for - now;
}

Command Runner::AfterLasting(Execution& e, const Step& step, Direction direction, Outcome outcome) {
  Header& at = *e.record;
  const bool undo = direction == Direction::kUndo;
  if (outcome.kind == Outcome::Kind::kSucceeded) {
    e.must_flush = true;
    AddLog(e, undo ? LogOutcome::kUndone : LogOutcome::kClosed, step.name, std::move(outcome.detail));
    return undo ? StepUndone(e) : StepClosed(e);
  }
  // Neither ever gives up, so the log must not grow without end: failures are logged until somebody has been called,
  // and from then on at attempts 16, 32, 64, ...
  const bool power_of_two = (at.attempt & (at.attempt - 1)) == 0;
  // What acts on a signal is logged too: it has to be written before the step is tried again, so that what is said
  // meanwhile is kept.
  if (!at.needs_attention || power_of_two || e.acts_on != 0) {
    e.must_flush = true;
    AddLog(e, undo ? LogOutcome::kUndoFailed : LogOutcome::kUnknown, step.name, Explain(outcome));
  }
  if (!at.needs_attention && at.attempt >= step.retry.attention_after) {
    at.needs_attention = true;
    AddLog(e, LogOutcome::kNeedsAttention, step.name,
           fmt::format("{} attempts to {} failed", at.attempt, undo ? "undo" : "close"));
    observer_.OnNeedsAttention(at);
  }
  ++at.attempt;
  observer_.OnRetry(step.name, direction);
  return Move(e, undo ? Event::kUndoFailed : Event::kCloseFailed);
}

Command Runner::StepUndone(Execution& e) {
  e.must_flush = true;
  e.record->needs_attention = false;
  // Every journal write carries an entry, also when there was nothing to undo.
  if (e.log.empty()) {
    AddLog(e, LogOutcome::kUndone, e.step().name, "nothing to undo");
  }
  if (e.record->step == 0) return Move(e, Event::kLastStepUndone);
  --e.record->step;
  e.record->attempt = 1;
  return Move(e, Event::kStepUndone);
}

Command Runner::StepClosed(Execution& e) {
  e.must_flush = true;
  e.record->needs_attention = false;
  if (e.log.empty()) {
    AddLog(e, LogOutcome::kClosed, e.step().name, "nobody to tell");
  }
  if (e.record->step + 1 == static_cast<int>(e.definition->steps.size())) return Move(e, Event::kLastStepClosed);
  ++e.record->step;
  e.record->attempt = 1;
  return Move(e, Event::kStepClosed);
}

Command Runner::Move(Execution& e, Event event) {
  std::optional<Transition> row = FindTransition(e.record->state, event);
  if (!row) std::abort();  // the runner asked for what the table does not allow: a bug, and money is at stake
  e.record->state = row->to;
  e.record->waits_for.clear();
  e.record->signal.reset();
  for (LogEntry& entry : e.log) entry.state = row->to;
  return row->command;
}

void Runner::AddLog(Execution& e, LogOutcome outcome, std::string_view step, std::string detail) {
  LogEntry entry;
  entry.seq = ++e.record->seq;
  entry.step = std::string(step);
  entry.attempt = step.empty() ? 0 : e.record->attempt;
  entry.outcome = outcome;
  entry.state = e.record->state;
  entry.detail = std::move(detail);
  entry.at = clock_.Now();
  e.log.push_back(std::move(entry));
}

void Runner::Flush(ExecutionPtr execution, Command command) {
  Execution& e = *execution;
  if (stopped_) return LetGo(execution, ShuttingDown());
  e.record->updated_at = e.log.back().at;
  e.asked_at = clock_.Steady();
  e.signal.reset();
  Write write{e.record.get(), e.log, e.persisted_seq, command == Command::kWait ? &e.signal : nullptr, e.acts_on};
  journal_.Advance(write,
                   [this, execution = std::move(execution), command](absl::StatusOr<WriteResult> result) mutable {
                     OnFlushed(std::move(execution), command, std::move(result));
                   });
}

void Runner::OnFlushed(ExecutionPtr execution, Command command, absl::StatusOr<WriteResult> result) {
  Execution& e = *execution;
  if (!result.ok()) {
    if (GetErrorDetail(result.status()).reason == kStoreRefused) {
      OnRefused(std::move(execution), result.status());
    } else {
      LetGo(execution, result.status());  // perhaps written, perhaps not: whoever claims it next reads the truth
    }
    return;
  }
  switch (*result) {
    case WriteResult::kApplied:
      e.persisted_seq = e.record->seq;
      e.log.clear();
      e.must_flush = false;
      e.conflicts = 0;
      e.refused = false;
      e.acts_on = 0;
      e.before_claim.reset();
      e.after_claim.clear();
      e.record->set_effects({});
      {
        std::lock_guard lock(mutex_);
        e.renew_at = e.asked_at + options_.lease / 3;
      }
      e.wrote = true;
      observer_.OnTransition(*e.record);
      if (e.record->state == State::kClosing) TellWaiters(e, e.record.get());
      if (command == Command::kWait && e.signal) command = AfterSignal(e, *std::move(e.signal));
      Drive(std::move(execution), command);
      return;
    case WriteResult::kFenced:
      observer_.OnFenced(*e.record);
      LetGo(execution, TakenOver());
      return;
    case WriteResult::kConflict:
      observer_.OnLostClaim(*e.record);
      if (!e.before_claim) std::abort();  // a conflict without a claim: a bug in the journal
      command = GoBackBeforeClaim(e);
      Drive(std::move(execution), command);
      return;
  }
}

void Runner::OnRefused(ExecutionPtr execution, const absl::Status& why) {
  Execution& e = *execution;
  observer_.OnRefused(*e.record, why);
  const bool refused_again = std::exchange(e.refused, true);
  const bool had_directive = std::any_of(e.log.begin(), e.log.end(), [](const LogEntry& entry) {
    return entry.outcome == LogOutcome::kCancelled || entry.outcome == LogOutcome::kClosed ||
           entry.outcome == LogOutcome::kResolved;
  });
  absl::StatusOr<std::unique_ptr<Record>> durable = journal_.Load(e.record->id);
  if (!durable.ok() || (*durable)->epoch != e.record->epoch || (*durable)->seq != e.persisted_seq) {
    LetGo(execution, durable.ok() ? TakenOver() : durable.status());
    return;
  }
  e.record = *std::move(durable);
  e.log.clear();
  e.before_claim.reset();
  e.after_claim.clear();
  e.conflicts = 0;
  e.in_doubt = true;
  if (!IsUnfinished(e.record->state)) {  // at rest, until a directive came that cannot be written
    LetGo(execution, why);
    return;
  }
  if (had_directive) TellWaiters(e, why);
  std::string what = "the store refused what was to be written";
  for (const auto& [name, value] : GetErrorDetail(why).metadata) what += fmt::format(", {} {}", name, value);
  const Step& step = e.step();
  if (!e.record->needs_attention) AddLog(e, LogOutcome::kNeedsAttention, step.name, what);
  e.record->needs_attention = true;
  Outcome outcome = Outcome::Unknown(std::string(kStoreRefused), std::move(what));
  const Direction direction = DirectionOf(e.record->state);
  Command command = After(e, step, direction, std::move(outcome));
  e.must_flush = !e.log.empty();
  if (refused_again) {
    Park(std::move(execution), step.retry.undo_backoff_max);  // and then once more
  } else if (e.must_flush) {
    Flush(std::move(execution), command);
  } else {
    Drive(std::move(execution), command);
  }
}

void Runner::TellWaiters(Execution& e, absl::StatusOr<const Record*> what) {
  std::vector<Settled> settled;
  {
    std::lock_guard lock(e.mutex);
    settled.swap(e.settled);
  }
  for (Settled& waiter : settled) waiter(what);
}

Command Runner::GoBackBeforeClaim(Execution& e) {
  e.record->state = e.before_claim->state;
  e.record->step = e.before_claim->step;
  e.record->attempt = e.before_claim->attempt;
  e.record->seq = e.before_claim->seq;
  e.record->failure = {};
  e.record->waits_for.clear();
  e.record->set_effects(e.before_claim->effects);
  for (size_t i = static_cast<size_t>(e.record->step); i < e.definition->steps.size(); ++i) {
    if (auto& claim_lost = e.definition->steps[i].does.claim_lost) claim_lost(*e.record);
  }
  {
    std::lock_guard lock(e.mutex);
    e.pending.insert(e.pending.begin(), std::make_move_iterator(e.after_claim.begin()),
                     std::make_move_iterator(e.after_claim.end()));
  }
  e.after_claim.clear();
  e.in_doubt = true;  // the call itself went through
  e.log.resize(e.before_claim->log_size);
  e.must_flush = !e.log.empty();
  e.before_claim.reset();
  if (++e.conflicts <= options_.conflicts_max) return Command::kDoStep;
  e.conflicts = 0;
  const Step& step = e.step();
  return AfterDo(e, step, Outcome::Unknown("CLAIM_LOST", "every claim was lost to another saga"));
}

void Runner::BackOff(ExecutionPtr execution) {
  Execution& e = *execution;
  const Step& step = e.step();
  const bool lasting = e.record->state != State::kRunning;
  absl::Duration pause =
      Backoff(step.retry.backoff_initial, lasting ? step.retry.undo_backoff_max : step.retry.backoff_max,
              e.record->attempt, random_);
  if (absl::Duration left = TimeLeft(e, step); !lasting && e.record->attempt >= step.retry.attempts_max) {
    if (left > absl::ZeroDuration()) pause = std::min(pause, left);  // the last attempt is when the time is over
  }
  Park(std::move(execution), pause);
}

void Runner::Park(ExecutionPtr execution, absl::Duration pause) {
  Execution& e = *execution;
  bool stopping;
  {
    std::lock_guard lock(mutex_);
    stopping = stopping_;
    if (!stopping && std::exchange(e.recovered, false)) --recovered_in_flight_;
  }
  if (stopping) {
    LetGo(execution, ShuttingDown());
    return;
  }
  std::unique_lock lock(e.mutex);
  if (!e.pending.empty()) {
    lock.unlock();
    Command command = Resume(e);
    Drive(std::move(execution), command);
    return;
  }
  // Under the lock, so that the timer's callback and Unpark find it stored.
  e.timer = scheduler_.At(clock_.Steady() + pause, [this, execution]() mutable {
    {
      std::lock_guard timer_lock(execution->mutex);
      execution->timer.reset();
    }
    Command command = Resume(*execution);
    Drive(std::move(execution), command);
  });
  lock.unlock();
  // Stop may have looked for timers before this one was there.
  {
    std::lock_guard stop_lock(mutex_);
    stopping = stopping_;
  }
  if (stopping && Unpark(execution)) LetGo(execution, ShuttingDown());
}

void Runner::Settle(ExecutionPtr execution, Command command) {
  Execution& e = *execution;
  std::vector<Settled> settled;
  {
    std::unique_lock lock(e.mutex);
    if (!e.pending.empty()) {  // asked just now, of a saga that has succeeded, or waits
      lock.unlock();
      Drive(std::move(execution), command);
      return;
    }
    e.ended = true;
    settled.swap(e.settled);
  }
  Remove(execution);
  if (command == Command::kWait) {
    observer_.OnWaiting(*e.record);
  } else if (e.wrote) {
    observer_.OnSettled(*e.record, Age(e));
  }
  for (Settled& waiter : settled) waiter(e.record.get());
}

absl::Duration Runner::Age(const Execution& e) const {
  if (e.began.has_value()) return clock_.Steady() - *e.began;
  return std::max(clock_.Now() - e.record->created_at, absl::ZeroDuration());  // two hosts' clocks
}

void Runner::LetGo(const ExecutionPtr& execution, const absl::Status& why) {
  std::vector<Settled> settled;
  std::vector<Pending> pending;
  {
    std::lock_guard lock(execution->mutex);
    execution->ended = true;
    settled.swap(execution->settled);
    pending.swap(execution->pending);
  }
  Remove(execution);
  for (Settled& waiter : settled) waiter(why);
  for (Pending& asked : pending) asked.settled(why);
}

}  // namespace waybill::saga
